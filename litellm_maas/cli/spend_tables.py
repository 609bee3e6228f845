"""How totals look: as a table, as a chart, as JSON and as CSV."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from litellm_maas.cli import charts, tables
from litellm_maas.cli.charts import Bar
from litellm_maas.pricing.book import Basis
from litellm_maas.spend import reports
from litellm_maas.spend.reports import Total

Key = tuple[Any, ...]
Section = tuple[str, Sequence[tuple[Key, Total]]]
"""A heading, empty for none, and the rows under it."""

_WIDE = ("calls", "input", "cached", "output", "saved", "cost")
_NARROW = ("calls", "input", "cached", "output", "cost")
_LEAST = ("calls", "cost")
_LEAST_NAME = 12
"""Columns that a name folds into at least."""
_BASES = tuple(basis for basis in get_args(Basis) if basis != "unpriced")


def show_totals(to: Console, headings: Sequence[str], sections: Iterable[Section]) -> None:
    """Print totals as one table, with as many columns as there is room for; numbers are never cut off."""
    sections = list(sections)
    wide = _table(headings, sections, _WIDE)
    if max(tables.NARROW + 1, tables.width(wide, to)) <= to.width:
        to.print(wide)
        return
    numbers = tables.width(_table((), sections, _NARROW), to)
    columns = _NARROW if numbers + _LEAST_NAME <= to.width else _LEAST
    to.print(_table([" / ".join(headings)], sections, columns))


def show_chart(to: Console, by: Sequence[str], groups: Mapping[Key, Total], zone: dt.tzinfo) -> None:
    """Draw what groups cost; groups of time in their order, those without a call included."""
    shown = dict(groups)
    if len(by) == 1 and reports.is_time(by[0]):
        keys = [key[0] for key in groups]
        shown = {(key,): groups.get((key,), Total()) for key in reports.timeline(by[0], keys[0], keys[-1], zone)}
    bars = [Bar(" / ".join(map(_name, key)), total.micro_credits, _cost(total)) for key, total in shown.items()]
    if len(bars) > charts.MOST_BARS and any(map(reports.is_time, by)):
        charts.draw_sparkline(to, bars)
    else:
        charts.draw_bars(to, bars)


def as_json(by: Sequence[str], groups: Mapping[Key, Total]) -> list[dict[str, Any]]:
    """Groups as JSON values; what an event does not have is null."""
    return [{"key": {name: value or None for name, value in zip(by, key, strict=True)}, **total.as_dict()}
            for key, total in groups.items()]  # fmt: skip


def print_csv(by: Sequence[str], groups: Mapping[Key, Total]) -> None:
    """Print groups as CSV: their keys, then their totals, then the parts of `micro_credits` by basis."""
    sums = [name for name in Total().as_dict() if name != "by_basis"]
    bases = [f"micro_credits_{basis}" for basis in _BASES]

    def rows() -> Iterator[list[Any]]:
        for key, total in groups.items():
            values = total.as_dict()
            parts = [total.by_basis.get(basis, 0) for basis in _BASES]
            yield [*key, *(values[name] for name in sums), *parts]

    tables.print_csv([*by, *sums, *bases], rows())


def _table(headings: Sequence[str], sections: Sequence[Section], columns: Sequence[str]) -> Table:
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
            cells = _cells(total, exact=columns is _WIDE)
            table.add_row(*map(Text, names), *(cells[column] for column in columns))
    return table


def _cells(total: Total, *, exact: bool) -> dict[str, Text]:
    counted = tables.number if exact else tables.short_number
    return {
        "calls": Text(tables.number(total.calls)),
        "input": Text(counted(total.input_tokens)),
        "cached": Text(counted(total.cached_tokens)),
        "output": Text(counted(total.output_tokens)),
        "saved": Text(tables.money(total.saved_micro_credits)),
        "cost": Text("\n").join([Text(_cost(total)), *(Text(line, style="dim") for line in _details(total))]),
    }


def _cost(total: Total) -> str:
    """The sum; a dash where no call in it has a price, because that is not 0."""
    return tables.money(None if set(total.by_basis) == {"unpriced"} else total.micro_credits)


def _details(total: Total) -> Iterator[str]:
    """What a sum is made of, unless all of it is official, and what is not in it."""
    if set(total.by_basis) - {"official", "unpriced"}:
        for basis in _BASES:
            if basis in total.by_basis:
                yield f"{basis} {tables.money(total.by_basis[basis])}"
    for name, calls in (
        ("unpriced", total.unpriced_calls),
        ("estimated usage", total.estimated_calls),
        ("odd usage", total.anomalies),
    ):
        if calls:
            yield f"{name}: {tables.counted(calls, 'call')}"


def _name(value: Any) -> str:
    if value is None:
        return ""
    return tables.printable(str(value)) or "(none)"
