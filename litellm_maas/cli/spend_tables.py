"""Render totals: as a table, as a chart and as CSV."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from litellm_maas.cli import charts, tables
from litellm_maas.cli.charts import Bar
from litellm_maas.ledger import export, reports
from litellm_maas.ledger.reports import SpendTotal
from litellm_maas.ledger.spreadsheets import PLAIN, Dialect
from litellm_maas.pricing.price_book import Basis

Key = tuple[Any, ...]
Section = tuple[str, Sequence[tuple[Key, SpendTotal]]]
"""A heading, empty for none, and the rows under it."""

_WIDE = ("calls", "failed", "unpriced", "input", "cached", "output", "saved", "cost")
_NARROW = (
    ("calls", "failed", "unpriced", "input", "cached", "output", "cost"),
    ("calls", "failed", "unpriced", "input", "output", "cost"),
    ("calls", "failed", "unpriced", "cost"),
    ("calls", "cost"),
)
"""What is shown beside the names, the more the more room there is."""
_LEAST_NAME = 12
"""Columns that a name folds into at least."""
_SELDOM: dict[str, Callable[[SpendTotal], int]] = {
    "failed": lambda total: total.failed_calls,
    "unpriced": lambda total: total.unpriced_calls,
}
"""Columns that are there only where they say something."""
_BASES = tuple(basis for basis in get_args(Basis) if basis != "unpriced")


def show_totals(to: Console, headings: Sequence[str], sections: Iterable[Section]) -> None:
    """Print totals as one table, with as many columns as there is room for; numbers are never cut off."""
    sections = list(sections)
    totals = [total for _, rows in sections for _, total in rows]
    unused = {name for name, count in _SELDOM.items() if not any(map(count, totals))}
    wide, *narrow = (tuple(name for name in layout if name not in unused) for layout in (_WIDE, *_NARROW))
    # Names stand in columns of their own where there is room, else in one, and fold where there is none for that.
    joined = (" / ".join(headings),)
    layouts = [*((tuple(headings), columns) for columns in narrow[:-1]), (joined, narrow[-2])]
    if to.width > tables.NARROW:
        layouts.insert(0, (tuple(headings), wide))
    drawn = (_table(names, sections, columns, exact=columns is wide) for names, columns in layouts)
    fitting = (each for each in drawn if tables.width(each, to) <= to.width)
    numbers = tables.width(_table((), sections, narrow[-2]), to)
    least = narrow[-2] if numbers + _LEAST_NAME <= to.width else narrow[-1]
    to.print(next(fitting, None) or _table(joined, sections, least))


def show_chart(to: Console, by: Sequence[str], groups: Mapping[Key, SpendTotal], zone: dt.tzinfo) -> None:
    """Draw what groups cost; groups of time in their order, those without a call included."""
    shown = dict(groups)
    if len(by) == 1 and reports.is_time(by[0]):
        keys = [key[0] for key in groups]
        shown = {(key,): groups.get((key,), SpendTotal()) for key in reports.timeline(by[0], keys[0], keys[-1], zone)}
    bars = [Bar(" / ".join(map(_name, key)), total.micro_credits, _cost(total)) for key, total in shown.items()]
    charts.draw_bars(to, bars)


def print_csv(by: Sequence[str], groups: Mapping[Key, SpendTotal], for_people: Dialect | None = None) -> None:
    """Print groups as CSV: their keys, then their totals, then the parts of the cost by basis.

    Args:
        by: What the keys are.
        groups: The groups.
        for_people: How a spreadsheet wants it, with amounts in VND; None for a program, with micro-credits.
    """
    sums = [name for name in SpendTotal().as_dict() if name != "by_basis"]
    amount: Callable[[int], Any] = export.credits_of if for_people is not None else lambda micro_credits: micro_credits

    def rows() -> Iterator[list[Any]]:
        for key, total in groups.items():
            values = total.as_dict()
            values |= {name: amount(values[name]) for name in sums if name.endswith("micro_credits")}
            if for_people is not None and total.is_unpriced:
                values["micro_credits"] = None
            yield [*key, *(values[name] for name in sums), *(amount(total.by_basis.get(basis, 0)) for basis in _BASES)]

    header = [*by, *sums, *(f"micro_credits_{basis}" for basis in _BASES)]
    if for_people is not None:
        header = [_for_people(name) for name in header]
    tables.print_csv(header, rows(), for_people or PLAIN)


def _for_people(name: str) -> str:
    if name.startswith("micro_credits_"):
        return name.replace("micro_credits_", "") + "_vnd"
    return {"micro_credits": "cost_vnd", "saved_micro_credits": "saved_vnd"}.get(name, name)


def _table(
    headings: Sequence[str], sections: Sequence[Section], columns: Sequence[str], *, exact: bool = False
) -> Table:
    table = tables.table(headings, columns)
    for position, (title, rows) in enumerate(sections):
        if position:
            table.add_row()
        if title and headings:
            table.add_row(Text(title, style="bold"))
        for key, total in rows:
            names = [_name(value) for value in key]
            if len(names) != len(headings):
                # In the narrow form all names share a column; when only numbers are measured there is none.
                names = [" / ".join(filter(None, names))][: len(headings)]
            cells = _cells(total, columns, exact=exact)
            table.add_row(*map(Text, names), *(cells[column] for column in columns))
    return table


def _cells(total: SpendTotal, columns: Sequence[str], *, exact: bool) -> dict[str, Text]:
    counted = tables.number if exact else tables.short_number
    return {
        "calls": Text(tables.number(total.calls)),
        **{name: Text(tables.number(count(total)) if count(total) else "-") for name, count in _SELDOM.items()},
        "input": Text(counted(total.input_tokens)),
        "cached": Text(counted(total.cached_tokens)),
        "output": Text(counted(total.output_tokens)),
        "saved": Text(tables.money(total.saved_micro_credits)),
        "cost": Text("\n").join([Text(_cost(total)), *(Text(line, style="dim") for line in _details(total, columns))]),
    }


def _cost(total: SpendTotal) -> str:
    """Return the sum; a dash where no call in it has a price, because that is not 0."""
    return tables.money(None if total.is_unpriced else total.micro_credits)


def _details(total: SpendTotal, columns: Sequence[str]) -> Iterator[str]:
    """Return what a sum is made of, unless all of it is official, and what in it is not as sure."""
    if total.unpriced_calls and "unpriced" not in columns:
        yield f"unpriced: {tables.counted(total.unpriced_calls, 'call')}"
    if set(total.by_basis) - {"official", "unpriced"}:
        for basis in _BASES:
            if basis in total.by_basis:
                yield f"{basis} {tables.money(total.by_basis[basis])}"
    for name, calls in (("estimated usage", total.estimated_calls), ("odd usage", total.anomalies)):
        if calls:
            yield f"{name}: {tables.counted(calls, 'call')}"


def _name(value: Any) -> str:
    if value is None:
        return ""
    return tables.named(str(value)) or "(none)"
