"""Validate requests as the gateway does, with the errors that its users report (read 2026-10)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from litellm_maas.catalogue import Model
from litellm_maas.sandbox import tokens
from litellm_maas.sandbox.accounts import Account


@dataclass
class HTTPError(Exception):
    """A request is refused with this reply."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def openai_error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """Build an error body as OpenAI's protocol has it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def check_key(account: Account, authorization: str) -> str:
    """Return the key of a request.

    Raises:
        HTTPError: 401. Pending, revoked and unknown keys are told apart nowhere in the reply.
    """
    key = authorization.removeprefix("Bearer ").strip()
    if account.keys.get(key) != "active":
        raise HTTPError(401, openai_error("Invalid API key", "authentication_error", "invalid_api_key"))
    return key


def check_limits(account: Account, model: str) -> None:
    """Count a request against the account's limits and the model's.

    Raises:
        HTTPError: 429.
    """
    now = account.clock()
    for limit, text in (
        (account.per_minute, "API rate limit exceeded"),
        (account.per_day, "API rate limit exceeded"),
        (account.per_model.get(model), f"model rpm limit exceeded ({{0}}/{{0}}) for {model}"),
    ):
        if limit is None:
            continue
        wait = math.ceil(limit.wait(now))
        limit.count(now)
        if wait > 0:
            words = text.format(limit.requests)
            if not limit.retry_after:
                raise HTTPError(429, {"message": f"{words}, resets in {wait}s"})
            headers = {"retry-after": str(wait), "x-ratelimit-limit-minute": str(limit.requests)}
            raise HTTPError(429, {"message": words}, headers)


def check_model(account: Account, model: str, listed: tuple[str, ...]) -> None:
    """Check that a model can be called.

    Raises:
        HTTPError: 404 for an unknown id (a bare one is), 403 for one that is not enabled, 503 without credits.
    """
    if model not in listed or model in account.missing_models:
        raise HTTPError(404, openai_error(f"model not found: {model}", "not_found_error", "model_not_found"))
    if model in account.disabled_models:
        raise HTTPError(403, openai_error(f"model {model} is not enabled for this key", "permission_error"))
    if account.exhausted:
        raise HTTPError(503, {"message": "model not responding"})


def check_chat(request: Mapping[str, Any], model: Model) -> None:
    """Check what the upstream models refuse.

    Raises:
        HTTPError: 400.
    """
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise HTTPError(400, openai_error("messages is required", "invalid_request_error"))
    limit = request.get("max_completion_tokens") or request.get("max_tokens") or 0
    if limit > model.max_output_tokens:
        words = f"max_tokens must be at most {model.max_output_tokens}"
        raise HTTPError(400, openai_error(words, "invalid_request_error"))
    read = sum(map(tokens.count_message, messages))
    if read > model.max_input_tokens:
        words = f"This model's maximum context length is {model.max_input_tokens} tokens, the messages have {read}"
        raise HTTPError(400, openai_error(words, "invalid_request_error", "context_length_exceeded"))
    if "image" not in model.input and _has_image(messages):
        raise HTTPError(400, openai_error(f"{model.id} does not accept image input", "invalid_request_error"))
    if (request.get("response_format") or {}).get("type") == "json_object" and "json" not in str(messages).lower():
        words = "'messages' must contain the word 'json' to use response_format json_object"
        raise HTTPError(400, openai_error(words, "invalid_request_error"))
    _check_quirks(request, model)


def _check_quirks(request: Mapping[str, Any], model: Model) -> None:
    if "reasoning_effort" in model.unsupported and request.get("reasoning_effort") is not None:
        raise HTTPError(400, openai_error("reasoning_effort is not supported", "invalid_request_error"))
    forced = request.get("tool_choice") == "required" or isinstance(request.get("tool_choice"), Mapping)
    off = any(_says(request.get(name), value) for name, value in (model.disable_reasoning or {}).items())
    if "forced_tool_choice" in model.unsupported and forced and not off:
        words = "tool_choice cannot be forced in thinking mode"
        raise HTTPError(400, openai_error(words, "invalid_request_error"))


def _says(given: object, switch: object) -> bool:
    """Return whether a parameter holds a switch, among whatever else it says."""
    if isinstance(given, Mapping) and isinstance(switch, Mapping):
        return switch.items() <= given.items()
    return given == switch


def _has_image(messages: list[Any]) -> bool:
    return any(
        isinstance(part, Mapping) and "image" in str(part.get("type"))
        for message in messages
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )
