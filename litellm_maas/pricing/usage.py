"""Read what the gateway says a call used: token counts, cleaned of nonsense before anything is priced.

Source of the fields: facts of the OpenAI protocol as the gateway speaks it. Cached tokens are a part of the input
tokens and reasoning tokens a part of the output tokens (vendor documentation, read 2026-10; the last is inferred).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

LARGEST_COUNT = 1_000_000_000
"""Tokens. A single call that claims more is not believed: no model reads or writes a billion tokens at once."""

_INPUT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
_REASONING = ("reasoning_tokens",)
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
"""The spellings of one count, in the order in which they are looked for: OpenAI's, then Moonshot's, DeepSeek's,
Anthropic's and those of the Responses protocol. From users' reports (read 2026-11) and memory, not from a document."""

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
    def is_priceable(self) -> bool:
        """Return whether the counts can be priced: not where they contradict themselves."""
        return not self.anomalies

    @classmethod
    def from_response(cls, raw: object) -> Usage:
        """Read the usage object of a response, whatever the gateway put there.

        A count that cannot be one (negative, not a whole number, absurdly large) becomes 0 and an anomaly. Where the
        total says that a part is counted beside its whole, as Gemini's reasoning is, it is added; where total and parts
        contradict each other, that is an anomaly. Nothing is ever raised.
        """
        if raw is None:
            return cls()
        if not isinstance(raw, Mapping):
            return cls(source="reported", anomalies=(f"usage is a {type(raw).__name__}, not an object",))
        found: list[str] = []
        read = _Counts(
            _count(raw, _INPUT, found),
            _part(raw, _INPUT_DETAILS, _CACHED, found),
            _count(raw, _OUTPUT, found),
            _part(raw, _OUTPUT_DETAILS, _REASONING, found),
        )
        if _is_anthropics(raw):
            # There the cached tokens stand beside the input tokens.
            read.input += read.cached + _count(raw, ("cache_creation_input_tokens",), found)
        read.follow(_count(raw, ("total_tokens",), found), found)
        return cls(
            input_tokens=read.input,
            cached_tokens=min(read.cached, read.input),
            output_tokens=read.output,
            reasoning_tokens=min(read.reasoning, read.output),
            source="reported",
            anomalies=tuple(found),
        )


@dataclass(slots=True)
class _Counts:
    """Counts as they are written."""

    input: int
    cached: int
    output: int
    reasoning: int

    def follow(self, total: int, found: list[str]) -> None:
        """Add the parts that the total says are counted beside their wholes, and note what contradicts it."""
        beside = total - self.input - self.output
        if total and beside:
            for cached, reasoning in ((0, self.reasoning), (self.cached, 0), (self.cached, self.reasoning)):
                if beside == cached + reasoning:
                    self.input += cached
                    self.output += reasoning
                    break
            else:
                found.append(f"total_tokens is {total}, input and output are {self.input} and {self.output}")
        if self.cached > self.input:
            found.append(f"{self.cached} cached of {self.input} input tokens")
        if self.reasoning > self.output and not total:
            found.append(f"{self.reasoning} reasoning of {self.output} output tokens")


def _is_anthropics(raw: Mapping[str, Any]) -> bool:
    return raw.get("prompt_tokens") is None and raw.get("cache_read_input_tokens") is not None


def has_counts(raw: object) -> bool:
    """Return whether a usage object says anything: some upstreams send one of zeros with every event."""
    if not isinstance(raw, Mapping):
        return raw is not None
    return any(raw.get(name) not in (None, 0) for name in (*_INPUT, *_OUTPUT))


def usage_in(payload: Mapping[str, Any]) -> Any:
    """Return the usage object of a reply or of an event; None where there is none.

    Moonshot's streams have it in the first choice (users' reports, 2026).
    """
    usage, choices = payload.get("usage"), payload.get("choices")
    if not has_counts(usage) and isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        inner = choices[0].get("usage")
        return inner if has_counts(inner) else usage
    return usage


def of_embeddings(raw: object) -> object:
    """Return the usage object of embeddings, in which a total alone is what was read."""
    if isinstance(raw, Mapping) and not has_counts(raw) and raw.get("total_tokens"):
        return {**raw, "prompt_tokens": raw["total_tokens"]}
    return raw


def of_reply(raw: object, prompt: Callable[[], int], written: Callable[[], int], pieces: int = 0) -> Usage:
    """Return the usage of a call that was answered: as reported, where the report can be true, else as estimated.

    Args:
        raw: The usage object; None where there is none.
        prompt: Counts the characters that the model was given to read; called only where the report leaves it open.
        written: Counts the characters that it wrote; the same.
        pieces: Events in which they came; 0 where they did not come in events.
    """
    if not has_counts(raw):
        return estimate(prompt(), written(), pieces)
    usage = Usage.from_response(raw)
    if usage.anomalies:
        return usage
    if not usage.input_tokens and prompt():
        return replace(usage, anomalies=("no input tokens, though something was sent",))
    if not usage.output_tokens and written():
        return replace(usage, anomalies=("no output tokens, though something was written",))
    return usage


def images(made: object, said: Mapping[str, Any], asked: Mapping[str, Any]) -> Usage:
    """Return the usage of a reply with images.

    Args:
        made: The reply's list of images.
        said: What the reply says of them: `size` and `quality`.
        asked: What was asked for, which counts where the reply says nothing.
    """
    size, quality = (
        next((value for value in (said.get(name), asked.get(name)) if isinstance(value, str) and value), None)
        for name in ("size", "quality")
    )
    return Usage(
        images=len(made) if isinstance(made, list) else 0, image_size=size, image_quality=quality, source="reported"
    )


_WRITTEN = (
    *("message", "content", "text", "reasoning_content", "reasoning", "refusal", "thinking"),
    *("tool_calls", "function_call", "function", "custom", "name", "arguments", "input", "audio", "transcript"),
)


def characters(written: object) -> int:
    """Count the characters of the texts in messages, choices or an input. What a picture is encoded in is no text."""
    if isinstance(written, str):
        return len(written)
    if isinstance(written, int) and not isinstance(written, bool):
        return _CHARACTERS_PER_TOKEN  # an input may be given as tokens
    if isinstance(written, Mapping):
        return sum(characters(written.get(name)) for name in _WRITTEN)
    return sum(map(characters, written)) if isinstance(written, (list, tuple)) else 0


def prompt_characters(body: Mapping[str, Any]) -> int:
    """Count the characters of what a request gives a model to read: messages, tools and schemas."""
    read = characters([body.get(name) for name in ("messages", "prompt", "input")])
    formats = body.get("response_format")
    schema = formats.get("json_schema") if isinstance(formats, Mapping) else None
    return read + sum(
        len(json.dumps(each, ensure_ascii=False, default=str))
        for each in (body.get("tools"), body.get("functions"), schema)
        if each
    )


def estimate(written_for_input: int, output_characters: int, output_events: int) -> Usage:
    """Return the usage of a call whose report never came, from what went over the wire.

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
        # A call that was answered used something, if only a picture.
        anomalies=() if written_for_input or output_characters else ("nothing to estimate from",),
    )


_CHARACTERS_PER_TOKEN = 4


def to_litellm_usage(raw: object) -> dict[str, Any] | None:
    """Return a usage object that `litellm.Usage` can be built from: the gateway's own counts, as far as they are sound.

    None means that there was no usage, so LiteLLM makes its own estimate. A `cost` is left out: LiteLLM would take it
    for dollars, whatever the gateway means by it.
    """
    if not has_counts(raw):
        return None
    usage, fields = Usage.from_response(raw), raw if isinstance(raw, Mapping) else {}
    sound: dict[str, Any] = _numbers(fields)
    for details in (_INPUT_DETAILS[0], _OUTPUT_DETAILS[0]):
        sound.pop(details, None)
        if isinstance(fields.get(details), Mapping):
            sound[details] = _numbers(fields[details])
    sound.setdefault("prompt_tokens", usage.input_tokens)
    sound.setdefault("completion_tokens", usage.output_tokens)
    sound.setdefault("total_tokens", sound["prompt_tokens"] + sound["completion_tokens"])
    if usage.cached_tokens:
        sound.setdefault("prompt_tokens_details", {}).setdefault("cached_tokens", usage.cached_tokens)
    if usage.reasoning_tokens:
        sound.setdefault("completion_tokens_details", {}).setdefault("reasoning_tokens", usage.reasoning_tokens)
    return sound


def _numbers(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in fields.items()
        if isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 <= value <= LARGEST_COUNT
        and "cost" not in name
        and (isinstance(value, int) or value.is_integer() or not name.endswith("_tokens"))
    }


def _part(raw: Mapping[str, Any], places: tuple[str, ...], names: tuple[str, ...], found: list[str]) -> int:
    for place in places:
        details = raw.get(place)
        if isinstance(details, Mapping) and any(details.get(name) is not None for name in names):
            return _count(details, names, found)
        if details is not None and not isinstance(details, Mapping):
            found.append(f"{place} is a {type(details).__name__}, not an object")
    return _count(raw, names, found)


def _count(raw: Mapping[str, Any], names: tuple[str, ...], found: list[str]) -> int:
    # Some fill the names that they do not use with zeros, and so does LiteLLM.
    said = [name for name in names if raw.get(name) is not None]
    name = next((name for name in said if raw[name] != 0), next(iter(said), None))
    if name is None:
        return 0
    value = raw[name]
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
