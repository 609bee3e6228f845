"""What a check finds in a config: where it stands, what is wrong, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from litellm_maas.errors import DataFileError
from litellm_maas.yaml_file import Document, Location

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        level: An error keeps the config from working as it says; a warning does not.
        mistake: Where and what; its text is what a person reads.
    """

    level: Level
    mistake: DataFileError

    def as_dict(self) -> dict[str, object]:
        """The finding as plain JSON values."""
        mistake = self.mistake
        return {
            "level": self.level,
            "file": str(mistake.file),
            "line": mistake.line,
            "field": mistake.field,
            "problem": mistake.problem,
        }


def error(document: Document, location: Location, problem: str) -> Finding:
    """A mistake at a part of a document."""
    return Finding("error", document.error(location, problem))


def warning(document: Document, location: Location, problem: str) -> Finding:
    """Something that works and that nobody is likely to want."""
    return Finding("warning", document.error(location, problem))
