"""Metering of the provider's calls: a context in which an attempt is made, and on leaving which it is recorded."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from litellm_maas.errors import GatewayError, SettingsError
from litellm_maas.gateway.request import GatewayRequest
from litellm_maas.ledger.event import Event, Operation, Status, host_of
from litellm_maas.ledger.recorder import OnCommitted
from litellm_maas.pricing.cost import Cost
from litellm_maas.pricing.usage import Usage, has_counts, of_reply, prompt_characters, usage_in
from litellm_maas.provider.exceptions import exception_class_name
from litellm_maas.provider.streaming import StreamDecoder
from litellm_maas.runtime import runtime
from litellm_maas.tracking.attribution import attribution_from
from litellm_maas.tracking.event_builder import EventBuilder

logger = logging.getLogger("litellm_maas")


class RecordedCall:
    """Record one attempt of the provider's, synchronously (`with`) or asynchronously (`async with`).

    Leaving it commits the attempt's event, if spend is recorded: as ok after `succeeded`, as failed after a
    `GatewayError`, and as cancelled when the caller gave up. A call that a setting forbids never reached the gateway.

    Args:
        request: What is sent.
        call: LiteLLM's call.
        operation: What is asked for.
        on_committed: Called when the event is in the ledger.

    Attributes:
        cost: What the attempt cost, once it has succeeded.
    """

    def __init__(
        self,
        request: GatewayRequest,
        call: Mapping[str, Any],
        operation: Operation,
        on_committed: OnCommitted | None = None,
    ) -> None:
        self._request = request
        self._attempt = event_builder_for(request, call, operation)
        self._on_committed = on_committed
        self._decoder: StreamDecoder | None = None
        self._process: int | None = None
        self.cost: Cost | None = None

    def attach_decoder(self, decoder: StreamDecoder) -> None:
        """Estimate the event of a stream that does not end well from what had come."""
        self._decoder = decoder

    def succeeded(self, response_id: object, usage: Usage) -> Cost:
        """Note that the gateway answered, and price it."""
        self._attempt.response_id = response_id if isinstance(response_id, str) and response_id else None
        self.cost = self._cost(usage)
        if self._attempt.response_id is not None:
            runtime.tracker.cache_cost(self._attempt.response_id, self.cost)
        return self.cost

    def stream_succeeded(self, decoder: StreamDecoder) -> Cost:
        """Record a stream that has come to its end; without a usage report its usage is estimated."""
        return self.succeeded(decoder.response_id, self._used(decoder.usage))

    def __enter__(self) -> RecordedCall:
        self._process = os.getpid()
        runtime.in_flight[id(self)] = self
        if runtime.tracker.enabled:
            runtime.tracker.recorder().open_in_background()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, GeneratorExit):
            # It may be garbage collection that closes the stream, in the midst of another recording in this thread.
            self._abandon(error)
        elif (event := self._take_event(error)) is not None:
            runtime.tracker.recorder().record(event, self._on_committed)

    async def __aenter__(self) -> RecordedCall:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, GatewayError):
            # A cancelled task has no time left to wait in.
            self._abandon(error)
        elif (event := self._take_event(error)) is not None:
            await runtime.tracker.recorder().arecord(event, self._on_committed)

    def __del__(self) -> None:
        # An asynchronous stream whose event loop is gone is dropped by Python without being closed.
        self.abandon()

    def abandon(self) -> None:
        """Record an attempt that nobody will bring to its end any more."""
        self._abandon(None)

    def _abandon(self, error: BaseException | None) -> None:
        if (event := self._take_event(error)) is not None:
            runtime.tracker.recorder().record_nowait(event, self._on_committed)

    def _take_event(self, error: BaseException | None) -> Event | None:
        """Take the event to record: once for each attempt, and not in the child of a fork in its midst."""
        mine, self._process = self._process == os.getpid(), None
        if not mine:
            return None
        try:
            # What a setting forbids was not sent.
            if runtime.tracker.enabled and not isinstance(error, SettingsError):
                return self._event(error)
        except Exception:
            logger.exception("a call could not be recorded; it goes on all the same")
        if self._on_committed is not None:
            self._on_committed()
        return None

    def _event(self, error: BaseException | None) -> Event:
        if error is None and self.cost is not None:
            return self._attempt.event("ok", self.cost, 200)
        if isinstance(error, GatewayError):
            failure = error.failure
            return self._unfinished("failed", failure.status, exception_class_name(failure), error.payload)
        # Whatever else ends a call is the caller giving up: the gateway goes on, and bills.
        given_up = error is None or isinstance(error, GeneratorExit)
        return self._unfinished("cancelled", None, None if given_up else type(error).__name__)

    def _unfinished(
        self, status: Status, http_status: int | None, error_class: str | None, payload: Mapping[str, Any] | None = None
    ) -> Event:
        decoder = self._decoder
        if decoder is not None and self._attempt.response_id is None:
            self._attempt.response_id = decoder.response_id
        came_with_it = None if payload is None else usage_in(payload)
        raw = came_with_it if decoder is None or has_counts(came_with_it) else decoder.usage
        has_begun = decoder is not None and decoder.delta_count > 0
        if self.cost is not None:
            cost = self.cost
        elif status == "cancelled" or has_begun or has_counts(raw):
            cost = self._cost(self._used(raw))
        else:
            cost = self._cost(Usage())
        return self._attempt.event(status, cost, http_status, error_class)

    def _used(self, raw: object) -> Usage:
        decoder = self._decoder
        return of_reply(
            raw,
            lambda: prompt_characters(self._request.body or {}),
            lambda: decoder.output_chars if decoder else 0,
            decoder.delta_count if decoder else 0,
        )

    def _cost(self, usage: Usage) -> Cost:
        return self._attempt.cost(usage, runtime.tracker.price_book())


def event_builder_for(request: GatewayRequest, call: Mapping[str, Any], operation: Operation) -> EventBuilder:
    """Start the attempt that a call of LiteLLM's makes."""
    logging_obj = call["logging_obj"]
    params = call.get("litellm_params") or logging_obj.model_call_details.get("litellm_params") or {}
    return EventBuilder(
        operation=operation,
        route="provider",
        model=request.model,
        billing_mode=request.endpoint.billing_mode,
        identity=attribution_from(
            params, logging_obj.model_call_details.get("user"), host_of(request.endpoint.base_url)
        ),
        call_id=logging_obj.litellm_call_id,
        trace_id=logging_obj.litellm_trace_id,
        attempts=runtime.tracker.attempts,
        requested_model=call["model"],
    )
