"""Alert before credits run out: once a day, in whichever process notices first."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from litellm_maas import alerts, settings
from litellm_maas.balance import readings
from litellm_maas.balance.forecast import Balance, balance
from litellm_maas.balance.readings import BalanceEntry
from litellm_maas.errors import MaasError
from litellm_maas.ledger import access, periods, spools
from litellm_maas.ledger.base import Ledger, to_micros
from litellm_maas.ledger.location import PostgresLocation
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing.credits import format_credits

logger = logging.getLogger("litellm_maas")


_EXPIRY = dt.timedelta(days=7)
"""How long before credits expire an alert is sent."""
_RECOVERY = dt.timedelta(days=7)
"""For how long expired credits can be recovered (vendor documentation, read 2026-10)."""


def current_balance(where: Path | PostgresLocation, now: dt.datetime, host: str | None = None) -> list[Balance]:
    """Return the balance of each account by its entries and by what is recorded.

    Args:
        where: The ledger.
        now: The moment of asking.
        host: Only the account at this host; None for each one of which a reading is noted.

    Raises:
        LedgerError: A ledger cannot be read.
    """
    with access.open_ledger(notes_file(where)) as file:
        notes = [] if file is None else readings.entries(file)
        hosts = sorted({each.host for each in notes if each.kind == "reading" and host in (None, each.host)})
        if file is None or not hosts:
            return []
        if isinstance(where, Path):
            return _balances(notes, file, now, hosts)
    with access.open_ledger(where) as ledger:
        return [] if ledger is None else _balances(notes, ledger, now, hosts)


def _balances(notes: Sequence[BalanceEntry], ledger: Ledger, now: dt.datetime, hosts: Iterable[str]) -> list[Balance]:
    return [found for host in hosts if (found := balance(notes, ledger, now, host)) is not None]


def notes_file(where: Path | PostgresLocation) -> Path:
    """Return the file that the balance readings are in.

    Raises:
        LedgerError: It is the file in front of a database, and cannot be made.
    """
    return spools.ready(where, make=False) if isinstance(where, PostgresLocation) else where


def warnings(found: Balance, now: dt.datetime) -> Iterator[dict[str, Any]]:
    """Yield what to alert of, as plain values: `text`, `threshold`, and figures in micro-credits.

    Raises:
        SettingsError: `MAAS_CREDITS_WARN_HOURS` or `MAAS_CREDITS_WARN_BELOW` cannot be used.
    """
    left, soonest = found.micro_credits, found.forecast.earliest
    credits_ = f"credits at {found.host}" if found.host else "credits"
    figures = {
        "about": "credits",
        "host": found.host or None,
        "balance_micro_credits": left,
        "runs_out_at": _iso(found.forecast.at),
        "runs_out_at_the_earliest": _iso(soonest),
        "last_hour_micro_credits": found.burn.last_hour,
    }
    hours = settings.credits_warn_hours()
    if (text := _on_expiry(found, now)) is not None:
        yield {**figures, "threshold": "expiry", "text": f"{credits_} {text}"}
    elif hours and soonest is not None and soonest - now < dt.timedelta(hours=hours):
        how = f"may run out at {_local(soonest)} ({periods.DEFAULT_ZONE})" if soonest > now else "have run out"
        yield {
            **figures,
            "threshold": f"{hours:g} h",
            "text": f"{credits_} {how}: {format_credits(left)} left by the ledger, "
            f"{format_credits(found.burn.last_hour)} spent in the last hour. At zero every model is switched off: top "
            "up in the console, then `litellm-maas credits topup`",
        }
    below = settings.credits_warn_below()
    if below is not None and left < below:
        yield {
            **figures,
            "threshold": format_credits(below),
            "text": f"{credits_} are below {format_credits(below)}: {format_credits(left)} left by the ledger. Top up "
            "in the console, then `litellm-maas credits topup`",
        }


def _on_expiry(found: Balance, now: dt.datetime) -> str | None:
    """Return the alert that credits expire, or have expired, where that comes before they are spent."""
    expires_at, spent_at = found.expires_at, found.forecast.at
    if expires_at is None or expires_at - now > _EXPIRY:
        return None
    if expires_at <= now:
        if not found.expired:
            return None
        left = f"{format_credits(found.expired)} left by the ledger"
        lost = f"expired at {_local(expires_at)} ({periods.DEFAULT_ZONE}): {left}"
        if now < expires_at + _RECOVERY:
            return f"{lost}. The vendor can recover them until {_local(expires_at + _RECOVERY)}: ask in the console"
        return f"{lost}. If the console shows something else: `litellm-maas credits set AMOUNT`"
    if found.micro_credits <= 0 or (spent_at is not None and spent_at < expires_at):
        return None
    return (
        f"expire at {_local(expires_at)} ({periods.DEFAULT_ZONE}): {format_credits(found.micro_credits)} left by the "
        "ledger. A top-up in the console makes them last for another year; then `litellm-maas credits topup`"
    )


def warn(where: Path | PostgresLocation) -> None:
    """Send the alerts that nobody has sent on this day. Never raises."""
    now = periods.now(dt.timezone.utc)
    try:
        for found in current_balance(where, now):
            for warning in warnings(found, now):
                alert_once_per_day(where, warning, now)
    except (MaasError, OSError) as error:
        logger.debug("credits were not checked: %s", error)


def alert_once_per_day(where: Path | PostgresLocation, warning: dict[str, Any], now: dt.datetime) -> bool:
    """Send an alert unless somebody has on this day, and return whether it was sent.

    Raises:
        LedgerError: The file cannot be written.
    """
    day = f"{now.astimezone(periods.zone(periods.DEFAULT_ZONE)):%Y-%m-%d}"
    about = " ".join(filter(None, ("credits", warning["host"], warning["threshold"])))
    row = (about, day, to_micros(now))
    with contextlib.closing(SqliteLedger(notes_file(where))) as ledger:
        _, new = readings.write(ledger, "INSERT INTO alerts_sent VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row)
    if new:
        alerts.send_alert(warning)
    return bool(new)


def _local(at: dt.datetime) -> str:
    return periods.clock(at.astimezone(periods.zone(periods.DEFAULT_ZONE)))


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
