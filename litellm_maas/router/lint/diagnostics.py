"""What a check finds in a config: where it stands, what is wrong, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from litellm_maas.errors import ConfigFileError
from litellm_maas.yaml_file import Document, Location

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    Attributes:
        level: An error keeps the config from working as it says; a warning does not.
        error: Where and what; its text is what a person reads.
    """

    level: Severity
    error: ConfigFileError

    def as_dict(self) -> dict[str, object]:
        """The finding as plain JSON values."""
        mistake = self.error
        return {
            "level": self.level,
            "file": str(mistake.file),
            "line": mistake.line,
            "field": mistake.field,
            "message": mistake.message,
            "hint": mistake.hint or None,
        }


def error(document: Document, location: Location, message: str, hint: str = "") -> Diagnostic:
    """Return an error at a part of a document."""
    return Diagnostic("error", document.error(location, message, hint))


def warning(document: Document, location: Location, message: str, hint: str = "") -> Diagnostic:
    """Return a warning: something that works and that nobody is likely to want."""
    return Diagnostic("warning", document.error(location, message, hint))
