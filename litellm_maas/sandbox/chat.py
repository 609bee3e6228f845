"""Answers in the wire format of chat completions and of legacy completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from litellm_maas.sandbox import tokens
from litellm_maas.sandbox.scripted import Answer, Choice

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer on its way out: who asked for what, and under which id it leaves."""

    response_id: str
    created: int
    model: str
    answer: Answer
    request: Mapping[str, Any]

    @property
    def head(self) -> dict[str, Any]:
        """Return the fields that every object of the reply carries."""
        return {"id": self.response_id, "created": self.created, "model": self.model}


def usage(answer: Answer) -> Any:
    """Return the usage object of an answer."""
    if answer.usage is not None:
        return answer.usage or None
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": (answer.input_tokens or 0) + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    }


def reply(served: Completion) -> dict[str, Any]:
    """Return the plain reply to a chat request."""
    return {
        **served.head,
        "object": "chat.completion",
        "system_fingerprint": "fp_sandbox",
        "choices": [_choice(served, index, choice) for index, choice in enumerate(served.answer.choices)],
        "usage": usage(served.answer),
    }


def events(served: Completion) -> Iterator[Event]:
    """Yield the events of a streamed chat reply, up to and without the closing ``[DONE]``."""
    deltas = [_deltas(served, index, choice) for index, choice in enumerate(served.answer.choices)]
    head = {**served.head, "object": "chat.completion.chunk", "system_fingerprint": "fp_sandbox"}
    for choice in filter(None, chain.from_iterable(zip_longest(*deltas))):
        yield {**head, "choices": [choice]}
    asked = (served.request.get("stream_options") or {}).get("include_usage")
    if asked and served.answer.usage is not False:
        yield {**head, "choices": [], "usage": usage(served.answer)}


def text_reply(served: Completion) -> dict[str, Any]:
    """Return the plain reply to a legacy completion."""
    choices = [
        {"index": index, "text": choice.content, "finish_reason": choice.ends_with, "logprobs": None}
        for index, choice in enumerate(served.answer.choices)
    ]
    return {**served.head, "object": "text_completion", "choices": choices, "usage": usage(served.answer)}


def text_events(served: Completion) -> Iterator[Event]:
    """Yield the events of a streamed legacy completion."""
    head = {**served.head, "object": "text_completion"}
    for index, choice in enumerate(served.answer.choices):
        for piece in tokens.pieces(choice.content):
            yield {**head, "choices": [{"index": index, "text": piece, "finish_reason": None}]}
        yield {**head, "choices": [{"index": index, "text": "", "finish_reason": choice.ends_with}]}
    if (served.request.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage(served.answer)}


def text_of(event: Mapping[str, Any]) -> str:
    """Return what the model wrote in an event of any protocol."""
    delta = event.get("delta") or ""
    texts: list[str | None] = [delta] if isinstance(delta, str) else [delta.get("text"), delta.get("partial_json")]
    for choice in event.get("choices") or ():
        fields = choice.get("delta") or {}
        texts += [choice.get("text"), fields.get("content"), fields.get("reasoning_content"), fields.get("reasoning")]
        for call in fields.get("tool_calls") or ():
            texts += [call["function"].get("name"), call["function"].get("arguments")]
    return "".join(filter(None, texts))


def _choice(served: Completion, index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.content or None}
    if choice.reasoning:
        message[served.answer.reasoning_field] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [
            {
                "id": _call_id(served, index, position),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for position, call in enumerate(choice.tool_calls)
        ]
    found = {"index": index, "message": message, "finish_reason": choice.ends_with}
    if served.request.get("logprobs"):
        found["logprobs"] = {"content": [_logprob(piece) for piece in tokens.pieces(choice.content)]}
    return found


def _deltas(served: Completion, index: int, choice: Choice) -> Iterator[dict[str, Any]]:
    size = served.answer.chunk_size

    def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
        return {"index": index, "delta": fields, "finish_reason": finish_reason}

    yield delta(role="assistant", content="")
    for piece in tokens.pieces(choice.reasoning, size):
        yield delta(**{served.answer.reasoning_field: piece})
    for piece in tokens.pieces(choice.content, size):
        found = delta(content=piece)
        if served.request.get("logprobs"):
            found["logprobs"] = {"content": [_logprob(piece)]}
        yield found
    for position, call in enumerate(choice.tool_calls):
        opening = {"name": call.name, "arguments": ""}
        call_id = _call_id(served, index, position)
        yield delta(tool_calls=[{"index": position, "id": call_id, "type": "function", "function": opening}])
        for piece in tokens.pieces(call.arguments, size):
            yield delta(tool_calls=[{"index": position, "function": {"arguments": piece}}])
    yield delta(choice.ends_with)


def _call_id(served: Completion, choice: int, position: int) -> str:
    return f"call_{served.response_id[-8:]}_{choice}_{position}"


def _logprob(piece: str) -> dict[str, Any]:
    return {"token": piece, "logprob": -0.25, "bytes": list(piece.encode()), "top_logprobs": []}
