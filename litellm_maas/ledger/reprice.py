"""Repricing: what a period costs by the current prices, as corrections of its events."""

from __future__ import annotations

from dataclasses import dataclass

from litellm_maas.ledger.base import Correction, Ledger
from litellm_maas.ledger.filters import EVERYTHING, Filters
from litellm_maas.ledger.periods import Period
from litellm_maas.pricing.cost import cost
from litellm_maas.pricing.price_book import PriceBook


@dataclass(slots=True)
class Change:
    """What repricing changes for one model.

    Attributes:
        events: Events whose cost or basis changes.
        before: Micro-credits of those events until now; unpriced ones count nothing.
        after: The same by the new prices.
        newly_priced: Events that had no price until now.
        newly_unpriced: Events that have none any more.
    """

    model: str
    events: int = 0
    before: int = 0
    after: int = 0
    newly_priced: int = 0
    newly_unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Repricing:
    """What would change, and the corrections that change it."""

    changes: tuple[Change, ...]
    corrections: tuple[Correction, ...]


def reprice(ledger: Ledger, book: PriceBook, period: Period, reason: str, filters: Filters = EVERYTHING) -> Repricing:
    """Compare the costs of a period with a price book. Nothing is written.

    Cache hits, refused calls and Token Plan calls cost nothing by any price and stay as they are.

    Args:
        ledger: The ledger.
        book: The prices to apply.
        period: The events of which time.
        reason: Why; it stands in the corrections.
        filters: Which of them.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    changes: dict[str, Change] = {}
    corrections = []
    for event in filters.chosen(ledger.events(period.since, period.until)):
        if event.basis == "plan" or event.status in ("cache_hit", "blocked"):
            continue
        new = cost(event.model, event.usage, event.started_at, "payg", book)
        money = (new.micro_credits, new.saved_micro_credits, new.basis, new.price_source)
        if money == (event.micro_credits, event.saved_micro_credits, event.basis, event.price_source):
            continue
        corrections.append(Correction(event.event_id, *money, reason=reason))
        change = changes.setdefault(event.model, Change(event.model))
        change.events += 1
        change.before += event.micro_credits or 0
        change.after += new.micro_credits or 0
        change.newly_priced += event.micro_credits is None and new.micro_credits is not None
        change.newly_unpriced += event.micro_credits is not None and new.micro_credits is None
    return Repricing(tuple(changes.values()), tuple(corrections))
