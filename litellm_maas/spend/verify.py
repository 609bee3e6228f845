"""Checking a ledger: its pages, its sums, and each row against the price list that it was priced by."""

from __future__ import annotations

from collections.abc import Iterator

from litellm_maas.pricing import book
from litellm_maas.spend.event import Event
from litellm_maas.spend.ledger import Ledger
from litellm_maas.spend.schema import SUM_OF_EVENT, SUMS

_MOST = 20
"""Rows that are named one by one; a ledger with more mistakes than that has one mistake."""


def verify(ledger: Ledger) -> list[str]:
    """What is wrong with a ledger; empty if nothing is. Reads every row.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    problems = [*ledger.damage(), *_sums(ledger), *_orphans(ledger)]
    rows = [f"event {event.event_id}: {problem}" for event in ledger.events() for problem in _row(event)]
    problems += rows[:_MOST]
    if len(rows) > _MOST:
        problems.append(f"and {len(rows) - _MOST} events more")
    return problems


def _sums(ledger: Ledger) -> Iterator[str]:
    again = ", ".join(f"sum({SUM_OF_EVENT[name].format(row='')})" for name in SUMS)
    (events,) = ledger.query(f"SELECT {again} FROM current_events")
    (hours,) = ledger.query(f"SELECT {', '.join(f'sum({name})' for name in SUMS)} FROM hourly")
    for name, of_events, of_hours in zip(SUMS, events, hours, strict=True):
        if int(of_events or 0) != int(of_hours or 0):
            yield f"{name}: the hourly sums say {int(of_hours or 0)}, the events {int(of_events or 0)}"


def _orphans(ledger: Ledger) -> Iterator[str]:
    ((found,),) = ledger.query("SELECT count(*) FROM corrections WHERE event_id NOT IN (SELECT event_id FROM events)")
    if found:
        yield f"{found} corrections of events that are not there"


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
