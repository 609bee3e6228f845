"""Report what a check finds: a status, a message, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from litellm_maas.errors import ConfigFileError, MaasError

Status = Literal["ok", "warning", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        name: What was looked at.
        status: ``ok`` is right, ``warning`` works and is worth a look, ``error`` does not work, and ``skipped`` was not
            looked at, because something else has to be fixed first.
        message: What is so, in one line.
        fix: The exact thing to do; None where nothing is to be done.
    """

    name: str
    status: Status
    message: str
    fix: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Return the finding as plain JSON values."""
        return {"name": self.name, "status": self.status, "message": self.message, "fix": self.fix}


def passed(name: str, message: str) -> Check:
    """Return a check that passed."""
    return Check(name, "ok", message)


def warned(name: str, message: str, fix: str) -> Check:
    """Return a check that works and is worth a look."""
    return Check(name, "warning", message, fix)


def failed(name: str, message: str, fix: str) -> Check:
    """Return a check that failed."""
    return Check(name, "error", message, fix)


def skipped(name: str, because: str) -> Check:
    """Nobody can tell yet: another check comes first."""
    return Check(name, "skipped", f"skipped, because of {because}", f"fix {because} first")


def from_error(name: str, error: MaasError) -> Check:
    """Return the check that an error of this package amounts to: its hint is the fix."""
    message, hint = error.message, error.hint
    if isinstance(error, ConfigFileError):
        message = str(ConfigFileError(error.file, error.line, error.field, message))
    return failed(name, message, hint or "fix what it names")
