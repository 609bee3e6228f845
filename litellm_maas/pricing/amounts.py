"""Amounts of credits as people type them: with separators or without, English or Vietnamese."""

from __future__ import annotations

import re
from decimal import Decimal

from litellm_maas import odd_numbers
from litellm_maas.errors import SettingsError
from litellm_maas.pricing.credits import MICRO_CREDITS

_LARGEST = 10**12
"""Credits. More than anybody has, and small enough for every sum of a ledger."""


def parsed(text: str) -> int:
    """Return the micro-credits of an amount such as ``1530000``, ``1,530,000``, ``1.530.000 ₫`` or ``1530000.50``.

    Raises:
        SettingsError: It is not an amount, or could mean two: ``1.530`` is 1530 in Vietnamese and 1.53 in English.
    """
    plain = re.sub(r"\s*(VND|₫|đ|credits?)$", "", text.strip(), flags=re.IGNORECASE)
    if (two := odd_numbers.ambiguity(plain)) is not None:
        raise SettingsError(f"{text!r} {two}")
    for thousands, decimal in ((",", "."), (".", ",")):
        grouped = rf"[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+|\d+"
        if found := re.fullmatch(rf"({grouped})(?:{re.escape(decimal)}(\d{{1,6}}))?", plain):
            whole, part = found.group(1).replace(thousands, ""), found.group(2)
            if part is not None and len(part) == 3 and thousands in found.group(1):
                raise SettingsError(
                    f"{text!r} has two kinds of separators before three digits; write it without any: {whole}{part}"
                )
            amount = Decimal(f"{whole}.{part or 0}")
            if amount > _LARGEST:
                raise SettingsError(f"{text!r} is too large an amount; write credits, 1 credit is 1 VND")
            return int(amount * MICRO_CREDITS)
    raise SettingsError(f"{text!r} is not an amount; write it like 1530000, 1,530,000 or 1.530.000")
