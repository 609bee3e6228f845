"""What a response that a caller holds has cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from litellm_maas.pricing.usage import Usage
from litellm_maas.spend.meter import COST_PARAM, Cost
from litellm_maas.spend.tracking import tracking


def cost_of(response: object) -> Cost | None:
    """What a response has cost: its credits, micro-credits, price basis and usage.

    Args:
        response: A response of a `maas/` call, the last chunk of a stream, what `litellm.stream_chunk_builder` made of
            its chunks, or a `Usage` of one of them.

    Returns:
        None for anything that is not known to be an answer of the gateway.
    """
    remembered = tracking.remembered(_field(response, "id"))
    if remembered is not None:
        return remembered
    hidden = getattr(response, "_hidden_params", None)
    usage = _field(response, "usage")
    if usage is None and isinstance(hidden, Mapping):
        usage = hidden.get("usage")
    noted = hidden.get(COST_PARAM) if isinstance(hidden, Mapping) else None
    noted = noted or _field(_field(response if usage is None else usage, "prompt_tokens_details"), COST_PARAM)
    if not isinstance(noted, Mapping):
        return None
    reported = response if usage is None else usage
    plain = reported.model_dump() if isinstance(reported, BaseModel) else reported
    return Cost(noted["micro_credits"], noted["basis"], Usage.reported(plain))


def _field(holder: object, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
