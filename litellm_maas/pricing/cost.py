"""Compute what a usage costs: usage, host and price book -> micro-credits. Knows no LiteLLM."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from litellm_maas.pricing.credits import to_credits
from litellm_maas.pricing.price_book import Basis, PriceBook
from litellm_maas.pricing.usage import Usage

BillingMode = Literal["payg", "plan", "other"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost.

    Attributes:
        micro_credits: The exact cost; None where no price is known.
        basis: Where the price comes from.
        usage: What was used.
        saved_micro_credits: What cached tokens saved against the input price.
        price_source: The list that the price stands in.
    """

    micro_credits: int | None
    basis: Basis
    usage: Usage
    saved_micro_credits: int = 0
    price_source: str | None = None

    @property
    def credits(self) -> Decimal | None:
        """Return the exact cost in credits (VND); None where no price is known."""
        return None if self.micro_credits is None else to_credits(self.micro_credits)

    def as_dict(self) -> dict[str, Any]:
        """Return the cost as it stands on a response. How much was used stands there already.

        What was wrong with the report is a tuple, of which JSON makes a list: so a note that LiteLLM's cache repeats is
        told from the first one.
        """
        usage = self.usage
        return {
            "micro_credits": self.micro_credits,
            "basis": self.basis,
            "usage_source": usage.source,
            "anomalies": usage.anomalies,
        }


CACHE_HIT = Cost(0, "official", Usage())
"""What an answer out of LiteLLM's cache costs: nothing was sent and nothing is billed, whatever the model's price."""


def cost(model_id: str, usage: Usage, at: dt.datetime, billing_mode: BillingMode, book: PriceBook | None) -> Cost:
    """Return what a usage costs at a moment; not known where nobody knows the prices (no book).

    On the Token Plan host a call costs no credits: its price was paid with the plan (vendor documentation). Where the
    usage report is nonsense the cost is not known.
    """
    if billing_mode == "plan":
        return Cost(0, "plan", usage)
    if book is None or not usage.is_priceable:
        return Cost(None, "unpriced", usage)
    price = book.price(model_id, at)
    micro_credits = price.micro_credits(usage) if price is not None else None
    if price is None or micro_credits is None:
        return Cost(None, "unpriced", usage)
    return Cost(micro_credits, price.basis, usage, price.saved_micro_credits(usage), price.source_of(usage))
