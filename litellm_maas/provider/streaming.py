"""Decode the gateway's event stream into LiteLLM's chunks, with the usage kept exact.

LiteLLM's stream wrapper, given chunks by a custom provider, stops listening at the first chunk with a finish reason
and looks at the first choice only (measured on 1.106). So the finish reason of choice 0 is held back until the stream
has ended and travels in one last generic chunk together with the gateway's own usage; and what belongs to another
choice rides behind an empty delta of choice 0.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from litellm.types.utils import Delta, ModelResponseStream, StreamingChoices
from pydantic import ValidationError

from litellm_maas.errors import GatewayError
from litellm_maas.gateway import error_response
from litellm_maas.gateway.finish_reasons import FAILED, finish_reason
from litellm_maas.gateway.request import GatewayRequest
from litellm_maas.gateway.sse import SSEDecoder
from litellm_maas.pricing.usage import has_counts, to_litellm_usage, usage_in
from litellm_maas.provider import messages
from litellm_maas.provider.thinking import ThinkSplitter
from litellm_maas.provider.tool_calls import ToolCallNumbers

Chunk = ModelResponseStream | dict[str, Any]
"""What LiteLLM takes from a custom provider: its own object, and at the end a dictionary."""

MALFORMED = (ValidationError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What reading a reply of the wrong shape, and building one of LiteLLM's objects out of it, raises."""

_NOTHING = (b"", b"null", b'""', b"{}", b"[]")
_DONE = b"[DONE]"


@dataclass(slots=True)
class _ChoiceState:
    """What has come of a choice so far."""

    thinking: ThinkSplitter = field(default_factory=ThinkSplitter)
    calls: ToolCallNumbers = field(default_factory=ToolCallNumbers)
    finish_reason: str | None = None
    has_content: bool = False


class StreamDecoder:
    """Decode the bytes of one streamed chat completion into LiteLLM's chunks.

    What was decoded before something bad is handed out before the error is raised, however the bytes were cut; and
    once the answer is complete, nothing that follows it is an error.

    Attributes:
        usage: The usage as the gateway reported it last; None until it does.
        response_id: The gateway's id of the reply; None until it is known.
        delta_count: Events that carried a part of the answer so far.
        output_chars: The length of the answer so far, reasoning and tool calls included.
        is_over: Whether the gateway has said that nothing more comes.
    """

    def __init__(self, request: GatewayRequest) -> None:
        self._request = request
        self._events = SSEDecoder()
        self._before_events: list[bytes] | None = []
        self._choices: dict[int, _ChoiceState] = {}
        self._numbers: dict[int, int] = {}
        self._expected = _whole((request.body or {}).get("n")) or 1
        self._created = 0
        self.is_over = False
        self.usage: Any = None
        self.response_id: str | None = None
        self.delta_count = 0
        self.output_chars = 0

    def feed(self, received: bytes) -> Iterator[ModelResponseStream]:
        """Yield the chunks that are complete now.

        Raises:
            GatewayError: The gateway reports an error inside the stream, or sends what cannot be read.
        """
        if self._before_events is not None:
            self._before_events.append(received)
        # At once: a caller may drop the stream at the first chunk, and what has come is used all the same.
        decoded: list[ModelResponseStream] = []
        try:
            decoded.extend(self._chunks(self._events.feed(received)))
        except GatewayError as error:
            return _raising_after(decoded, error)
        return iter(decoded)

    def finish(self) -> Iterator[ModelResponseStream]:
        """Yield what was held back until the stream's end, but for its `last` chunk.

        Raises:
            GatewayError: The stream ended before the answer did.
        """
        yield from self._chunks(self._events.end())
        if self._before_events:
            yield from self._chunks_of_plain_reply(b"".join(self._before_events))
        yield from self._held_back()
        if not self.is_complete:
            raise GatewayError(error_response.incomplete_stream(self._request))

    def last(self) -> dict[str, Any]:
        """Return the chunk that ends a stream whose answer is complete."""
        first = self._choices.get(0)
        return {
            "text": "",
            "tool_use": None,
            "is_finished": True,
            "finish_reason": (first and first.finish_reason) or "stop",
            "usage": to_litellm_usage(self.usage),
            "index": 0,
        }

    @property
    def is_complete(self) -> bool:
        """Return whether the answer is complete, whatever may still come after it."""
        if self.is_over:
            return True
        finished = [state.finish_reason is not None for state in self._choices.values()]
        return len(finished) >= self._expected and all(finished)

    def _chunks(self, events: list[bytes]) -> Iterator[ModelResponseStream]:
        if events:
            self._before_events = None
        for data in events:
            try:
                yield from self._chunks_of(data)
            except GatewayError:  # noqa: PERF203 - what follows it may be whole
                if not self.is_complete:
                    raise

    def _chunks_of(self, data: bytes) -> Iterator[ModelResponseStream]:
        data = data.strip()
        if data in _NOTHING:
            return
        if data.startswith(_DONE):
            self.is_over = True
            return
        yield from self._of_event(self._parsed(data), data)

    def _chunks_of_plain_reply(self, body: bytes) -> Iterator[ModelResponseStream]:
        """Yield the chunks of a plain reply, or raise its error: the gateway cannot stream everything."""
        if body.strip():
            yield from self._of_event(self._parsed(body), body)

    def _parsed(self, data: bytes) -> dict[str, Any]:
        event = parsed(data)
        if (failure := error_response.of_payload(self._request, event)) is not None:
            if isinstance(event, Mapping):
                self._note(event)
            raise GatewayError(failure)
        if not isinstance(event, dict):
            raise GatewayError(error_response.invalid_response(self._request, data))
        return event

    def _note(self, event: Mapping[str, Any]) -> None:
        if (usage := usage_in(event)) is not None and (self.usage is None or has_counts(usage)):
            self.usage = usage
        if self.response_id is None and isinstance(event.get("id"), str):
            self.response_id = event["id"]

    def _of_event(self, event: dict[str, Any], data: bytes) -> Iterator[ModelResponseStream]:
        self._note(event)
        try:
            given = [choice for choice in event.get("choices") or () if isinstance(choice, dict)]
            kept = [found for choice in given if (found := self._choice(choice)) is not None]
            extra = others(event)
            if kept or extra:
                if not kept or kept[0].index != 0:
                    kept.insert(0, StreamingChoices(index=0, delta=Delta()))
                yield ModelResponseStream(
                    choices=kept, created=self._moment(), **common_fields(self._request, event), **extra
                )
        except MALFORMED:
            raise GatewayError(error_response.invalid_response(self._request, data)) from None
        for choice in given:
            if (failure := error_response.of_choice(self._request, choice)) is not None:
                raise GatewayError(failure)

    def _moment(self) -> int:
        # Of the first chunk, for all: LiteLLM's wrapper does the same with those that it makes itself, and never looks
        # at the gateway's (measured on 1.106 and 1.110).
        self._created = self._created or int(time.time())
        return self._created

    def _number(self, choice: Mapping[str, Any]) -> int:
        given = _whole(choice.get("index")) or 0
        if self._expected > 1:
            return given
        # Whoever asked for one choice looks at number 0, whatever an upstream begins to count with.
        return self._numbers.setdefault(given, len(self._numbers))

    def _choice(self, choice: dict[str, Any]) -> StreamingChoices | None:
        index = self._number(choice)
        state = self._choices.setdefault(index, _ChoiceState())
        delta = self._delta(choice, state)
        reason = finish_reason(choice.get("finish_reason"), has_tool_calls=bool(state.calls))
        if reason in FAILED or state.finish_reason is not None:
            reason = None  # an error of its own; or the second one, and the first counts
        state.finish_reason = state.finish_reason or reason
        extra = messages.others_of_choice(choice)
        if index == 0:
            reason = None
        if not messages.has_content(delta) and reason is None and not extra and choice.get("finish_reason"):
            return None
        return StreamingChoices(
            index=index, delta=Delta(**delta), finish_reason=reason, logprobs=choice.get("logprobs"), **extra
        )

    def _delta(self, choice: Mapping[str, Any], state: _ChoiceState) -> dict[str, Any]:
        is_repeated = state.has_content and not isinstance(choice.get("delta"), Mapping)
        delta = (None if is_repeated else messages.fields_of(choice, "delta")) or {}
        if length := messages.length(delta):
            self.delta_count += 1
            self.output_chars += length
        if delta.get("reasoning_content"):
            state.thinking.stop()
        if isinstance(content := delta.get("content"), str):
            thought, delta["content"] = state.thinking.feed(content)
            if thought:
                delta["reasoning_content"] = (delta.get("reasoning_content") or "") + thought
        if delta.get("tool_calls"):
            delta["tool_calls"] = [state.calls.number(call) for call in delta["tool_calls"]]
        state.has_content = state.has_content or messages.has_content(delta)
        return delta

    def _held_back(self) -> Iterator[ModelResponseStream]:
        """Yield what could still have become a tag, and did not."""
        for index, state in self._choices.items():
            thought, text = state.thinking.end()
            if thought or text:
                delta = Delta(content=text or None, reasoning_content=thought or None)
                choices = [StreamingChoices(index=index, delta=delta)]
                if index != 0:
                    choices.insert(0, StreamingChoices(index=0, delta=Delta()))
                yield ModelResponseStream(choices=choices, created=self._moment(), **common_fields(self._request, {}))


def _raising_after(decoded: list[ModelResponseStream], error: GatewayError) -> Iterator[ModelResponseStream]:
    yield from decoded
    raise error


_EVENT = frozenset(
    {
        *(
            "id",
            "object",
            "created",
            "model",
            "choices",
            "data",
            "usage",
            "system_fingerprint",
            "service_tier",
            "error",
        ),
        "cost",  # LiteLLM would take it for dollars
        *("stream", "stream_options", "response_ms", "hidden_params"),  # mean something else to LiteLLM's constructors
    }
)


def parsed(data: bytes) -> Any:
    """Return what stands in a reply's or an event's JSON; None where it is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def common_fields(request: GatewayRequest, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a reply or an event that say something about all of its choices, but for its time.

    The model is the id that was asked for: LiteLLM looks up its cost by it, and a gateway may echo another name.
    """
    texts = ("id", "system_fingerprint", "service_tier")
    return {"model": request.model, **{name: event[name] for name in texts if isinstance(event.get(name), str)}}


def others(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a reply or an event that the protocol does not know, such as `citations`."""
    names = event.keys() - _EVENT
    return {name: event[name] for name in names if event[name] and name.isidentifier() and name[0] != "_"}


def created(event: Mapping[str, Any]) -> dict[str, int]:
    """Return the field `created` of a reply, if it has one that can be read."""
    moment = _whole(event.get("created"))
    return {} if moment is None else {"created": moment}


def _whole(value: object) -> int | None:
    """Parse a whole number, also from a text or a fraction."""
    try:
        return int(float(value)) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None
