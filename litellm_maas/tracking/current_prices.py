"""Merge the current prices: the official lists, and the user's own file over them."""

from __future__ import annotations

import os
import sys
from decimal import Decimal
from pathlib import Path

from litellm_maas import settings
from litellm_maas.catalogue import catalogue
from litellm_maas.pricing import price_book
from litellm_maas.pricing.price_book import PriceBook


def current() -> PriceBook:
    """Return the shipped price book with the file that `MAAS_PRICES` names laid over it.

    Raises:
        ConfigFileError: The file has a mistake.
    """
    own = settings.prices()
    return price_book.official_prices() if own is None else price_book.with_overrides(Path(own), dollar_price)


def known_models() -> set[str]:
    """Return the model ids that the catalogue or a current price list names. Others may exist.

    Raises:
        ConfigFileError: The user's price file has a mistake.
    """
    return {*catalogue().ids(), *(model_id for _, each in current().lists() for model_id in each.models)}


def dollar_price(model_id: str) -> tuple[Decimal, Decimal | None, Decimal] | None:
    """Return LiteLLM's own dollars per token of input, cached input and output; asked where estimates are on."""
    if "litellm" not in sys.modules:
        # It takes seconds to load, and would otherwise try to download its price map.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from litellm_maas import _litellm_compat  # noqa: PLC0415 - it imports LiteLLM

    return _litellm_compat.dollar_price(model_id)
