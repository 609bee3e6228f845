"""OpenAI's parameters, as LiteLLM passes them -> the body and the headers of a request."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import BaseModel

from litellm_maas.catalogue import Model
from litellm_maas.errors import UnsupportedParameterError

logger = logging.getLogger("litellm_maas")


# What a call can carry and LiteLLM withholds from a custom provider's parameters.
DROPPED_BY_LITELLM_CHAT = ("user", "reasoning_effort", "thinking", "verbosity")
DROPPED_BY_LITELLM_EMBEDDINGS = ("dimensions", "encoding_format", "user")
DROPPED_BY_LITELLM_IMAGES = ("n", "quality", "response_format", "size", "style", "user")

_LIMITS = ("max_tokens", "max_completion_tokens")

_NEVER_FROM_CALLER = frozenset(
    {"authorization", "host", "content-length", "content-type", "transfer-encoding", "connection"}
)
# Fields that LiteLLM keeps on messages and tools for other providers; the OpenAI protocol has no such fields.
_LITELLM_ONLY = frozenset({"provider_specific_fields", "thinking_blocks", "reasoning_items"})
_CACHE = frozenset({"cache_control"})


def build_chat_body(
    model: Model,
    messages: Sequence[Any],
    optional_params: Mapping[str, Any],
    original_kwargs: Mapping[str, Any],
    *,
    stream: bool,
    drop_unsupported: bool,
) -> dict[str, Any]:
    """Return the body of a chat completion.

    Args:
        model: The model asked for.
        messages: The messages as LiteLLM hands them over.
        optional_params: The parameters that LiteLLM lets through.
        original_kwargs: The parameters as the caller gave them; the source of those that LiteLLM withholds.
        stream: Whether the reply is streamed. A streamed reply is always asked for its usage, unless the family refuses
            to be asked; then it is estimated.
        drop_unsupported: Drop what the model's family refuses instead of raising (LiteLLM's `drop_params`).

    Raises:
        UnsupportedParameterError: The family refuses a parameter, and refused ones are not to be dropped.
    """
    dropped = _LITELLM_ONLY if _takes_cache_control(model) else _LITELLM_ONLY | _CACHE
    body: dict[str, Any] = {
        "model": model.id,
        "messages": [_without_fields(_with_role(message, model), "content", dropped) for message in messages],
    }
    params = {name: value for name, value in optional_params.items() if value is not None}
    params |= {name: original_kwargs[name] for name in DROPPED_BY_LITELLM_CHAT if original_kwargs.get(name) is not None}
    if original_kwargs.get("max_completion_tokens") is not None:
        # LiteLLM calls it max_tokens for a custom provider, over what else was given under that name.
        params.pop("max_tokens", None)
        params |= {name: original_kwargs[name] for name in _LIMITS if original_kwargs.get(name) is not None}
    extra_body = dict(params.pop("extra_body", None) or {})
    # Where LiteLLM puts what it does not know, and a switch of the family's may be among it.
    params |= {name: extra_body.pop(name) for name in ("chat_template_kwargs", "thinking") if name in extra_body}
    for internal in ("max_retries", "extra_headers", "stream", "stream_options"):
        params.pop(internal, None)
    _apply_family_rules(model, params, extra_body, drop_unsupported=drop_unsupported)
    if "tools" in params:
        params["tools"] = [_without_fields(tool, "function", dropped) for tool in params["tools"]]
    body |= params
    body |= {name: value for name, value in extra_body.items() if name not in ("model", "stream", "stream_options")}
    if stream:
        body["stream"] = True
    if stream and "stream_options" not in model.unsupported:
        asked = extra_body.get("stream_options") or optional_params.get("stream_options") or {}
        body["stream_options"] = {**asked, "include_usage": True}
    return body


def build_body(
    model: str,
    content: Mapping[str, Any],
    optional_params: Mapping[str, Any],
    original_kwargs: Mapping[str, Any],
    withheld: Sequence[str],
) -> dict[str, Any]:
    """Return the body of an operation whose parameters need no translation: embeddings, images.

    Args:
        model: The id on the wire.
        content: What the operation is about, such as the input.
        optional_params: The parameters that LiteLLM lets through.
        original_kwargs: The parameters as the caller gave them; the source of those that LiteLLM withholds.
        withheld: The names of those.
    """
    params = {name: value for name, value in optional_params.items() if value is not None}
    unwanted = original_kwargs.get("additional_drop_params") or ()
    params |= {
        name: original_kwargs[name]
        for name in withheld
        if name not in unwanted and original_kwargs.get(name) is not None
    }
    extra_body = params.pop("extra_body", None) or {}
    for internal in ("max_retries", "extra_headers"):
        params.pop(internal, None)
    return {"model": model, **content, **params, **{k: v for k, v in extra_body.items() if k != "model"}}


def caller_headers(headers: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the caller's extra headers, without those that belong to the connection or would replace the key."""
    return {
        str(name): str(value)
        for name, value in (headers or {}).items()
        if value is not None and str(name).lower() not in _NEVER_FROM_CALLER
    }


def _apply_family_rules(
    model: Model, params: dict[str, Any], extra_body: Mapping[str, Any], *, drop_unsupported: bool
) -> None:
    _turn_thinking_off(model, params)
    if "max_tokens" in model.unsupported and "max_tokens" in params:
        limit = params.pop("max_tokens")
        if params.setdefault("max_completion_tokens", limit) != limit:
            logger.debug("%s takes max_completion_tokens alone: max_tokens is left out", model.id)
    thinking = model.reasoning and not _is_off(model, {**params, **extra_body})
    refused = {}
    if "reasoning_effort" in model.unsupported and "reasoning_effort" in params:
        refused["reasoning_effort"] = "the gateway answers 400 for this family"
    if "forced_tool_choice" in model.unsupported and thinking and _forces_a_tool(params.get("tool_choice")):
        refused["tool_choice"] = "the gateway answers 400 to a forced choice while this family thinks"
    for parameter, why in refused.items():
        if not drop_unsupported:
            raise UnsupportedParameterError(model.id, parameter, why)
        logger.debug("%s refuses %s (%s): dropped", model.id, parameter, why)
        del params[parameter]


def _turn_thinking_off(model: Model, params: dict[str, Any]) -> None:
    """Put the family's own switch in the place of LiteLLM's."""
    asked = [name for name, value in params.items() if _turns_thinking_off(name, value)]
    if asked:
        if model.disable_reasoning is not None:
            for name in asked:
                del params[name]
            for name, switch in model.disable_reasoning.items():
                own = params.get(name, switch)
                both = isinstance(own, Mapping) and isinstance(switch, Mapping)
                params[name] = {**switch, **own} if both else own
        elif model.known and not model.reasoning and "reasoning_effort" in asked:
            logger.debug("%s does not reason: reasoning_effort='none' is left out", model.id)
            del params["reasoning_effort"]


def _is_off(model: Model, params: Mapping[str, Any]) -> bool:
    """Return whether what is sent disables this model's thinking."""
    if model.disable_reasoning is None:
        return _turns_thinking_off("thinking", params.get("thinking"))
    return all(
        switch.items() <= dict(own).items()
        if isinstance(switch, Mapping) and isinstance(own := params.get(name), Mapping)
        else params.get(name) == switch
        for name, switch in model.disable_reasoning.items()
    )


def _turns_thinking_off(name: str, value: object) -> bool:
    """Return whether a parameter of LiteLLM's asks for an answer without thinking."""
    if name == "thinking":
        return isinstance(value, Mapping) and value.get("type") == "disabled"
    return name == "reasoning_effort" and value == "none"


def _forces_a_tool(tool_choice: object) -> bool:
    return tool_choice == "required" or isinstance(tool_choice, Mapping)


def _with_role(message: Any, model: Model) -> Any:
    """Return a message with a role that the family takes: `developer` is OpenAI's own, `system` means the same."""
    if isinstance(message, BaseModel):
        message = message.model_dump(exclude_none=True)
    if isinstance(message, Mapping) and message.get("role") == "developer" and "developer_role" not in model.takes:
        return {**message, "role": "system"}
    return message


def _takes_cache_control(model: Model) -> bool:
    return "cache_control" in model.takes or not model.known


def _without_fields(item: Any, nested: str, dropped: AbstractSet[str]) -> Any:
    """Return a message or a tool without some fields, on it and one level in; the same object if it has none."""
    if isinstance(item, BaseModel):
        item = item.model_dump(exclude_none=True)
    if not isinstance(item, Mapping):
        return item
    inner = item.get(nested)
    if isinstance(inner, list):
        kept = [_without(part, dropped) for part in inner]
        changed = any(new is not old for new, old in zip(kept, inner, strict=True))
        item = {**item, nested: kept} if changed else item
    elif isinstance(inner, Mapping) and (kept_inner := _without(inner, dropped)) is not inner:
        item = {**item, nested: kept_inner}
    return _without(item, dropped)


def _without(fields: Any, dropped: AbstractSet[str]) -> Any:
    if not isinstance(fields, Mapping) or dropped.isdisjoint(fields):
        return fields
    return {name: value for name, value in fields.items() if name not in dropped}
