"""Messages and deltas as gateways write them -> fields that LiteLLM's objects can be built of. Knows no LiteLLM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def fields_of(choice: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Return the message of a choice, wherever the gateway put it; None where there is none.

    Args:
        choice: A choice of a reply or of an event.
        name: Where it should be: ``message`` in a reply, ``delta`` in an event.

    Raises:
        TypeError: What stands there is no message.
    """
    for place in (name, "delta" if name == "message" else "message", "text"):
        found = choice.get(place)
        if isinstance(found, Mapping):
            return tidy(found)
        if isinstance(found, str):
            return {"content": found}
        if found is not None:
            raise TypeError(f"{place} is a {type(found).__name__}")
    return None


_CHOICE = frozenset({"index", "delta", "message", "text", "finish_reason", "logprobs", "usage", "error"})


def others_of_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a choice that the protocol does not know, such as `content_filter_results`."""
    return {name: value for name, value in choice.items() if name not in _CHOICE and value}


def tidy(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message whose content is a text, and whose reasoning stands where LiteLLM looks for it.

    Raises:
        TypeError: Its content is neither text nor parts.
    """
    tidied = dict(message)
    # Some upstreams call it `reasoning`.
    reasoning = tidied.pop("reasoning", None)
    if isinstance(reasoning, str) and reasoning and not tidied.get("reasoning_content"):
        tidied["reasoning_content"] = reasoning
    content = tidied.get("content")
    if content is not None and not isinstance(content, (str, list)):
        raise TypeError(f"content is a {type(content).__name__}")
    if isinstance(content, list):
        tidied["content"] = "".join(_texts(content, is_thinking=False))
        if thought := "".join(_texts(content, is_thinking=True)):
            tidied["reasoning_content"] = (tidied.get("reasoning_content") or "") + thought
    for name in _OBJECTS & tidied.keys():
        if not isinstance(tidied[name], Mapping):
            del tidied[name]
    for name in _LISTS & tidied.keys():
        if not (isinstance(tidied[name], list) and all(isinstance(item, Mapping) for item in tidied[name])):
            del tidied[name]
    return tidied


# LiteLLM's objects expect these shapes, and an answer is not lost for something beside it.
_OBJECTS = frozenset({"audio", "function_call", "provider_specific_fields"})
_LISTS = frozenset({"annotations", "images", "reasoning_items", "thinking_blocks"})


def _texts(parts: list[Any], *, is_thinking: bool) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str) and not is_thinking:
            yield part
        elif isinstance(part, Mapping) and (part.get("type") in ("thinking", "reasoning")) is is_thinking:
            text = part.get("text") or part.get("thinking") or part.get("refusal")
            if isinstance(text, list):
                yield from _texts(text, is_thinking=False)
            elif isinstance(text, str):
                yield text


_NAMELESS = ("content", "reasoning_content", "refusal")
_CONTENT = ("content", "reasoning_content", "tool_calls", "function_call", "refusal", "audio", "images")


def has_content(message: Mapping[str, Any]) -> bool:
    """Return whether a delta holds a part of an answer."""
    return any(message.get(name) for name in _CONTENT)


def length(message: Mapping[str, Any]) -> int:
    """Return the characters of the answer in a message or a delta, tool calls included."""
    total = sum(len(text) for name in _NAMELESS if isinstance(text := message.get(name), str))
    functions = [call.get("function") for call in message.get("tool_calls") or () if isinstance(call, Mapping)]
    for function in (*functions, message.get("function_call")):
        if isinstance(function, Mapping):
            total += len(str(function.get("name") or "")) + len(str(function.get("arguments") or ""))
    audio = message.get("audio")
    return total + (len(str(audio.get("transcript") or "")) if isinstance(audio, Mapping) else 0)
