"""Make texts from outside harmless.

Names and tags are any client's to choose, and terminals and spreadsheets act on some characters.
"""

from __future__ import annotations

import re

_CONTROLS = "\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""Beside those below the space: what terminals obey, and what changes the direction of writing."""
_UNSEEN = re.compile(f"[\x00-\x1f{_CONTROLS}]")
_ESCAPABLE = re.compile(f"[{_CONTROLS}]")
_BEGINS = "[=+\\-@\uff1d\uff0b\uff0d\uff20]"
_FORMULA = re.compile(rf"^(?=\s*{_BEGINS}|[\t\r\n])|(?<=[,;\t\r\n])(\s*)(?={_BEGINS})")
"""What a spreadsheet takes for a formula: at the beginning of a cell, and of what could become one where a file is read
with another separator than it was written with (OWASP, CSV Injection)."""
_LOSSY = re.compile(r"\s*(0\d+|\d{16,}|\d+([.,]\d*)?[eE]\d+)\s*")


def seen(text: str) -> str:
    """Return a text in which characters that act and are not seen are marked as broken."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula: with a `'` before what would be one."""
    return seen(_FORMULA.sub(r"\1'", text))


def cell_of_text(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula, nor for a number that loses digits.

    Of ids and names such as `0123`, `12345678901234567890` and `12e45` Excel would keep 123, 15 digits, and 12E+45.
    """
    return f"'{text}" if _LOSSY.fullmatch(text) else cell(text)


def json_line(text: str) -> str:
    """Return JSON in which characters that act and are not seen are written as JSON's escapes; it means the same."""
    return _ESCAPABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
