"""Tell what a response that a caller holds has cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from litellm_maas.pricing.cost import CACHE_HIT, Cost
from litellm_maas.pricing.usage import Usage
from litellm_maas.runtime import runtime
from litellm_maas.tracking.event_builder import COST_PARAM, PROVIDER


def cost_of(response: object) -> Cost | None:
    """Return what a response has cost: its credits, micro-credits, price basis and usage.

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
    is_last = usage is not None and _field(response, "object") == "chat.completion.chunk"
    noted = hidden.get(COST_PARAM) if isinstance(hidden, Mapping) else None
    noted = noted or _field(_field(response if usage is None else usage, "prompt_tokens_details"), COST_PARAM)
    if is_last and isinstance(hidden, Mapping) and _is_repeated(hidden, noted):
        return CACHE_HIT
    remembered = runtime.tracker.cached_cost(_field(response, "id"))
    if isinstance(noted, Mapping):
        # First: ids of replies repeat.
        reported = Usage.from_response(_plain(response if usage is None else usage))
        source, anomalies = noted.get("usage_source", "reported"), tuple(noted.get("anomalies") or ())
        cost = Cost(noted["micro_credits"], noted["basis"], replace(reported, source=source, anomalies=anomalies))
        return remembered if remembered is not None and _is_same(remembered, cost) else cost
    # The last chunk that the provider sent has a note.
    return CACHE_HIT if is_last and remembered is not None and remembered.usage.source == "reported" else remembered


def _is_repeated(hidden: Mapping[str, Any], noted: object) -> bool:
    """Return whether LiteLLM's cache repeats a stream, which it does without a word.

    What it repeats names no provider if it is synchronous (measured on 1.106 and 1.108); from 1.108 on it has the note
    on it, as JSON.
    """
    through_json = isinstance(noted, Mapping) and isinstance(noted.get("anomalies"), list)
    return through_json or hidden.get("custom_llm_provider", PROVIDER) is None


def _is_same(one: Cost, other: Cost) -> bool:
    """Return whether two costs are of one reply, as far as one can see; the remembered one knows more of it."""
    counts = [(each.usage.input_tokens, each.usage.output_tokens) for each in (one, other)]
    is_reported = one.usage.source == "reported" and not one.usage.images
    return (one.micro_credits, one.basis) == (other.micro_credits, other.basis) and (
        not is_reported or counts[0] == counts[1]
    )


def _plain(usage: object) -> object:
    return usage.model_dump() if isinstance(usage, BaseModel) else usage


def _field(holder: object, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
