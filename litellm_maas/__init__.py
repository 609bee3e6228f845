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
    from litellm_maas.pricing.cost import Cost
    from litellm_maas.provider.cooldown_rules import router_cooldowns
    from litellm_maas.provider.handler import maas
    from litellm_maas.provider.register import register
    from litellm_maas.provider.response_cost import cost_of
    from litellm_maas.provider.spend_logger import spend_logger
    from litellm_maas.reporting import session_spend
    from litellm_maas.router.load import load_router
    from litellm_maas.runtime import track_spend

__all__ = [
    "Cost",
    "__version__",
    "cost_of",
    "load_router",
    "maas",
    "on_alert",
    "register",
    "router_cooldowns",
    "session_spend",
    "spend_logger",
    "track_spend",
]

_HOMES = {
    "Cost": "litellm_maas.pricing.cost",
    "cost_of": "litellm_maas.provider.response_cost",
    "router_cooldowns": "litellm_maas.provider.cooldown_rules",
    "load_router": "litellm_maas.router.load",
    "maas": "litellm_maas.provider.handler",
    "on_alert": "litellm_maas.alerts",
    "register": "litellm_maas.provider.register",
    "session_spend": "litellm_maas.reporting",
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
