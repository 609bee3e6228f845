"""Build the event of an attempt from what it used and what that costs."""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from litellm_maas.ledger.event import Event, Operation, Route, Status, new_id, response_event_id, sanitize_text
from litellm_maas.pricing.cost import BillingMode, Cost, cost
from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.pricing.usage import Usage
from litellm_maas.tracking.attribution import Attribution

PROVIDER = "maas"
"""The provider's name in LiteLLM, as `provider.exceptions` has it; this module loads no LiteLLM."""

COST_PARAM = "maas_cost"
"""Where the cost stands: in a response's hidden parameters, and in the details of a stream's usage."""


class AttemptCounter:
    """Counts the attempts of calls without a router: LiteLLM's retries and fallbacks of a call share its id."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, int] = OrderedDict()
        self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """Replace the lock, which a thread of the parent may have held."""
        # Reentrant: garbage collection may close an abandoned stream, which is recorded then, in the midst of this.
        self._lock = threading.RLock()

    def next(self, call_id: str | None) -> int:
        """Return the number of this attempt."""
        if call_id is None:
            return 1
        with self._lock:
            number = self._made.pop(call_id, 0) + 1
            self._made[call_id] = number
            if len(self._made) > 10_000:
                self._made.popitem(last=False)
            return number


@dataclass(slots=True)
class EventBuilder:
    """One attempt that reaches the gateway, from its start to its event."""

    operation: Operation
    route: Route
    model: str
    billing_mode: BillingMode
    identity: Attribution
    call_id: str | None
    trace_id: str | None
    attempts: AttemptCounter
    requested_model: str | None = None
    started_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.timezone.utc))
    response_id: str | None = None

    def cost(self, usage: Usage, book: PriceBook | None) -> Cost:
        """Return what it costs."""
        return cost(self.model, usage, self.started_at, self.billing_mode, book)

    def event(
        self, status: Status, cost: Cost, http_status: int | None = None, error_class: str | None = None
    ) -> Event:
        """Return its event, now that its outcome is known."""
        if status == "ok" and cost.usage.source == "none" and cost.basis != "plan":
            cost = Cost(None, "unpriced", cost.usage)  # nobody counted, which is not the same as nothing
        usage = cost.usage
        model, asked = _text(self.model), _text(self.requested_model)
        response_id, call_id, trace_id = _text(self.response_id), _text(self.call_id), _text(self.trace_id)
        return Event(
            event_id=self._id(status, response_id, call_id),
            started_at=self.started_at,
            # A clock that is set back in the meantime makes no event that ends before it begins.
            ended_at=max(dt.datetime.now(dt.timezone.utc), self.started_at),
            operation=self.operation,
            route=self.route,
            status=status,
            requested_model=self.identity.requested or asked or model or "",
            model=model or "",
            host=self.identity.host,
            input_tokens=usage.input_tokens,
            cached_tokens=usage.cached_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            images=usage.images,
            image_size=_text(usage.image_size),
            image_quality=_text(usage.image_quality),
            usage_source=usage.source,
            micro_credits=cost.micro_credits,
            saved_micro_credits=cost.saved_micro_credits,
            basis=cost.basis,
            price_source=cost.price_source,
            response_id=response_id,
            call_id=call_id,
            trace_id=trace_id,
            attempt=self.identity.attempt or self.attempts.next(call_id),
            user=self.identity.user,
            end_user=self.identity.end_user,
            team_id=self.identity.team_id,
            team=self.identity.team,
            key_alias=self.identity.key_alias,
            session_id=self.identity.session_id,
            tags=self.identity.tags,
            anomalies=usage.anomalies,
            http_status=http_status,
            error_class=error_class,
        )

    def _id(self, status: Status, response_id: str | None, call_id: str | None) -> str:
        # The provider records each of its attempts once; LiteLLM may call its callbacks twice for one reply. Neither a
        # gateway's ids nor a caller's are sure to be new.
        is_repeatable = self.route == "base_url" and status == "ok"
        return response_event_id(response_id, call_id) if is_repeatable and response_id and call_id else new_id()


def _text(given: object) -> str | None:
    """Return what a column can hold: callers give LiteLLM ids of all types."""
    return None if given is None else sanitize_text(str(given))
