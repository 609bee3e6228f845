"""Making `maas/` known to LiteLLM, through its public registries wherever it has one."""

from __future__ import annotations

import threading
from typing import Any

import litellm
from litellm.utils import custom_llm_setup

from litellm_maas import _litellm, model_map
from litellm_maas.provider import maas
from litellm_maas.wire.exceptions import PROVIDER

_lock = threading.Lock()


def register() -> None:
    """Register the provider `maas` and its models with LiteLLM.

    Importing the package does this once. Call it again after something replaced `litellm.custom_provider_map` or
    reloaded LiteLLM. Where `litellm.model_cost` was replaced, the next call of a `maas/` model does it by itself.
    Entries of other providers are kept, and repeating it is cheap.

    Raises:
        SettingsError: `MAAS_VND_PER_USD` is not a positive number.
    """
    with _lock:
        entries: list[Any] = litellm.custom_provider_map
        ours = [index for index, entry in enumerate(entries) if entry["provider"] == PROVIDER]
        if not ours:
            entries.append({"provider": PROVIDER, "custom_handler": maas})
        elif entries[ours[-1]]["custom_handler"] is not maas:
            entries[ours[-1]] = {"provider": PROVIDER, "custom_handler": maas}
        custom_llm_setup()  # type: ignore[no-untyped-call]  # LiteLLM leaves it untyped
        _litellm.declare_reasoning_params(PROVIDER)
        model_map.declare()
