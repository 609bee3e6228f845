"""Speak the Responses protocol (`/v1/responses`) on top of chat answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from litellm_maas.sandbox import tokens
from litellm_maas.sandbox.chat import Completion, Event


def chat_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a responses request to a chat request."""
    messages: list[dict[str, Any]] = []
    if request.get("instructions"):
        messages.append({"role": "system", "content": request["instructions"]})
    given = request.get("input") or ""
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        if item.get("type") == "function_call_output":
            messages.append({"role": "tool", "content": str(item.get("output"))})
        elif item.get("type", "message") == "message":
            messages.append({"role": item["role"], "content": _plain(item["content"])})
    found = {"model": request["model"], "messages": messages, "max_tokens": request.get("max_output_tokens")}
    tools = [tool for tool in request.get("tools") or () if tool.get("type") == "function"]
    if tools:
        found["tools"] = [
            {"type": "function", "function": {"name": tool["name"], "parameters": tool.get("parameters") or {}}}
            for tool in tools
        ]
    return {**found, "stream": bool(request.get("stream")), "reasoning_effort": _effort(request)}


def reply(served: Completion) -> dict[str, Any]:
    """Return the plain reply."""
    answer = served.answer
    return {
        "id": served.response_id.replace("chatcmpl", "resp"),
        "object": "response",
        "created_at": served.created,
        "status": "completed",
        "model": served.model,
        "output": _output(served),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cached_tokens": answer.cached_tokens},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
            "total_tokens": (answer.input_tokens or 0) + answer.output_tokens,
        },
    }


def events(served: Completion) -> Iterator[Event]:
    """Yield the events of the streamed reply; each carries its own name as `type`."""
    numbered = enumerate(_events(served))
    return ({**event, "sequence_number": number} for number, event in numbered)


def _events(served: Completion) -> Iterator[Event]:
    whole = reply(served)
    yield {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}}
    for index, item in enumerate(whole["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        yield {"type": "response.output_item.added", "output_index": index, "item": {**item, "status": "in_progress"}}
        if item["type"] == "message":
            part = item["content"][0]
            yield {"type": "response.content_part.added", **at, "content_index": 0, "part": {**part, "text": ""}}
            for piece in tokens.pieces(part["text"]):
                yield {"type": "response.output_text.delta", **at, "content_index": 0, "delta": piece, "logprobs": []}
            done = {"content_index": 0, "text": part["text"], "logprobs": []}
            yield {"type": "response.output_text.done", **at, **done}
            yield {"type": "response.content_part.done", **at, "content_index": 0, "part": part}
        else:
            for piece in tokens.pieces(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
            yield {"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": whole}


def _output(served: Completion) -> list[dict[str, Any]]:
    choice, tail = served.answer.choices[0], served.response_id[-8:]
    items: list[dict[str, Any]] = []
    if choice.content:
        part = {"type": "output_text", "text": choice.content, "annotations": []}
        items.append(
            {"id": f"item_{tail}", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        )
    for position, call in enumerate(choice.tool_calls):
        items.append(
            {
                "id": f"fc_{tail}_{position}",
                "type": "function_call",
                "call_id": f"call_{tail}_{position}",
                "name": call.name,
                "arguments": call.arguments,
                "status": "completed",
            }
        )
    return items


def _effort(request: Mapping[str, Any]) -> str | None:
    effort = (request.get("reasoning") or {}).get("effort")
    return None if effort is None else str(effort)


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text") or "") for part in content).strip()
