"""Render a report of spend: as a table, as JSON and as CSV."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from litellm_maas.cli import spend_tables, tables
from litellm_maas.cli.options import ReportQuery
from litellm_maas.cli.spend_hints import Hint, hosts_note, notes
from litellm_maas.ledger import periods, reports
from litellm_maas.ledger.access import PendingEvents
from litellm_maas.ledger.base import Ledger
from litellm_maas.ledger.periods import DEFAULT_ZONE, Period
from litellm_maas.ledger.reports import Report, Total
from litellm_maas.ledger.spreadsheets import Dialect

_PERIODS = {"today": "day", "week": "week", "month": "month"}
_IN_WORDS = {"today": "today", "week": "this week", "month": "this month"}

Count = Callable[[Period, tuple[str, ...]], Report]
"""Counts a period, by what it is to be grouped by."""


def make_counter(ledger: Ledger | None, asked: ReportQuery) -> Count:
    """Return what counts in a ledger, which may not be there."""

    def count(period: Period, by: tuple[str, ...]) -> Report:
        if ledger is None:
            return Report(Total(), {})
        return reports.report(ledger, period, asked.zone, by, asked.filters)

    return count


class SpendReport:
    """A report as it was asked for.

    Args:
        asked: The ledger and the period.
        by: What to group by; nothing and no period means today, this week and this month.
        limit: The number of groups to show; None for all.
    """

    def __init__(self, asked: ReportQuery, by: tuple[str, ...] = (), limit: int | None = None) -> None:
        reports.check_groups(by)
        self._asked = asked
        self._by = by
        self._limit = limit
        self._no_period = asked.period == Period(None, None)
        self._overview = self._no_period and not by
        self._period = periods.around("month", asked.now) if self._no_period else asked.period

    def json(self, count: Count, waiting: PendingEvents) -> Total:
        """Print it as JSON; return its total."""
        found, by = self._found(count)
        since, until = self._period.since, self._period.until
        tables.print_json(
            {
                "since": since and since.isoformat(),
                "until": until and until.isoformat(),
                "timezone": self._asked.timezone,
                "filters": dict(self._asked.filters.given()),
                "total": found.total.as_dict(),
                "groups": spend_tables.as_json(by, found.groups),
                "ledger": str(self._asked.ledger),
                "waiting_events": waiting.events,
            }
        )
        return found.total

    def csv(self, count: Count, for_people: Dialect | None = None) -> Total:
        """Print it as CSV, a period that is not grouped as one row; return its total."""
        found, by = self._found(count)
        spend_tables.print_csv(by, found.groups if by else {(): found.total}, for_people)
        return found.total

    def header(self, for_people: Dialect | None = None) -> None:
        """Print the CSV of nothing."""
        spend_tables.print_csv(("period",) if self._overview else self._by, {}, for_people)

    def render(self, to: Console, count: Count, *, chart: bool = False) -> Total:
        """Print it for people, with what there is to remark; return its total."""
        by_model = None
        to.print(Text(self._heading(), style="bold"))
        if self._overview:
            by_model = self._show_overview(to, count)
            total = by_model.total
        else:
            found = count(self._period, self._by)
            total = found.total
            self._show_groups(to, found, chart=chart)
        unpriced = {}
        if total.unpriced_calls:
            by_model = by_model or count(self._period, ("model",))
            unpriced = {model: each.unpriced_calls for (model,), each in by_model.groups.items() if each.unpriced_calls}
        for note in (*notes(total, unpriced, self._asked, self._since), self._hosts(total, count)):
            if note is not None:
                tables.print_hint(to, note.text, *note.commands)
        return total

    def say_hosts(self, to: Console, total: Total, count: Count) -> None:
        """Print a hint where there are calls of more than one host in a total."""
        if (note := self._hosts(total, count)) is not None:
            tables.print_hint(to, note.text, *note.commands)

    @property
    def _since(self) -> str | None:
        return self._period.since.date().isoformat() if self._no_period and self._period.since else None

    def _hosts(self, total: Total, count: Count) -> Hint | None:
        if not total.calls or "host" in self._by:
            return None
        return hosts_note((host for (host,) in count(self._period, ("host",)).groups), self._asked, self._since)

    def _heading(self) -> str:
        now = self._asked.now
        days = f", days of {self._asked.timezone}" * (self._asked.timezone != DEFAULT_ZONE)
        given = "".join(
            f", {name.replace('_', ' ')} {tables.named(value) or '(none)'}"
            for name, value in self._asked.filters.given()
        )
        if not self._overview:
            period = periods.in_words(self._period, now)
            return (period if tables.supports_chars(period) else period.replace("…", "to")) + days + given
        week, month = (periods.around(name, now).since or now for name in ("week", "month"))
        return f"{now.date()}; this week is from {week.date()} on, this month from {month.date()} on{days}{given}"

    def _show_overview(self, to: Console, count: Count) -> Report:
        rows, by_model = self._count_overview(count, ("model",))
        shown = self._limited(by_model)
        first = [((_IN_WORDS[name],), total) for (name,), total in rows.items()]
        sections: list[spend_tables.Section] = [("", first)]
        if shown:
            sections.append(("this month by model", list(shown.items())))
        spend_tables.show_totals(to, ["period"], sections)
        self._say_limit(to, by_model, shown)
        return by_model

    def _show_groups(self, to: Console, found: Report, *, chart: bool) -> None:
        shown = self._limited(found)
        if not self._by:
            spend_tables.show_totals(to, [""], [("", [(("total",), found.total)])])
        elif not shown:
            to.print("No calls in this period.")
        elif chart:
            spend_tables.show_chart(to, self._by, shown, self._asked.zone)
        else:
            all_in_all: spend_tables.Key = ("total", *[None] * (len(self._by) - 1))
            rows: list[spend_tables.Section] = [("", list(shown.items())), ("", [(all_in_all, found.total)])]
            spend_tables.show_totals(to, self._by, rows)
        self._say_limit(to, found, shown)
        if "tag" in self._by and not chart and shown:
            to.print(Text("A call with several tags is in several groups, and once in the total.", style="dim"))

    def _found(self, count: Count) -> tuple[Report, tuple[str, ...]]:
        if not self._overview:
            found = count(self._period, self._by)
            return Report(found.total, self._limited(found)), self._by
        rows, month = self._count_overview(count, ())
        return Report(month.total, rows), ("period",)

    def _count_overview(self, count: Count, by: tuple[str, ...]) -> tuple[dict[spend_tables.Key, Total], Report]:
        month = count(self._period, by)
        totals = {
            name: count(periods.around(unit, self._asked.now), ()).total
            for name, unit in _PERIODS.items()
            if name != "month"
        }
        return {(name,): total for name, total in {**totals, "month": month.total}.items()}, month

    def _limited(self, found: Report) -> dict[spend_tables.Key, Total]:
        if self._limit is None:
            return found.groups
        groups = list(found.groups.items())
        # In the order of time the latest are last, else the most expensive are first.
        latest = any(map(reports.is_time, self._by))
        return dict(groups[-self._limit :] if latest else groups[: self._limit])

    @staticmethod
    def _say_limit(to: Console, found: Report, shown: dict[spend_tables.Key, Total]) -> None:
        if len(shown) < len(found.groups):
            to.print(Text(f"{len(found.groups) - len(shown)} more groups are not shown (--limit).", style="dim"))
