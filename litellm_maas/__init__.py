"""GreenNode MaaS for LiteLLM: the `maas/` provider, its models and an offline gateway.

Importing this package registers the provider::

    import litellm, litellm_maas

    litellm.completion(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": "Xin chào"}])
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from litellm_maas.version import __version__

if TYPE_CHECKING:
    from litellm_maas.provider import maas
    from litellm_maas.registration import register
    from litellm_maas.routing.router import load_router
    from litellm_maas.routing.rules import fallback_rules
    from litellm_maas.spend.announcing import on_warning
    from litellm_maas.spend.callback import spend_logger
    from litellm_maas.spend.costs import cost_of
    from litellm_maas.spend.meter import Cost
    from litellm_maas.spend.sessions import session_spend
    from litellm_maas.spend.tracking import track_spend

__all__ = [
    "Cost",
    "__version__",
    "cost_of",
    "fallback_rules",
    "load_router",
    "maas",
    "on_warning",
    "register",
    "session_spend",
    "spend_logger",
    "track_spend",
]

_HOMES = {
    "Cost": "litellm_maas.spend.meter",
    "cost_of": "litellm_maas.spend.costs",
    "fallback_rules": "litellm_maas.routing.rules",
    "load_router": "litellm_maas.routing.router",
    "maas": "litellm_maas.provider",
    "on_warning": "litellm_maas.spend.announcing",
    "register": "litellm_maas.registration",
    "session_spend": "litellm_maas.spend.sessions",
    "spend_logger": "litellm_maas.spend.callback",
    "track_spend": "litellm_maas.spend.tracking",
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
    importlib.import_module("litellm_maas.registration").register()
