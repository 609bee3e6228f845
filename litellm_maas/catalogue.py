"""Describe the models: what each takes and can do, and the quirks of its family.

The data is `catalogue.yaml`; every fact there names its source. Knows no LiteLLM: `litellm_maas.provider.register`
tells LiteLLM what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from litellm_maas import yaml_file

CATALOGUE_FILE = Path(__file__).with_name("catalogue.yaml")

Mode = Literal["chat", "embedding", "image_generation"]
Modality = Literal["text", "image", "video", "file"]
Unsupported = Literal["reasoning_effort", "forced_tool_choice", "max_tokens", "stream_options"]
Extra = Literal["developer_role", "cache_control"]
_Tokens = Annotated[int, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Defaults(_Strict):
    mode: Mode
    input: tuple[Modality, ...]
    tools: bool
    json_schema: bool
    reasoning: bool
    max_input_tokens: _Tokens
    max_output_tokens: _Tokens


class _Family(_Strict):
    name: str
    match: tuple[str, ...]
    reasoning: bool | None = None
    disable_reasoning: Mapping[str, Any] | None = None
    unsupported: frozenset[Unsupported] | None = None
    takes: frozenset[Extra] | None = None
    source: str


class _Entry(_Strict):
    mode: Mode | None = None
    input: tuple[Modality, ...] | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    max_input_tokens: _Tokens | None = None
    max_output_tokens: _Tokens | None = None
    source: str


class _File(_Strict):
    format: Literal[1]
    defaults: _Defaults
    families: tuple[_Family, ...]
    models: Mapping[str, _Entry]


class Model(_Strict):
    """Describe a model id, by defaults where nothing is known.

    Attributes:
        known: Whether the catalogue names this id; if not, everything but the family's quirks is a default.
        max_input_tokens: Tokens the model reads at most.
        max_output_tokens: Tokens the model writes at most.
        size_known: Whether the sizes are this model's own, not the default.
        disable_reasoning: What disables reasoning on the wire; None where no switch is known.
        unsupported: What the gateway refuses for this family.
        takes: What this family takes and others may refuse.
    """

    id: str
    known: bool
    mode: Mode
    input: tuple[Modality, ...]
    tools: bool
    json_schema: bool
    reasoning: bool
    max_input_tokens: int
    max_output_tokens: int
    size_known: bool
    disable_reasoning: Mapping[str, Any] | None
    unsupported: frozenset[Unsupported]
    takes: frozenset[Extra]
    source: str


class Catalogue:
    """The models of a catalogue file."""

    def __init__(self, content: _File) -> None:
        self._content = content
        self._cached = lru_cache(maxsize=1024)(self._assemble)

    def ids(self) -> tuple[str, ...]:
        """Return the known ids, in the order of the file."""
        return tuple(self._content.models)

    def model(self, model_id: str) -> Model:
        """Return what is known of an id; defaults for one that the catalogue does not name."""
        return self._cached(model_id)

    def defaults(self) -> Model:
        """Return the defaults for a chat model that nobody has described."""
        return self._cached("")

    def patterns(self) -> tuple[str, ...]:
        """Return patterns for the ids of the families, in lower case; where several match, the last one counts."""
        return tuple(pattern for family in self._content.families for pattern in family.match)

    def _assemble(self, model_id: str) -> Model:
        entry = self._content.models.get(model_id)
        facts: dict[str, Any] = self._content.defaults.model_dump()
        facts |= {"disable_reasoning": None, "unsupported": frozenset(), "takes": frozenset()}
        for family in self._content.families:
            if any(fnmatchcase(model_id.lower(), pattern) for pattern in family.match):
                facts |= family.model_dump(exclude={"name", "match", "source"}, exclude_unset=True)
        own = entry.model_dump(exclude_unset=True) if entry is not None else {"source": "not in the catalogue"}
        return Model(
            id=model_id,
            known=entry is not None,
            size_known="max_input_tokens" in own,
            **(facts | own),
        )


@cache
def catalogue() -> Catalogue:
    """Return the shipped catalogue, read once."""
    return Catalogue(yaml_file.read(CATALOGUE_FILE).validate(_File))
