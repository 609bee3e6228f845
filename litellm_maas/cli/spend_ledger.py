"""Provide `litellm-maas spend reprice | verify`: change and check what is in a ledger."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.text import Text

from litellm_maas.cli import options, spend_copies, tables
from litellm_maas.cli.spend_hints import missing_note, nothing_recorded, say_beside, waiting_note
from litellm_maas.errors import MaasError
from litellm_maas.ledger import access, verify
from litellm_maas.ledger.location import resolve_location
from litellm_maas.ledger.reprice import Change, Repricing, reprice
from litellm_maas.tracking import current_prices


@click.command(
    name="reprice",
    short_help="Price recorded calls by today's prices: a preview, or --apply.",
    epilog="Example: litellm-maas spend reprice --month this",
)
@options.period
@options.filters
@click.option("--apply", is_flag=True, help="Write it; without it only the difference is shown.")
@click.option("--reason", default="repriced by the current prices", help="Why; it is kept in the ledger.")
@options.as_json
@options.ledger_option
def reprice_command(*, apply: bool, reason: str, as_json: bool, **asked_for: Any) -> None:
    """Price recorded calls by the current prices: the official list, and your MAAS_PRICES.

    Shows the difference; --apply writes it, as corrections beside the rows, which stay as they are.
    """
    asked = options.parse_query(**asked_for)
    waiting = access.flush(asked.ledger)
    book = current_prices.current()
    found = Repricing((), ())
    with access.open_ledger(asked.ledger, writable=apply) as ledger, tables.busy("repricing"):
        if ledger is not None:
            found = reprice(ledger, book, asked.period, reason, asked.filters)
            if apply:
                ledger.correct(found.corrections)
    if asked.is_missing:
        say_beside(missing_note(asked.ledger))
        sys.exit(1)
    changes = sorted(found.changes, key=lambda change: (-abs(change.after - change.before), change.model))
    if as_json:
        tables.print_json(_repriced_as_json(changes, applied=apply))
    elif ledger is not None and not changes:
        click.echo("Nothing changes: every call in this period has its current price.")
    elif changes:
        _show_repriced(changes)
        click.echo()
        if apply:
            click.echo(f"{tables.counted(len(found.corrections), 'call')} corrected.")
        else:
            click.echo(f"Nothing is written yet. To apply it:\n  {asked.command('reprice')} --apply")
    say_beside(nothing_recorded(asked.ledger) if ledger is None else None, waiting_note(waiting))


def _show_repriced(changes: list[Change]) -> None:
    table = tables.table(["model"], ["calls", "before", "after", "difference"])
    for change in [*changes, _total(changes)]:
        name = Text(tables.printable(change.model))
        for what, calls in (("without a price until now", change.newly_priced), ("without a price from now on", change.newly_unpriced)):  # fmt: skip  # noqa: E501
            if calls:
                name.append(f"\n{tables.number(calls)} {what}", style="dim")
        before = None if change.newly_priced == change.events else change.before
        after = None if change.newly_unpriced == change.events else change.after
        amounts = map(tables.money, (before, after, change.after - change.before))
        table.add_row(name, tables.number(change.events), *amounts)
    tables.console().print(table)


def _repriced_as_json(changes: list[Change], *, applied: bool) -> dict[str, Any]:
    plain = [
        {name: getattr(each, name) for name in Change.__slots__} | {"difference": each.after - each.before}
        for each in [*changes, _total(changes)]
    ]
    return {"applied": applied, "total": plain[-1] | {"model": None}, "models": plain[:-1]}


def _total(changes: list[Change]) -> Change:
    sums = ("events", "before", "after", "newly_priced", "newly_unpriced")
    return Change("total", *(sum(getattr(change, name) for change in changes) for name in sums))


@click.command(
    name="verify",
    short_help="Check the ledger's file, its sums and its prices.",
    epilog="Example: litellm-maas spend verify",
)
@options.ledger_option
@options.as_json
def verify_command(*, ledger: str | None, as_json: bool) -> None:
    """Check the ledger: its file, its sums, and each row against its price list. Exit status 1 if anything is wrong.

    Rows that your own lists have priced are priced again by MAAS_PRICES, where the list is still there.
    """
    where = resolve_location(ledger)
    say_beside(waiting_note(access.flush(where)))
    prices = current_prices.current()
    with access.open_ledger(where) as found:
        if found is None:
            raise MaasError(f"there is no ledger at {where}", "name one with --ledger or MAAS_LEDGER")
        with tables.busy("checking every row"):
            verified = verify.check(found, prices)
    problems = [*verified.problems, *access.left_out(where)]
    if as_json:
        plain = {"ledger": str(where), "problems": problems, "not_repriced": verified.not_repriced}
        tables.print_json(plain)
    else:
        click.echo("\n".join(problems) or f"{where}: nothing is wrong.")
    if verified.not_repriced:
        rows = tables.counted(verified.not_repriced, "row")
        click.echo(f"{rows} could not be priced again: the list that each names is not in MAAS_PRICES.", err=True)
    if problems:
        sys.exit(1)


commands = (reprice_command, verify_command, *spend_copies.commands)
