"""Make the report that `litellm-maas spend` and `litellm_maas.spend` show."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from litellm_maas.ledger import periods, reports
from litellm_maas.ledger.base import Ledger
from litellm_maas.ledger.periods import Period
from litellm_maas.ledger.query import SpendQuery
from litellm_maas.ledger.reports import Report, SpendTotal
from litellm_maas.pricing.credits import format_credits

_UNITS = {"today": "day", "week": "week", "month": "month"}

Count = Callable[[Period, tuple[str, ...]], Report]
"""Counts a period, by what it is to be grouped by."""
Groups = dict[tuple[Any, ...], SpendTotal]


@dataclass(frozen=True, slots=True)
class SpendRow:
    """Hold one group of a report.

    Attributes:
        key: What the calls of the group have in common, such as `{"model": "openai/gpt-4o"}`; None where they have
            none, as calls without a user.
        total: What they add up to.
    """

    key: Mapping[str, Any]
    total: SpendTotal


@dataclass(frozen=True, slots=True)
class SpendReport:
    """Report what was spent in a period.

    Attributes:
        since: When the period begins; None for the beginning of the ledger.
        until: When it ends, exclusive; None for now.
        timezone: The zone that days are meant in.
        by: What the rows are grouped by. ``period`` where neither a period nor a grouping was asked for: the rows are
            then today, this week and this month, and `since`, `until` and `total` are of this month.
        rows: The groups, the most expensive first or in the order of time; empty without a grouping. A call with
            several tags is in several rows, and once in the total.
        total: The whole period.
        filters: The filters that were set.
        ledger: Where the ledger is.
        waiting_events: How many recorded events are not in the ledger yet, and so in no sum.
    """

    since: dt.datetime | None
    until: dt.datetime | None
    timezone: str
    by: tuple[str, ...]
    rows: tuple[SpendRow, ...]
    total: SpendTotal
    filters: Mapping[str, str]
    ledger: str
    waiting_events: int = 0

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary for each row, or one for the total where there is no grouping.

        It holds the row's key, then what `SpendTotal` holds, and `credits`, a Decimal: `pandas.DataFrame` takes it.
        """
        rows = self.rows if self.by else (SpendRow({}, self.total),)
        return [{**row.key, **row.total.as_dict(), "credits": row.total.credits} for row in rows]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values: what `litellm-maas spend --json` prints."""
        return {
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "timezone": self.timezone,
            "filters": dict(self.filters),
            "total": self.total.as_dict(),
            "groups": [{"key": dict(row.key), **row.total.as_dict()} for row in self.rows],
            "ledger": self.ledger,
            "waiting_events": self.waiting_events,
        }

    def _repr_html_(self) -> str:
        """Return a table, which Jupyter shows."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in (*self.by, *_COLUMNS, "cost"))
        body = "".join(_html_row(row.key.values(), row.total) for row in self.rows)
        names = ("total", *[""] * (len(self.by) - 1)) if self.by else ()
        since, until = (None if at is None else periods.clock(at) for at in (self.since, self.until))
        caption = html.escape(f"{since or 'the beginning'} … {until or 'now'} ({self.timezone})")
        return (
            f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
            f"<tfoot>{_html_row(names, self.total)}</tfoot></table>"
        )


_COLUMNS: dict[str, Callable[[SpendTotal], int]] = {
    "calls": lambda total: total.calls,
    "failed": lambda total: total.failed_calls,
    "unpriced": lambda total: total.unpriced_calls,
    "input": lambda total: total.input_tokens,
    "cached": lambda total: total.cached_tokens,
    "output": lambda total: total.output_tokens,
}


def _html_row(names: Any, total: SpendTotal) -> str:
    def cells() -> Iterator[str]:
        for name in names:
            yield "(none)" if name is None else str(name)
        for count in _COLUMNS.values():
            yield f"{count(total):,}"
        yield format_credits(None if total.is_unpriced else total.micro_credits)

    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells())}</tr>"


class Selection:
    """Select what of a ledger is to be reported, and count it.

    Args:
        query: The ledger, the period and the filters.
        by: What to group by; nothing and no period means today, this week and this month.
        limit: The number of groups; None for all.

    Attributes:
        is_overview: Whether today, this week and this month are meant.
        period: The period; this month where none was asked for.

    Raises:
        SettingsError: It cannot be grouped by one of these.
    """

    def __init__(self, query: SpendQuery, by: tuple[str, ...] = (), limit: int | None = None) -> None:
        reports.check_groups(by)
        self.query = query
        self.by = by
        self.has_default_period = query.period == Period(None, None)
        self.is_overview = self.has_default_period and not by
        self.period = periods.around("month", query.now) if self.has_default_period else query.period
        self._limit = limit

    def counter(self, ledger: Ledger | None) -> Count:
        """Return what counts in a ledger, which may not be there."""

        def count(period: Period, by: tuple[str, ...]) -> Report:
            if ledger is None:
                return Report(SpendTotal(), {})
            return reports.report(ledger, period, self.query.zone, by, self.query.filters)

        return count

    def find(self, count: Count) -> tuple[Report, tuple[str, ...]]:
        """Return the total and the groups to show, and what they are grouped by."""
        if not self.is_overview:
            found = count(self.period, self.by)
            return Report(found.total, self.limited(found)), self.by
        rows, month = self.count_overview(count, ())
        return Report(month.total, rows), ("period",)

    def count_overview(self, count: Count, by: tuple[str, ...]) -> tuple[Groups, Report]:
        """Return today, this week and this month, and this month grouped."""
        month = count(self.period, by)
        totals = {
            name: count(periods.around(unit, self.query.now), ()).total
            for name, unit in _UNITS.items()
            if name != "month"
        }
        return {(name,): total for name, total in {**totals, "month": month.total}.items()}, month

    def limited(self, found: Report) -> Groups:
        """Return as many groups as were asked for: the latest, or the most expensive."""
        if self._limit is None:
            return found.groups
        groups = list(found.groups.items())
        latest = any(map(reports.is_time, self.by))
        return dict(groups[-self._limit :] if latest else groups[: self._limit])

    def report(self, count: Count, waiting_events: int) -> SpendReport:
        """Return the report.

        Args:
            count: See `counter`.
            waiting_events: How many recorded events are not in the ledger.
        """
        found, by = self.find(count)
        rows = (
            SpendRow({name: value or None for name, value in zip(by, key, strict=True)}, total)
            for key, total in found.groups.items()
        )
        return SpendReport(
            since=self.period.since,
            until=self.period.until,
            timezone=self.query.timezone,
            by=by,
            rows=tuple(rows) if by else (),
            total=found.total,
            filters=dict(self.query.filters.given()),
            ledger=str(self.query.ledger),
            waiting_events=waiting_events,
        )
