"""Bill the calls of a sandbox independently, for a ledger to be compared with.

It adds up by its own exact arithmetic (fractions), from the prices of the official list that held at the time.
"""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass
from fractions import Fraction

from litellm_maas.pricing import price_book


@dataclass(frozen=True, slots=True)
class Charge:
    """What one call cost.

    Attributes:
        response_id: The id in the reply.
        at: When the call began (UTC).
        micro_credits: The cost, or None for a model that no list prices.
        complete: Whether the reply was finished; an aborted one is charged for what was written until then.
    """

    response_id: str
    at: dt.datetime
    key: str
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    images: int
    micro_credits: int | None
    complete: bool


class Bill:
    """All charges of a sandbox, in the order in which they were made."""

    def __init__(self) -> None:
        self._charges: list[Charge] = []
        self._lock = threading.Lock()

    def add(self, charge: Charge) -> None:
        """Add a charge."""
        with self._lock:
            self._charges.append(charge)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Return the charges so far."""
        with self._lock:
            return tuple(self._charges)

    @property
    def micro_credits(self) -> int:
        """Return the sum of all priced charges."""
        return sum(charge.micro_credits or 0 for charge in self.charges)


def cost(model: str, at: dt.datetime, input_tokens: int, cached_tokens: int, output_tokens: int) -> int | None:
    """Micro-credits of a call by the official list; None where it has no price."""
    price = price_book.official_prices().price(model, at)
    if price is None or price.entry.input is None:
        return None
    entry = price.entry
    input_price = Fraction(price.entry.input)
    cached_price = input_price if entry.cached is None else Fraction(entry.cached)
    per_million = (
        Fraction(input_tokens - cached_tokens) * input_price
        + Fraction(cached_tokens) * cached_price
        + Fraction(output_tokens) * Fraction(entry.output or 0)
    )
    credits_exactly = per_million / 1_000_000
    return round(credits_exactly * 1_000_000)
