# ruff: noqa: SLF001 PLC0415 - private names, some of which only some versions of LiteLLM have
"""LiteLLM's private names that this package cannot do without, all of them, each with what happens when it is gone.

`tests/contract` checks them one by one against the installed LiteLLM. Nothing here replaces a function or a class of
LiteLLM; two of its tables get an entry each.
"""

from __future__ import annotations

import logging
import sys
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import litellm

from litellm_maas.catalogue import catalogue

logger = logging.getLogger("litellm_maas")

REASONING_PARAMS = ("reasoning_effort", "thinking", "verbosity", "user")
"""Chat parameters that the gateway takes and that LiteLLM does not believe of a custom provider."""


def declare_reasoning_params(provider: str) -> bool:
    """Let `reasoning_effort`, `thinking`, `verbosity` and `user` pass LiteLLM's parameter check for our models.

    LiteLLM offers no public place for this: a call must otherwise carry `allowed_openai_params`, and the one public
    hook that could add it exists for asynchronous calls only. What is touched is the entry for custom providers in
    LiteLLM's table of provider configurations. Models of other custom providers keep LiteLLM's own answer.

    Returns:
        Whether LiteLLM still has that table. If not, calls need `allowed_openai_params`, as LiteLLM's error says.
    """
    try:
        manager: Any = litellm.ProviderConfigManager
        if manager._PROVIDER_CONFIG_MAP is None:
            manager._PROVIDER_CONFIG_MAP = manager._build_provider_config_map()
        table = manager._PROVIDER_CONFIG_MAP
        table[litellm.LlmProviders.CUSTOM]
    except (AttributeError, KeyError) as error:
        logger.debug("LiteLLM moved its table of provider configurations (%r)", error)
        return False

    class MaasChatConfig(litellm.OpenAILikeChatConfig):
        """LiteLLM's configuration for OpenAI-like custom providers, plus what the gateway takes."""

        def get_supported_openai_params(self, model: str) -> list[str]:
            supported: list[str] = super().get_supported_openai_params(model)
            ours = all(item["provider"] == provider for item in litellm.custom_provider_map)
            if ours or catalogue().model(model).known:
                supported += [name for name in REASONING_PARAMS if name not in supported]
            return supported

    table[litellm.LlmProviders.CUSTOM] = (MaasChatConfig, False)
    return True


def original_kwargs(logging_obj: Any) -> dict[str, Any]:
    """Return the keyword arguments of a call as its caller gave them.

    LiteLLM withholds what it does not expect of a custom provider: `n`, `size` and `quality` of images, `dimensions`
    of embeddings. Its caching handler, which every call has, knows the arguments as they were.
    """
    caching_handler = getattr(logging_obj, "llm_caching_handler", None)
    found: dict[str, Any] = getattr(caching_handler, "request_kwargs", None) or {}
    return found


def came_with_usage(stream: object) -> bool | None:
    """Return whether a chunk of a stream that was read carried usage; None where that cannot be seen.

    LiteLLM counts for itself where none did, and its callbacks cannot tell the difference. Of an asynchronous stream it
    shows them nothing (measured on 1.108 and 1.110).
    """
    chunks = getattr(stream, "chunks", None)
    return any(getattr(chunk, "usage", None) is not None for chunk in chunks) if isinstance(chunks, list) else None


def has_callback(kind: type) -> bool:
    """Return whether an object of a class is a callback. LiteLLM copies `litellm.callbacks` into other lists."""
    return any(
        isinstance(registered, kind)
        for callbacks in (litellm.callbacks, litellm.success_callback)
        for registered in callbacks
    )


def dollar_price(model_id: str) -> tuple[Decimal, Decimal | None, Decimal] | None:
    """LiteLLM's own dollars per token of input, cached input and output; None where its map does not know the model."""
    for name in (model_id, model_id.rpartition("/")[2]):
        entry = litellm.model_cost.get(name)
        if entry is not None and entry.get("input_cost_per_token"):
            prices = [entry.get(f"{kind}_cost_per_token") for kind in ("input", "output")]
            cached = entry.get("cache_read_input_token_cost")
            plain, output = (Decimal(str(price or 0)) for price in prices)
            return plain, None if cached is None else Decimal(str(cached)), output
    return None


def proxy_router() -> litellm.Router | None:
    """Return the router of the proxy in this process, if any. Without it a proxy's fallbacks are unknown."""
    router: litellm.Router | None = getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)
    return router


def named_instance(name: str, config: Path) -> Any:
    """Resolve a dotted name in a proxy's config: an attribute of a module beside it, or of an installed one.

    Raises:
        Exception: It cannot be imported.
    """
    from litellm.proxy.types_utils.utils import get_instance_fn

    return get_instance_fn(name, config_file_path=str(config))


_rules: list[dict[str, Any]] = []


@cache
def _generalizations() -> Any:
    """LiteLLM's module of rules for models that its map does not name; None where it has none."""
    try:
        from litellm.litellm_core_utils import fallback_generalizations
    except ImportError as error:
        logger.debug("LiteLLM has no rules for unknown models (%r)", error)
        return None
    return fallback_generalizations


def declare_rules(provider: str, rules: dict[str, dict[str, Any]]) -> bool:
    """Give LiteLLM answers for ids of our provider that no entry of its model map names.

    Args:
        provider: The prefix.
        rules: What holds for ids that match a regular expression; where several match, the last one says it.

    Returns:
        Whether LiteLLM still has such rules. If not, unknown ids count as able to do nothing.
    """
    module = _generalizations()
    if module is None:
        return False
    name = f"{provider}-defaults"
    others = [rule for rule in module.get_fallback_generalization_rules() if rule.get("name") != name]
    _rules[:] = [
        {"name": name, "pattern": f"^{provider}/{pattern}", "model_info": info} for pattern, info in rules.items()
    ]
    module.set_fallback_generalizations([*others, *_rules])
    return True


def has_rules() -> bool:
    """Return whether the rules stand that `declare_rules` gave: LiteLLM forgets them whenever it loads its map."""
    module = _generalizations()
    if module is None:
        return True
    standing = module.get_fallback_generalization_rules()
    return bool(_rules and standing) and (standing[-1] is _rules[-1] or any(rule is _rules[-1] for rule in standing))
