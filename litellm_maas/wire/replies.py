"""The gateway's plain replies -> LiteLLM's response objects."""

from __future__ import annotations

import json
from typing import Any

from litellm import EmbeddingResponse, ImageResponse, ModelResponse
from litellm.types.utils import Choices, Message, Usage

from litellm_maas.pricing.usage import for_litellm
from litellm_maas.wire import failures
from litellm_maas.wire.chunks import MALFORMED, about, with_reasoning_content
from litellm_maas.wire.failures import GatewayError
from litellm_maas.wire.requests import WireRequest


def parse(request: WireRequest, body: bytes) -> dict[str, Any]:
    """The JSON object of a reply.

    Raises:
        GatewayError: It is none, or an error that came with status 200.
    """
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        raise GatewayError(failures.unreadable(request, body))
    if payload.get("error"):
        raise GatewayError(failures.from_error_object(request, payload["error"]))
    return payload


def chat(request: WireRequest, payload: dict[str, Any], hidden_params: dict[str, Any]) -> ModelResponse:
    """A chat completion.

    Args:
        request: The request it answers.
        payload: The parsed reply.
        hidden_params: What LiteLLM already notes on the response.

    Raises:
        GatewayError: It holds no choices.
    """
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise GatewayError(failures.unreadable(request, json.dumps(payload).encode()))
    try:
        response = ModelResponse(
            choices=[_choice(choice, index) for index, choice in enumerate(choices)],
            usage=Usage(**(for_litellm(payload.get("usage")) or {})),
            **about(request, payload),
        )
    except MALFORMED:
        raise GatewayError(failures.unreadable(request, json.dumps(payload).encode())) from None
    response._hidden_params = hidden_params
    return response


def embedding(request: WireRequest, payload: dict[str, Any], response: EmbeddingResponse) -> EmbeddingResponse:
    """Embeddings, into the response object that LiteLLM prepared."""
    usage = for_litellm(payload.get("usage")) or {}
    response.object = "list"
    response.data = _items(request, payload)
    response.model = request.model
    response.usage = Usage(**{"total_tokens": usage.get("prompt_tokens", 0), **usage})
    return response


def images(request: WireRequest, payload: dict[str, Any], response: ImageResponse) -> ImageResponse:
    """Images, into the response object that LiteLLM prepared."""
    created, items = about(request, payload).get("created"), _items(request, payload)
    try:
        filled = ImageResponse(created, items, payload.get("usage"))
    except MALFORMED:
        # The images are there and billed by the piece, whatever the report of tokens looks like.
        filled = ImageResponse(created, items)
    filled._hidden_params = response._hidden_params
    return filled


def _items(request: WireRequest, payload: dict[str, Any]) -> list[Any]:
    items = payload.get("data")
    if not isinstance(items, list):
        raise GatewayError(failures.unreadable(request, json.dumps(payload).encode()))
    return items


def _choice(choice: dict[str, Any], position: int) -> Choices:
    message = with_reasoning_content(choice.get("message") or {})
    if isinstance(message.get("content"), list):
        parts = message["content"]
        message["content"] = "".join(part.get("text") or "" for part in parts if isinstance(part, dict))
    index = choice.get("index")
    return Choices(
        finish_reason=choice.get("finish_reason"),
        index=position if index is None else index,
        message=Message(**message),
        logprobs=choice.get("logprobs"),
    )
