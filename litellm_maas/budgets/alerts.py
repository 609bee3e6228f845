"""Send alerts about budgets: one for each threshold that is reached."""

from __future__ import annotations

from litellm_maas.alerts import send_alert
from litellm_maas.budgets.reservations import ThresholdAlert
from litellm_maas.pricing.credits import format_credits


def alert_threshold_reached(alert: ThresholdAlert) -> None:
    """Send the alert that a budget has reached a threshold."""
    state = alert.status
    text = (
        f"budget {state.budget.name}: {format_credits(state.spent)} of {format_credits(state.budget.limit)} spent "
        f"({alert.percent} % reached; per {state.budget.per}, {state.budget.describe()})"
    )
    send_alert(
        {
            "about": "budget",
            "text": text,
            "budget": state.budget.name,
            "percent": alert.percent,
            "spent_micro_credits": state.spent,
            "limit_micro_credits": state.budget.limit,
            "reserved_micro_credits": state.reserved,
        }
    )
