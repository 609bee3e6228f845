"""Reserve budget for a call before it is sent, or block it, or send it to a cheaper model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from litellm_maas.budgets.max_cost import estimate_max_cost
from litellm_maas.errors import GatewayError
from litellm_maas.gateway.errors import Failure
from litellm_maas.gateway.request import GatewayRequest
from litellm_maas.ledger import periods
from litellm_maas.ledger.event import Operation
from litellm_maas.ledger.recorder import OnCommitted
from litellm_maas.pricing.cost import Cost
from litellm_maas.pricing.credits import format_credits
from litellm_maas.pricing.usage import Usage
from litellm_maas.provider.spend_recording import event_builder_for
from litellm_maas.runtime import runtime
from litellm_maas.steps import Steps, arun, run

if TYPE_CHECKING:
    from litellm_maas.budgets.enforcement import Reservation
    from litellm_maas.budgets.reservations import Denial


class BudgetGuard:
    """Reserve budget for a call, synchronously (`with`) or asynchronously (`async with`).

    Where spend is not recorded there are no budgets: nobody would know what is spent.

    Args:
        request: What is to be sent.
        for_model: Makes the same request for another model.
        call: LiteLLM's call.
        operation: What is asked for.

    Attributes:
        request: What to send: the request, or the one for a cheaper model.

    Raises:
        GatewayError: A budget blocks the call; nothing was sent.
    """

    def __init__(
        self,
        request: GatewayRequest,
        for_model: Callable[[str], GatewayRequest],
        call: Mapping[str, Any],
        operation: Operation,
    ) -> None:
        self.request = request
        self._asked = request.model
        self._for_model = for_model
        self._call = call
        self._operation = operation
        self._reservation: Reservation | None = None

    def detach_reservation(self) -> OnCommitted | None:
        """Return what to call once the call is in the ledger; from now on the caller does that."""
        reservation, self._reservation = self._reservation, None
        return None if reservation is None else reservation.release

    def __enter__(self) -> BudgetGuard:
        run(self._steps())
        return self

    async def __aenter__(self) -> BudgetGuard:
        await arun(self._steps())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if (release := self.detach_reservation()) is not None:
            # Nobody took it over, so nothing was sent.
            release()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _steps(self) -> Steps[None]:
        if not runtime.tracker.enabled:
            return
        # Not with the package: programs that do not record need none of it, and it takes a sixth of the import.
        from litellm_maas.budgets.reservations import Denial  # noqa: PLC0415

        ledger, tried = runtime.tracker.recorder().path, {self._asked}
        identity = event_builder_for(self.request, self._call, self._operation).identity
        while True:
            found = yield from runtime.budgets.reserve(ledger, self.request.model, identity, self._max_cost)
            if not isinstance(found, Denial):
                self._reservation = found
                return
            cheaper = found.status.budget.cheaper_model
            if cheaper is None or cheaper in tried or found.reason == "unpriced":
                self._record_blocked()
                raise GatewayError(_failure(found))
            tried.add(cheaper)
            self.request = self._for_model(cheaper)

    def _max_cost(self) -> int | None:
        request, book = self.request, runtime.tracker.price_book()
        if book is None:
            return None
        return estimate_max_cost(
            request.model, self._operation, request.body or {}, request.endpoint.billing_mode, book
        )

    def _record_blocked(self) -> None:
        attempt = event_builder_for(self.request, self._call, self._operation)
        event = attempt.event("blocked", Cost(0, "official", Usage()), None, "BudgetExceededError")
        runtime.tracker.recorder().record_nowait(event)


def _failure(denial: Denial) -> Failure:
    reason, hint = _message(denial)
    state = denial.status
    kind: Literal["no_price", "no_room"] = "no_price" if denial.reason == "unpriced" else "no_room"
    return Failure(kind, None, reason, hint, budget=(state.spent, state.budget.limit))


def _message(denial: Denial) -> tuple[str, str]:
    """Return what happened and why, and what to do."""
    state, budget = denial.status, denial.status.budget
    what = f"budget {budget.name!r} ({format_credits(budget.limit)} per {budget.per}, {budget.describe()})"
    if denial.reason == "unpriced" and (mistake := runtime.tracker.price_error) is not None:
        return f"{what} blocks unpriced models, and nothing is priced while MAAS_PRICES has a mistake.", str(mistake)
    if denial.reason == "unpriced":
        return (
            f"{what} blocks unpriced models, and this one has no price.",
            "Put its price into the file that MAAS_PRICES names, or set the budget with --allow-unpriced.",
        )
    resets_at = state.resets_at
    if resets_at is not None:
        when = f"Resets at {periods.clock(resets_at)} ({budget.timezone})"
    else:
        when = "Never resets" if budget.window is None else "Rolling window: spend expires continuously"
    figures = f"{format_credits(state.spent)} spent, {format_credits(state.reserved)} reserved"
    return (
        f"{what} exceeded: {figures}; this call may cost up to {format_credits(denial.needed)}.",
        f"{when}. Lower max_tokens, or raise the budget: litellm-maas budget set.",
    )
