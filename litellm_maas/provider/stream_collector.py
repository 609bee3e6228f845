"""Collect an event stream that came in the place of a plain reply into that reply."""

from __future__ import annotations

from itertools import chain
from typing import Any

from litellm_maas.errors import GatewayError
from litellm_maas.gateway.request import GatewayRequest
from litellm_maas.provider.streaming import StreamDecoder


def collected(request: GatewayRequest, body: bytes) -> dict[str, Any]:
    """Return the payload of a plain reply with what an event stream says.

    Raises:
        GatewayError: The stream fails, or ends before its answer does; with the usage that it reported.
    """
    decoder = StreamDecoder(request)
    choices: dict[int, dict[str, Any]] = {}
    fields: dict[str, Any] = {}
    try:
        for chunk in chain(decoder.feed(body), decoder.finish()):
            about: Any = chunk  # LiteLLM leaves its method untyped
            fields |= about.model_dump(exclude={"choices", "created", "object", "usage"}, exclude_none=True)
            for choice in chunk.choices:
                _add(choices.setdefault(choice.index, _empty(choice.index)), choice.model_dump(exclude_none=True))
    except GatewayError as error:
        raise GatewayError(error.failure, {"usage": decoder.usage}) from None
    choices.setdefault(0, _empty(0))["finish_reason"] = decoder.last()["finish_reason"]
    return {**fields, "choices": [choices[index] for index in sorted(choices)], "usage": decoder.usage}


def _empty(index: int) -> dict[str, Any]:
    return {"index": index, "message": {"role": "assistant", "content": None}, "finish_reason": None}


def _add(choice: dict[str, Any], piece: dict[str, Any]) -> None:
    message = choice["message"]
    for name, value in piece.pop("delta").items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for call in value:
                _add_call(calls, call)
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        elif value:
            message[name] = value
    for name in piece.keys() - {"index"}:
        if name == "logprobs" and choice.get("logprobs"):
            choice["logprobs"]["content"] += piece["logprobs"].get("content") or []
        else:
            choice[name] = piece[name]


def _add_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    number = piece.pop("index")
    if number == len(calls):
        calls.append(piece)
        return
    function = calls[number]["function"]
    function["arguments"] += piece["function"].get("arguments") or ""
    function["name"] = function.get("name") or piece["function"].get("name")
