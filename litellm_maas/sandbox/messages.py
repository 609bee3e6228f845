"""Speak the Anthropic protocol (`/v1/messages`) on top of chat answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from litellm_maas.sandbox import tokens
from litellm_maas.sandbox.chat import Completion, Event

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def chat_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a messages request to a chat request."""
    messages: list[dict[str, Any]] = []
    if request.get("system"):
        messages.append({"role": "system", "content": _plain(request["system"])})
    for message in request["messages"]:
        results = [part for part in _parts(message) if part.get("type") == "tool_result"]
        if results:
            messages += [{"role": "tool", "content": _plain(part.get("content") or "")} for part in results]
        else:
            messages.append({"role": message["role"], "content": _plain(message["content"])})
    found = {"model": request["model"], "messages": messages, "max_tokens": request.get("max_tokens")}
    if request.get("tools"):
        found["tools"] = [
            {"type": "function", "function": {"name": tool["name"], "parameters": tool.get("input_schema") or {}}}
            for tool in request["tools"]
        ]
    return {**found, "stream": bool(request.get("stream")), "thinking": request.get("thinking")}


def reply(served: Completion) -> dict[str, Any]:
    """Return the plain reply."""
    return {**_message(served), "content": _content(served)}


def events(served: Completion) -> Iterator[Event]:
    """Yield the events of the streamed reply; each carries its own name as `type`."""
    start = {**_message(served), "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": {**start, "usage": {**start["usage"], "output_tokens": 0}}}
    for index, block in enumerate(_content(served)):
        text = block["type"] == "text"
        empty = {**block, "text": ""} if text else {**block, "input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for piece in tokens.pieces(block["text"] if text else json.dumps(block["input"])):
            delta = (
                {"type": "text_delta", "text": piece} if text else {"type": "input_json_delta", "partial_json": piece}
            )
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    message = _message(served)
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
        "usage": {"output_tokens": message["usage"]["output_tokens"]},
    }
    yield {"type": "message_stop"}


def _message(served: Completion) -> dict[str, Any]:
    answer = served.answer
    cached = answer.cached_tokens or 0
    return {
        "id": served.response_id.replace("chatcmpl", "msg"),
        "type": "message",
        "role": "assistant",
        "model": served.model,
        "stop_reason": _STOP_REASONS.get(answer.choices[0].ends_with, "end_turn"),
        "stop_sequence": None,
        "usage": {
            # This protocol counts cached tokens beside the input tokens, not among them.
            "input_tokens": (answer.input_tokens or 0) - cached,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": answer.output_tokens,
        },
    }


def _content(served: Completion) -> list[dict[str, Any]]:
    choice = served.answer.choices[0]
    blocks: list[dict[str, Any]] = [{"type": "text", "text": choice.content}] if choice.content else []
    for position, call in enumerate(choice.tool_calls):
        call_id = f"toolu_{served.response_id[-8:]}_{position}"
        blocks.append({"type": "tool_use", "id": call_id, "name": call.name, "input": json.loads(call.arguments)})
    return blocks


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping)).strip()
