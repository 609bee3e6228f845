"""Keep the account of a sandbox: keys, enabled models, credits, limits.

It follows the vendor's documentation (read 2026-10). Where that is silent, this is what the sandbox does:

* A request counts against the limits even if it is then refused. The windows slide; Kong's own may be fixed.
* When prepaid credits are used up, every model answers 503 "model not responding": users report those words, nothing
  is documented.
* A failed call costs nothing; an aborted stream costs its input and what was written until the sandbox noticed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

CYCLE_SECONDS = 300.0
"""Prepaid credits are collected every five minutes (vendor documentation)."""

KeyStatus = Literal["pending", "active", "revoked"]


@dataclass(slots=True)
class Limit:
    """A limit of requests in a sliding window.

    Attributes:
        requests: How many requests fit into a window; 0 for no limit.
        seconds: The length of the window.
        retry_after: Whether a refusal says so in a `Retry-After` header, or only in its text.
    """

    requests: int
    seconds: float
    retry_after: bool = True
    _times: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Return seconds until another request fits; 0 if it fits now."""
        while self._times and self._times[0] <= now - self.seconds:
            self._times.popleft()
        if not self.requests or len(self._times) < self.requests:
            return 0.0
        return self._times[0] + self.seconds - now

    def count(self, now: float) -> None:
        """Count a request."""
        if self.requests:
            self._times.append(now)


@dataclass
class Account:
    """An account of the sandbox.

    Attributes:
        keys: The status of each key.
        disabled_models: Models that are listed but not enabled for the account: they answer 403.
        missing_models: Models that are listed and then answer 404.
        balance: Prepaid micro-credits, as the console shows them; None for a postpaid account.
        uncollected: Micro-credits spent since the last collection.
        per_minute: The account's limit, shared by all keys and models.
        per_day: The account's daily limit.
        per_model: Limits of single models.
        clock: Where the time comes from (seconds), so that a test can move it.
    """

    keys: dict[str, KeyStatus] = field(default_factory=dict)
    disabled_models: set[str] = field(default_factory=set)
    missing_models: set[str] = field(default_factory=set)
    balance: int | None = None
    uncollected: int = 0
    per_minute: Limit = field(default_factory=lambda: Limit(0, 60.0))
    per_day: Limit = field(default_factory=lambda: Limit(0, 86400.0))
    per_model: dict[str, Limit] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    _collected_at: float | None = None

    def spend(self, micro_credits: int | None) -> None:
        """Note what a call cost; it is taken from the balance at the next collection."""
        self.uncollected += micro_credits or 0

    def collect(self) -> None:
        """Take what was spent from the balance, if a collection is due."""
        now = self.clock()
        if self._collected_at is None:
            self._collected_at = now
        if now - self._collected_at < CYCLE_SECONDS:
            return
        self._collected_at = now
        self.collect_now()

    def collect_now(self) -> None:
        """Take what was spent from the balance, due or not."""
        if self.balance is not None:
            self.balance = max(self.balance - self.uncollected, 0)
        self.uncollected = 0

    @property
    def exhausted(self) -> bool:
        """Return whether all models are switched off."""
        return self.balance is not None and self.balance <= 0
