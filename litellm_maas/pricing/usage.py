"""What the gateway says a call used: token counts, cleaned of nonsense before anything is priced.

Source of the fields: facts of the OpenAI protocol as the gateway speaks it. Cached tokens are a part of the input
tokens and reasoning tokens a part of the output tokens (vendor documentation, read 2026-10; the last is inferred).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

LARGEST_COUNT = 1_000_000_000
"""Tokens. A single call that claims more is not believed: no model reads or writes a billion tokens at once."""

_EXCEEDS = " exceed "
"""In the one kind of anomaly that leaves no doubt: a part is cut down to its whole."""

UsageSource = Literal["reported", "estimated", "none"]


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one call.

    Attributes:
        input_tokens: Tokens read, cached ones included.
        cached_tokens: The part of `input_tokens` that came from the gateway's cache.
        output_tokens: Tokens written, reasoning included.
        reasoning_tokens: The part of `output_tokens` that was reasoning.
        images: Images made.
        image_size: Their size as asked for, such as ``1024x1024``.
        image_quality: Their quality as asked for.
        source: Whether the gateway reported these counts, or they were estimated, or there are none.
        anomalies: What was wrong with the reported counts, in words; empty for a sound report.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    image_size: str | None = None
    image_quality: str | None = None
    source: UsageSource = "none"
    anomalies: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether the counts can be priced: not where one was nonsense, so that the true one is unknown."""
        return all(_EXCEEDS in anomaly for anomaly in self.anomalies)

    @classmethod
    def reported(cls, raw: object) -> Usage:
        """The usage object of a response, whatever the gateway put there.

        A count that cannot be one (negative, not a whole number, absurdly large) becomes 0 and an anomaly; a part
        larger than its whole is cut down to it and is an anomaly too. Nothing is ever raised.
        """
        if raw is None:
            return cls()
        if not isinstance(raw, Mapping):
            return cls(source="reported", anomalies=(f"usage is a {type(raw).__name__}, not an object",))
        found: list[str] = []
        input_tokens = _count(raw, "prompt_tokens", found)
        output_tokens = _count(raw, "completion_tokens", found)
        cached = _part(raw, ("prompt_tokens_details", "cached_tokens"), ("prompt_cache_hit_tokens",), found)
        reasoning = _part(raw, ("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",), found)
        if cached > input_tokens:
            found.append(f"{cached} cached{_EXCEEDS}{input_tokens} input tokens")
        if reasoning > output_tokens:
            found.append(f"{reasoning} reasoning{_EXCEEDS}{output_tokens} output tokens")
        return cls(
            input_tokens=input_tokens,
            cached_tokens=min(cached, input_tokens),
            output_tokens=output_tokens,
            reasoning_tokens=min(reasoning, output_tokens),
            source="reported",
            anomalies=tuple(found),
        )


def images(made: object, size: object, quality: object) -> Usage:
    """The usage of a reply with images.

    Args:
        made: The reply's list of images.
        size: The size that was asked for.
        quality: The quality that was asked for.
    """
    return Usage(
        images=len(made) if isinstance(made, list) else 0,
        image_size=size if isinstance(size, str) else None,
        image_quality=quality if isinstance(quality, str) else None,
        source="reported",
    )


_WRITTEN = (
    *("message", "content", "text", "reasoning_content", "reasoning", "tool_calls", "function", "name", "arguments"),
)


def characters(written: object) -> int:
    """Characters of the texts in messages, choices or an input. What a picture is encoded in is no text."""
    if isinstance(written, str):
        return len(written)
    if isinstance(written, Mapping):
        return sum(characters(written.get(name)) for name in _WRITTEN)
    return sum(map(characters, written)) if isinstance(written, (list, tuple)) else 0


def prompt_characters(body: Mapping[str, Any]) -> int:
    """Characters of what a request gives a model to read."""
    read = characters([body.get(name) for name in ("messages", "prompt", "input")])
    return read + (len(json.dumps(body["tools"], ensure_ascii=False, default=str)) if body.get("tools") else 0)


def estimated(written_for_input: int, output_characters: int, output_events: int) -> Usage:
    """The usage of a call whose report never came, from what went over the wire.

    A token is taken for four characters; where the gateway streamed in pieces of about that size, each piece is one.

    Args:
        written_for_input: Characters of the prompt.
        output_characters: Characters received.
        output_events: Pieces in which they came.
    """
    by_length = -(-output_characters // _CHARACTERS_PER_TOKEN)
    token_by_token = output_events * 2 * _CHARACTERS_PER_TOKEN >= output_characters
    return Usage(
        input_tokens=-(-written_for_input // _CHARACTERS_PER_TOKEN),
        output_tokens=output_events if token_by_token else by_length,
        source="estimated",
    )


_CHARACTERS_PER_TOKEN = 4


def for_litellm(raw: object) -> dict[str, Any] | None:
    """A usage object that `litellm.Usage` can be built from: every sound count of the gateway's, nothing else.

    None means that there was no usage, so LiteLLM makes its own estimate.
    """
    if raw is None:
        return None
    usage = Usage.reported(raw)
    fields = raw if isinstance(raw, Mapping) else {}
    sound: dict[str, Any] = _sound_counts(fields)
    for details in ("prompt_tokens_details", "completion_tokens_details"):
        if isinstance(fields.get(details), Mapping):
            sound[details] = _sound_counts(fields[details])
    if usage.anomalies:
        sound |= {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}
        sound["total_tokens"] = usage.input_tokens + usage.output_tokens
        sound["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
        sound["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return sound


def _sound_counts(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: int(value)
        for name, value in fields.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT
    }


def _part(raw: Mapping[str, Any], nested: tuple[str, str], flat: tuple[str], found: list[str]) -> int:
    details = raw.get(nested[0])
    if isinstance(details, Mapping) and details.get(nested[1]) is not None:
        return _count(details, nested[1], found)
    if details is not None and not isinstance(details, Mapping):
        found.append(f"{nested[0]} is a {type(details).__name__}, not an object")
    return _count(raw, flat[0], found)


def _count(raw: Mapping[str, Any], name: str, found: list[str]) -> int:
    value = raw.get(name)
    if value is None:
        return 0
    # JSON has no integer type: a whole number may arrive as 100.0. A boolean is not a count, though Python says so.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        # What kind of thing it is, and no text: that could be anybody's words.
        shown = str(value) if isinstance(value, (bool, float)) else f"a {type(value).__name__}"
        found.append(f"{name} is {shown}, not a whole number")
        return 0
    if not 0 <= value <= LARGEST_COUNT:
        found.append(f"{name} is {value if abs(value) < 10**20 else 'absurdly large'}, which no call can use")
        return 0
    return value
