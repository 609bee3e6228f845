"""Warnings before credits run out: once a day, in whichever process notices first."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litellm_maas import settings
from litellm_maas.errors import MaasError
from litellm_maas.pricing.credits import shown
from litellm_maas.spend import announcing, console, opening, periods, spools
from litellm_maas.spend.balance import Balance, balance
from litellm_maas.spend.ledger import microseconds
from litellm_maas.spend.place import Database
from litellm_maas.spend.sqlite import SqliteLedger

logger = logging.getLogger("litellm_maas")


def standing(where: Path | Database, now: dt.datetime) -> Balance | None:
    """How the credits stand by what is noted and recorded; None where no reading is noted.

    Raises:
        LedgerError: A ledger cannot be read.
    """
    with opening.opened(notes_file(where)) as file:
        notes = [] if file is None else console.notes(file)
        if file is None or not any(each.kind == "reading" for each in notes):
            return None
        if isinstance(where, Path):
            return balance(notes, file, now)
    with opening.opened(where) as ledger:
        return None if ledger is None else balance(notes, ledger, now)


def notes_file(where: Path | Database) -> Path:
    """The file that the notes on the console are in.

    Raises:
        LedgerError: It is the file in front of a database, and cannot be made.
    """
    return spools.ready(where, make=False) if isinstance(where, Database) else where


def warnings(found: Balance, now: dt.datetime) -> Iterator[dict[str, Any]]:
    """What there is to warn of, as plain values: `text`, `mark`, and figures in micro-credits.

    Raises:
        SettingsError: `MAAS_CREDITS_WARN_HOURS` or `MAAS_CREDITS_WARN_BELOW` cannot be used.
    """
    left, soonest = found.micro_credits, found.forecast.earliest
    figures = {
        "about": "credits",
        "balance_micro_credits": left,
        "zero_at": _iso(found.forecast.at),
        "zero_at_the_earliest": _iso(soonest),
        "last_hour_micro_credits": found.burn.last_hour,
    }
    hours = settings.credits_warn_hours()
    if hours and soonest is not None and soonest - now < dt.timedelta(hours=hours):
        when = f"{soonest.astimezone(periods.zone(periods.DEFAULT_ZONE)):%Y-%m-%d %H:%M}"
        how = f"may be gone at {when} ({periods.DEFAULT_ZONE})" if soonest > now else "are gone"
        yield {
            **figures,
            "mark": f"{hours:g} h",
            "text": f"credits {how}: {shown(left)} left by the ledger, {shown(found.burn.last_hour)} spent in the last "
            "hour. At zero every model is switched off: top up in the console, then `litellm-maas credits topup`",
        }
    below = settings.credits_warn_below()
    if below is not None and left < below:
        yield {
            **figures,
            "mark": shown(below),
            "text": f"credits are below {shown(below)}: {shown(left)} left by the ledger. Top up in the console, then "
            "`litellm-maas credits topup`",
        }


def warn(where: Path | Database) -> None:
    """Say what there is to warn of, unless somebody has on this day. Never raises."""
    now = periods.now(dt.timezone.utc)
    try:
        found = standing(where, now)
        for warning in () if found is None else warnings(found, now):
            say_once_a_day(where, warning, now)
    except (MaasError, OSError) as error:
        logger.debug("credits were not checked: %s", error)


def say_once_a_day(where: Path | Database, warning: dict[str, Any], now: dt.datetime) -> bool:
    """Say a warning, unless somebody has on this day; whether it was said.

    Raises:
        LedgerError: The file cannot be written.
    """
    day = f"{now.astimezone(periods.zone(periods.DEFAULT_ZONE)):%Y-%m-%d}"
    row = (f"credits {warning['mark']}", day, microseconds(now))
    with contextlib.closing(SqliteLedger(notes_file(where))) as ledger:
        _, new = console.write(ledger, "INSERT INTO notices VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row)
    if new:
        announcing.say(warning)
    return bool(new)


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
