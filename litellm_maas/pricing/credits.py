"""Money: an integer number of micro-credits, how it is written for people, and how people write it.

1 credit = 1 VND = 1,000,000 micro-credits (vendor documentation, read 2026-10). A price in credits per million tokens
times a number of tokens is a number of micro-credits, so nothing is rounded before it is shown.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, localcontext

from litellm_maas import odd_numbers
from litellm_maas.errors import SettingsError

MICRO_CREDITS = 1_000_000
"""Micro-credits in a credit."""

MONEY_CONTEXT = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero])
"""For all arithmetic with money: whatever precision or rounding the application has set for its own is not ours."""


def round_micro_credits(micro_credits: Decimal) -> int:
    """Round to whole micro-credits; only fractional contract prices ever need it."""
    return int(micro_credits.to_integral_value(ROUND_HALF_EVEN, MONEY_CONTEXT))


def to_credits(micro_credits: int) -> Decimal:
    """Convert micro-credits to credits, exactly."""
    return MONEY_CONTEXT.divide(Decimal(micro_credits), MICRO_CREDITS)


def format_credits(micro_credits: int | None, *, vietnamese: bool = False, exact: bool = False) -> str:
    """Write an amount as people do: ``1,234,567 VND``, or ``1.234.567 ₫`` in Vietnamese.

    Amounts under 100 credits show two decimals, and under one credit as many as they need: a small call is not 0. Half
    is rounded up, as people do. An unknown amount is a dash.

    Args:
        micro_credits: The amount.
        vietnamese: Whether to write it as in Vietnam.
        exact: Whether to show every decimal, two at least where there are any.
    """
    if micro_credits is None:
        return "-"
    amount = to_credits(micro_credits)
    with localcontext(MONEY_CONTEXT) as context:
        context.rounding = ROUND_HALF_UP
        if micro_credits % MICRO_CREDITS == 0 or (abs(amount) >= 100 and not exact):
            text = f"{amount:,.0f}"
        elif exact:
            whole_part, _, fraction = f"{amount:,.6f}".partition(".")
            text = f"{whole_part}.{fraction.rstrip('0'):0<2}"
        elif abs(amount) >= 1:
            text = f"{amount:,.2f}"
        else:
            text = f"{amount:.6f}".rstrip("0")
    if vietnamese:
        return text.translate(str.maketrans(",.", ".,")) + " ₫"
    return f"{text} VND"


_LARGEST = 10**12
"""Credits. More than anybody has, and small enough for every sum of a ledger."""


def parse_credits(text: str) -> int:
    """Return the micro-credits of an amount such as ``1530000``, ``1,530,000``, ``1.530.000 ₫`` or ``1530000.50``.

    Raises:
        SettingsError: It is not an amount, or could mean two: ``1.530`` is 1530 in Vietnamese and 1.53 in English.
    """
    plain = re.sub(r"\s*(VND|₫|đ|credits?)$", "", text.strip(), flags=re.IGNORECASE)
    if (two := odd_numbers.ambiguity(plain)) is not None:
        raise SettingsError(f"{text!r} {two[0]}", two[1])
    for thousands, decimal in ((",", "."), (".", ",")):
        grouped = rf"[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+|\d+"
        if found := re.fullmatch(rf"({grouped})(?:{re.escape(decimal)}(\d{{1,6}}))?", plain):
            whole, part = found.group(1).replace(thousands, ""), found.group(2)
            if part is not None and len(part) == 3 and thousands in found.group(1):
                raise SettingsError(
                    f"{text!r} has two kinds of separators before three digits", f"write it without any: {whole}{part}"
                )
            amount = Decimal(f"{whole}.{part or 0}")
            if amount > _LARGEST:
                raise SettingsError(f"{text!r} is too large an amount", "write credits, 1 credit is 1 VND")
            return int(amount * MICRO_CREDITS)
    raise SettingsError(f"{text!r} is not an amount", "write it like 1530000, 1,530,000 or 1.530.000")
