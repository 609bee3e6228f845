"""Provide `litellm-maas spend`: where the credits went."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from litellm_maas.cli import completion, options, spend_export, spend_ledger, spend_tail, tables
from litellm_maas.cli.options import ReportQuery
from litellm_maas.cli.spend_hints import Hint, missing_note, nothing_recorded, unknown_note, waiting_note
from litellm_maas.cli.spend_report import ReportView
from litellm_maas.ledger import access
from litellm_maas.ledger.base import Ledger
from litellm_maas.ledger.filters import EVERYTHING
from litellm_maas.ledger.periods import Period
from litellm_maas.ledger.query import group_names
from litellm_maas.ledger.reports import GROUPS, SpendTotal


def _names(_context: click.Context, _option: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    return group_names(value)


def _groups(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return completion.groups(incomplete)


@click.group(
    name="spend", invoke_without_command=True, epilog="Example: litellm-maas spend --since 7d --by model,day --chart"
)
@options.period
@click.option(
    "--by",
    multiple=True,
    callback=_names,
    metavar="NAMES",
    shell_complete=_groups,
    help=f"Group by any of {', '.join(GROUPS)}; several: --by team,month.",
)
@options.filters
@click.option("--limit", type=click.IntRange(min=1), help="Only so many groups: the largest, or the latest.")
@click.option("--chart", is_flag=True, help="Draw bars; by day unless --by says otherwise.")
@options.as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@options.csv_for
@options.ledger_option
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    by: tuple[str, ...],
    limit: int | None,
    chart: bool,
    as_json: bool,
    as_csv: bool,
    csv_for: str | None,
    **asked_for: Any,
) -> None:
    """Show what was spent: today, this week and this month, or whatever you ask for.

    Amounts are credits (1 credit = 1 VND). The default period of a grouping is this month; with --until alone it is
    everything before. Weeks begin on Monday, and are named by that day.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    as_csv = as_csv or csv_for is not None
    if as_json + as_csv + chart > 1:
        raise click.UsageError("--json, --csv and --chart exclude each other")
    asked = options.parse_query(**asked_for)
    dialect = tables.excel_dialect() if csv_for is not None else None
    show = ReportView(asked, by or (("day",) if chart else ()), limit)
    waiting = access.flush(asked.ledger)
    beside = tables.console(stderr=as_json or as_csv)
    with access.open_ledger(asked.ledger) as ledger:
        if asked.is_missing:
            _say_missing(show if as_csv else None, asked, dialect)
        is_empty = ledger is None or not ledger.last_seq()
        count = show.counter(ledger)
        total = SpendTotal()
        if as_json:
            total = show.json(count, waiting)
        elif as_csv:
            total = show.csv(count, dialect)
        elif not is_empty:
            total = show.render(tables.console(), count, chart=chart)
        if as_json or as_csv:
            show.say_hosts(beside, total, count)
        unknown = () if is_empty or total.calls else _unknown(ledger, asked)
        remarks = (nothing_recorded(asked.ledger) if is_empty else None, *unknown, waiting_note(waiting))
    for note in remarks:
        if note is not None:
            tables.print_hint(beside, note.text, *note.commands)


for _subcommand in (spend_tail.command, spend_export.command, *spend_ledger.commands):
    command.add_command(_subcommand)


def _say_missing(csv: ReportView | None, asked: ReportQuery, dialect: Any) -> None:
    """End with exit status 1, so that nobody takes a misspelt name for a sum of 0; CSV has its header all the same."""
    if csv is not None:
        csv.header(dialect)
    note = missing_note(asked.ledger)
    tables.print_hint(tables.console(stderr=True), note.text, *note.commands)
    sys.exit(1)


def _unknown(ledger: Ledger | None, asked: ReportQuery) -> list[Hint | None]:
    """Return what to say of filters that match nothing: nobody should take a misspelt name for a sum of 0."""
    everything = ReportView(dataclasses.replace(asked, filters=EVERYTHING)).counter(ledger)

    def known(name: str) -> list[str]:
        groups = ("team", "team_id") if name == "team" else (name,)
        return [str(value) for key in everything(Period(None, None), groups).groups for value in key]

    return [unknown_note(name, value, known(name), asked) for name, value in asked.filters.given()]


def _refuse_options(context: click.Context) -> None:
    """Reject an option before the subcommand, which would be lost silently."""
    for name in context.params:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(each for each in context.command.params if each.name == name)
            raise click.UsageError(f"write {option.opts[0]} after {context.invoked_subcommand}, where it belongs")
