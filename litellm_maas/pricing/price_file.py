"""Price files: dated lists of prices, the shipped official ones and a user's own, checked line by line.

Prices are credits per 1,000,000 tokens, images credits each. Every list says on which days it holds, in the vendor's
time zone, and where it comes from.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from litellm_maas import odd_numbers, yaml_file
from litellm_maas.errors import SettingsError

OFFICIAL_FILE = Path(__file__).with_name("prices.yaml")
SCHEMA_FILE = Path(__file__).with_name("prices.schema.json")
"""What `json_schema` gives, shipped so that editors need no Python; `litellm-maas prices schema` prints it."""
VENDOR_ZONE = dt.timezone(dt.timedelta(hours=7), "Asia/Ho_Chi_Minh")
"""Price lists change at midnight there (vendor documentation gives days only). Vietnam has no daylight saving."""


def _number(value: object) -> object:
    # YAML has no decimals: 1134.2 arrives as a float whose shortest text is what the person typed.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        # Pydantic reports a ValueError, and no TypeError, at its place in the file.
        raise SettingsError(f"{value!r} is not a number", "write credits per 1,000,000 tokens, such as 70888")
    odd_numbers.refuse(value)
    return Decimal(repr(value))


def _day(value: object) -> object:
    # Pydantic would take a number for seconds since 1970.
    if isinstance(value, (int, float)):
        raise SettingsError(f"{value!r} is not a day", "write one such as 2026-08-03")
    return value


_Day = Annotated[dt.date, BeforeValidator(_day)]

_HIGHEST = 10**9
"""Of a price or a rate. A call of as many tokens as are believed then still costs what a ledger can hold."""

_Positive = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(gt=0, le=_HIGHEST, allow_inf_nan=False),
    # Pydantic's own schema of a decimal allows text, and names its bounds in words that no editor knows.
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": _HIGHEST}),
]
_Credits = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(ge=0, le=_HIGHEST, decimal_places=6, allow_inf_nan=False),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": _HIGHEST}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceEntry(_Strict):
    """The price of one model in one list. Credits per 1,000,000 tokens; images in credits each."""

    name: str | None = Field(default=None, description="The name as the vendor prints it.")
    input: _Credits | None = Field(default=None, description="Input tokens.")
    cached: _Credits | None = Field(default=None, description="Input tokens from the gateway's cache; else as input.")
    output: _Credits | None = Field(default=None, description="Output tokens.")
    images: Mapping[str, Mapping[str, _Credits]] | None = Field(
        default=None, description="Credits per image, by size (such as 1024x1024) and then by quality."
    )
    note: str | None = None


def _strip_prefix(written: str) -> str:
    """Return a model id as the gateway knows it; people write ids as LiteLLM does, with `maas/` in front."""
    return written.strip().removeprefix("maas/").strip()


def _strip_prefixes(models: Mapping[str, PriceEntry]) -> Mapping[str, PriceEntry]:
    written: dict[str, str] = {}
    for name in models:
        model_id = _strip_prefix(name)
        if not model_id:
            raise SettingsError(f"{name!r} is not a model id", "write one such as openai/gpt-4o")
        if model_id in written:
            raise SettingsError(f"{written[model_id]!r} and {name!r} are one model", "keep one of the two")
        written[model_id] = name
    return {model_id: models[name] for model_id, name in written.items()}


class PriceList(_Strict):
    """Prices and the days on which they hold, in the vendor's time zone."""

    name: str
    first_day: _Day | None = Field(alias="from", description="The first day on which it holds; null if not known.")
    end_day: _Day | None = Field(alias="to", description="The first day on which it no longer holds; null if open.")
    source: str = Field(description="The document that the prices were read from.")
    read: _Day | str | None = Field(default=None, description="When it was read.")
    ids: Literal["official", "inferred"] = Field(default="official", description="Whether the source itself has ids.")
    note: str | None = None
    models: Annotated[Mapping[str, PriceEntry], AfterValidator(_strip_prefixes)]
    unidentified: tuple[PriceEntry, ...] = Field(default=(), description="Prices whose model id is not known.")

    def is_active_on(self, day: dt.date) -> bool:
        """Return whether the list is active on a day."""
        return (self.first_day is None or self.first_day <= day) and (self.end_day is None or day < self.end_day)

    def overlaps(self, other: PriceList) -> bool:
        """Return whether both lists are active on some day."""
        starts = [day for day in (self.first_day, other.first_day) if day is not None]
        ends = [day for day in (self.end_day, other.end_day) if day is not None]
        return not starts or not ends or max(starts) < min(ends)


class Estimate(_Strict):
    """What a user says about models without a price: take LiteLLM's dollar price at this rate."""

    vnd_per_usd: _Positive


class UsdRate(_Strict):
    """The rate behind LiteLLM's dollar fields."""

    vnd_per_usd: _Positive
    as_of: dt.date
    source: str


class PriceFile(_Strict):
    """A price file, such as a user's own."""

    format: Literal[1]
    time_zone: Literal["Asia/Ho_Chi_Minh"] = "Asia/Ho_Chi_Minh"
    estimate: Estimate | None = Field(default=None, description="Off unless stated; estimates are labelled everywhere.")
    lists: tuple[PriceList, ...] = ()


class OfficialFile(PriceFile):
    """The shipped price file."""

    usd_rate: UsdRate


_File = TypeVar("_File", bound=PriceFile)


def read(file: Path, kind: type[_File]) -> _File:
    """Read and check a price file.

    Raises:
        ConfigFileError: The first mistake, with file, line and field: YAML, an unknown or repeated key, a price that is
            none, a list that ends before it begins, two lists that price the same model on the same day.
    """
    document = yaml_file.read(file)
    content = document.validate(kind)
    for position, price_list in enumerate(content.lists):
        at = ("lists", position)
        if price_list.first_day and price_list.end_day and price_list.end_day <= price_list.first_day:
            raise document.error(
                (*at, "to"), f"{price_list.end_day} is not after `from`", "a list holds for a day at least"
            )
        written = {_strip_prefix(name): name for name in document.subtree(*at, "models").data}
        for model_id, entry in price_list.models.items():
            where = (*at, "models", written[model_id])
            if entry.input is None and entry.images is None:
                raise document.error(where, "has neither `input` nor `images`", "a price needs one of them")
            for earlier in content.lists[:position]:
                if model_id in earlier.models and price_list.overlaps(earlier):
                    raise document.error(
                        where,
                        f"is priced by {earlier.name!r} on some of the same days",
                        "end one list where the other begins",
                    )
    return content


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a price file, for editors."""
    schema = PriceFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
