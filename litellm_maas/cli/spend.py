"""`litellm-maas spend`: where the credits went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.text import Text

from litellm_maas.cli import options, spend_ledger, spend_tables, spend_tail, tables
from litellm_maas.cli.options import Asked
from litellm_maas.cli.spend_notes import Note, notes, nothing_recorded, unknown_note, waiting_note
from litellm_maas.spend import opening, periods, reports
from litellm_maas.spend.ledger import Ledger
from litellm_maas.spend.opening import Waiting
from litellm_maas.spend.periods import Period
from litellm_maas.spend.reports import GROUPS, Report, Total

_PERIODS = ("today", "week", "month")
_IN_WORDS = {"today": "today", "week": "this week", "month": "this month"}

Count = Callable[[Period, tuple[str, ...]], Report]
"""Counts a period, by what it is to be grouped by."""


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:  # noqa: ARG001 - click's signature
    return tuple(dict.fromkeys(name.strip() for name in value.split(","))) if value else ()


@click.group(name="spend", invoke_without_command=True)
@options.period
@click.option(
    "--by", callback=_names, metavar="NAMES", help=f"Group by any of {', '.join(GROUPS)}; several: model,day."
)
@options.model
@click.option("--tag", help="Only calls with this tag.")
@click.option("--limit", type=click.IntRange(min=1), help="Only so many groups: the largest, or the latest.")
@click.option("--chart", is_flag=True, help="Draw bars; by day unless --by says otherwise.")
@options.as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@options.where
@click.pass_context
def command(  # noqa: PLR0913 - one for each option
    context: click.Context,
    /,
    *,
    by: tuple[str, ...],
    model: str | None,
    tag: str | None,
    limit: int | None,
    chart: bool,
    as_json: bool,
    as_csv: bool,
    **asked_for: Any,
) -> None:
    """Show what was spent: today, this week and this month, or whatever you ask for.

    Amounts are credits (1 credit = 1 VND). Without --since and --until a grouping is of this month, with --until
    alone of everything before.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    if as_json + as_csv + chart > 1:
        raise click.UsageError("--json, --csv and --chart exclude each other")
    asked = options.asked(**asked_for)
    waiting = opening.replay(asked.ledger)
    with opening.opened(asked.ledger) as ledger:
        show = Shown(asked, by or (("day",) if chart else ()), limit)
        is_empty = ledger is None or not ledger.last_number()
        count = counting(ledger, asked, model, tag)
        total = Total()
        if as_json:
            total = show.json(count, waiting)
        elif as_csv:
            total = show.csv(count)
        elif not is_empty:
            total = show.people(tables.console(), count, chart=chart)
        unknown = () if is_empty or total.calls else _unknown(counting(ledger, asked), asked, model=model, tag=tag)
        remarks = (nothing_recorded(asked.ledger) if is_empty else None, *unknown, waiting_note(waiting))
    for note in remarks:
        if note is not None:
            tables.say(tables.console(stderr=as_json or as_csv), note.text, *note.commands)


command.add_command(spend_tail.command)
for _subcommand in spend_ledger.commands:
    command.add_command(_subcommand)


class Shown:
    """A report as it was asked for.

    Args:
        asked: The ledger and the period.
        by: What to group by; nothing and no period means today, this week and this month.
        limit: The number of groups to show; None for all.
    """

    def __init__(self, asked: Asked, by: tuple[str, ...] = (), limit: int | None = None) -> None:
        reports.check_groups(by)
        self._asked = asked
        self._by = by
        self._limit = limit
        self._no_period = asked.period == Period(None, None)
        self._overview = self._no_period and not by
        self._period = periods.named("month", asked.now) if self._no_period else asked.period

    def json(self, count: Count, waiting: Waiting) -> Total:
        """Print it as JSON; its total."""
        found, by = self._found(count)
        since, until = self._period.since, self._period.until
        tables.print_json(
            {
                "since": since and since.isoformat(),
                "until": until and until.isoformat(),
                "timezone": self._asked.timezone,
                "total": found.total.as_dict(),
                "groups": spend_tables.as_json(by, found.groups),
                "ledger": str(self._asked.ledger),
                "waiting_events": waiting.events,
            }
        )
        return found.total

    def csv(self, count: Count) -> Total:
        """Print it as CSV, a period that is not grouped as one row; its total."""
        found, by = self._found(count)
        spend_tables.print_csv(by, found.groups if by else {(): found.total})
        return found.total

    def people(self, to: Console, count: Count, *, chart: bool = False) -> Total:
        """Print it for people, with what there is to remark; its total."""
        by_model = None
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
        since = self._period.since.date().isoformat() if self._no_period and self._period.since else None
        for note in notes(total, unpriced, self._asked, since):
            tables.say(to, note.text, *note.commands)
        return total

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
            spend_tables.show_totals(to, ["period"], [("", [((self._in_words(),), found.total)])])
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

    def _in_words(self) -> str:
        ends = (self._period.since, self._period.until)
        since, until = (None if at is None else f"{at.astimezone(self._asked.zone):%Y-%m-%d %H:%M}" for at in ends)
        return f"{since or 'the beginning'} until {until or 'now'}"

    def _found(self, count: Count) -> tuple[Report, tuple[str, ...]]:
        if not self._overview:
            found = count(self._period, self._by)
            return Report(found.total, self._limited(found)), self._by
        rows, month = self._count_overview(count, ())
        return Report(month.total, rows), ("period",)

    def _count_overview(self, count: Count, by: tuple[str, ...]) -> tuple[dict[spend_tables.Key, Total], Report]:
        month = count(self._period, by)
        totals = {name: count(periods.named(name, self._asked.now), ()).total for name in _PERIODS[:-1]}
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


def counting(ledger: Ledger | None, asked: Asked, model: str | None = None, tag: str | None = None) -> Count:
    """Counts in a ledger, which may not be there; only a model, or calls with a tag, if one is named."""

    def count(period: Period, by: tuple[str, ...]) -> Report:
        if ledger is None:
            return Report(Total(), {})
        return reports.report(ledger, period, asked.zone, by, model=model, tag=tag)

    return count


def _unknown(everything: Count, asked: Asked, **filters: str | None) -> list[Note | None]:
    """What to say of filters that match nothing: nobody should take a slip of the pen for a sum of 0."""

    def known(name: str) -> list[str]:
        return [str(value) for (value,) in everything(Period(None, None), (name,)).groups]

    return [unknown_note(name, value, known(name), asked) for name, value in filters.items() if value is not None]


def _refuse_options(context: click.Context) -> None:
    """An option before the subcommand would be lost without a word."""
    for name in context.params:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(each for each in context.command.params if each.name == name)
            raise click.UsageError(f"write {option.opts[0]} after {context.invoked_subcommand}, where it belongs")
