"""GreenNode MaaS for LiteLLM: the `maas/` provider, its models and an offline gateway.

Importing this package registers the provider::

    import litellm, litellm_maas

    litellm.completion(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": "Xin chào"}])
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from litellm_maas._version import __version__

if TYPE_CHECKING:
    from litellm_maas.alerts import on_alert
    from litellm_maas.errors import (
        ConfigFileError,
        DamagedLedgerError,
        InvalidEventError,
        LedgerBusyError,
        LedgerError,
        MaasError,
        OlderLedgerError,
        SettingsError,
        UnsupportedLiteLLMError,
    )
    from litellm_maas.ledger.reports import SpendTotal
    from litellm_maas.ledger.spend_report import SpendReport, SpendRow
    from litellm_maas.pricing.cost import Cost
    from litellm_maas.pricing.usage import Usage
    from litellm_maas.provider.cooldown_rules import router_cooldowns
    from litellm_maas.provider.exceptions import BudgetExceededError
    from litellm_maas.provider.handler import maas
    from litellm_maas.provider.register import register
    from litellm_maas.provider.response_cost import cost_of
    from litellm_maas.provider.spend_logger import spend_logger
    from litellm_maas.reporting import session_spend, spend
    from litellm_maas.router.load import load_router
    from litellm_maas.runtime import track_spend

__all__ = [
    "BudgetExceededError",
    "ConfigFileError",
    "Cost",
    "DamagedLedgerError",
    "InvalidEventError",
    "LedgerBusyError",
    "LedgerError",
    "MaasError",
    "OlderLedgerError",
    "SettingsError",
    "SpendReport",
    "SpendRow",
    "SpendTotal",
    "UnsupportedLiteLLMError",
    "Usage",
    "__version__",
    "cost_of",
    "load_router",
    "maas",
    "on_alert",
    "register",
    "router_cooldowns",
    "session_spend",
    "spend",
    "spend_logger",
    "track_spend",
]

_HOMES = {
    "BudgetExceededError": "litellm_maas.provider.exceptions",
    "ConfigFileError": "litellm_maas.errors",
    "Cost": "litellm_maas.pricing.cost",
    "DamagedLedgerError": "litellm_maas.errors",
    "InvalidEventError": "litellm_maas.errors",
    "LedgerBusyError": "litellm_maas.errors",
    "LedgerError": "litellm_maas.errors",
    "MaasError": "litellm_maas.errors",
    "OlderLedgerError": "litellm_maas.errors",
    "SettingsError": "litellm_maas.errors",
    "SpendReport": "litellm_maas.ledger.spend_report",
    "SpendRow": "litellm_maas.ledger.spend_report",
    "SpendTotal": "litellm_maas.ledger.reports",
    "UnsupportedLiteLLMError": "litellm_maas.errors",
    "Usage": "litellm_maas.pricing.usage",
    "cost_of": "litellm_maas.provider.response_cost",
    "load_router": "litellm_maas.router.load",
    "maas": "litellm_maas.provider.handler",
    "on_alert": "litellm_maas.alerts",
    "register": "litellm_maas.provider.register",
    "router_cooldowns": "litellm_maas.provider.cooldown_rules",
    "session_spend": "litellm_maas.reporting",
    "spend": "litellm_maas.reporting",
    "spend_logger": "litellm_maas.provider.spend_logger",
    "track_spend": "litellm_maas.runtime",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# The command line comes in through its own little module, because most of it answers without LiteLLM, which takes
# seconds to import.
if "_litellm_maas_cli" not in sys.modules:
    importlib.import_module("litellm_maas.supported").check()
    importlib.import_module("litellm_maas.provider.register").register()
