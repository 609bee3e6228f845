"""Our models in LiteLLM's map of models, `litellm.model_cost`, and that they stay there.

A proxy replaces that map whenever it reloads prices, on request and on a schedule, and puts what was registered into
the new one; tests and programs assign `litellm.get_model_cost_map(...)` to it, and what was registered is gone. The
rules for ids that no entry names are gone either way. LiteLLM tells nobody, so the next look-up or call of one of our
models declares all of it again (`ensure_declared`).
"""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from fnmatch import translate
from typing import Any

import litellm

from litellm_maas import _litellm_compat, settings
from litellm_maas.catalogue import Model, catalogue
from litellm_maas.pricing import price_book
from litellm_maas.provider.exceptions import PROVIDER

_MILLION = Decimal(1_000_000)

# What a deployment of `maas/*` is looked up as. Nobody has a reason to replace it, so it tells one map from another.
_ANY_MODEL = f"{PROVIDER}/*"

_lock = threading.Lock()
_mark: dict[str, Any] = {}

# What was declared last: whatever differs from it in LiteLLM's map is the user's own.
_declared: dict[str, dict[str, Any]] = {}

# What LiteLLM can ask and the gateway or the catalogue knows nothing of. Said, because LiteLLM otherwise looks for a
# model of the same name at another provider.
_UNKNOWN = (
    "supports_assistant_prefill",
    "supports_audio_input",
    "supports_audio_output",
    "supports_computer_use",
    "supports_embedding_image_input",
    "supports_prompt_cache_breakpoint",
    "supports_tool_search",
    "supports_url_context",
    "supports_web_search",
)


def declare() -> None:
    """Put every model of the catalogue into LiteLLM's map as it is known now, and rules for all other ids.

    What a user has put there under our names stays as it is.

    Raises:
        SettingsError: `MAAS_VND_PER_USD` is not a positive number.
    """
    with _lock:
        _fill(lasting=True)


def ensure_declared() -> None:
    """Declare our models again if LiteLLM's map was replaced; costs under a microsecond if it was not.

    Raises:
        SettingsError: `MAAS_VND_PER_USD` is not a positive number.
    """
    if litellm.model_cost.get(_ANY_MODEL) is _mark and _litellm_compat.has_rules():
        return
    # Whoever holds the lock is declaring.
    if _lock.acquire(blocking=False):
        try:
            _fill(lasting=False)
        finally:
            _lock.release()


def _fill(*, lasting: bool) -> None:
    global _mark  # noqa: PLW0603 - LiteLLM's map is a global too
    # The one that is marked must be the one that is filled, whoever replaces it meanwhile.
    model_map = litellm.model_cost
    entries = _entries(model_map)
    merged = {name: _merged(name, entry, model_map.get(name)) for name, entry in entries.items()}
    lacking = {name: entry for name, entry in merged.items() if model_map.get(name) != entry}
    had_rules = _litellm_compat.has_rules()
    if lasting or not had_rules:
        _litellm_compat.declare_rules(PROVIDER, _rules())
    if lacking or not had_rules:
        # Names that stand in the map already are looked up fast: LiteLLM lower-cases its whole map for each other one.
        model_map.update({name: dict(entry) for name, entry in lacking.items()})
        told = {name: entry for name, entry in lacking.items() if name != _ANY_MODEL}
        if lasting and told:
            # A proxy puts them into each map that it loads, and prices of the user's over them.
            litellm.register_model(told)
        else:
            # Registering any model empties LiteLLM's caches of look-ups.
            name = next(iter(entries))
            litellm.register_model({name: dict(model_map[name])}, persist_across_reloads=False)
    _declared.update(entries)
    _mark = model_map[_ANY_MODEL] = entries[_ANY_MODEL]


def _merged(name: str, entry: dict[str, Any], present: dict[str, Any] | None) -> dict[str, Any]:
    before = _declared.get(name, {})
    unset = object()
    own = {field: value for field, value in (present or {}).items() if before.get(field, unset) != value}
    return {**entry, **own}


def _entries(model_map: dict[str, Any]) -> dict[str, dict[str, Any]]:
    known = catalogue()
    rate = settings.vnd_per_usd() or price_book.official_prices().usd_rate.vnd_per_usd
    now = dt.datetime.now(dt.timezone.utc)
    # An id that LiteLLM knows as another provider's is answered by no rule.
    vendors = {model_id.partition("/")[0] for model_id in known.ids()}
    elsewhere = [name for name in model_map if name.partition("/")[0] in vendors]
    return {
        **{f"{PROVIDER}/{name}": _entry(known.model(name), now, rate) for name in (*known.ids(), *elsewhere)},
        _ANY_MODEL: {"litellm_provider": PROVIDER, **_capabilities(known.defaults())},
    }


def _rules() -> dict[str, dict[str, Any]]:
    """Return what holds for ids that no entry names, by regular expression; a later one wins."""
    known = catalogue()
    families = {translate(pattern): _capabilities(known.model(pattern)) for pattern in known.patterns()}
    return {"": _capabilities(known.defaults()), **families}


def _entry(model: Model, now: dt.datetime, vnd_per_usd: Decimal) -> dict[str, Any]:
    costs = _usd_costs(model, now, vnd_per_usd)
    return {"litellm_provider": PROVIDER, **_capabilities(model), **costs}


def _capabilities(model: Model) -> dict[str, Any]:
    """Return what LiteLLM's `supports_…` functions and `get_model_info` answer from."""
    chat = model.mode == "chat"
    sizes = {
        "max_tokens": model.max_output_tokens,
        "max_input_tokens": model.max_input_tokens,
        "max_output_tokens": model.max_output_tokens,
    }
    return {
        "mode": model.mode,
        **(sizes if chat else {}),
        **dict.fromkeys(_UNKNOWN, False),
        "supports_function_calling": chat and model.tools,
        "supports_parallel_function_calling": chat and model.tools,
        "supports_tool_choice": chat and model.tools,
        "supports_response_schema": chat and model.json_schema,
        "supports_system_messages": chat,
        "supports_native_streaming": chat,
        "supports_vision": chat and "image" in model.input,
        "supports_video_input": chat and "video" in model.input,
        "supports_pdf_input": chat and "file" in model.input,
        "supports_reasoning": chat and model.reasoning,
        # Whether reasoning_effort="none" becomes a switch of the family's.
        "supports_none_reasoning_effort": chat and model.reasoning and model.disable_reasoning is not None,
        "supports_prompt_caching": False,
    }


def _usd_costs(model: Model, now: dt.datetime, vnd_per_usd: Decimal) -> dict[str, Any]:
    """LiteLLM's cost fields. It and its users read them as US dollars; a model without a price gets none."""
    current = price_book.official_prices().price(model.id, now)
    if current is None or current.entry.input is None:
        return {}
    entry = current.entry
    # A cache price that is left out counts as 0 in LiteLLM; on the bill cached tokens then cost the input price.
    vnd = {
        "input_cost_per_token": entry.input,
        "output_cost_per_token": entry.output or Decimal(0),
        "cache_read_input_token_cost": entry.input if entry.cached is None else entry.cached,
    }
    dollars = {field: float(price / vnd_per_usd / _MILLION) for field, price in vnd.items() if price is not None}
    return {**dollars, "supports_prompt_caching": entry.cached is not None}
