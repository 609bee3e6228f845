"""Making `maas/` known to LiteLLM, through its public registries wherever it has one."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from typing import Any

import litellm
from litellm.utils import custom_llm_setup

from litellm_maas import _litellm, settings
from litellm_maas.models import Model, catalogue
from litellm_maas.pricing import book
from litellm_maas.provider import maas
from litellm_maas.wire.exceptions import PROVIDER

_lock = threading.Lock()
_MILLION = Decimal(1_000_000)


def register() -> None:
    """Register the provider `maas` and its models with LiteLLM.

    Importing the package does this once. Call it again after something replaced `litellm.custom_provider_map` or
    `litellm.model_cost`, or reloaded LiteLLM. Entries of other providers are kept, and repeating it is cheap.
    """
    with _lock:
        _register_handler()
        _register_models()


def _register_handler() -> None:
    entries: list[Any] = litellm.custom_provider_map
    ours = [index for index, entry in enumerate(entries) if entry["provider"] == PROVIDER]
    if not ours:
        entries.append({"provider": PROVIDER, "custom_handler": maas})
    elif entries[ours[-1]]["custom_handler"] is not maas:
        entries[ours[-1]] = {"provider": PROVIDER, "custom_handler": maas}
    custom_llm_setup()  # type: ignore[no-untyped-call]  # LiteLLM leaves it untyped
    _litellm.declare_reasoning_params(PROVIDER)


def _register_models() -> None:
    known = catalogue()
    rate = settings.vnd_per_usd() or book.official().usd_rate.vnd_per_usd
    now = dt.datetime.now(dt.timezone.utc)
    entries = {f"{PROVIDER}/{model_id}": _litellm_entry(known.model(model_id), now, rate) for model_id in known.ids()}
    if any(not _stands(name, entry) for name, entry in entries.items()):
        # Names that stand in the map already are looked up fast: LiteLLM otherwise lower-cases its whole map for each.
        litellm.model_cost.update({name: dict(entry) for name, entry in entries.items()})
        litellm.register_model(entries)
    _litellm.declare_defaults(PROVIDER, _capabilities(known.defaults()))


def _stands(name: str, entry: dict[str, Any]) -> bool:
    present = litellm.model_cost.get(name)
    return present is not None and entry.items() <= present.items()


def _litellm_entry(model: Model, now: dt.datetime, vnd_per_usd: Decimal) -> dict[str, Any]:
    return {"litellm_provider": PROVIDER, **_capabilities(model), **_usd_costs(model, now, vnd_per_usd)}


def _capabilities(model: Model) -> dict[str, Any]:
    """What LiteLLM's `supports_…` functions and `get_model_info` answer from."""
    if model.mode != "chat":
        return {"mode": model.mode}
    return {
        "mode": "chat",
        "max_tokens": model.max_output_tokens,
        "max_input_tokens": model.max_input_tokens,
        "max_output_tokens": model.max_output_tokens,
        "supports_function_calling": model.tools,
        "supports_parallel_function_calling": model.tools,
        "supports_tool_choice": model.tools,
        "supports_response_schema": model.json_schema,
        "supports_system_messages": True,
        "supports_vision": "image" in model.input,
        "supports_video_input": "video" in model.input,
        "supports_pdf_input": "file" in model.input,
        "supports_audio_input": False,
        "supports_reasoning": model.reasoning,
    }


def _usd_costs(model: Model, now: dt.datetime, vnd_per_usd: Decimal) -> dict[str, float]:
    """LiteLLM's cost fields. It and its users read them as US dollars; a model without a price gets none."""
    current = book.official().price(model.id, now)
    if current is None or current.entry.input is None:
        return {}
    entry = current.entry
    # A cache price that is left out counts as 0 in LiteLLM; on the bill cached tokens then cost the input price.
    vnd = {
        "input_cost_per_token": entry.input,
        "output_cost_per_token": entry.output or Decimal(0),
        "cache_read_input_token_cost": entry.input if entry.cached is None else entry.cached,
    }
    return {field: float(price / vnd_per_usd / _MILLION) for field, price in vnd.items() if price is not None}
