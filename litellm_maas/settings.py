"""Read the environment variables of this package, in one place, at the moment they are needed.

An empty variable counts as one that is not set.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from litellm_maas import folders, odd_numbers
from litellm_maas.errors import SettingsError
from litellm_maas.pricing.credits import parse_credits

PAYG_BASE_URL = "https://maas-llm-aiplatform-hcm.api.vngcloud.vn/v1"
"""The pay-as-you-go host, OpenAI protocol (vendor documentation, read 2026-10)."""

PLAN_BASE_URL = "https://tokenplan.api.greennode.ai/v1"
"""The Token Plan host: bare model codes, no credits per call (vendor documentation, read 2026-10)."""

VARIABLES = (
    "MAAS_API_BASE",
    "MAAS_API_KEY",
    "MAAS_BUDGETS",
    "MAAS_CREDITS_WARN_BELOW",
    "MAAS_CREDITS_WARN_HOURS",
    "MAAS_HOME",
    "MAAS_LEDGER",
    "MAAS_LEDGER_SYNC",
    "MAAS_RPM_MAX_WAIT",
    "MAAS_PRICES",
    "MAAS_REDIS_URL",
    "MAAS_RPM",
    "MAAS_TRACK_SPEND",
    "MAAS_VND_PER_USD",
    "MAAS_ALERT_WEBHOOK",
)
"""All that are read."""

Synchronous = Literal["normal", "full"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Define the client-side rate limit.

    Attributes:
        requests: How many may go out in any window.
        seconds: The length of the window.
        margin: Seconds by which slots keep further apart than that: requests do not all travel equally fast, and the
            gateway counts when they arrive.
        max_wait: Maximum seconds that a call waits for a slot.
        redis: Where machines share their slots; None for a file that the processes of this machine share.
    """

    requests: int
    seconds: float = 60.0
    margin: float = 1.0
    max_wait: float = 300.0
    redis: SecretStr | None = None


def api_key() -> SecretStr | None:
    """Return `MAAS_API_KEY`: the key of a call that brings none of its own."""
    value = _value("MAAS_API_KEY")
    return SecretStr(value) if value is not None else None


def api_base() -> str:
    """Return `MAAS_API_BASE`: the base URL of a call that brings none of its own; the pay-as-you-go host by default."""
    return _value("MAAS_API_BASE") or PAYG_BASE_URL


def ledger() -> str | None:
    """Return `MAAS_LEDGER`: the path of the ledger, or the address of a PostgreSQL server that it is forwarded to."""
    return _value("MAAS_LEDGER")


def ledger_synchronous() -> Synchronous:
    """Return `MAAS_LEDGER_SYNC`: ``full`` makes each recording survive a power cut too; ``normal`` is the default.

    Raises:
        SettingsError: It is something else.
    """
    value = (_value("MAAS_LEDGER_SYNC") or "normal").lower()
    if value not in ("normal", "full"):
        raise SettingsError(f"MAAS_LEDGER_SYNC is {value!r}", "set it to normal or full, or unset it")
    return "full" if value == "full" else "normal"


def prices() -> str | None:
    """Return `MAAS_PRICES`: the user's own price file."""
    return _value("MAAS_PRICES")


def budgets() -> str | None:
    """Return `MAAS_BUDGETS`: a file of budgets, beside those in the ledger."""
    return _value("MAAS_BUDGETS")


def alert_webhook() -> str | None:
    """Return `MAAS_ALERT_WEBHOOK`: where alerts about budgets and credits are posted, as JSON."""
    return _value("MAAS_ALERT_WEBHOOK")


def credits_warn_hours() -> float:
    """Return `MAAS_CREDITS_WARN_HOURS`: alert when credits are forecast to run out within these hours; 6, 0 for never.

    Raises:
        SettingsError: It is no number.
    """
    value = _value("MAAS_CREDITS_WARN_HOURS")
    if value is None or value == "0":
        return 6.0 if value is None else 0.0
    return float(_number("MAAS_CREDITS_WARN_HOURS", value, "hours, such as 6"))


def credits_warn_below() -> int | None:
    """Return `MAAS_CREDITS_WARN_BELOW`: alert below this balance, in micro-credits; None by default.

    Raises:
        SettingsError: It is no amount.
    """
    value = _value("MAAS_CREDITS_WARN_BELOW")
    try:
        return None if value is None else parse_credits(value)
    except SettingsError as error:
        raise SettingsError(f"MAAS_CREDITS_WARN_BELOW: {error.message}", error.hint) from None


def track_spend() -> bool:
    """Return `MAAS_TRACK_SPEND`: whether spend is recorded without any code asking for it."""
    return (_value("MAAS_TRACK_SPEND") or "0").lower() in ("1", "true", "yes", "on")


def rate_limit(configured: RateLimit | None = None) -> RateLimit | None:
    """Return `MAAS_RPM`, `MAAS_RPM_MAX_WAIT` and `MAAS_REDIS_URL`: the client-side rate limit, if any.

    Args:
        configured: What holds where the environment says nothing; None for no limit. `MAAS_RPM=0` is no limit either
            way.

    Raises:
        SettingsError: One of them is no number where one is needed.
    """
    requests, wait, redis = _value("MAAS_RPM"), _value("MAAS_RPM_MAX_WAIT"), _value("MAAS_REDIS_URL")
    if requests == "0" or (requests is None and configured is None):
        return None
    chosen = configured or RateLimit(0)
    if requests is not None:
        number = _number("MAAS_RPM", requests, "a whole number of requests a minute, such as 10", whole=True)
        chosen = replace(chosen, requests=int(number))
    if wait is not None:
        chosen = replace(chosen, max_wait=float(_number("MAAS_RPM_MAX_WAIT", wait, "seconds, such as 300")))
    return replace(chosen, redis=SecretStr(redis)) if redis is not None else chosen


def data_folder() -> Path:
    """Return `MAAS_HOME`: the folder of the ledger and what belongs to it; the user's data folder by default.

    Where there is no such folder and none can be made it is one in the temporary folder, which a warning says once.
    """
    return folders.data_folder(_value("MAAS_HOME"))


def vnd_per_usd() -> Decimal | None:
    """Return `MAAS_VND_PER_USD`: the rate by which LiteLLM's dollar fields are derived from the VND prices.

    Raises:
        SettingsError: It is not a positive number.
    """
    value = _value("MAAS_VND_PER_USD")
    return None if value is None else _number("MAAS_VND_PER_USD", value, "a positive number such as 28355")


def _number(name: str, value: str, wanted: str, *, whole: bool = False) -> Decimal:
    if (two := odd_numbers.ambiguity(value)) is not None:
        raise SettingsError(f"{name} is {value!r}, which {two[0]}", two[1])
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or number <= 0 or (whole and number != int(number)):
        raise SettingsError(f"{name} is {value!r}", f"set it to {wanted}, or unset it")
    return number


def _value(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None
