"""Provide `litellm-maas spend export`: one record per event, for programs, spreadsheets and other databases."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import click

from litellm_maas.cli import options, tables
from litellm_maas.cli.options import ReportQuery
from litellm_maas.cli.spend_hints import missing_note, nothing_recorded, say_beside, waiting_note
from litellm_maas.errors import MaasError
from litellm_maas.ledger import access, export
from litellm_maas.ledger.event import Event

_ONLY: Mapping[str, Callable[[Event], bool]] = {
    "unpriced": lambda event: event.basis == "unpriced" and event.status in ("ok", "cancelled"),
    "estimated": lambda event: event.usage_source == "estimated",
    "anomalies": lambda event: bool(event.anomalies),
}
_FORMATS = ("jsonl", "csv", "xlsx")


@click.command(
    name="export",
    short_help="Write one record per call: JSON lines, CSV or xlsx.",
    epilog="Example: litellm-maas spend export --month last --output spend.jsonl",
)
@click.option("--format", "form", type=click.Choice(_FORMATS), help="What to write; default: jsonl.")
@options.csv_for
@options.period
@options.filters
@click.option("--only", type=click.Choice(list(_ONLY)), help="Only calls that are odd in this way.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; default: standard output.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there already.")
@options.ledger_option
def command(
    *,
    form: str | None,
    csv_for: str | None,
    only: str | None,
    output: Path | None,
    force: bool,
    **asked_for: Any,
) -> None:
    """Write one record per event, oldest first.

    For programs: JSON lines and CSV have times in UTC and costs in micro-credits (1,000,000 are 1 VND).

    For people: xlsx, and CSV with --csv-for excel, have dates and times of --timezone and costs in VND with decimals.
    In CSV a text that a spreadsheet would take for a formula has a ' in front. xlsx needs --output, and a
    package of its own: pip install xlsxwriter.
    """
    if csv_for is not None and form not in (None, "csv"):
        raise click.UsageError("--csv-for is a kind of CSV, so it goes with --format csv alone")
    form = form or ("csv" if csv_for is not None else "jsonl")
    if form == "xlsx" and output is None:
        raise click.UsageError(f"{form} is no text: name a file with --output")
    if output is not None and not force and output.is_file() and output.stat().st_size:
        raise MaasError(f"{output} already exists", "name another --output, or overwrite it with --force")
    asked = options.parse_query(**asked_for)
    waiting = access.flush(asked.ledger)
    write = _writer(form, asked, for_people=csv_for is not None)
    with access.open_ledger(asked.ledger) as ledger:
        is_missing = asked.is_missing
        events: Iterator[Event] = iter(()) if ledger is None else ledger.events(asked.period.since, asked.period.until)
        chosen = filter(_ONLY[only], events) if only is not None else events
        with tables.progress("events read", on=output is not None or not sys.stdout.isatty()) as count:
            chosen = asked.filters.chosen(count(chosen))
            if output is None:
                with tables.utf8_output() as out:
                    write(chosen, out)
            elif not is_missing:
                written = _to_file(write, chosen, output, is_text=form != "xlsx")
                click.echo(f"{tables.counted(written, 'event')} written to {output}.", err=True)
    if is_missing:
        say_beside(missing_note(asked.ledger))
        sys.exit(1)
    say_beside(nothing_recorded(asked.ledger) if ledger is None else None, waiting_note(waiting))


def _writer(form: str, asked: ReportQuery, *, for_people: bool) -> Callable[[Iterator[Event], Any], int]:
    """Return what writes events in a form, and returns how many there were."""
    if for_people:
        return lambda events, to: export.write_csv_for_people(events, to, tables.excel_dialect(), asked.zone)
    if form == "xlsx":
        return lambda events, to: export.write_xlsx(events, to, asked.zone)
    writers: Mapping[str, Callable[[Iterator[Event], Any], int]] = {
        "jsonl": export.write_jsonl,
        "csv": export.write_csv,
    }
    return writers[form]


def _to_file(
    write: Callable[[Iterator[Event], Any], int], events: Iterator[Event], file: Path, *, is_text: bool
) -> int:
    try:
        with _atomic_write(file) as binary:
            if not is_text:
                return write(events, binary)
            text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
            written = write(events, text)
            text.flush()
            text.detach()
            return written
    except OSError as error:
        raise MaasError(f"{file} cannot be written ({error.strerror or error})", "choose another --output") from None


@contextlib.contextmanager
def _atomic_write(file: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name when it is complete, and not at all if that fails."""
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
