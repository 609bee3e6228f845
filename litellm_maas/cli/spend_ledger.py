"""`litellm-maas spend reprice | export | verify`: what is done with a ledger beside reading its totals."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import click
from rich.text import Text

from litellm_maas.cli import options, price_book, spend_copies, tables
from litellm_maas.cli.spend_notes import Note, nothing_recorded, waiting_note
from litellm_maas.errors import MaasError
from litellm_maas.spend import exports, opening, verify
from litellm_maas.spend.event import Event
from litellm_maas.spend.place import place
from litellm_maas.spend.reprice import Change, Repricing, reprice

_ONLY: Mapping[str, Callable[[Event], bool]] = {
    "unpriced": lambda event: event.basis == "unpriced" and event.status in ("ok", "aborted"),
    "estimated": lambda event: event.usage_source == "estimated",
    "anomalies": lambda event: bool(event.anomalies),
}


@click.command(name="reprice")
@options.period
@options.model
@click.option("--apply", is_flag=True, help="Write it; without it only the difference is shown.")
@click.option("--reason", default="repriced by the prices in force", help="Why; it is kept in the ledger.")
@options.as_json
@options.where
def reprice_command(*, model: str | None, apply: bool, reason: str, as_json: bool, **asked_for: Any) -> None:
    """Price recorded calls by the prices in force now: the official list, and your MAAS_PRICES.

    Shows the difference; --apply writes it, as corrections beside the rows, which stay as they are.
    """
    asked = options.asked(**asked_for)
    waiting = opening.replay(asked.ledger)
    book = price_book.in_force()
    found = Repricing((), ())
    with opening.opened(asked.ledger, writable=apply) as ledger:
        if ledger is not None:
            found = reprice(ledger, book, asked.period, reason, model)
            if apply:
                ledger.correct(found.corrections)
    changes = sorted(found.changes, key=lambda change: (-abs(change.after - change.before), change.model))
    if as_json:
        tables.print_json(_repriced_as_json(changes, applied=apply))
    elif ledger is not None and not changes:
        click.echo("Nothing changes: every call in this period has the price in force.")
    elif changes:
        _show_repriced(changes)
        click.echo()
        if apply:
            click.echo(f"{tables.counted(len(found.corrections), 'call')} corrected.")
        else:
            again = " --apply" + (f" --model {model}" if model else "")
            click.echo(f"Nothing is written yet. To apply it:\n  {asked.command('reprice')}{again}")
    _say(nothing_recorded(asked.ledger) if ledger is None else None, waiting_note(waiting))


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


@click.command(name="export")
@click.option("--format", "form", type=click.Choice([*exports.TEXT_FORMATS, "parquet"]), default="jsonl", show_default=True, help="What to write.")  # fmt: skip  # noqa: E501
@options.period
@click.option("--only", type=click.Choice(list(_ONLY)), help="Only calls that are odd in this way.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; default: standard output.")
@options.where
def export_command(*, form: str, only: str | None, output: Path | None, **asked_for: Any) -> None:
    """Write one record per event, oldest first.

    Times are UTC, costs are micro-credits (1,000,000 are 1 VND). Parquet needs --output and pyarrow.
    """
    if form == "parquet" and output is None:
        raise click.UsageError("Parquet is no text: name a file with --output")
    asked = options.asked(**asked_for)
    waiting = opening.replay(asked.ledger)
    with opening.opened(asked.ledger) as ledger:
        events: Iterator[Event] = iter(()) if ledger is None else ledger.events(asked.period.since, asked.period.until)
        chosen = events if only is None else filter(_ONLY[only], events)
        if output is None:
            with tables.utf8_output() as out:
                exports.TEXT_FORMATS[form](chosen, out)
        else:
            written = _to_file(form, chosen, output)
            click.echo(f"{tables.counted(written, 'event')} written to {output}.", err=True)
    _say(nothing_recorded(asked.ledger) if ledger is None else None, waiting_note(waiting))


def _to_file(form: str, events: Iterator[Event], file: Path) -> int:
    try:
        with _whole(file) as binary:
            if form == "parquet":
                return exports.write_parquet(events, binary)
            text = io.TextIOWrapper(binary, encoding="utf-8", newline="\n")
            written = exports.TEXT_FORMATS[form](events, text)
            text.flush()
            text.detach()
            return written
    except OSError as error:
        raise MaasError(f"{file} cannot be written ({error.strerror or error}); choose another --output") from None


@contextlib.contextmanager
def _whole(file: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name when all of it is written, and not at all if that fails."""
    if file.exists() and not file.is_file():
        with file.open("wb") as device:
            yield device
        return
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as binary:
            yield binary
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _say(*remarks: Note | None) -> None:
    for note in remarks:
        if note is not None:
            click.echo("\n  ".join((note.text, *note.commands)), err=True)


@click.command(name="verify")
@options.where
@options.as_json
def verify_command(*, ledger: str | None, as_json: bool) -> None:
    """Check the ledger: its file, its sums, and each row against its price list. Exit status 1 if anything is wrong.

    Rows that your own lists have priced are priced again by MAAS_PRICES, where the list is still there.
    """
    where = place(ledger)
    _say(waiting_note(opening.replay(where)))
    prices = price_book.in_force()
    with opening.opened(where) as found:
        if found is None:
            raise MaasError(f"there is no ledger at {where}; name one with --ledger or MAAS_LEDGER")
        verified = verify.check(found, prices)
    problems = [*verified.problems, *opening.left_out(where)]
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


commands = (reprice_command, export_command, verify_command, *spend_copies.commands)
