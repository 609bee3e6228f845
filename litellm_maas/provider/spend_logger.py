"""Record, in a callback, the costs that LiteLLM sees and the provider cannot.

The provider records its own calls before they return; LiteLLM's callbacks are best-effort and come later or not at
all. What is left for them: answers out of LiteLLM's cache, which never reach the provider; calls of other providers
(`openai/…`) whose base URL is a MaaS host; and the proxy's response headers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from litellm.integrations.custom_logger import CustomLogger
from pydantic import BaseModel

from litellm_maas import _litellm_compat, settings
from litellm_maas.ledger.event import Event, Operation, host_of, response_event_id
from litellm_maas.pricing.cost import CACHE_HIT, BillingMode
from litellm_maas.pricing.usage import Usage, characters, images, of_embeddings, of_reply
from litellm_maas.provider.response_cost import cost_of
from litellm_maas.runtime import runtime
from litellm_maas.tracking.attribution import attribution_from
from litellm_maas.tracking.event_builder import PROVIDER, EventBuilder
from litellm_maas.tracking.tracker import SpendCallback

COST_HEADER = "x-maas-cost-vnd"
BASIS_HEADER = "x-maas-price-basis"

_OPERATIONS: tuple[tuple[str, Operation], ...] = (("embedding", "embedding"), ("image", "image"))

_CHAT = frozenset({"completion", "text_completion"})
_PASSED_THROUGH = "pass_through_endpoint"
_RUN_A_MODEL = _CHAT | {
    *("embedding", "image_generation", "image_edit", "responses", "anthropic_messages", "generate_content"),
    *("moderation", "rerank", "transcription", "speech", _PASSED_THROUGH),
}
"""LiteLLM's call types that are billed, without the `a` of asynchronous ones; others read, list or delete something."""


class SpendLogger(CustomLogger, SpendCallback):
    """Record spend, for `litellm.callbacks` and a proxy's `callbacks`. Registering it switches recording on."""

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """LiteLLM calls this after a synchronous call that succeeded."""
        if (event := _success(kwargs, response_obj, start_time)) is not None:
            runtime.tracker.recorder().record(event)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """LiteLLM calls this after an asynchronous call that succeeded."""
        if (event := _success(kwargs, response_obj, start_time)) is not None:
            await runtime.tracker.recorder().arecord(event)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """LiteLLM calls this after a synchronous call that failed."""
        if (event := _failure(kwargs, start_time)) is not None:
            runtime.tracker.recorder().record(event)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """LiteLLM calls this after an asynchronous call that failed."""
        if (event := _failure(kwargs, start_time)) is not None:
            await runtime.tracker.recorder().arecord(event)

    async def async_post_call_response_headers_hook(
        self,
        data: Any,
        user_api_key_dict: Any,
        response: Any,
        request_headers: Any = None,
        litellm_call_info: Any = None,
    ) -> dict[str, str] | None:
        """Add headers to the proxy's response: the cost in VND, and where its price comes from."""
        cost = cost_of(response)
        if cost is None:
            return None
        amount = "" if cost.credits is None else f"{cost.credits:f}"
        return {COST_HEADER: amount, BASIS_HEADER: cost.basis}


def _success(kwargs: Mapping[str, Any], response: Any, start_time: Any) -> Event | None:
    response_id = getattr(response, "id", None)
    if kwargs.get("cache_hit") is True and _is_ours(kwargs):
        attempt = _attempt(kwargs, start_time, "payg")
        attempt.response_id = response_id if isinstance(response_id, str) else None
        return _renamed(attempt.event("cache_hit", CACHE_HIT), response_id, cache_hit=True)
    billing_mode = _maas_host(kwargs)
    if (
        billing_mode is None
        or _provider(kwargs) == PROVIDER
        or kwargs.get("cache_hit") is True
        or not _runs_a_model(kwargs)
    ):
        return None
    attempt = _attempt(kwargs, start_time, billing_mode)
    attempt.response_id = response_id if isinstance(response_id, str) else None
    cost = attempt.cost(_usage(kwargs, response, attempt.operation), runtime.tracker.price_book())
    return attempt.event("ok", cost, 200)


def _failure(kwargs: Mapping[str, Any], start_time: Any) -> Event | None:
    billing_mode = _maas_host(kwargs)
    if billing_mode is None or _provider(kwargs) == PROVIDER or not _runs_a_model(kwargs):
        return None
    error = kwargs.get("exception")
    attempt = _attempt(kwargs, start_time, billing_mode)
    cost = attempt.cost(Usage(), runtime.tracker.price_book())
    event = attempt.event("failed", cost, getattr(error, "status_code", None), type(error).__name__ if error else None)
    # LiteLLM may report a failure twice, to the synchronous and to the asynchronous callback.
    return _renamed(event, f"failed at {event.started_at}", cache_hit=False)


def _renamed(event: Event, response_id: object, *, cache_hit: bool) -> Event:
    fields = event.as_dict() | {
        "event_id": response_event_id(str(response_id), event.call_id or "", cache_hit=cache_hit)
    }
    return Event.from_dict(fields)


def _attempt(kwargs: Mapping[str, Any], start_time: Any, billing_mode: BillingMode) -> EventBuilder:
    call_type = str(kwargs.get("call_type"))
    operation: Operation = next((operation for word, operation in _OPERATIONS if word in call_type), "chat")
    params = kwargs.get("litellm_params") or {}
    started_at = start_time if isinstance(start_time, dt.datetime) else dt.datetime.now(dt.timezone.utc)
    return EventBuilder(
        operation=operation,
        route="provider" if _provider(kwargs) == PROVIDER else "base_url",
        model=str(kwargs.get("model") or "").removeprefix(f"{PROVIDER}/"),
        billing_mode=billing_mode,
        identity=attribution_from(params, kwargs.get("user"), host_of(_api_base(kwargs))),
        call_id=kwargs.get("litellm_call_id"),
        trace_id=kwargs.get("litellm_trace_id"),
        attempts=runtime.tracker.attempts,
        # LiteLLM's times are naive and local; `astimezone` takes them as that.
        started_at=started_at.astimezone(dt.timezone.utc),
    )


def _provider(kwargs: Mapping[str, Any]) -> object:
    params = kwargs.get("litellm_params") or {}
    return params.get("custom_llm_provider") or kwargs.get("custom_llm_provider")


def _is_ours(kwargs: Mapping[str, Any]) -> bool:
    return _provider(kwargs) == PROVIDER or _maas_host(kwargs) is not None


def _maas_host(kwargs: Mapping[str, Any]) -> BillingMode | None:
    """Return the kind of MaaS host that a call went to; None for any other host."""
    hosts: dict[str, BillingMode] = {
        urlsplit(settings.api_base()).netloc: "other",
        urlsplit(settings.PAYG_BASE_URL).netloc: "payg",
        urlsplit(settings.PLAN_BASE_URL).netloc: "plan",
    }
    asked = urlsplit(_api_base(kwargs)).netloc
    return hosts.get(asked) if asked else None


def _api_base(kwargs: Mapping[str, Any]) -> str:
    params = kwargs.get("litellm_params") or {}
    return str(params.get("api_base") or kwargs.get("api_base") or "")


def _call_type(kwargs: Mapping[str, Any]) -> str:
    name = str(kwargs.get("call_type") or "completion")
    return name if name in _RUN_A_MODEL else name.removeprefix("a")


def _runs_a_model(kwargs: Mapping[str, Any]) -> bool:
    return _call_type(kwargs) in _RUN_A_MODEL


def _usage(kwargs: Mapping[str, Any], response: Any, operation: Operation) -> Usage:
    if operation == "image":
        said = {name: getattr(response, name, None) for name in ("size", "quality")}
        return images(getattr(response, "data", None), said, kwargs.get("optional_params") or {})
    plain = response.model_dump(warnings=False) if isinstance(response, BaseModel) else response
    if _call_type(kwargs) == _PASSED_THROUGH:
        # The proxy parses no reply of those; it keeps the body of a plain one.
        plain = (kwargs.get("passthrough_logging_payload") or {}).get("response_body")
    plain = plain if isinstance(plain, Mapping) else {}
    raw = plain.get("usage")
    if isinstance(own := getattr(response, "usage", None), BaseModel):
        # By itself: within a response of the Responses protocol LiteLLM writes another class's fields, without counts.
        raw = own.model_dump()
    raw = of_embeddings(raw) if operation == "embedding" else raw
    usage = of_reply(
        raw,
        # Both are the same where there are both.
        lambda: characters(kwargs.get("messages") or kwargs.get("input")),
        lambda: characters([plain.get("choices"), plain.get("output")]),
    )
    if _call_type(kwargs) == _PASSED_THROUGH and usage.source != "reported":
        return Usage()
    options = (kwargs.get("optional_params") or {}).get("stream_options") or {}
    is_asked = (
        options.get("include_usage") and _litellm_compat.came_with_usage(kwargs.get("original_response")) is not False
    )
    if _call_type(kwargs) in _CHAT and kwargs.get("stream") and not is_asked:
        # The gateway was not asked for its usage, or sent none: what stands there is LiteLLM's own count.
        return Usage(usage.input_tokens, 0, usage.output_tokens, usage.reasoning_tokens, source="estimated")
    return usage


spend_logger = SpendLogger()
"""The cost callback, for `litellm.callbacks = [litellm_maas.spend_logger]` or a proxy's `callbacks`."""
