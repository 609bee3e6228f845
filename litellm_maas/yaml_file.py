"""YAML files that people write by hand: read with line numbers, checked against a pydantic model.

PyYAML drops line numbers and lets a repeated key silently win; a price typed twice is exactly the mistake a person
has to hear about. Every YAML file of this package and of its users is read here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from litellm_maas import odd_numbers
from litellm_maas.did_you_mean import did_you_mean
from litellm_maas.errors import ConfigFileError, MaasError
from litellm_maas.odd_numbers import OddNumber

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML was built without libyaml: the same rules, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

_Model = TypeVar("_Model", bound=BaseModel)
_Content = TypeVar("_Content")
Location = tuple[str | int, ...]


class Document:
    """A parsed YAML file, or a part of one: its plain data, and the line on which each part of it stands.

    Args:
        file: The file.
        data: The data.
        lines: The line of each part of the file.
        at: Where in the file the data stands; locations are below it.
        odd: The numbers of the file that could mean other ones.
    """

    def __init__(
        self,
        file: Path,
        data: Any,
        lines: Mapping[Location, int],
        at: Location = (),
        odd: Mapping[Location, OddNumber] | None = None,
    ) -> None:
        self.file = file
        self.data = data
        self._lines = lines
        self._at = at
        self._odd = odd or {}

    @property
    def marked(self) -> Any:
        """Return the data, in which numbers that could mean other ones are `OddNumber`s."""
        return _marked(self.data, self._at, self._odd) if self._odd else self.data

    def subtree(self, *location: str | int) -> Document:
        """Return a part as a document of its own, whose errors point into this file."""
        data = self.data
        for step in location:
            data = data[step]
        return Document(self.file, data, self._lines, (*self._at, *location), self._odd)

    def without_keys(self, *names: str) -> Document:
        """Return this document without some of its keys."""
        kept = {name: value for name, value in self.data.items() if name not in names}
        return Document(self.file, kept, self._lines, self._at, self._odd)

    def line_of(self, location: Location) -> int | None:
        """Return the 1-based line of a part, or of its nearest enclosing part that has one."""
        whole = (*self._at, *location)
        for end in range(len(whole), -1, -1):
            if (line := self._lines.get(whole[:end])) is not None:
                return line
        return None

    def error(self, location: Location, message: str, hint: str = "") -> ConfigFileError:
        """Return an error that points at a part of this document."""
        field = ".".join(map(str, (*self._at, *location)))
        return ConfigFileError(self.file, self.line_of(location), field, message, hint)

    def validate(self, model: type[_Model]) -> _Model:
        """Return the data as `model`.

        Raises:
            ConfigFileError: The first mistake, at the line where it stands.
        """
        try:
            return model.model_validate(self.marked)
        except ValidationError as error:
            raise self.errors(error)[0] from None

    def errors(self, error: ValidationError, known: Collection[str] = ()) -> list[ConfigFileError]:
        """Return what is wrong with the data, in the order of the file, but what is missing last.

        A misspelt key is unknown and its right spelling is missing: the former says more.

        Args:
            error: What pydantic found.
            known: Keys that an unknown one may be a misspelling of.
        """
        details = error.errors(include_url=False, include_input=False)
        details.sort(key=lambda detail: (detail["type"] == "missing", self.line_of(self._known(detail["loc"])) or 0))
        return [self._error(detail, known) for detail in details]

    def _error(self, detail: ErrorDetails, known: Collection[str]) -> ConfigFileError:
        message, hint = message_and_hint(detail)
        if detail["type"] == "extra_forbidden":
            near = did_you_mean(str(detail["loc"][-1]), known)
            message, hint = "unknown key", near or "remove it or check its spelling"
        elif detail["type"] == "missing":
            message, hint = "required key is missing", "add it"
        elif detail["type"] == "invalid_key":
            message = "a key must be text"
            hint = "inside {…} a number has no commas: write 200000, not 200,000"
        line, field = self.line_of(self._known(detail["loc"])), ".".join(map(str, (*self._at, *detail["loc"])))
        return ConfigFileError(self.file, line, field, message, hint)

    def _known(self, location: Location) -> Location:
        # Pydantic puts names of union members and of validators into a location; only what the file holds has a line.
        known = (part for index, part in enumerate(location) if (*self._at, *location[: index + 1]) in self._lines)
        return tuple(known) or location


def message_and_hint(detail: ErrorDetails) -> tuple[str, str]:
    """Return what pydantic says is wrong, and what to do where one of our own validators says so."""
    raised = detail.get("ctx", {}).get("error")
    if isinstance(raised, MaasError):
        return raised.message, raised.hint
    return detail["msg"].removeprefix("Value error, "), ""


class Watched(Generic[_Content]):
    """Read a file again when it has changed. While it has a mistake, what it said before stays current.

    Args:
        read: Reads it, and raises `ConfigFileError` where it has a mistake.
        say: Called once with each mistake that leaves an earlier state current.

    Attributes:
        error: What is wrong with the file now; None where nothing is.
    """

    def __init__(self, read: Callable[[Path], _Content], say: Callable[[ConfigFileError], None]) -> None:
        self.error: ConfigFileError | None = None
        self._read = read
        self._say = say
        self._seen: tuple[object, ...] | None = None
        self._good: tuple[str, _Content] | None = None

    def get(self, name: str) -> _Content:
        """Return what the file of this name says.

        Raises:
            ConfigFileError: It has a mistake, and had from the beginning.
        """
        try:
            before, self._seen = self._seen, None
            self._seen = _seen(name)
            if self._seen != before:
                self._good, self.error = (name, self._read(Path(name))), None
        except ConfigFileError as error:
            self._note(name, error)
        if self._good is not None and self._good[0] == name:
            return self._good[1]
        raise self.error or ConfigFileError(Path(name), None, "", "was never read")

    def _note(self, name: str, error: ConfigFileError) -> None:
        is_news = self.error is None or str(self.error) != str(error)
        self.error = error
        if is_news and self._good is not None and self._good[0] == name:
            self._say(error)


def _seen(name: str) -> tuple[object, ...]:
    """Return what tells a state of a file from another one."""
    try:
        status = os.stat(name)  # noqa: PTH116 - on every call, and a tenth of the price
    except OSError as error:
        raise ConfigFileError(Path(name), None, "", f"cannot be read ({error.strerror or error})") from None
    # A copy may keep the time of what it is a copy of, and an editor that of what it replaces.
    return name, status.st_mtime_ns, status.st_size, status.st_ino


def read(file: Path, text: str | None = None) -> Document:
    """Parse a YAML file.

    Args:
        file: The file; only its name is used when `text` is given.
        text: The content, when it is already at hand.

    Raises:
        ConfigFileError: The file cannot be read, is not YAML, or repeats a key.
    """
    if text is None:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigFileError(file, None, "", f"cannot be read ({error.strerror or error})") from None
        except UnicodeDecodeError:
            raise ConfigFileError(file, None, "", "is not UTF-8 text", "save it as UTF-8") from None
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Location, int] = {(): 1}
        odd: dict[Location, OddNumber] = {}
        data = None if node is None else _construct(loader, node, (), lines, odd, file, frozenset())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        raise ConfigFileError(file, line, "", f"is not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigFileError(file, None, "", f"is not valid YAML: {error}") from None
    finally:
        loader.dispose()
    return Document(file, data, lines, odd=odd)


def _construct(
    loader: Any,
    node: yaml.Node,
    location: Location,
    lines: dict[Location, int],
    odd: dict[Location, OddNumber],
    file: Path,
    parents: frozenset[int],
) -> Any:
    if id(node) in parents:
        raise ConfigFileError(file, node.start_mark.line + 1, ".".join(map(str, location)), "recursive alias")
    lines.setdefault(location, node.start_mark.line + 1)
    inside = parents | {id(node)}
    if node.tag not in ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
        value = _scalar(loader, node, location, file)
        if isinstance(value, (int, float)) and (found := odd_numbers.odd(value, node.value)) is not None:
            odd[location] = found
        return value
    if isinstance(node, yaml.SequenceNode):
        return [
            _construct(loader, child, (*location, index), lines, odd, file, inside)
            for index, child in enumerate(node.value)
        ]
    first_lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigFileError(
                file, key.start_mark.line + 1, ".".join(map(str, location)), "a key must be plain text"
            )
        line = key.start_mark.line + 1
        if (first := first_lines.get(key.value)) is not None:
            field = ".".join(map(str, (*location, key.value)))
            raise ConfigFileError(file, line, field, f"key is already set on line {first}", "keep one of the two")
        first_lines[key.value] = line
    loader.flatten_mapping(node)
    # An alias brings the same node again: what was merged into it is then no key set twice.
    node.value = list({key.value: (key, child) for key, child in node.value}.values())
    result = {}
    for key, child in node.value:
        name = _scalar(loader, key, location, file)
        at = (*location, name if isinstance(name, int) else str(name))
        lines.setdefault(at, key.start_mark.line + 1)
        result[name] = _construct(loader, child, at, lines, odd, file, inside)
    return result


def _scalar(loader: Any, node: yaml.Node, location: Location, file: Path) -> Any:
    try:
        return loader.construct_object(node, deep=True)
    except ValueError as error:
        # What looks like a date or a number to YAML, and is none.
        field = ".".join(map(str, location))
        shown = str(node.value)[:40]
        raise ConfigFileError(
            file, node.start_mark.line + 1, field, f"{shown!r} cannot be read ({error})", "correct it"
        ) from None


def _marked(data: Any, location: Location, odd: Mapping[Location, OddNumber]) -> Any:
    if isinstance(data, dict):
        return {name: _marked(value, (*location, name), odd) for name, value in data.items()}
    if isinstance(data, list):
        return [_marked(value, (*location, index), odd) for index, value in enumerate(data)]
    return odd.get(location, data)
