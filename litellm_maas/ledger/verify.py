"""Checking a ledger: its pages, its sums, and each row against the price list that it was priced by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from litellm_maas.ledger.base import Ledger, from_micros
from litellm_maas.ledger.event import Event, iso
from litellm_maas.ledger.schema import HOURLY, MEASURES, MICROSECONDS_PER_HOUR, SUM_OF_EVENT, columns, hourly_key
from litellm_maas.pricing import price_book
from litellm_maas.pricing.price_book import PriceBook

_CLOCKS_DIFFER = dt.timedelta(hours=1)
"""For how long an event may lie in the future: it may come from another machine."""
_MOST = 20
"""Rows that are named one by one; a ledger with more mistakes than that has one mistake."""


@dataclass(slots=True)
class Verified:
    """What was found.

    Attributes:
        problems: What is wrong.
        not_repriced: Rows whose price is in no list at hand, so that nobody can tell whether it is right.
    """

    problems: list[str] = field(default_factory=list)
    not_repriced: int = 0


def verify(ledger: Ledger) -> list[str]:
    """Return what is wrong with a ledger, as far as the official list tells; empty if nothing is.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    return check(ledger).problems


def check(ledger: Ledger, prices: PriceBook | None = None) -> Verified:
    """Check a ledger. Reads every row.

    Args:
        ledger: The ledger.
        prices: The current prices, by which rows are priced again that the user's own lists have priced.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    if damage := ledger.integrity_check():
        return Verified(damage)  # what is read from such a file says nothing
    found = Verified()
    found.problems += [
        *_first(_sums(ledger), "sums"),
        *_orphans(ledger),
        *_first(_gaps(ledger), "gaps"),
        *_first(_events(ledger, prices, found), "problems with events"),
    ]
    return found


def _first(problems: Iterable[str], what: str) -> Iterator[str]:
    found = 0
    for found, problem in enumerate(problems, 1):
        if found <= _MOST:
            yield problem
    if found > _MOST:
        yield f"and {found - _MOST} more {what}"


def _sums(ledger: Ledger) -> Iterator[str]:
    """Yield each row of the hourly rollups that is not the sum of its events."""
    for table, dimensions in HOURLY.items():
        yield from _sums_of(ledger, table, columns((*dimensions, *MEASURES)))


def _sums_of(ledger: Ledger, table: str, stored: str) -> Iterator[str]:
    keys = hourly_key(table)
    sums = (f"sum({SUM_OF_EVENT[name].format(row='')})" for name in MEASURES)
    grouped = ", ".join(map(str, range(1, len(keys) + 2)))
    # One query, so that nothing is recorded between the two halves.
    sql = f"""SELECT 0, {", ".join((*keys, *sums))} FROM current_events GROUP BY {grouped}
    UNION ALL SELECT 1, hour, {stored} FROM {table}"""
    events: dict[tuple[Any, ...], tuple[int, ...]] = {}
    hours: dict[tuple[Any, ...], tuple[int, ...]] = {}
    for is_hour, *row in ledger.query(sql):
        (hours if is_hour else events)[tuple(row[: len(keys)])] = tuple(map(int, row[len(keys) :]))
    nothing = (0,) * len(MEASURES)
    for key in sorted({**events, **hours}):
        of_events, of_hours = events.get(key, nothing), hours.get(key, nothing)
        for name, right, wrong in zip(MEASURES, of_events, of_hours, strict=True):
            if right != wrong:
                hour = iso(from_micros(key[0] * MICROSECONDS_PER_HOUR))
                about = " ".join(filter(None, key[1:]))
                yield f"{table}: {name} of {about} in the hour of {hour}: the sums say {wrong}, the events {right}"


def _orphans(ledger: Ledger) -> Iterator[str]:
    ((found,),) = ledger.query("SELECT count(*) FROM corrections WHERE event_id NOT IN (SELECT event_id FROM events)")
    if found:
        yield f"{found} corrections of events that are not there"


def _gaps(ledger: Ledger) -> Iterator[str]:
    """Numbers that are left out: a file gives each row the next one, and rows are never deleted."""
    if not ledger.numbers_are_gapless:
        return
    sql = """SELECT before + 1, seq - 1 FROM (SELECT seq, lag(seq, 1, 0) OVER (ORDER BY seq) AS before FROM events) s
    WHERE seq > before + 1 ORDER BY seq"""
    for first, last in ledger.query(sql):
        yield f"event {first} is gone" if first == last else f"events {first} to {last} are gone"


def _events(ledger: Ledger, prices: PriceBook | None, found: Verified) -> Iterator[str]:
    latest = dt.datetime.now(dt.timezone.utc) + _CLOCKS_DIFFER
    try:
        for event in ledger.events():
            due = _due(event, prices)
            found.not_repriced += due is None
            problems = (*_row(event, latest), *(_wrong(event, due) if due is not None else ()))
            yield from (f"event {event.event_id}: {problem}" for problem in problems)
    except (ValueError, TypeError) as error:
        yield f"an event cannot be read ({error}); what comes after it was not checked"


def _row(event: Event, latest: dt.datetime) -> Iterator[str]:
    if (event.basis == "unpriced") != (event.micro_credits is None):
        yield f"its basis is {event.basis} and its cost {event.micro_credits}"
    if event.micro_credits is not None and event.micro_credits < 0:
        yield f"its cost is negative ({event.micro_credits} micro-credits)"
    if event.cached_tokens > event.input_tokens:
        yield "it has more cached than input tokens"
    if event.ended_at < event.started_at:
        yield "it ended before it began"
    if event.started_at > latest:
        yield f"it began at {iso(event.started_at)}, which is yet to come: a clock was wrong"


@dataclass(frozen=True, slots=True)
class _Due:
    """What a row should cost, and by what."""

    micro_credits: int | None
    by: str


def _due(event: Event, prices: PriceBook | None) -> _Due | None:
    """Return what a row should cost; None where nobody can tell."""
    if event.status in ("cache_hit", "blocked"):
        return _Due(0, f"its status {event.status}")
    if event.basis == "plan":
        return _Due(0, "its basis plan")
    if event.basis == "unpriced":
        return _Due(event.micro_credits, "no list")
    if event.basis == "official":
        price = price_book.official_prices().price(event.model, event.started_at)
        return _Due(None if price is None else price.micro_credits(event.usage), "the official list")
    price = prices.price(event.model, event.started_at) if prices is not None else None
    # Another list may have come in the place of the one that the row names.
    if price is None or (price.basis, price.source_of(event.usage)) != (event.basis, event.price_source):
        return None
    return _Due(price.micro_credits(event.usage), price.source)


def _wrong(event: Event, due: _Due) -> Iterator[str]:
    if due.micro_credits != event.micro_credits:
        yield f"its cost is {event.micro_credits} micro-credits, by {due.by} {due.micro_credits}"
