"""Classify what can go wrong with a call to the gateway. Knows no LiteLLM; see `provider.exceptions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ErrorKind = Literal[
    "bad_request",
    "context_window",
    "content_policy",
    "authentication",
    "payment",
    "permission",
    "not_found",
    "unprocessable",
    "retryable",
    "rate_limit",
    "timeout",
    "connection",
    "server",
    "bad_gateway",
    "unavailable",
    "no_room",
    "no_price",
]
"""`retryable` is a status from 400 to 499 that says nothing against the request: 409, 423, 424, 425, 499, the like.

Of `no_room` and `no_price` the gateway knows nothing: a budget of the user's own refuses the call."""

Scope = Literal["account", "model"]
KeyState = Literal["pending", "revoked", "other_host"]

STATUS_OF_KIND: dict[ErrorKind, int] = {
    "bad_request": 400,
    "context_window": 400,
    "content_policy": 400,
    "authentication": 401,
    "payment": 402,
    "permission": 403,
    "not_found": 404,
    "unprocessable": 422,
    "retryable": 409,
    "rate_limit": 429,
    "server": 500,
    "bad_gateway": 502,
    "unavailable": 503,
}
"""The HTTP status that an exception of a kind carries, and that an error inside a 200 reply stands for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a call.

    Attributes:
        kind: The class of failure; decides the exception.
        status: The HTTP status of the reply, or of the error inside it; None where there was no reply.
        message: The gateway's own words, on one line, without the key and without what the caller wrote.
        hint: One line of what to do.
        retry_after: Seconds to wait before the next try, where the gateway says so; a day at most.
        is_account_exhausted: Whether the account has no credits left, or its plan is used up.
        scope: Of a rate limit, whether it is the account's or this model's own.
        key_state: Of a key that is not accepted, why, where the gateway says so.
        budget: Of a budget that refuses the call, what is spent and its limit, in micro-credits.
    """

    kind: ErrorKind
    status: int | None
    message: str
    hint: str
    retry_after: float | None = None
    is_account_exhausted: bool = False
    scope: Scope = "account"
    key_state: KeyState | None = None
    budget: tuple[int, int] | None = None

    @property
    def is_persistent(self) -> bool:
        """Return whether it stays until somebody acts: no such model, not enabled, no credits."""
        return self.kind in ("payment", "permission", "not_found") or self.is_account_exhausted
