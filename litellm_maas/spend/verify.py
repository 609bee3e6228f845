"""Checking a ledger: its pages, its sums, and each row against the price list that it was priced by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from litellm_maas.pricing import book
from litellm_maas.spend.event import Event, iso
from litellm_maas.spend.ledger import Ledger, moment
from litellm_maas.spend.schema import HOURLY, MICROSECONDS_PER_HOUR, SUM_OF_EVENT, SUMS, columns, hourly_key

_MOST = 20
"""Rows that are named one by one; a ledger with more mistakes than that has one mistake."""


def verify(ledger: Ledger) -> list[str]:
    """What is wrong with a ledger; empty if nothing is. Reads every row.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    if damage := ledger.damage():
        return damage  # what is read from such a file says nothing
    return [*_first(_sums(ledger), "sums"), *_orphans(ledger), *_first(_events(ledger), "problems with events")]


def _first(problems: Iterable[str], what: str) -> Iterator[str]:
    found = 0
    for found, problem in enumerate(problems, 1):
        if found <= _MOST:
            yield problem
    if found > _MOST:
        yield f"and {found - _MOST} more {what}"


def _sums(ledger: Ledger) -> Iterator[str]:
    """Each row of hourly sums that is not what its events add up to."""
    for table, kept_apart in HOURLY.items():
        yield from _sums_of(ledger, table, columns((*kept_apart, *SUMS)))


def _sums_of(ledger: Ledger, table: str, stored: str) -> Iterator[str]:
    keys = hourly_key(table)
    sums = (f"sum({SUM_OF_EVENT[name].format(row='')})" for name in SUMS)
    grouped = ", ".join(map(str, range(1, len(keys) + 2)))
    # One query, so that nothing is recorded between the two halves.
    sql = f"""SELECT 0, {", ".join((*keys, *sums))} FROM current_events GROUP BY {grouped}
    UNION ALL SELECT 1, hour, {stored} FROM {table}"""
    events: dict[tuple[Any, ...], tuple[int, ...]] = {}
    hours: dict[tuple[Any, ...], tuple[int, ...]] = {}
    for is_hour, *row in ledger.query(sql):
        (hours if is_hour else events)[tuple(row[: len(keys)])] = tuple(map(int, row[len(keys) :]))
    nothing = (0,) * len(SUMS)
    for key in sorted({**events, **hours}):
        of_events, of_hours = events.get(key, nothing), hours.get(key, nothing)
        for name, right, wrong in zip(SUMS, of_events, of_hours, strict=True):
            if right != wrong:
                hour = iso(moment(key[0] * MICROSECONDS_PER_HOUR))
                about = " ".join(filter(None, key[1:]))
                yield f"{table}: {name} of {about} in the hour of {hour}: the sums say {wrong}, the events {right}"


def _orphans(ledger: Ledger) -> Iterator[str]:
    ((found,),) = ledger.query("SELECT count(*) FROM corrections WHERE event_id NOT IN (SELECT event_id FROM events)")
    if found:
        yield f"{found} corrections of events that are not there"


def _events(ledger: Ledger) -> Iterator[str]:
    try:
        for event in ledger.events():
            yield from (f"event {event.event_id}: {problem}" for problem in _row(event))
    except (ValueError, TypeError) as error:
        yield f"an event cannot be read ({error}); what comes after it was not checked"


def _row(event: Event) -> Iterator[str]:
    if (event.basis == "unpriced") != (event.micro_credits is None):
        yield f"its basis is {event.basis} and its cost {event.micro_credits}"
    if event.micro_credits is not None and event.micro_credits < 0:
        yield f"its cost is negative ({event.micro_credits} micro-credits)"
    if event.cached_tokens > event.input_tokens:
        yield "it has more cached than input tokens"
    if event.ended_at < event.started_at:
        yield "it ended before it began"
    if event.basis == "official" and event.status not in ("cache_hit", "refused"):
        price = book.official().price(event.model_served, event.started_at)
        due = None if price is None else price.micro_credits(event.usage)
        if due != event.micro_credits:
            yield f"its cost is {event.micro_credits} micro-credits, by the official list {due}"
