"""Print for every command: money and numbers as people write them, tables, JSON and CSV.

Colours are rich's business: only on a terminal, and never with NO_COLOR.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from litellm_maas.ledger import plain_text, spreadsheets
from litellm_maas.ledger.spreadsheets import PLAIN, Dialect
from litellm_maas.pricing.credits import format_credits

NARROW = 80
"""Columns up to which a table takes its narrow form."""

_Item = TypeVar("_Item")
_SPINNER = "line"
"""One that every terminal has the characters for."""
_COUNTED_AT_ONCE = 1000
_VIETNAMESE = str.maketrans(",.", ".,")
_STEPS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


def console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error, without rich's own ideas of what a number or a path is."""
    return Console(highlight=False, markup=False, emoji=False, stderr=stderr)


def language() -> str:
    """Return the language in which amounts are written, such as ``vi``; the first of these variables that is set."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MONETARY", "LANG"))
    return next((name for name in names if name), "").replace(".", "_").partition("_")[0].lower()


def vietnamese() -> bool:
    """Return whether the locale writes amounts as Vietnamese does."""
    return language() == "vi"


def excel_dialect() -> Dialect:
    """Return the CSV that Excel opens by a double click where it speaks the language of the locale."""
    return spreadsheets.excel(language())


def supports_chars(characters: str) -> bool:
    """Return whether standard output has these characters."""
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def money(micro_credits: int | None, *, exact: bool = False) -> str:
    """Write an amount in the user's locale: ``1,234,567 VND`` or ``1.234.567 ₫``; a dash where it is not known.

    Args:
        micro_credits: The amount.
        exact: Whether to show every decimal.
    """
    text = format_credits(micro_credits, vietnamese=vietnamese(), exact=exact)
    return text if supports_chars(text) else text.replace("₫", "VND")


def number(value: float) -> str:
    """Format a number in the user's locale."""
    return _localised(f"{value:,}")


def counted(number_: int, what: str) -> str:
    """Count things in words: ``1 call``, ``2 calls``."""
    return f"{number(number_)} {what}{'' if number_ == 1 else 's'}"


def short_number(value: int) -> str:
    """Format a number in at most six characters, such as ``1.23M``; exact up to 9,999."""
    for size, letter in _STEPS if abs(value) >= 10_000 else ():
        # Rounded before it is compared, or 999,999 would be 1000k.
        scaled = float(f"{value / size:.3g}")
        if abs(scaled) >= 1:
            decimals = 2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0
            return _localised(f"{scaled:,.{decimals}f}") + letter
    return number(value)


def printable(text: str) -> str:
    """Strip a text from outside of what would move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def named(text: str) -> str:
    """Quote a name from outside where white space at an end would make it look like another one."""
    text = printable(text)
    return text if text == text.strip() else f"'{text}'"


def table(texts: Sequence[str], numbers: Sequence[str]) -> Table:
    """Make an empty table: columns of text, which fold if they have to, and columns of numbers, which never do."""
    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in texts:
        made.add_column(heading, overflow="fold")
    for heading in numbers:
        made.add_column(heading, justify="right", no_wrap=True)
    return made


def width(made: Table, to: Console) -> int:
    """Return the columns that a table takes when nothing in it is folded."""
    # Of a narrower console rich would say how wide the console is.
    return to.measure(made, options=to.options.update(width=10_000)).maximum


def print_hint(to: Console, text: str, *commands: str) -> None:
    """Print a hint, and the commands to type next, each on a line of its own so that it can be copied."""
    to.print()
    to.print(Text(text))
    for command in commands:
        to.print(Text(f"  {command}", style="cyan"), soft_wrap=True)


def print_json(data: Any) -> None:
    """Print data as JSON, readable where the output has the characters."""
    text = plain_text.json_line(json.dumps(data, ensure_ascii=False, indent=2))
    click.echo(text if supports_chars(text) else json.dumps(data, indent=2))


def print_csv(header: Sequence[str], rows: Iterable[Sequence[Any]], dialect: Dialect = PLAIN) -> None:
    """Print rows as CSV with a header; what is not there is an empty cell."""
    with utf8_output() as out:
        spreadsheets.write_csv(out, dialect, header, rows)


@contextlib.contextmanager
def progress(what: str, *, on: bool = True) -> Iterator[Callable[[Iterable[_Item]], Iterable[_Item]]]:
    """Give what counts the items of an iteration, for people who wait at a terminal.

    Args:
        what: What the items are.
        on: Whether to show it.
    """
    to = console(stderr=True)
    if not on or not to.is_terminal:
        yield lambda items: items
        return
    with to.status(what, spinner=_SPINNER) as status:

        def make_counter(items: Iterable[_Item]) -> Iterator[_Item]:
            for number_, item in enumerate(items, 1):
                if number_ % _COUNTED_AT_ONCE == 0:
                    status.update(f"{number(number_)} {what}")
                yield item

        yield make_counter


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """Show what takes its time, for people who wait at a terminal."""
    to = console(stderr=True)
    with to.status(f"{what} …", spinner=_SPINNER) if to.is_terminal else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def utf8_output() -> Iterator[IO[str]]:
    """Standard output as UTF-8, whatever the terminal speaks: for data."""
    text = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="\n")
    try:
        yield text
        text.flush()
    finally:
        text.detach()


def _localised(text: str) -> str:
    return text.translate(_VIETNAMESE) if vietnamese() else text
