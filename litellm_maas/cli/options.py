"""Options that several commands have, and what they mean."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from litellm_maas.errors import SettingsError
from litellm_maas.spend import periods
from litellm_maas.spend.periods import DEFAULT_ZONE, Period
from litellm_maas.spend.place import Database, as_typed, place

_Command = TypeVar("_Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def gateways_id(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """A model id as the gateway and the ledger have it; people write it as LiteLLM does."""
    return value and value.removeprefix("maas/")


model = click.option("--model", metavar="ID", callback=gateways_id, help="Only this model.")


def where(command: _Command) -> _Command:
    """`--ledger`."""
    return click.option("--ledger", metavar="PATH", help="The ledger; default: MAAS_LEDGER, or your data folder.")(
        command
    )


def period(command: _Command) -> _Command:
    """`--since`, `--until` and `--timezone`."""
    for option in (
        click.option("--timezone", default=DEFAULT_ZONE, show_default=True, help="The zone that days are meant in."),
        click.option("--until", metavar="TIME", help="Until then, not included."),
        click.option("--since", metavar="TIME", help="From then on: 2026-11-01, 2026-11-01T15:30, today, 7d, 2h."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Asked:
    """Which ledger, and which of its events, somebody asked for.

    Attributes:
        now: The moment of asking, in the zone that was asked for.
    """

    ledger: Path | Database
    now: dt.datetime
    period: Period
    timezone: str
    _typed: str

    @property
    def zone(self) -> dt.tzinfo:
        """The zone that days are meant in."""
        return self.now.tzinfo or dt.timezone.utc

    def command(self, *words: str, since: str | None = None) -> str:
        """A command line that asks for the same ledger and period.

        Args:
            words: What follows `litellm-maas spend`.
            since: The beginning of the period, where none was typed.
        """
        added = f" --since {since}" if since is not None and self.period == Period(None, None) else ""
        return f"litellm-maas spend {' '.join(words)}{added}{self._typed}"


def asked(ledger: str | None, since: str | None, until: str | None, timezone: str) -> Asked:
    """What the options mean.

    Raises:
        SettingsError: One of them cannot be understood, or the period ends before it begins, or is yet to come.
    """
    now = periods.now(periods.zone(timezone))
    meant = Period(*(None if text is None else periods.moment(text, now) for text in (since, until)))
    if meant.since is not None and meant.until is not None and meant.since >= meant.until:
        raise SettingsError(f"--until {until} is not after --since {since}; the period would be empty")
    if meant.since is not None and meant.since > now:
        raise SettingsError(f"--since {since} is in the future, of which nothing is recorded; name an earlier moment")
    typed = {"since": since, "until": until, "timezone": timezone if timezone != DEFAULT_ZONE else None}
    options = "".join(
        f" --{name} {shlex.quote(text)}"
        for name, text in {**typed, "ledger": as_typed(ledger)}.items()
        if text is not None
    )
    return Asked(place(ledger), now, meant, timezone, options)
