"""Probing a model: the smallest real calls that show what it does. They cost credits, and are recorded."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from litellm_maas import settings
from litellm_maas.budgets.max_cost import estimate_max_cost
from litellm_maas.catalogue import catalogue
from litellm_maas.doctor.check import Check, failed, passed, warned
from litellm_maas.errors import GatewayError
from litellm_maas.gateway import client
from litellm_maas.gateway.endpoint import Endpoint
from litellm_maas.gateway.errors import Failure
from litellm_maas.gateway.request import GatewayRequest, Timeouts
from litellm_maas.gateway.sse import SSEDecoder
from litellm_maas.ledger.event import Operation, host_of
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.pricing.credits import format_credits
from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.pricing.usage import Usage
from litellm_maas.resilience.rate_limiter import RateLimited
from litellm_maas.runtime import runtime
from litellm_maas.tracking.attribution import Attribution
from litellm_maas.tracking.event_builder import EventBuilder

TAG = "doctor"
"""The tag of what is recorded."""

_TOOL = {
    "type": "function",
    "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}},
}
_CHAT = "/chat/completions"
_SHORT, _LONG = 16, 64
"""Tokens that an answer may have."""
_sleep = time.sleep
_PATIENCE = 2
"""How often a call that the account's limit refused is made again."""
_WINDOW = 60.0
"""Seconds after which the account's limit has room again (vendor documentation, read 2026-10)."""


@dataclass(slots=True)
class Probe:
    """Report what probing a model showed.

    Attributes:
        calls: How many calls were made.
        latency: Seconds of the first call, from the request to the end of its reply.
        first_token: Seconds from the request to the first piece of the answer.
        usage_fields: What the gateway's usage report holds.
        stream_usage: Whether a stream carries usage.
        tools: ``yes``, or what happened instead.
        json_mode: The same.
        micro_credits: What the calls cost; None if a call has no price.
        failure: Why the first call failed.
    """

    model: str
    calls: int = 0
    latency: float | None = None
    first_token: float | None = None
    usage_fields: tuple[str, ...] = ()
    stream_usage: bool | None = None
    tools: str | None = None
    json_mode: str | None = None
    micro_credits: int | None = 0
    failure: Failure | None = None

    @property
    def answer(self) -> str | None:
        """Return whether the model answers, ``yes`` or ``no: 404``; None where the account's limit was in the way."""
        if self.failure is None:
            return "yes"
        return None if self.failure.kind == "rate_limit" else f"no: {self.failure.status or self.failure.message}"

    def as_dict(self) -> dict[str, Any]:
        """Return what was shown, as plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "failure"}
        problem = None if self.failure is None else {"status": self.failure.status, "reason": self.failure.message}
        return plain | {"usage_fields": list(self.usage_fields), "failure": problem}

    def check(self) -> Check:
        """Return what was shown, in one line."""
        name = f"probe {self.model}"
        if self.failure is not None:
            status = "" if self.failure.status is None else f"{self.failure.status}: "
            if self.answer is None:
                what = f"{status}{self.failure.message}; whether it answers is not known"
                return warned(name, what, self.failure.hint.rstrip("."))
            return failed(name, f"{status}{self.failure.message}", self.failure.hint.rstrip("."))
        told = [f"{(self.latency or 0) * 1000:.0f} ms"]
        told += [f"first token {self.first_token * 1000:.0f} ms"] if self.first_token is not None else []
        told += [f"usage {'+'.join(self.usage_fields) or 'missing'}"]
        if self.stream_usage is not None:
            told += [f"streams carry usage: {'yes' if self.stream_usage else 'no'}"]
        told += [f"tools: {self.tools}"] if self.tools else []
        told += [f"JSON mode: {self.json_mode}"] if self.json_mode else []
        told += [f"{self.calls} call{'' if self.calls == 1 else 's'} cost {format_credits(self.micro_credits)}"]
        if self.stream_usage is False or not self.usage_fields:
            return warned(name, ", ".join(told), "expect estimates: the gateway does not say what its calls use")
        return passed(name, ", ".join(told))


@dataclass(slots=True)
class Prober:
    """Probe models.

    Args:
        book: The current prices.
        recorder: Where what the calls cost is recorded.
        timeout: Seconds to wait for a reply.
    """

    endpoint: Endpoint
    key: SecretStr
    book: PriceBook
    recorder: Recorder
    timeout: float = 60.0
    _session: str = field(default_factory=lambda: uuid.uuid4().hex)

    def estimate_max_cost(self, model: str) -> int | None:
        """Return the maximum cost of probing a model, in micro-credits; None where it has no price."""
        costs = [
            estimate_max_cost(model, operation, body, self.endpoint.billing_mode, self.book)
            for _, operation, body in self._requests(model)
        ]
        return None if None in costs else sum(cost or 0 for cost in costs)

    def probe(self, model: str) -> Probe:
        """Probe a model."""
        found = Probe(model)
        for number, (path, operation, body) in enumerate(self._requests(model)):
            reply: Mapping[str, Any] = {}
            refused: str | None = None
            is_limited = False
            try:
                reply = self._call(found, path, operation, body)
            except GatewayError as error:
                if number == 0:
                    found.failure = error.failure
                    break
                is_limited = error.failure.kind == "rate_limit"
                refused = (
                    "not known: the account's limit"
                    if is_limited
                    else f"no: {error.failure.status or error.failure.message}"
                )
            if "tools" in body:
                found.tools = refused or ("yes" if _message(reply).get("tool_calls") else "offered, not called")
            elif "response_format" in body:
                found.json_mode = refused or ("yes" if _is_json(_message(reply).get("content")) else "no JSON came")
            if is_limited:
                break
        return found

    def _requests(self, model: str) -> Iterator[tuple[str, Operation, dict[str, Any]]]:
        """Yield the calls of a probe; the first one decides whether the model answers."""
        known = catalogue().model(model)
        if known.mode == "embedding":
            yield "/embeddings", "embedding", {"model": model, "input": "hi"}
            return
        if known.mode == "image_generation":
            yield (
                "/images/generations",
                "image",
                {"model": model, "prompt": "a dot", "n": 1, "size": "1024x1024", "quality": "low"},
            )
            return
        # A model that thinks would use up the few tokens before it says anything.
        body: dict[str, Any] = {"model": model, **(known.disable_reasoning or {})}

        def asked(text: str, most: int, **more: Any) -> tuple[str, Operation, dict[str, Any]]:
            return _CHAT, "chat", {**body, "messages": [{"role": "user", "content": text}], "max_tokens": most, **more}

        yield asked("Hi", _SHORT, stream=True, stream_options={"include_usage": True})
        yield asked("What time is it? Call now.", _LONG, tools=[_TOOL])
        yield asked('Answer with this JSON: {"ok": true}', _LONG, response_format={"type": "json_object"})

    def _call(self, found: Probe, path: str, operation: Operation, body: dict[str, Any]) -> Mapping[str, Any]:
        """Make a call and record it; its reply.

        Raises:
            GatewayError: It failed.
        """
        request = GatewayRequest(
            self.endpoint, self.key, path, found.model, body, Timeouts(10.0, self.timeout, self.timeout)
        )
        patience = _PATIENCE
        while True:
            try:
                return self._call_once(found, request, operation, body)
            except GatewayError as error:
                failure = error.failure
                # A wait that nobody would wait for, such as that of the limit of a day, was not sent and has no status.
                if not patience or failure.kind != "rate_limit" or failure.status is None:
                    raise
            patience -= 1
            if failure.retry_after is None or settings.rate_limit(runtime.rate_limit) is None:
                _sleep(min(failure.retry_after or _WINDOW, _WINDOW))  # else the rate limiter waits by itself

    def _call_once(
        self, found: Probe, request: GatewayRequest, operation: Operation, body: dict[str, Any]
    ) -> Mapping[str, Any]:
        with RateLimited(request, runtime.rate_limit):
            attempt = EventBuilder(
                operation=operation,
                route="provider",
                model=found.model,
                billing_mode=self.endpoint.billing_mode,
                identity=Attribution(host=host_of(self.endpoint.base_url), session_id=self._session, tags=(TAG,)),
                call_id=uuid.uuid4().hex,
                trace_id=self._session,
                attempts=runtime.tracker.attempts,
            )
            found.calls += 1
            try:
                reply = self._streamed(found, request) if request.is_streamed else self._plain(found, request)
            except GatewayError as error:
                cost = attempt.cost(Usage(), self.book)
                self.recorder.record(attempt.event("failed", cost, error.failure.status, type(error).__name__))
                raise
        attempt.response_id = reply.get("id")
        cost = attempt.cost(_usage(operation, reply, body), self.book)
        self.recorder.record(attempt.event("ok", cost, 200))
        known = found.micro_credits is not None and cost.micro_credits is not None
        found.micro_credits = (found.micro_credits or 0) + (cost.micro_credits or 0) if known else None
        return reply

    def _plain(self, found: Probe, request: GatewayRequest) -> Mapping[str, Any]:
        began = time.perf_counter()
        body = client.send(request, runtime.clients).body
        if found.latency is None:
            found.latency = time.perf_counter() - began
        reply = _parsed(body)
        found.usage_fields = found.usage_fields or tuple(sorted(reply.get("usage") or ()))
        return reply

    def _streamed(self, found: Probe, request: GatewayRequest) -> Mapping[str, Any]:
        began, events = time.perf_counter(), SSEDecoder()
        reply: dict[str, Any] = {}
        with client.open_stream(request, runtime.clients) as received, client.map_httpx_errors(request):
            for data in itertools.chain.from_iterable(map(events.feed, received.iter_bytes())):
                chunk = _parsed(data)
                if found.first_token is None and chunk.get("choices"):
                    found.first_token = time.perf_counter() - began
                reply |= {name: chunk[name] for name in ("id", "usage") if chunk.get(name)}
        found.latency = time.perf_counter() - began
        found.stream_usage = "usage" in reply
        found.usage_fields = tuple(sorted(reply.get("usage") or ()))
        return reply


def _usage(operation: Operation, reply: Mapping[str, Any], body: Mapping[str, Any]) -> Usage:
    if operation == "image":
        return Usage(images=1, image_size=body["size"], image_quality=body["quality"], source="reported")
    return Usage.from_response(reply.get("usage"))


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _message(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = reply.get("choices") or [{}]
    message: Mapping[str, Any] = choices[0].get("message") or {}
    return message


def _is_json(text: object) -> bool:
    return isinstance(text, str) and bool(_parsed(text.encode()))
