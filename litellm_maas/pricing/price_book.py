"""Look up the price of a model at a moment, and what a usage costs by it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache
from pathlib import Path
from typing import Literal

from litellm_maas import yaml_file
from litellm_maas.pricing import price_file
from litellm_maas.pricing.credits import MICRO_CREDITS, MONEY_CONTEXT, round_micro_credits
from litellm_maas.pricing.price_file import VENDOR_ZONE, OfficialFile, PriceEntry, PriceFile, PriceList, UsdRate
from litellm_maas.pricing.usage import Usage

Basis = Literal["official", "custom", "estimate", "plan", "unpriced"]
"""Where a recorded cost comes from: the shipped list, the user's price, a labelled guess that the user switched on, a
Token Plan call that costs no credits, or nowhere: then the cost is unknown and not 0."""

DollarPrice = Callable[[str], "tuple[Decimal, Decimal | None, Decimal] | None"]
"""Dollars per token of input, cached input and output of a model id, by LiteLLM's own map."""


@dataclass(frozen=True, slots=True)
class Price:
    """The price that holds for a model at a moment, and where it comes from."""

    entry: PriceEntry
    basis: Basis
    source: str

    def micro_credits(self, usage: Usage) -> int | None:
        """Return what a usage costs, in micro-credits; None where there is no price for a kind of token that was used.

        The documented formula: (input - cached) x input price + cached x cache price + output x output price, plus
        images x their price. Where no cache price is listed, cached tokens cost the input price.
        """
        entry = self.entry
        if (usage.input_tokens and entry.input is None) or (usage.output_tokens and entry.output is None):
            return None
        each = (entry.images or {}).get(usage.image_size or "", {}).get(usage.image_quality or "")
        if usage.images and each is None:
            return None
        with localcontext(MONEY_CONTEXT):
            return round_micro_credits(
                (usage.input_tokens - usage.cached_tokens) * (entry.input or Decimal(0))
                + usage.cached_tokens * self._cached
                + usage.output_tokens * (entry.output or Decimal(0))
                + usage.images * (each or Decimal(0)) * MICRO_CREDITS
            )

    def saved_micro_credits(self, usage: Usage) -> int:
        """Return what the cache saved, in micro-credits; negative where the cache price is above the input price."""
        with localcontext(MONEY_CONTEXT):
            return round_micro_credits(usage.cached_tokens * ((self.entry.input or Decimal(0)) - self._cached))

    def source_of(self, usage: Usage) -> str:
        """Return where the cost of a usage comes from, in words for the record."""
        if usage.cached_tokens and self.entry.cached is None:
            return f"{self.source}; no cache price is listed: cached tokens cost the input price"
        return self.source

    @property
    def _cached(self) -> Decimal:
        plain = self.entry.input or Decimal(0)
        return plain if self.entry.cached is None else self.entry.cached


class PriceBook:
    """The official lists, with a user's own lists laid over them.

    Args:
        official: The shipped file.
        custom: The user's file; where it prices a model on a day, it wins.
        dollar_price: LiteLLM's dollar prices, for estimates; without it nothing is estimated.
    """

    def __init__(
        self, official: OfficialFile, custom: PriceFile | None = None, dollar_price: DollarPrice | None = None
    ) -> None:
        self._official = official
        self._custom = custom
        self._dollar_price = dollar_price

    @property
    def usd_rate(self) -> UsdRate:
        """Return the shipped rate behind LiteLLM's dollar fields."""
        return self._official.usd_rate

    def lists(self) -> Iterator[tuple[Basis, PriceList]]:
        """Yield all lists with what their prices are called, in the order in which they are asked."""
        for price_list in self._custom.lists if self._custom else ():
            yield "custom", price_list
        for price_list in self._official.lists:
            yield "official", price_list

    def price(self, model_id: str, at: dt.datetime) -> Price | None:
        """Return the price of a model id at a moment (timezone-aware), or None where nothing prices it."""
        day = at.astimezone(VENDOR_ZONE).date()
        for basis, price_list in self.lists():
            entry = price_list.models.get(model_id)
            if entry is not None and price_list.is_active_on(day):
                return Price(entry, basis, f"{price_list.name} ({price_list.source})")
        return self._estimate(model_id)

    def _estimate(self, model_id: str) -> Price | None:
        estimate = self._custom.estimate if self._custom else None
        dollars = self._dollar_price(model_id) if estimate and self._dollar_price else None
        if estimate is None or dollars is None:
            return None
        with localcontext(MONEY_CONTEXT):
            per_million = estimate.vnd_per_usd * 1_000_000
            plain, cached, output = (None if each is None else each * per_million for each in dollars)
        entry = PriceEntry.model_construct(input=plain, cached=cached, output=output)
        return Price(entry, "estimate", f"LiteLLM's dollar price at {estimate.vnd_per_usd} VND")


@cache
def official_prices() -> PriceBook:
    """Return the shipped price book, read once."""
    return PriceBook(_official_file())


def with_overrides(file: Path, dollar_price: DollarPrice | None = None) -> PriceBook:
    """Return the shipped price book with a user's file laid over it.

    Raises:
        ConfigFileError: The user's file has a mistake.
    """
    return PriceBook(_official_file(), price_file.read(file, PriceFile), dollar_price)


@cache
def _official_file() -> OfficialFile:
    # Checked by a test, and read on import, so not checked for overlaps again.
    return yaml_file.read(price_file.OFFICIAL_FILE).validate(OfficialFile)
