"""What a check finds: a colour, what is so, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Colour = Literal["green", "yellow", "red"]


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        name: What was looked at.
        colour: Green is right, yellow works and is worth a look, red does not work.
        what: What is so, in one line.
        mend: The exact thing to do; None where nothing is to be done.
        is_skipped: Whether it was not looked at, because something else has to be fixed first.
    """

    name: str
    colour: Colour
    what: str
    mend: str | None = None
    is_skipped: bool = False

    def as_dict(self) -> dict[str, str | bool | None]:
        """Return the finding as plain JSON values."""
        plain = {"name": self.name, "colour": self.colour, "what": self.what, "mend": self.mend}
        return {**plain, "is_skipped": self.is_skipped}


def green(name: str, what: str) -> Check:
    """It is right."""
    return Check(name, "green", what)


def yellow(name: str, what: str, mend: str) -> Check:
    """It works, and is worth a look."""
    return Check(name, "yellow", what, mend)


def red(name: str, what: str, mend: str) -> Check:
    """It does not work."""
    return Check(name, "red", what, mend)


def not_checked(name: str, because: str) -> Check:
    """Nobody can tell yet: another check comes first."""
    return Check(name, "yellow", f"skipped, because of {because}", f"fix {because} first", is_skipped=True)


def from_error(name: str, error: Exception) -> Check:
    """What an error of this package says: its texts end with what to do."""
    what, _, mend = str(error).rpartition("; ")
    return red(name, what, mend) if what else red(name, mend, "fix what it names")
