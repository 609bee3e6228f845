"""Run the call pipeline: retry check, budget, rate limit, spend recording, HTTP.

Each step wraps the next: whether another attempt makes sense (`attempt_history`), the budgets (`budget_guard`), a slot
under the rate limit (`resilience.rate_limiter`), and nearest to the wire the recording (`spend_recording`). On the way
back, the event is in the ledger before anybody else sees the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from litellm_maas.gateway.request import GatewayRequest
from litellm_maas.ledger.event import Operation
from litellm_maas.provider.attempt_history import RoutedAttempt, attempting
from litellm_maas.provider.budget_guard import BudgetGuard
from litellm_maas.provider.cooldown_rules import router_cooldowns
from litellm_maas.provider.spend_recording import RecordedCall
from litellm_maas.resilience.rate_limiter import RateLimited
from litellm_maas.runtime import runtime

RequestFactory = Callable[[dict[str, Any]], GatewayRequest]
"""Makes a request of LiteLLM's call."""


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call that may go out now.

    Attributes:
        request: What to send; a budget may have chosen a cheaper model.
        attempt: Where to note that the model answers.
        recording: Where to note what was used.
    """

    request: GatewayRequest
    attempt: RoutedAttempt
    recording: RecordedCall


@contextmanager
def call_pipeline(make: RequestFactory, call: dict[str, Any], operation: Operation) -> Iterator[PreparedCall]:
    """Enter the pipeline; the block begins when the call may be sent.

    Raises:
        GatewayError: Another attempt is pointless, the model is in cooldown, a budget blocks the call, or the slot is
            too far away.
    """
    request = make(call)
    with (
        # An asynchronous router asks the rules itself, before it chooses.
        attempting(request, call, router_cooldowns.pass_over) as attempt,
        BudgetGuard(request, _for_model(make, call), call, operation) as guard,
    ):
        attempt.set_request(guard.request)
        with (
            RateLimited(guard.request, runtime.rate_limit),
            RecordedCall(guard.request, call, operation, guard.detach_reservation()) as recording,
        ):
            yield PreparedCall(guard.request, attempt, recording)


class AsyncCallPipeline:
    """Do what `call_pipeline` does, asynchronously. A class, for the same reason as `client.AsyncResponseStream`."""

    def __init__(self, make: RequestFactory, call: dict[str, Any], operation: Operation) -> None:
        self._make = make
        self._call = call
        self._operation = operation

    async def __aenter__(self) -> PreparedCall:
        make, call, operation = self._make, self._call, self._operation
        async with AsyncExitStack() as entered:
            request = make(call)
            attempt = entered.enter_context(attempting(request, call))
            guard = await entered.enter_async_context(BudgetGuard(request, _for_model(make, call), call, operation))
            attempt.set_request(guard.request)
            await entered.enter_async_context(RateLimited(guard.request, runtime.rate_limit))
            recording = await entered.enter_async_context(
                RecordedCall(guard.request, call, operation, guard.detach_reservation())
            )
            self._entered = entered.pop_all()
        return PreparedCall(guard.request, attempt, recording)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._entered.__aexit__(kind, error, traceback)


def _for_model(make: RequestFactory, call: Mapping[str, Any]) -> Callable[[str], GatewayRequest]:
    return lambda model: make({**call, "model": model})
