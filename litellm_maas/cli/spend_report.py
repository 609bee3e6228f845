"""Render a report of spend: as a table, as JSON and as CSV."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from litellm_maas.cli import spend_tables, tables
from litellm_maas.cli.options import ReportQuery
from litellm_maas.cli.spend_hints import Hint, hosts_note, notes
from litellm_maas.ledger import periods
from litellm_maas.ledger.access import PendingEvents
from litellm_maas.ledger.base import Ledger
from litellm_maas.ledger.periods import DEFAULT_ZONE
from litellm_maas.ledger.reports import Report, SpendTotal
from litellm_maas.ledger.spend_report import Count, Selection
from litellm_maas.ledger.spreadsheets import Dialect

_IN_WORDS = {"today": "today", "week": "this week", "month": "this month"}


class ReportView:
    """A report as it was asked for.

    Args:
        asked: The ledger and the period.
        by: What to group by; nothing and no period means today, this week and this month.
        limit: The number of groups to show; None for all.
    """

    def __init__(self, asked: ReportQuery, by: tuple[str, ...] = (), limit: int | None = None) -> None:
        self._selection = Selection(asked, by, limit)
        self._asked = asked
        self._by = by

    def counter(self, ledger: Ledger | None) -> Count:
        """Return what counts in a ledger, which may not be there."""
        return self._selection.counter(ledger)

    def json(self, count: Count, waiting: PendingEvents) -> SpendTotal:
        """Print it as JSON; return its total."""
        report = self._selection.report(count, waiting.events)
        tables.print_json(report.as_dict())
        return report.total

    def csv(self, count: Count, for_people: Dialect | None = None) -> SpendTotal:
        """Print it as CSV, a period that is not grouped as one row; return its total."""
        found, by = self._selection.find(count)
        spend_tables.print_csv(by, found.groups if by else {(): found.total}, for_people)
        return found.total

    def header(self, for_people: Dialect | None = None) -> None:
        """Print the CSV of nothing."""
        spend_tables.print_csv(("period",) if self._selection.is_overview else self._by, {}, for_people)

    def render(self, to: Console, count: Count, *, chart: bool = False) -> SpendTotal:
        """Print it for people, with what there is to remark; return its total."""
        by_model = None
        to.print(Text(self._heading(), style="bold"))
        if self._selection.is_overview:
            by_model = self._show_overview(to, count)
            total = by_model.total
        else:
            found = count(self._selection.period, self._by)
            total = found.total
            self._show_groups(to, found, chart=chart)
        unpriced = {}
        if total.unpriced_calls:
            by_model = by_model or count(self._selection.period, ("model",))
            unpriced = {model: each.unpriced_calls for (model,), each in by_model.groups.items() if each.unpriced_calls}
        for note in (*notes(total, unpriced, self._asked, self._since), self._hosts(total, count)):
            if note is not None:
                tables.print_hint(to, note.text, *note.commands)
        return total

    def say_hosts(self, to: Console, total: SpendTotal, count: Count) -> None:
        """Print a hint where there are calls of more than one host in a total."""
        if (note := self._hosts(total, count)) is not None:
            tables.print_hint(to, note.text, *note.commands)

    @property
    def _since(self) -> str | None:
        return (
            self._selection.period.since.date().isoformat()
            if self._selection.has_default_period and self._selection.period.since
            else None
        )

    def _hosts(self, total: SpendTotal, count: Count) -> Hint | None:
        if not total.calls or "host" in self._by:
            return None
        return hosts_note(
            (host for (host,) in count(self._selection.period, ("host",)).groups), self._asked, self._since
        )

    def _heading(self) -> str:
        now = self._asked.now
        days = f", days of {self._asked.timezone}" * (self._asked.timezone != DEFAULT_ZONE)
        given = "".join(
            f", {name.replace('_', ' ')} {tables.named(value) or '(none)'}"
            for name, value in self._asked.filters.given()
        )
        if not self._selection.is_overview:
            period = periods.in_words(self._selection.period, now)
            return (period if tables.supports_chars(period) else period.replace("…", "to")) + days + given
        week, month = (periods.around(name, now).since or now for name in ("week", "month"))
        return f"{now.date()}; this week is from {week.date()} on, this month from {month.date()} on{days}{given}"

    def _show_overview(self, to: Console, count: Count) -> Report:
        rows, by_model = self._selection.count_overview(count, ("model",))
        shown = self._selection.limited(by_model)
        first = [((_IN_WORDS[name],), total) for (name,), total in rows.items()]
        sections: list[spend_tables.Section] = [("", first)]
        if shown:
            sections.append(("this month by model", list(shown.items())))
        spend_tables.show_totals(to, ["period"], sections)
        self._say_limit(to, by_model, shown)
        return by_model

    def _show_groups(self, to: Console, found: Report, *, chart: bool) -> None:
        shown = self._selection.limited(found)
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

    @staticmethod
    def _say_limit(to: Console, found: Report, shown: dict[spend_tables.Key, SpendTotal]) -> None:
        if len(shown) < len(found.groups):
            to.print(Text(f"{len(found.groups) - len(shown)} more groups are not shown (--limit).", style="dim"))
