"""How many credits are left, how fast they go, when they are gone, and what the console took that nobody recorded.

Everything follows from the notes of what the console showed and from the ledger's own sums. What stays open is said:
the console collects spend in cycles of five minutes (vendor documentation, read 2026-10). Where these begin is not
documented, so what was spent in the last five minutes before a reading may or may not be in it.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from litellm_maas.spend import reports
from litellm_maas.spend.console import ConsoleNote
from litellm_maas.spend.ledger import Ledger, moment
from litellm_maas.spend.periods import Period

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
        dearest_day: The most of one of them.
        cheapest_day: The least of one of them.
        days: How many they are.
    """

    last_hour: int
    per_hour: int
    per_day: int
    dearest_day: int
    cheapest_day: int
    days: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the credits are gone; None is never, at that rate.

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
        taken: What the console took.
        at_least: The drift, if cycles explain as much of it as they can.
        at_most: The drift, if they explain as little.
        unpriced_calls: Calls of this time whose cost the ledger does not know.
    """

    since: dt.datetime
    until: dt.datetime
    topups: int
    recorded: int
    taken: int
    at_least: int
    at_most: int
    unpriced_calls: int

    @property
    def micro_credits(self) -> int:
        """The drift: above 0 the console took more than the ledger knows."""
        return self.taken - self.recorded

    @property
    def is_real(self) -> bool:
        """Whether it is more than cycles explain."""
        return self.at_least > 0 or self.at_most < 0


@dataclass(frozen=True, slots=True)
class Balance:
    """How the credits stand, in micro-credits.

    Attributes:
        reading: The last reading.
        topups: Top-ups since.
        spent: What the ledger has for the time since.
        uncollected: The part of it that the console may not have taken yet, because the cycle is under way.
        unsure: What was spent in the five minutes before the reading: if the console had not taken it yet, the balance
            is that much lower.
        unpriced_calls: Calls since whose cost the ledger does not know.
        burn: How fast they go.
        forecast: When they are gone.
        expires_at: A year after the last top-up (vendor documentation); None where none is noted.
        drifts: Between each two readings, the oldest first.
    """

    reading: ConsoleNote
    topups: int
    spent: int
    uncollected: int
    unsure: int
    unpriced_calls: int
    burn: Burn
    forecast: Forecast
    expires_at: dt.datetime | None
    drifts: tuple[Drift, ...]

    @property
    def micro_credits(self) -> int:
        """The estimate of what is left."""
        return self.reading.micro_credits + self.topups - self.spent


def balance(notes: Sequence[ConsoleNote], ledger: Ledger, now: dt.datetime) -> Balance | None:
    """How the credits stand; None without a reading.

    Args:
        notes: The notes, in the order of their times; those of the future do not count yet.
        ledger: The ledger that has the spend.
        now: The moment of asking.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    notes = [each for each in notes if each.at <= now]
    positions = [position for position, each in enumerate(notes) if each.kind == "reading"]
    if not positions:
        return None
    last = positions[-1]
    reading, topups = notes[last], sum(each.micro_credits for each in notes[last + 1 :])
    since = _spent(ledger, reading.at, now)
    burned = burn(ledger, now)
    topped_up = [each.at for each in notes if each.kind == "topup"]
    return Balance(
        reading=reading,
        topups=topups,
        spent=since.micro_credits,
        uncollected=_spent(ledger, max(now - CYCLE, reading.at), now).micro_credits,
        unsure=_before(ledger, reading),
        unpriced_calls=since.unpriced_calls,
        burn=burned,
        forecast=forecast(reading.micro_credits + topups - since.micro_credits, burned, now),
        expires_at=_a_year_after(topped_up[-1]) if topped_up else None,
        drifts=tuple(_drift(notes[a : b + 1], ledger) for a, b in itertools.pairwise(positions)),
    )


def burn(ledger: Ledger, now: dt.datetime) -> Burn:
    """How fast credits go.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    ((first,),) = ledger.query("SELECT min(started_at) FROM events")
    # Of a history of minutes nobody can tell what an hour costs.
    age = max(_HOUR, now - moment(first)) if first is not None else _HOUR
    days = max(1, min(_MOST_DAYS, age // _DAY))
    spent = [_spent(ledger, now - (back + 1) * _DAY, now - back * _DAY).micro_credits for back in range(days)]
    if age < _DAY:
        # In numbers: Python's stretches of time end at a billion days.
        spent = [spent[0] * (_DAY // _MICROSECOND) // (age // _MICROSECOND)]
    return Burn(
        last_hour=_spent(ledger, now - _HOUR, now).micro_credits,
        per_hour=spent[0] // 24,
        per_day=sum(spent) // days,
        dearest_day=max(spent),
        cheapest_day=min(spent),
        days=days,
    )


def forecast(micro_credits: int, burn: Burn, now: dt.datetime) -> Forecast:
    """When so many micro-credits are gone."""

    def gone(per_day: int) -> dt.datetime | None:
        if micro_credits <= 0:
            return now
        wait = micro_credits * (_DAY // _MICROSECOND) // per_day if per_day > 0 else None
        # Beyond a century nobody plans, and Python's calendar ends.
        return None if wait is None or wait > 36_525 * (_DAY // _MICROSECOND) else now + wait * _MICROSECOND

    return Forecast(gone(burn.per_day), gone(max(burn.dearest_day, 24 * burn.last_hour)), gone(burn.cheapest_day))


def _drift(notes: Sequence[ConsoleNote], ledger: Ledger) -> Drift:
    """The drift from a reading to the next, with the top-ups between them."""
    first, *between, last = notes
    topups = sum(each.micro_credits for each in between)
    recorded = _spent(ledger, first.at, last.at)
    taken = first.micro_credits + topups - last.micro_credits
    drift = taken - recorded.micro_credits
    return Drift(
        since=first.at,
        until=last.at,
        topups=topups,
        recorded=recorded.micro_credits,
        taken=taken,
        # What the first reading did not have yet was taken after it, what the last one did not have yet was not.
        at_least=drift - _before(ledger, first),
        at_most=drift + _before(ledger, last),
        unpriced_calls=recorded.unpriced_calls,
    )


def _before(ledger: Ledger, reading: ConsoleNote) -> int:
    """What was spent before a reading and may not have been collected when it was made."""
    return _spent(ledger, reading.at - CYCLE, reading.at).micro_credits


def _spent(ledger: Ledger, since: dt.datetime, until: dt.datetime) -> reports.Total:
    return reports.report(ledger, Period(since, until), dt.timezone.utc).total


def _a_year_after(at: dt.datetime) -> dt.datetime:
    try:
        return at.replace(year=at.year + 1)
    except ValueError:  # the 29th of February
        return at.replace(year=at.year + 1, day=28)
