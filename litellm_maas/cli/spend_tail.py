"""`litellm-maas spend tail`: every event as it is recorded."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from litellm_maas.cli import options, tables
from litellm_maas.spend import opening, periods
from litellm_maas.spend.event import Event
from litellm_maas.spend.ledger import LedgerError
from litellm_maas.spend.periods import DEFAULT_ZONE
from litellm_maas.spend.place import Database, place

_INTERVAL = 0.25
"""Seconds between two looks at the ledger."""
_BATCH = 1000


@click.command(name="tail")
@click.option("--lines", default=10, show_default=True, type=click.IntRange(min=0), help="Begin with the last so many.")
@click.option("--timezone", default=DEFAULT_ZONE, show_default=True, help="The zone that times are shown in.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one event a line.")
@options.where
def command(*, lines: int, timezone: str, as_json: bool, ledger: str | None) -> None:
    """Follow the ledger live, until Ctrl-C."""
    zone = periods.zone(timezone)
    where = place(ledger)
    opening.replay(where)

    def line(event: Event) -> str:
        if as_json:
            return event.as_json()
        tokens = f"{tables.number(event.input_tokens)} in ({tables.number(event.cached_tokens)} cached)"
        return tables.printable(
            f"{event.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S}  {event.model_served}  {event.status}  {tokens}"
            f"  {tables.number(event.output_tokens)} out  {tables.money(event.micro_credits)}  {event.basis}"
        )

    try:
        with contextlib.suppress(KeyboardInterrupt):
            for event in _follow(where, lines):
                click.echo(line(event))
    except BrokenPipeError:
        # Nobody reads any more. What is still in the buffer has to go somewhere when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _follow(where: Path | Database, lines: int) -> Iterator[Event]:
    """The last events, then each as it is recorded; ends when nobody reads standard output any more.

    Raises:
        LedgerError: The ledger cannot be read, twice in a row: once is a ledger that is just being made or moved.
    """
    number: int | None = None
    failed = False
    while True:
        try:
            # Opened anew each time: the ledger may not be there yet, or may be another one.
            with opening.opened(where) as ledger:
                last = ledger.last_number() if ledger is not None else 0
                if number is None:
                    number = max(last - lines, 0)
                    if ledger is None:
                        click.echo(f"No spend is recorded in {where} yet; waiting for it.", err=True)
                elif last < number:
                    number = 0
                while ledger is not None and (found := ledger.events_after(number, _BATCH)):
                    yield from (event for _, event in found)
                    number = found[-1][0]
            failed = False
        except LedgerError:
            if failed:
                raise
            failed = True
        if not _wait():
            return


def _wait() -> bool:
    """Wait a little; whether anybody still reads standard output."""
    if not hasattr(select, "poll"):
        time.sleep(_INTERVAL)
        return True
    poll = select.poll()
    # Asked for nothing, it reports only that the other end is gone.
    poll.register(sys.stdout.fileno(), 0)
    return not poll.poll(_INTERVAL * 1000)
