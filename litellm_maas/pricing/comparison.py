"""Compare a user's own prices with the official ones, to see a wrong unit before a call is priced by it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.pricing.price_file import VENDOR_ZONE, PriceEntry, PriceFile, PriceList

_FACTOR = 10
"""From this factor on a price is said to be unlike the official one."""
_KINDS = ("input", "cached", "output")


@dataclass(frozen=True, slots=True)
class Compared:
    """One own price, and the official one of the same days.

    Attributes:
        official: None where no official list prices the model then.
    """

    model_id: str
    price_list: PriceList
    entry: PriceEntry
    official: PriceEntry | None


def compared(own: PriceFile, official: PriceBook, today: dt.date) -> Iterator[Compared]:
    """Compare each price of a user's file with the official one.

    Args:
        own: The user's file.
        official: The official lists.
        today: The day for lists that are current; others are compared on their first day, or on their last one.
    """
    for price_list in own.lists:
        at = dt.datetime.combine(_day(price_list, today), dt.time(12), VENDOR_ZONE)
        for model_id, entry in price_list.models.items():
            found = official.price(model_id, at)
            yield Compared(model_id, price_list, entry, None if found is None else found.entry)


def unlike(rows: Iterable[Compared], official: PriceBook) -> Iterator[str]:
    """Yield which prices are unlike the official ones by more than a factor of 10, or free where those are not.

    A model that has no official price is held against the lowest and the highest of all.
    """
    ranges = {kind: _range(official, kind) for kind in _KINDS}
    for row in rows:
        for kind in _KINDS:
            own: Decimal | None = getattr(row.entry, kind)
            beside: Decimal | None = None if row.official is None else getattr(row.official, kind)
            if own is None or (beside is None and not own):
                continue  # nothing to compare, or a free model that no official list has
            lowest, highest = ranges[kind] if beside is None else (beside, beside)
            if lowest and (difference := _difference(own, lowest, highest)):
                every = f"every official price ({_plain(lowest)} to {_plain(highest)})"
                official_one = f"the official price of {_plain(lowest)}"
                yield f"{row.model_id}: {kind} {difference} {every if beside is None else official_one}"
        yield from _unlike_images(row)


def _unlike_images(row: Compared) -> Iterator[str]:
    official = (row.official and row.official.images) or {}
    for size, qualities in (row.entry.images or {}).items():
        for quality, own in qualities.items():
            beside = official.get(size, {}).get(quality)
            if beside and (difference := _difference(own, beside, beside)):
                image = f"an image of {size}, {quality}"
                yield f"{row.model_id}: {image} {difference} the official price of {_plain(beside)}"


def _difference(own: Decimal, lowest: Decimal, highest: Decimal) -> str | None:
    if not own:
        return "is 0, unlike"
    if own * _FACTOR < lowest:
        return f"{_plain(own)} is {lowest / own:,.0f} times lower than"
    if own > highest * _FACTOR:
        return f"{_plain(own)} is {own / highest:,.0f} times higher than"
    return None


def _range(official: PriceBook, kind: str) -> tuple[Decimal, Decimal]:
    entries = (entry for _, each in official.lists() for entry in (*each.models.values(), *each.unidentified))
    amounts = [amount for entry in entries if (amount := getattr(entry, kind))]
    return min(amounts), max(amounts)


def _day(price_list: PriceList, today: dt.date) -> dt.date:
    if price_list.first_day is not None and today < price_list.first_day:
        return price_list.first_day
    if price_list.end_day is not None and today >= price_list.end_day:
        return price_list.end_day - dt.timedelta(days=1)
    return today


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():,f}"
