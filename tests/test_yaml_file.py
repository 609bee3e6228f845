from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from litellm_maas import yaml_file
from litellm_maas.errors import ConfigFileError, MaasError
from litellm_maas.pricing import price_file


class Inner(BaseModel):
    """A part of a file."""

    model_config = ConfigDict(extra="forbid")
    number: int


class Outer(BaseModel):
    """A whole file."""

    model_config = ConfigDict(extra="forbid")
    parts: dict[str, Inner]
    names: list[str] = []


def mistake(text: str | bytes, tmp_path: Path) -> ConfigFileError:
    """The mistake that reading a file with this content finds."""
    file = tmp_path / "some.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigFileError) as caught:
        yaml_file.read(file).validate(Outer)
    assert isinstance(caught.value, MaasError)
    assert str(file) in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "field", "problem"),
    [
        ("parts:\n  a: {number: 1}\n  b: {number: x}\n", 3, "parts.b.number", "valid integer"),
        ("parts:\n  a:\n    numbr: 1\n", 3, "parts.a.numbr", "unknown key"),
        ("parts:\n  a: {}\n", 2, "parts.a.number", "required key is missing"),
        ("parts:\n  a: {number: 1}\n  a: {number: 2}\n", 3, "parts.a", "already set on line 2"),
        ("parts: {}\nnames: [a, 5]\n", 2, "names.1", "valid string"),
        ("parts:\n  - [\n", 3, "", "not valid YAML"),
        ("parts: {}\n\tnames: []\n", 2, "", "not valid YAML"),
        ("a: &a [*a]\n", 1, "a.0", "recursive alias"),
        ("? [a]\n: 1\n", 1, "", "must be plain text"),
        ("a: !!python/object:os.system {}\n", 1, "", "not valid YAML"),
        (b"parts: \xff\n", None, "", "not UTF-8"),
        ("", 1, "", "valid dictionary"),
    ],
)
def test_a_mistake_has_its_place(tmp_path: Path, text: Any, line: int | None, field: str, problem: str) -> None:
    """A mistake in a file is reported with its file, line and field, and with what to do."""
    found = mistake(text, tmp_path)
    assert (found.line, found.field) == (line, field), found
    assert problem in found.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is an error that names it."""
    with pytest.raises(ConfigFileError, match=r"gone\.yaml: cannot be read"):
        yaml_file.read(tmp_path / "gone.yaml")


def test_anchors_and_merges(tmp_path: Path) -> None:
    """Aliases and merge keys work, and a key may override a merged one."""
    text = "parts:\n  a: &a {number: 1}\n  b: *a\n  c: {<<: *a, number: 3}\n"
    found = yaml_file.read(tmp_path / "x.yaml", text).validate(Outer)
    assert {name: part.number for name, part in found.parts.items()} == {"a": 1, "b": 1, "c": 3}


def test_the_shipped_files_are_sound() -> None:
    """The shipped price file and catalogue hold no mistake, and the lists follow one another without a gap."""
    official = price_file.read(price_file.OFFICIAL_FILE, price_file.OfficialFile)
    newest, before = official.lists
    assert (before.first_day, before.end_day, newest.end_day) == (None, newest.first_day, None)
