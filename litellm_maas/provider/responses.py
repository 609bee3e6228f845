"""Transform the gateway's plain replies into LiteLLM's response objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm import EmbeddingResponse, ImageResponse, ModelResponse
from litellm.types.utils import Choices, ImageUsage, Message, Usage

from litellm_maas.errors import GatewayError
from litellm_maas.gateway import error_response
from litellm_maas.gateway.finish_reasons import finish_reason
from litellm_maas.gateway.request import GatewayRequest
from litellm_maas.gateway.sse import looks_like_events
from litellm_maas.pricing.usage import of_embeddings, to_litellm_usage, usage_in
from litellm_maas.provider import messages, tool_calls
from litellm_maas.provider.stream_collector import collected
from litellm_maas.provider.streaming import MALFORMED, common_fields, created, others, parsed
from litellm_maas.provider.thinking import ThinkSplitter


def parse(request: GatewayRequest, body: bytes) -> dict[str, Any]:
    """Return the JSON object of a reply; of an event stream in its place, what it comes to.

    Raises:
        GatewayError: It is none, or an error that came with status 200; with the usage that came beside it.
    """
    payload = parsed(body)
    if payload is None and looks_like_events(body):
        return collected(request, body)
    if (failure := error_response.of_payload(request, payload)) is not None:
        raise GatewayError(failure, payload)
    if not isinstance(payload, dict):
        raise GatewayError(error_response.invalid_response(request, body))
    return payload


def chat(request: GatewayRequest, payload: dict[str, Any], hidden_params: dict[str, Any]) -> ModelResponse:
    """Return a chat completion.

    Args:
        request: The request it answers.
        payload: The parsed reply.
        hidden_params: What LiteLLM already notes on the response.

    Raises:
        GatewayError: It holds no choices, or one that broke off.
    """
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise _unreadable(request, payload)
    for choice in choices:
        if (failure := error_response.of_choice(request, choice)) is not None:
            raise GatewayError(failure, payload)
    try:
        response = ModelResponse(
            choices=[_choice(choice, index) for index, choice in zip(_numbers(choices), choices, strict=True)],
            usage=Usage(**(to_litellm_usage(usage_in(payload)) or {})),
            **common_fields(request, payload),
            **created(payload),
            **others(payload),
        )
    except MALFORMED:
        raise _unreadable(request, payload) from None
    response._hidden_params = hidden_params
    return response


def embedding(request: GatewayRequest, payload: dict[str, Any], response: EmbeddingResponse) -> EmbeddingResponse:
    """Return embeddings, in the response object that LiteLLM prepared."""
    usage = to_litellm_usage(of_embeddings(payload.get("usage"))) or {}
    response.object = "list"
    response.data = _items(request, payload)
    response.model = request.model
    response.usage = Usage(**{"total_tokens": usage.get("prompt_tokens", 0), **usage})
    return response


def images(request: GatewayRequest, payload: dict[str, Any], response: ImageResponse) -> ImageResponse:
    """Return images, with what LiteLLM noted on the response object that it prepared."""
    about_them = {name: payload[name] for name in _ABOUT_IMAGES if isinstance(payload.get(name), str)}
    made: dict[str, Any] = {**created(payload), "data": _items(request, payload)}
    try:
        filled = ImageResponse(**made, usage=ImageUsage(**payload["usage"]))
    except (KeyError, *MALFORMED):
        # The images are there and billed by the piece, whatever the report of tokens looks like.
        filled = ImageResponse(**made)
    for name, value in about_them.items():
        setattr(filled, name, value)  # not every LiteLLM takes all of them
    filled._hidden_params = response._hidden_params
    return filled


_ABOUT_IMAGES = ("size", "quality", "background", "output_format")


def _unreadable(request: GatewayRequest, payload: Mapping[str, Any]) -> GatewayError:
    return GatewayError(error_response.no_reply(request), payload)


def _items(request: GatewayRequest, payload: dict[str, Any]) -> list[Any]:
    items = payload.get("data")
    if not isinstance(items, list):
        raise _unreadable(request, payload)
    return items


def _numbers(choices: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of choices: their own where those are what a caller expects, else their places."""
    own = [index for choice in choices if isinstance(index := choice.get("index"), int)]
    places = list(range(len(choices)))
    return own if sorted(own) == places else places


def _choice(choice: dict[str, Any], number: int) -> Choices:
    message = messages.fields_of(choice, "message")
    if message is None:
        raise TypeError("a choice without a message")
    if not message.get("reasoning_content") and isinstance(content := message.get("content"), str):
        splitter = ThinkSplitter()
        thought, text = (a + b for a, b in zip(splitter.feed(content), splitter.end(), strict=True))
        message["content"] = text
        if thought:
            message["reasoning_content"] = thought
    if calls := message.get("tool_calls"):
        message["tool_calls"] = [tool_calls.tidy(call) for call in calls]
    return Choices(
        finish_reason=finish_reason(choice.get("finish_reason"), has_tool_calls=bool(calls)),
        index=number,
        message=_built(message),
        logprobs=choice.get("logprobs"),
        **messages.others_of_choice(choice),
    )


def _built(message: dict[str, Any]) -> Message:
    try:
        return Message(**message)
    except MALFORMED:
        # An answer is not lost because LiteLLM knows another shape of something beside it.
        return Message(**{name: message[name] for name in _ANSWER if name in message})


_ANSWER = ("role", "content", "reasoning_content", "tool_calls", "function_call")
