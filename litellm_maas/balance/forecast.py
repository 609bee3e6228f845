"""Forecast how many credits are left and when they run out, and find what the console debited unrecorded.

Everything follows from the notes of what the console showed and from the ledger's own sums. What stays open is said:
the console collects spend in cycles of five minutes (vendor documentation, read 2026-10). Where these begin is not
documented, so what was spent in the last five minutes before a reading may or may not be in it.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from litellm_maas.balance.readings import BalanceEntry
from litellm_maas.ledger import reports
from litellm_maas.ledger.base import Ledger, from_micros
from litellm_maas.ledger.filters import Filters
from litellm_maas.ledger.periods import Period

CYCLE = dt.timedelta(minutes=5)
"""How often spend is collected."""

_HOUR, _DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
_MOST_DAYS = 7
_MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Burn:
    """How fast credits go, in micro-credits.

    Attributes:
        last_hour: Spent in the last hour.
        per_hour: Spent per hour in the last 24 hours, or since the first call if that is less long ago.
        per_day: The mean of the last seven times 24 hours, or of as many as there are since the first call.
        max_day: The most of one of them.
        min_day: The least of one of them.
        days: How many they are.
    """

    last_hour: int
    per_hour: int
    per_day: int
    max_day: int
    min_day: int
    days: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the credits run out, at the latest when they expire; None is never, at that rate.

    Attributes:
        at: If they go as in the mean of the last days.
        earliest: If they go as on the dearest of these days, or as in the last hour, whichever is faster.
        latest: If they go as on the cheapest of these days.
    """

    at: dt.datetime | None
    earliest: dt.datetime | None
    latest: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Drift:
    """What the console took between two readings, beside what the ledger knows of; in micro-credits.

    Attributes:
        since: The first reading.
        until: The next one.
        topups: Top-ups between them.
        recorded: What the ledger has for this time.
        debited: What the console took.
        at_least: The drift, if cycles explain as much of it as they can.
        at_most: The drift, if they explain as little.
        unpriced_calls: Calls of this time whose cost the ledger does not know.
    """

    since: dt.datetime
    until: dt.datetime
    topups: int
    recorded: int
    debited: int
    at_least: int
    at_most: int
    unpriced_calls: int

    @property
    def micro_credits(self) -> int:
        """Return the drift: above 0 the console took more than the ledger knows."""
        return self.debited - self.recorded

    @property
    def is_real(self) -> bool:
        """Return whether it is more than cycles explain."""
        return self.at_least > 0 or self.at_most < 0


@dataclass(frozen=True, slots=True)
class Balance:
    """How the credits stand, in micro-credits.

    Attributes:
        reading: The last reading.
        topups: Top-ups since.
        spent: What the ledger has for the time since.
        pending: The part of it that the console may not have taken yet, because the cycle has not ended.
        uncertainty: What was spent in the five minutes before the reading: if the console had not taken it yet, the
            balance is that much lower.
        unpriced_calls: Calls since whose cost the ledger does not know.
        burn: How fast they go.
        forecast: When they run out.
        expires_at: A year after the last top-up (vendor documentation, read 2026-10); None where none is noted, or
            where the console showed credits later than that, so that a later top-up is not noted.
        expired: What was not spent when it expired, since the reading.
        drifts: Between each two readings, the oldest first.
        host: The host whose account it is; empty for all hosts together.
        hosts: The hosts that the spend is of.
    """

    reading: BalanceEntry
    topups: int
    spent: int
    pending: int
    uncertainty: int
    unpriced_calls: int
    burn: Burn
    forecast: Forecast
    expires_at: dt.datetime | None
    expired: int
    drifts: tuple[Drift, ...]
    host: str
    hosts: tuple[str, ...]

    @property
    def micro_credits(self) -> int:
        """Return the estimate of what is left."""
        return self.reading.micro_credits + self.topups - self.spent - self.expired


def balance(notes: Sequence[BalanceEntry], ledger: Ledger, now: dt.datetime, host: str = "") -> Balance | None:
    """Return the balance; None without a reading.

    Args:
        notes: The notes, in the order of their times; those of the future do not count yet.
        ledger: The ledger that has the spend.
        now: The moment of asking.
        host: The host whose account it is; empty for all hosts together.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    notes = [each for each in notes if each.at <= now and each.host == host]
    account = _Account(ledger, host)
    positions = [position for position, each in enumerate(notes) if each.kind == "reading"]
    if not positions:
        return None
    last = positions[-1]
    reading, topups = notes[last], sum(each.micro_credits for each in notes[last + 1 :])
    since = account.spent(reading.at, now)
    burned = burn(account, now)
    expires_at, expired = _expiry(notes[:last], notes[last:], account, now)
    left = reading.micro_credits + topups - since.micro_credits - expired
    return Balance(
        reading=reading,
        topups=topups,
        spent=since.micro_credits,
        pending=account.spent(max(now - CYCLE, reading.at), now).micro_credits,
        uncertainty=account.before(reading),
        unpriced_calls=since.unpriced_calls,
        burn=burned,
        forecast=forecast(left, burned, now, expires_at),
        expires_at=expires_at,
        expired=expired,
        drifts=tuple(_drift(notes[a : b + 1], account) for a, b in itertools.pairwise(positions)),
        host=host,
        hosts=account.hosts(reading.at, now),
    )


class _Account:
    """What a ledger has of one host, or of all."""

    def __init__(self, ledger: Ledger, host: str) -> None:
        self._ledger = ledger
        self._filters = Filters(host=host or None)

    def spent(self, since: dt.datetime, until: dt.datetime) -> reports.SpendTotal:
        return self._report(since, until).total

    def before(self, reading: BalanceEntry) -> int:
        """Return what was spent before a reading and may not have been collected when it was made."""
        return self.spent(reading.at - CYCLE, reading.at).micro_credits

    def hosts(self, since: dt.datetime, until: dt.datetime) -> tuple[str, ...]:
        return tuple(sorted(host for (host,) in self._report(since, until, "host").groups if host))

    def first(self) -> dt.datetime | None:
        """Return when the first call began."""
        conditions, parameters = self._filters.conditions()
        sql = f"SELECT min(started_at) FROM events WHERE {' AND '.join(['1 = 1', *conditions])}"
        ((found,),) = self._ledger.query(sql, parameters)
        return None if found is None else from_micros(found)

    def _report(self, since: dt.datetime, until: dt.datetime, *by: str) -> reports.Report:
        return reports.report(self._ledger, Period(since, until), dt.timezone.utc, by, self._filters)


def burn(account: _Account, now: dt.datetime) -> Burn:
    """Return how fast credits go.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    first = account.first()
    # Of a history of minutes nobody can tell what an hour costs.
    age = max(_HOUR, now - first) if first is not None else _HOUR
    days = max(1, min(_MOST_DAYS, age // _DAY))
    spent = [account.spent(now - (back + 1) * _DAY, now - back * _DAY).micro_credits for back in range(days)]
    if age < _DAY:
        # In numbers: Python's stretches of time end at a billion days.
        spent = [spent[0] * (_DAY // _MICROSECOND) // (age // _MICROSECOND)]
    return Burn(
        last_hour=account.spent(now - _HOUR, now).micro_credits,
        per_hour=spent[0] // 24,
        per_day=sum(spent) // days,
        max_day=max(spent),
        min_day=min(spent),
        days=days,
    )


def forecast(micro_credits: int, burn: Burn, now: dt.datetime, expires_at: dt.datetime | None = None) -> Forecast:
    """Return when so many micro-credits run out, at the latest when they expire."""

    def end(per_day: int) -> dt.datetime | None:
        if micro_credits <= 0:
            return now if expires_at is None else min(now, expires_at)
        wait = micro_credits * (_DAY // _MICROSECOND) // per_day if per_day > 0 else None
        # Beyond a century nobody plans, and Python's calendar ends.
        spent = None if wait is None or wait > 36_525 * (_DAY // _MICROSECOND) else now + wait * _MICROSECOND
        return min((at for at in (spent, expires_at) if at is not None), default=None)

    return Forecast(end(burn.per_day), end(max(burn.max_day, 24 * burn.last_hour)), end(burn.min_day))


def _expiry(
    before: Sequence[BalanceEntry], since: Sequence[BalanceEntry], account: _Account, now: dt.datetime
) -> tuple[dt.datetime | None, int]:
    """Return when the credits expire, as far as the notes tell, and how many have expired since the reading.

    Args:
        before: The notes before the reading.
        since: The reading, and the top-ups after it.
        account: What was spent.
        now: The moment of asking.
    """
    reading, *topups = since
    topped_up = [each.at for each in before if each.kind == "topup"]
    expires_at = _a_year_after(topped_up[-1]) if topped_up else None
    if expires_at is not None and expires_at <= reading.at and reading.micro_credits > 0:
        expires_at = None  # the console showed credits after that: a later top-up is not noted
    held, expired = reading.micro_credits, 0
    for at, added in (*((each.at, each.micro_credits) for each in topups), (now, None)):
        if expires_at is not None and expires_at <= at:
            end = max(expires_at, reading.at)
            expired += max(held - expired - account.spent(reading.at, end).micro_credits, 0)
        if added is not None:
            held += added
            expires_at = _a_year_after(at)
    return expires_at, expired


def _drift(notes: Sequence[BalanceEntry], account: _Account) -> Drift:
    """Return the drift from a reading to the next, with the top-ups between them."""
    first, *between, last = notes
    topups = sum(each.micro_credits for each in between)
    recorded = account.spent(first.at, last.at)
    taken = first.micro_credits + topups - last.micro_credits
    drift = taken - recorded.micro_credits
    return Drift(
        since=first.at,
        until=last.at,
        topups=topups,
        recorded=recorded.micro_credits,
        debited=taken,
        # What the first reading did not have yet was taken after it, what the last one did not have yet was not.
        at_least=drift - account.before(first),
        at_most=drift + account.before(last),
        unpriced_calls=recorded.unpriced_calls,
    )


def _a_year_after(at: dt.datetime) -> dt.datetime:
    try:
        return at.replace(year=at.year + 1)
    except ValueError:  # the 29th of February
        return at.replace(year=at.year + 1, day=28)
