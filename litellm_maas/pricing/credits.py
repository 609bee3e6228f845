"""Money: an integer number of micro-credits, and how it is written for people.

1 credit = 1 VND = 1,000,000 micro-credits (vendor documentation, read 2026-10). A price in credits per million tokens
times a number of tokens is a number of micro-credits, so nothing is rounded before it is shown.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, localcontext

MICRO_CREDITS = 1_000_000
"""Micro-credits in a credit."""

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero])
"""For all arithmetic with money: whatever precision or rounding the application has set for its own is not ours."""


def whole(micro_credits: Decimal) -> int:
    """The nearest whole number of micro-credits; only fractional contract prices ever need it."""
    return int(micro_credits.to_integral_value(ROUND_HALF_EVEN, EXACT))


def in_credits(micro_credits: int) -> Decimal:
    """The exact number of credits."""
    return EXACT.divide(Decimal(micro_credits), MICRO_CREDITS)


def shown(micro_credits: int | None, *, vietnamese: bool = False, exact: bool = False) -> str:
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
    amount = in_credits(micro_credits)
    with localcontext(EXACT) as context:
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
