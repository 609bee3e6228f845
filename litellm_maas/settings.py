"""The environment variables of this package, read in one place, at the moment they are needed.

An empty variable counts as one that is not set.
"""

from __future__ import annotations

import os
from decimal import Decimal, InvalidOperation
from typing import Literal

from pydantic import SecretStr

from litellm_maas.errors import SettingsError

PAYG_BASE_URL = "https://maas-llm-aiplatform-hcm.api.vngcloud.vn/v1"
"""The pay-as-you-go host, OpenAI protocol (vendor documentation, read 2026-10)."""

PLAN_BASE_URL = "https://tokenplan.api.greennode.ai/v1"
"""The Token Plan host: bare model codes, no credits per call (vendor documentation, read 2026-10)."""


Synchronous = Literal["normal", "full"]
HostKind = Literal["payg", "plan", "other"]


def api_key() -> SecretStr | None:
    """`MAAS_API_KEY`: the key of a call that brings none of its own."""
    value = _value("MAAS_API_KEY")
    return SecretStr(value) if value is not None else None


def api_base() -> str:
    """`MAAS_API_BASE`: the base URL of a call that brings none of its own; the pay-as-you-go host by default."""
    return _value("MAAS_API_BASE") or PAYG_BASE_URL


def ledger() -> str | None:
    """`MAAS_LEDGER`: the path of the ledger, or the address of a PostgreSQL server that it is forwarded to."""
    return _value("MAAS_LEDGER")


def ledger_synchronous() -> Synchronous:
    """`MAAS_LEDGER_SYNC`: ``full`` makes each recording survive a power cut too; ``normal`` is the default.

    Raises:
        SettingsError: It is something else.
    """
    value = (_value("MAAS_LEDGER_SYNC") or "normal").lower()
    if value not in ("normal", "full"):
        raise SettingsError(f"MAAS_LEDGER_SYNC is {value!r}; set it to normal or full, or unset it")
    return "full" if value == "full" else "normal"


def prices() -> str | None:
    """`MAAS_PRICES`: the user's own price file."""
    return _value("MAAS_PRICES")


def track_spend() -> bool:
    """`MAAS_TRACK_SPEND`: whether spend is recorded without any code asking for it."""
    return (_value("MAAS_TRACK_SPEND") or "0").lower() in ("1", "true", "yes", "on")


def vnd_per_usd() -> Decimal | None:
    """`MAAS_VND_PER_USD`: the rate by which LiteLLM's dollar fields are derived from the VND prices.

    Raises:
        SettingsError: It is not a positive number.
    """
    value = _value("MAAS_VND_PER_USD")
    if value is None:
        return None
    try:
        rate = Decimal(value)
    except InvalidOperation:
        rate = Decimal(0)
    if not rate.is_finite() or rate <= 0:
        raise SettingsError(f"MAAS_VND_PER_USD is {value!r}; set it to a positive number such as 28355, or unset it")
    return rate


def _value(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None
