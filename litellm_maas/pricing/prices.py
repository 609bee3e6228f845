"""The dated price book: which price held for which model at which moment, and what a call costs by it.

Prices are credits per 1,000,000 tokens. A price times a token count is a number of micro-credits
(1 credit = 1,000,000 micro-credits), so a cost is exact and is never rounded while prices are whole credits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from litellm_maas import data_files
from litellm_maas.pricing.usage import Usage

OFFICIAL_FILE = Path(__file__).with_name("prices.yaml")
VENDOR_ZONE = dt.timezone(dt.timedelta(hours=7), "Asia/Ho_Chi_Minh")
"""Price lists change at midnight there (vendor documentation gives days only). Vietnam has no daylight saving."""

Basis = Literal["official", "custom", "estimate", "plan", "unpriced"]


def _number(value: object) -> object:
    # YAML has no decimals: 1134.2 arrives as a float whose shortest text is what the person typed.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        # Pydantic turns a ValueError, and no TypeError, into a mistake at its place in the file.
        raise ValueError(  # noqa: TRY004
            f"{value!r} is not a number; write credits per 1,000,000 tokens, such as 70888"
        )
    return Decimal(repr(value))


_Credits = Annotated[Decimal, BeforeValidator(_number), Field(ge=0, le=10**12, decimal_places=6, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceEntry(_Strict):
    """The price of one model in one list. Credits per 1,000,000 tokens; images in credits each."""

    name: str | None = Field(default=None, description="The name as the vendor prints it.")
    input: _Credits | None = Field(default=None, description="Input tokens.")
    cached: _Credits | None = Field(default=None, description="Input tokens that came from the gateway's cache.")
    output: _Credits | None = Field(default=None, description="Output tokens.")
    images: Mapping[str, Mapping[str, _Credits]] | None = Field(default=None, description="By size, then quality.")
    note: str | None = None


class PriceList(_Strict):
    """A list of prices and the days on which it held, in the vendor's time zone."""

    name: str
    first_day: dt.date | None = Field(alias="from", description="First day on which it holds; null if not known.")
    end_day: dt.date | None = Field(alias="to", description="First day on which it no longer holds; null if open.")
    source: str
    read: str | None = Field(default=None, description="When the source was read.")
    ids: Literal["official", "inferred"] = "official"
    note: str | None = None
    models: Mapping[str, PriceEntry]
    unidentified: tuple[PriceEntry, ...] = Field(default=(), description="Prices whose model id is not known.")

    def holds_on(self, day: dt.date) -> bool:
        """Whether the list was in force on a day."""
        return (self.first_day is None or self.first_day <= day) and (self.end_day is None or day < self.end_day)


class UsdRate(_Strict):
    """The rate behind LiteLLM's dollar fields."""

    vnd_per_usd: Annotated[Decimal, BeforeValidator(_number), Field(gt=0)]
    as_of: dt.date
    source: str


class PriceFile(_Strict):
    """A price file, such as a user's own."""

    format: Literal[1]
    time_zone: Literal["Asia/Ho_Chi_Minh"] = "Asia/Ho_Chi_Minh"
    lists: tuple[PriceList, ...]


class OfficialFile(PriceFile):
    """The shipped price file."""

    usd_rate: UsdRate


@dataclass(frozen=True, slots=True)
class Price:
    """The price that held for a model at a moment, and where it comes from."""

    entry: PriceEntry
    basis: Basis
    source: str

    def micro_credits(self, usage: Usage) -> int | None:
        """What a usage costs, in micro-credits; None where the list has no price for a kind of token that was used.

        The documented formula: (input - cached) x input price + cached x cache price + output x output price.
        Where no cache price is listed, cached tokens cost the input price.
        """
        entry = self.entry
        if (usage.input_tokens and entry.input is None) or (usage.output_tokens and entry.output is None):
            return None
        plain = entry.input or Decimal(0)
        cached = plain if entry.cached is None else entry.cached
        total = (
            (usage.input_tokens - usage.cached_tokens) * plain
            + usage.cached_tokens * cached
            + usage.output_tokens * (entry.output or Decimal(0))
        )
        return int(total.to_integral_value(ROUND_HALF_EVEN))


class PriceBook:
    """The lists of one or more price files."""

    def __init__(self, official: OfficialFile) -> None:
        self._official = official

    @property
    def usd_rate(self) -> UsdRate:
        """The shipped rate behind LiteLLM's dollar fields."""
        return self._official.usd_rate

    def price(self, model: str, at: dt.datetime) -> Price | None:
        """The price of a model id at a moment (timezone-aware), or None where no list names it."""
        day = at.astimezone(VENDOR_ZONE).date()
        for price_list in self._official.lists:
            if price_list.holds_on(day) and (entry := price_list.models.get(model)) is not None:
                return Price(entry, "official", price_list.source)
        return None


@cache
def official() -> PriceBook:
    """The shipped price book, read once."""
    return PriceBook(data_files.read(OFFICIAL_FILE).validate(OfficialFile))


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a price file."""
    return PriceFile.model_json_schema(by_alias=True)
