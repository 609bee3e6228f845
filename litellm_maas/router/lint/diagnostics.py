"""Report what a check finds in a config: where it stands, what is wrong, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from litellm_maas.errors import ConfigFileError
from litellm_maas.yaml_file import Document, Location

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Report one finding.

    Attributes:
        severity: An error keeps the config from working as it says; a warning does not.
        error: Where and what; its text is what a person reads.
    """

    severity: Severity
    error: ConfigFileError

    def as_dict(self) -> dict[str, object]:
        """Return the finding as plain JSON values."""
        mistake = self.error
        return {
            "severity": self.severity,
            "file": str(mistake.file),
            "line": mistake.line,
            "field": mistake.field,
            "message": mistake.message,
            "hint": mistake.hint or None,
        }


def error(document: Document, location: Location, message: str, hint: str = "") -> Diagnostic:
    """Return the error at a part of a document."""
    return Diagnostic("error", document.error(location, message, hint))


def warning(document: Document, location: Location, message: str, hint: str = "") -> Diagnostic:
    """Return a warning: it works, and nobody is likely to want it."""
    return Diagnostic("warning", document.error(location, message, hint))
