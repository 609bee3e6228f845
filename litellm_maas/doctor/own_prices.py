"""Check a user's own price file, well-formed as it is, for what is worth a look."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from litellm_maas.catalogue import catalogue
from litellm_maas.did_you_mean import nearest
from litellm_maas.pricing import comparison, price_book
from litellm_maas.pricing.comparison import Compared
from litellm_maas.pricing.price_file import VENDOR_ZONE, PriceFile


def compared(own: PriceFile) -> list[Compared]:
    """Return each price of the file with the official one of today, or of the days on which it holds."""
    return list(comparison.compared(own, price_book.official_prices(), dt.datetime.now(VENDOR_ZONE).date()))


def warnings(rows: list[Compared]) -> Iterator[str]:
    """Report what is unlike the official prices, and which ids neither the official list nor the catalogue has."""
    official = price_book.official_prices()
    yield from comparison.unlike(rows, official)
    known = {*catalogue().ids(), *(model_id for _, each in official.lists() for model_id in each.models)}
    for model_id in dict.fromkeys(row.model_id for row in rows if row.model_id not in known):
        near = nearest(model_id, known)
        hint = f"did you mean {near}?" if near else "check its spelling: litellm-maas models"
        yield f"{model_id}: no list and no catalogue knows this id; {hint}"
