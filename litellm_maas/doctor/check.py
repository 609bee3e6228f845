"""What a check finds: a colour, what is so, and how to mend it."""

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
    """

    name: str
    colour: Colour
    what: str
    mend: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """The finding as plain JSON values."""
        return {"name": self.name, "colour": self.colour, "what": self.what, "mend": self.mend}


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
    """Nobody can tell yet."""
    return Check(name, "yellow", f"not checked, because of {because}", f"mend {because} first")


def from_error(name: str, error: Exception) -> Check:
    """What an error of this package says: its texts end with what to do."""
    what, _, mend = str(error).rpartition("; ")
    return red(name, what, mend) if what else red(name, mend, "mend what it names")
