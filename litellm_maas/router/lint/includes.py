"""Read the files that a proxy's config is made of: itself and what it includes, which may erase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from litellm_maas import yaml_file
from litellm_maas.errors import ConfigFileError
from litellm_maas.router.lint.diagnostics import Diagnostic, error
from litellm_maas.yaml_file import Document

INCLUDE = "include"


class Config:
    """A proxy's config as LiteLLM puts it together: lists are joined, everything else is replaced by what comes later.

    Attributes:
        documents: The files, in the order in which they are read.
        findings: What is wrong with them and with how they fit together.
    """

    def __init__(self, file: Path) -> None:
        """Read a config with what it includes.

        Raises:
            ConfigFileError: The file itself cannot be read, or is no mapping.
        """
        self._root = mapping_of(file)
        self.documents = [self._root]
        self.findings: list[Diagnostic] = []
        pending = [(self._root, name) for name in self._includes(self._root)]
        while pending:
            declaring, index = pending.pop(0)
            included = self._read(declaring, index)
            if included is not None:
                self.findings += self._erased_by(included)
                self.documents.append(included)
                pending += [(included, name) for name in self._includes(included)]

    def section(self, name: str) -> Document | None:
        """Return a section as a document of the file that it comes from in the end; None where there is none."""
        holders = [each for each in self.documents if isinstance(each.data.get(name), Mapping)]
        return holders[-1].subtree(name) if holders else None

    def value(self, section: str, name: str) -> Any:
        """Return a setting; None where it is not set."""
        found = self.section(section)
        return None if found is None else found.data.get(name)

    def _includes(self, document: Document) -> list[int]:
        entries = document.data.get(INCLUDE, [])
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            self.findings.append(
                error(document, (INCLUDE,), "must be a list of files", "write one such as [maas_models.yaml]")
            )
            return []
        return list(range(len(entries)))

    def _read(self, declaring: Document, index: int) -> Document | None:
        entry = declaring.data[INCLUDE][index]
        # LiteLLM looks beside the file that names it, and then beside the first one.
        places = [each.file.parent / entry for each in (declaring, self._root)]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            missing = f"there is no file {places[0]}"
            hint = "paths start at the folder of the file that includes"
            self.findings.append(error(declaring, (INCLUDE, index), missing, hint))
            return None
        if any(each.file.resolve() == found.resolve() for each in self.documents):
            return None
        try:
            return mapping_of(found)
        except ConfigFileError as mistake:
            self.findings.append(Diagnostic("error", mistake))
            return None

    def _erased_by(self, included: Document) -> Iterator[Diagnostic]:
        for name, value in included.data.items():
            holder = next((each for each in reversed(self.documents) if name in each.data), None)
            if holder is None or name == INCLUDE or isinstance(value, list):
                continue
            lost = holder.data[name]
            names = ", ".join(map(str, lost)) if isinstance(lost, Mapping) else str(name)
            yield error(
                included,
                (name,),
                f"erases {name} of {holder.file.name} ({names}): LiteLLM's include replaces whole sections",
                "move these settings into the file that includes this one",
            )


def mapping_of(file: Path) -> Document:
    """Read a config file.

    Raises:
        ConfigFileError: It cannot be read, or is no mapping.
    """
    document = yaml_file.read(file)
    if not isinstance(document.data, Mapping):
        raise ConfigFileError(
            file, 1, "", "is not a mapping", "write sections, such as model_list and general_settings"
        )
    return document
