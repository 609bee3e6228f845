"""The gateway's event stream -> LiteLLM's chunks, with the usage kept exact.

LiteLLM's stream wrapper, given chunks by a custom provider, stops listening at the first chunk with a finish reason
and looks at the first choice only (measured on 1.106). So the finish reason of choice 0 is held back until the stream
has ended and travels in one last generic chunk together with the gateway's own usage; and what belongs to another
choice rides behind an empty delta of choice 0.
"""

from __future__ import annotations

import json
from typing import Any

from litellm.types.utils import Delta, ModelResponseStream, StreamingChoices
from pydantic import ValidationError

from litellm_maas.pricing.usage import for_litellm
from litellm_maas.wire import failures
from litellm_maas.wire.events import EventDecoder
from litellm_maas.wire.failures import GatewayError
from litellm_maas.wire.requests import WireRequest

Chunk = ModelResponseStream | dict[str, Any]

MALFORMED = (ValidationError, TypeError, ValueError, AttributeError)
"""What building a LiteLLM object out of a reply of the wrong shape raises."""


class StreamDecoder:
    """Turns the bytes of one streamed chat completion into LiteLLM's chunks.

    Attributes:
        usage: The usage as the gateway reported it last; None until it does.
        response_id: The gateway's id of the reply; None until it is known.
        pieces: Events that carried a part of the answer so far.
        characters: The length of the answer so far, reasoning and tool calls included.
    """

    def __init__(self, request: WireRequest) -> None:
        self._request = request
        self._events = EventDecoder()
        self._before_events: list[bytes] | None = []
        self._finish_reason: str | None = None
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._done = False
        self.usage: Any = None
        self.response_id: str | None = None
        self.pieces = 0
        self.characters = 0

    def feed(self, received: bytes) -> list[Chunk]:
        """The chunks that are complete now.

        Raises:
            GatewayError: The gateway reports an error inside the stream, or sends what cannot be read.
        """
        if self._before_events is not None:
            self._before_events.append(received)
        return self._chunks(self._events.feed(received))

    def finish(self) -> list[Chunk]:
        """The chunks that end the stream.

        Raises:
            GatewayError: The stream ended before the answer did.
        """
        chunks = self._chunks(self._events.end())
        if self._before_events:
            chunks = self._chunks_of_plain_reply(b"".join(self._before_events))
        if not self.answered:
            raise GatewayError(failures.cut_short(self._request))
        last: Chunk = {
            "text": "",
            "tool_use": None,
            "is_finished": True,
            "finish_reason": self._finish_reason or "stop",
            "usage": for_litellm(self.usage),
            "index": 0,
        }
        return [*chunks, last]

    @property
    def answered(self) -> bool:
        """Whether the answer is complete, whatever may still come after it."""
        return self._done or (bool(self._seen) and self._seen == self._finished)

    def _chunks(self, events: list[bytes]) -> list[Chunk]:
        if events:
            self._before_events = None
        return [chunk for data in events if (chunk := self._chunk(data)) is not None]

    def _chunks_of_plain_reply(self, body: bytes) -> list[Chunk]:
        """A gateway that cannot stream a reply answers with a plain one, or with a plain error."""
        if not body.strip():
            return []
        reply = self._event(body)
        for choice in reply.get("choices") or ():
            if isinstance(choice, dict):
                choice["delta"] = choice.pop("message", None)
        chunk = self._of_event(reply)
        return [] if chunk is None else [chunk]

    def _chunk(self, data: bytes) -> Chunk | None:
        if data == b"[DONE]":
            self._done = True
            return None
        return self._of_event(self._event(data))

    def _event(self, data: bytes) -> dict[str, Any]:
        try:
            event = json.loads(data)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise GatewayError(failures.unreadable(self._request, data))
        if event.get("error") or ("choices" not in event and "message" in event):
            raise GatewayError(failures.from_error_object(self._request, event.get("error") or event))
        return event

    def _of_event(self, event: dict[str, Any]) -> ModelResponseStream | None:
        if event.get("usage") is not None:
            self.usage = event["usage"]
        if self.response_id is None and isinstance(event.get("id"), str):
            self.response_id = event["id"]
        try:
            choices = [self._choice(choice) for choice in event.get("choices") or () if isinstance(choice, dict)]
            kept = [choice for choice in choices if choice is not None]
            if not kept:
                return None
            if kept[0].index != 0:
                kept.insert(0, StreamingChoices(index=0, delta=Delta()))
            return ModelResponseStream(choices=kept, **about(self._request, event))
        except MALFORMED:
            raise GatewayError(failures.unreadable(self._request, json.dumps(event).encode())) from None

    def _choice(self, choice: dict[str, Any]) -> StreamingChoices | None:
        index = choice.get("index") or 0
        # Some upstreams write an empty one with every delta.
        finish_reason = choice.get("finish_reason") or None
        self._seen.add(index)
        if finish_reason is not None:
            self._finished.add(index)
        delta = with_reasoning_content(choice.get("delta") or {})
        if length := _length(delta):
            self.pieces += 1
            self.characters += length
        if finish_reason is not None and index == 0:
            self._finish_reason, finish_reason = str(finish_reason), None
            if not any(delta.get(name) for name in _CONTENT):
                return None
        return StreamingChoices(
            index=index, delta=Delta(**delta), finish_reason=finish_reason, logprobs=choice.get("logprobs")
        )


def _length(delta: dict[str, Any]) -> int:
    """Characters of the answer in a delta."""
    length = len(delta.get("content") or "") + len(delta.get("reasoning_content") or "")
    for call in delta.get("tool_calls") or ():
        function = call.get("function") or {}
        length += len(function.get("name") or "") + len(function.get("arguments") or "")
    return length


def about(request: WireRequest, event: dict[str, Any]) -> dict[str, Any]:
    """The fields of a reply or an event that say something about all of its choices.

    The model is the id that was asked for: LiteLLM looks up its cost by it, and a gateway may echo another name.
    """
    texts = ("id", "system_fingerprint", "service_tier")
    found: dict[str, Any] = {name: event[name] for name in texts if isinstance(event.get(name), str)}
    if isinstance(created := event.get("created"), (int, float)):
        found["created"] = int(created)
    return {"model": request.model, **found}


def with_reasoning_content(message: dict[str, Any]) -> dict[str, Any]:
    """A message or delta whose reasoning stands where LiteLLM looks for it: some upstreams call it `reasoning`."""
    reasoning = message.pop("reasoning", None)
    if reasoning and not message.get("reasoning_content"):
        message["reasoning_content"] = reasoning
    return message


_CONTENT = ("content", "reasoning_content", "tool_calls", "function_call", "refusal", "audio", "images")
