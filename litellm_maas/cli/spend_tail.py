"""Provide `litellm-maas spend tail`: every event as it is recorded."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import select
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click

from litellm_maas.cli import options, tables
from litellm_maas.errors import LedgerError
from litellm_maas.ledger import access, periods, plain_text
from litellm_maas.ledger.base import Ledger
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.filters import EVERYTHING, Filters
from litellm_maas.ledger.location import PostgresLocation, resolve_location
from litellm_maas.ledger.periods import DEFAULT_ZONE

_INTERVAL = 0.25
"""Seconds between two looks at the ledger."""
_BATCH = 1000


@click.command(
    name="tail",
    short_help="Follow the ledger live, until Ctrl-C.",
    epilog="Example: litellm-maas spend tail --lines 20",
)
@click.option("--lines", default=10, show_default=True, type=click.IntRange(min=0), help="Begin with the last so many.")
@options.filters
@click.option("--timezone", default=DEFAULT_ZONE, show_default=True, help="The zone that times are shown in.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one event a line.")
@options.ledger_option
def command(*, lines: int, timezone: str, as_json: bool, ledger: str | None, **named: str | None) -> None:
    """Follow the ledger live, until Ctrl-C."""
    zone = periods.zone(timezone)
    where = resolve_location(ledger)
    filters = Filters(**named)
    access.flush(where)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            for event in _follow(where, lines, filters):
                click.echo(plain_text.json_line(event.as_json()) if as_json else _line(event, zone))
    except BrokenPipeError:
        # Nobody reads any more. What is still in the buffer has to go somewhere when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(event: Event, zone: dt.tzinfo) -> str:
    tokens = f"{tables.number(event.input_tokens)} in ({tables.number(event.cached_tokens)} cached)"
    of = {"user": event.user, "end user": event.end_user, "team": event.team}
    names = {name: tables.named(value) for name, value in of.items() if value}
    if event.tags:
        names["tags"] = ", ".join(map(tables.named, event.tags))
    return tables.printable(
        f"{event.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S}  {event.model}  {event.status}  {tokens}"
        f"  {tables.number(event.output_tokens)} out  {tables.money(event.micro_credits)}  {event.basis}"
        + "".join(f"  {name} {value}" for name, value in names.items())
    )


def _follow(where: Path | PostgresLocation, lines: int, filters: Filters) -> Iterator[Event]:
    """Yield the last events that match, then each as it is recorded; ends when nobody reads standard output any more.

    Raises:
        LedgerError: The ledger cannot be read, twice in a row: once is a ledger that is just being made or moved.
    """
    number: int | None = None
    failed = False
    while True:
        try:
            # Opened anew each time: the ledger may not be there yet, or may be another one.
            with access.open_ledger(where) as ledger:
                last = ledger.last_seq() if ledger is not None else 0
                if number is None:
                    number = 0 if ledger is None else _beginning(ledger, lines, filters)
                    if ledger is None:
                        click.echo(f"No spend is recorded in {where} yet; waiting for it.", err=True)
                elif last < number:
                    number = 0
                while ledger is not None and (found := ledger.events_since(number, _BATCH)):
                    yield from filters.chosen(event for _, event in found)
                    number = found[-1][0]
            failed = False
        except LedgerError:
            if failed:
                raise
            failed = True
        if not _wait():
            return


def _beginning(ledger: Ledger, lines: int, filters: Filters) -> int:
    """Return the number after which the last events that match begin."""
    number = max(ledger.last_seq() - lines, 0)
    if filters == EVERYTHING or not lines:
        return number
    matching: deque[int] = deque(maxlen=lines + 1)
    last = 0
    while found := ledger.events_since(last, _BATCH):
        matching.extend(seq for seq, event in found if filters.matches(event))
        last = found[-1][0]
    return matching[0] if len(matching) > lines else 0


def _wait() -> bool:
    """Wait a little, and return whether anybody still reads standard output."""
    if not hasattr(select, "poll"):
        time.sleep(_INTERVAL)
        return True
    poll = select.poll()
    # Asked for nothing, it reports only that the other end is gone.
    poll.register(sys.stdout.fileno(), 0)
    return not poll.poll(_INTERVAL * 1000)
