"""Estimate the maximum cost of a request: what a budget reserves while the call is in flight."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from litellm_maas.ledger.event import Operation
from litellm_maas.pricing.cost import BillingMode, cost
from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.pricing.usage import Usage

DEFAULT_MAX_OUTPUT_TOKENS = 4096
"""What a call without `max_tokens` is taken to write at most. A thinking model can write more: give it `max_tokens`."""

_TOKENS_PER_MEDIUM = 3000
"""What an image, a sound or a page that stands in a message is taken to be. Nothing official says it (read 2026-10)."""

_TOKENS_PER_PART = 8
"""What a message or a part of one takes beside its text: markers of roles and turns."""

_MEDIA = ("image_url", "input_audio", "file", "video_url")
"""Where a part of a message holds one, encoded or by its address."""

_READ_AS_TEXT = ("tools", "functions", "response_format")
"""What a model reads as JSON, keys and all."""


def estimate_max_cost(
    model: str, operation: Operation, body: Mapping[str, Any], billing_mode: BillingMode, book: PriceBook
) -> int | None:
    """Return the maximum cost of a request, in micro-credits; None where no price is known.

    A token stands for a byte at least, so there are at most as many input tokens as bytes of text.

    Args:
        model: The model id.
        operation: What is asked for.
        body: The request.
        billing_mode: Where it goes.
        book: The current prices.
    """
    now = dt.datetime.now(dt.timezone.utc)
    if operation == "image":
        usage = Usage(images=_count(body.get("n"), 1), image_size=body.get("size"), image_quality=body.get("quality"))
        return cost(model, usage, now, billing_mode, book).micro_credits
    read = _tokens([body.get(name) for name in ("messages", "prompt", "input")])
    read += sum(
        _bytes(json.dumps(body[name], ensure_ascii=False, default=str)) for name in _READ_AS_TEXT if body.get(name)
    )
    written = 0 if operation == "embedding" else _output(body)
    # There is a model whose cached tokens cost more than others.
    each = [cost(model, Usage(read, cached, written), now, billing_mode, book).micro_credits for cached in (0, read)]
    return max((most for most in each if most is not None), default=None)


def _tokens(part: object) -> int:
    """Tokens at most of a text, or of everything in a message."""
    if isinstance(part, str):
        return _bytes(part)
    if isinstance(part, Mapping):
        media = [name for name in _MEDIA if name in part]
        texts = (value for name, value in part.items() if name not in media)
        return _TOKENS_PER_PART + _TOKENS_PER_MEDIUM * len(media) + sum(map(_tokens, texts))
    if isinstance(part, (list, tuple)):
        return sum(map(_tokens, part))
    return 0 if part is None else _TOKENS_PER_PART


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _output(body: Mapping[str, Any]) -> int:
    asked = [_count(body.get(name), 0) for name in ("max_tokens", "max_completion_tokens")]
    return (max(asked) or DEFAULT_MAX_OUTPUT_TOKENS) * _count(body.get("n"), 1)


def _count(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else otherwise
