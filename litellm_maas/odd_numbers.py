"""Numbers that a person may have meant otherwise than they are read.

YAML 1.1 reads `0100` as 64, `1:30` as 90, and `70.888` as 70.888 where a Vietnamese price list means 70888. Such a
number stays a number for whoever does not care, and carries what is odd about it for whoever does: money.
"""

from __future__ import annotations

import re
from decimal import Decimal

_THOUSANDS = re.compile(r"[-+]?([1-9]\d{0,2})[.,](\d{3})")
_PLAIN = re.compile(r"[-+]?(\d+|\d{1,3}(_\d{3})+)?(\.\d*)?(e[-+]\d+)?", re.IGNORECASE)
_SHOWN = 40
"""Characters of a number that an error repeats."""


class OddNumber:
    """A number, whole or not, that could mean another one.

    Attributes:
        problem: As what it was read, what else it could be, and how to write either.
    """

    problem: str


class _OddInteger(OddNumber, int):
    pass


class _OddFloat(OddNumber, float):
    pass


def odd(value: float, text: str) -> OddNumber | None:
    """Return a number, as YAML read it from a text, as an odd one if the text could mean another number."""
    problem = None if isinstance(value, bool) else _problem(value, text)
    if problem is None:
        return None
    found: _OddInteger | _OddFloat = _OddInteger(value) if isinstance(value, int) else _OddFloat(value)
    found.problem = problem
    return found


def refuse(value: object) -> None:
    """Refuse a number that could mean another one.

    Raises:
        ValueError: It could. The text says what it was read as, and how to write what was meant.
    """
    if isinstance(value, OddNumber):
        raise ValueError(value.problem)  # noqa: TRY004 - pydantic reports it at its place in a file


def ambiguity(text: str) -> str | None:
    """Tell which two numbers a text could mean, such as `1.530`: 1530 in Vietnamese, 1.53 in English; None if one."""
    if (found := _THOUSANDS.fullmatch(text)) is None:
        return None
    whole, part = found.groups()
    second = f"{whole}.{part}0" if int(part) else whole
    return (
        f"could be {whole}{part} or {whole} and {part} thousandths; write {whole}{part} for the first, {second} for "
        "the second"
    )


def _problem(value: float, text: str) -> str | None:
    if "inf" in text.lower() or "nan" in text.lower():
        return None  # whoever reads a limited number refuses these as what they are
    if (two := ambiguity(text)) is not None:
        return f"{text} {two}"
    shown, read = text[:_SHOWN], (f"{value:.15g}" if isinstance(value, float) else str(value))[:_SHOWN]
    if not _PLAIN.fullmatch(text):
        return f"{shown} is read as {read} by YAML; write it in plain digits, such as {read}"
    if re.match(r"[-+]?0\d", text):
        meant = (text.lstrip("-+0") or "0")[:_SHOWN]
        return f"{shown} is read as {read} by YAML; write {meant}, without the 0 in front" + (
            f", or {read}, whichever is meant" if meant != read else ""
        )
    if Decimal(text) != Decimal(repr(value)):
        return f"{shown} is read as {read} by YAML, which keeps 15 digits; write no more"
    return None
