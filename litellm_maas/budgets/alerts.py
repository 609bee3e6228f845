"""Alerts about budgets: one for each threshold that is reached."""

from __future__ import annotations

from litellm_maas.alerts import say
from litellm_maas.budgets.reservations import ThresholdAlert
from litellm_maas.pricing.credits import shown


def alert_threshold_reached(notice: ThresholdAlert) -> None:
    """Say that a budget has passed a mark."""
    state = notice.state
    text = (
        f"budget {state.budget.name}: {shown(state.spent)} of {shown(state.budget.limit)} spent "
        f"({notice.percent} % reached; per {state.budget.per}, {state.budget.about()})"
    )
    say(
        {
            "about": "budget",
            "text": text,
            "budget": state.budget.name,
            "percent": notice.percent,
            "spent_micro_credits": state.spent,
            "limit_micro_credits": state.budget.limit,
            "reserved_micro_credits": state.reserved,
        }
    )
