"""The environment variables of this package, read in one place, at the moment they are needed.

An empty variable counts as one that is not set.
"""

from __future__ import annotations

import os
from decimal import Decimal, InvalidOperation

from pydantic import SecretStr

from litellm_maas.errors import SettingsError

PAYG_BASE_URL = "https://maas-llm-aiplatform-hcm.api.vngcloud.vn/v1"
"""The pay-as-you-go host, OpenAI protocol (vendor documentation, read 2026-10)."""

PLAN_BASE_URL = "https://tokenplan.api.greennode.ai/v1"
"""The Token Plan host: bare model codes, no credits per call (vendor documentation, read 2026-10)."""


def api_key() -> SecretStr | None:
    """`MAAS_API_KEY`: the key of a call that brings none of its own."""
    value = _value("MAAS_API_KEY")
    return SecretStr(value) if value is not None else None


def api_base() -> str:
    """`MAAS_API_BASE`: the base URL of a call that brings none of its own; the pay-as-you-go host by default."""
    return _value("MAAS_API_BASE") or PAYG_BASE_URL


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
