"""What a response that a caller holds has cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from litellm_maas.pricing.usage import Usage
from litellm_maas.spend.meter import CACHE_HIT, COST_PARAM, Cost
from litellm_maas.spend.tracking import tracking


def cost_of(response: object) -> Cost | None:
    """What a response has cost: its credits, micro-credits, price basis and usage.

    Args:
        response: A response of a `maas/` call, the last chunk of a stream, what `litellm.stream_chunk_builder` made of
            its chunks, or a `Usage` of one of them.

    Returns:
        None for anything that is not known to be an answer of the gateway.
    """
    hidden = getattr(response, "_hidden_params", None)
    if isinstance(hidden, Mapping) and hidden.get("cache_hit") is True:
        # It has the id, the tokens and even the cost of the response that it repeats.
        return CACHE_HIT
    usage = _field(response, "usage")
    if usage is None and isinstance(hidden, Mapping):
        usage = hidden.get("usage")
    noted = hidden.get(COST_PARAM) if isinstance(hidden, Mapping) else None
    noted = noted or _field(_field(response if usage is None else usage, "prompt_tokens_details"), COST_PARAM)
    remembered = tracking.remembered(_field(response, "id"))
    if remembered is not None:
        # LiteLLM's cache repeats a stream without a word; but the last chunk that the provider sent has a note.
        is_last = usage is not None and _field(response, "object") == "chat.completion.chunk"
        return CACHE_HIT if is_last and noted is None and remembered.usage.source == "reported" else remembered
    if not isinstance(noted, Mapping):
        return None
    reported = response if usage is None else usage
    plain = reported.model_dump() if isinstance(reported, BaseModel) else reported
    return Cost(noted["micro_credits"], noted["basis"], Usage.reported(plain))


def _field(holder: object, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
