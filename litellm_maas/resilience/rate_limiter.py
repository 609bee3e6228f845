"""Keep the client-side rate limit: wait before a request instead of being rejected after it.

The gateway's limit (10 requests a minute by default, vendor documentation, read 2026-10) is the account's, shared by
all models and keys, so no fallback escapes it. `MAAS_RPM` switches it on. When the gateway rejects a request and says
how long to wait, all who share the slots wait that long.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from urllib.parse import urlsplit

from pydantic import SecretStr

from litellm_maas import settings
from litellm_maas.errors import GatewayError, RateLimitStoreError
from litellm_maas.gateway.errors import Failure
from litellm_maas.gateway.request import GatewayRequest
from litellm_maas.resilience.limiter_stores import RateLimitStore, RedisRateLimitStore, Slot, SqliteRateLimitStore
from litellm_maas.settings import RateLimit
from litellm_maas.steps import Steps, Wait, Work, arun, run

logger = logging.getLogger("litellm_maas")

_AT_ONCE = 0.05
"""Seconds. A wait that is no longer than this need not look again whether the slots were blocked meanwhile."""


class RateLimited:
    """Wait for a slot on entry, synchronously (`with`) or asynchronously (`async with`).

    The wait can be cancelled, which releases the slot, and never blocks the event loop.

    Raises:
        GatewayError: The slot is further away than the maximum wait; nothing was sent. It says how long to wait.
    """

    def __init__(self, request: GatewayRequest, configured: RateLimit | None = None) -> None:
        self._account = urlsplit(request.endpoint.base_url).netloc
        self._model = f"{self._account}/{request.model}"
        self._limit = settings.rate_limit(configured)

    def __enter__(self) -> None:
        if self._limit is not None:
            run(self._acquire(self._limit))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._limit is not None and isinstance(error, GatewayError):
            self._apply_retry_after(self._limit, error.failure)

    async def __aenter__(self) -> None:
        if self._limit is not None:
            await arun(self._acquire(self._limit))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._limit is not None and isinstance(error, GatewayError):
            await asyncio.to_thread(self._apply_retry_after, self._limit, error.failure)

    def _acquire(self, limit: RateLimit) -> Steps[None]:
        for store in shared_stores(limit):
            with _log_failure():
                yield from self._acquire_from(store, limit)
                return

    def _acquire_from(self, store: RateLimitStore, limit: RateLimit) -> Steps[None]:
        deadline = time.monotonic() + limit.max_wait
        while True:
            left = deadline - time.monotonic()
            slot = yield Work(functools.partial(self._try, store, limit, left))
            if isinstance(slot, float):
                if slot > left:
                    raise GatewayError(_wait_exceeded(limit, slot))
                yield Wait(slot)
                continue
            if not slot.acquired:
                raise GatewayError(_wait_exceeded(limit, slot.delay))
            try:
                yield Wait(slot.delay)
            except GeneratorExit:
                store.release(self._account, slot)
                raise
            if slot.delay <= _AT_ONCE or not (yield Work(functools.partial(self._is_blocked, store))):
                return
            yield Work(functools.partial(store.release, self._account, slot))

    def _try(self, store: RateLimitStore, limit: RateLimit, left: float) -> Slot | float:
        """Acquire a slot, or return the seconds for which the model is blocked."""
        blocked = store.blocked_for(self._model)
        return blocked if blocked > 0 else store.try_acquire(self._account, limit, left)

    def _is_blocked(self, store: RateLimitStore) -> bool:
        return store.blocked_for(self._account) > 0 or store.blocked_for(self._model) > 0

    def _apply_retry_after(self, limit: RateLimit, failure: Failure) -> None:
        """Block the slots for as long as the gateway asked: only the model's, if the limit is its own."""
        if failure.kind != "rate_limit" or failure.status is None or failure.retry_after is None:
            return
        name = self._model if failure.scope == "model" else self._account
        for store in shared_stores(limit):
            with _log_failure():
                store.block_for(name, failure.retry_after)
                return


def shared_stores(limit: RateLimit) -> Iterator[RateLimitStore]:
    """Yield where slots are shared: Redis, if that is set, and a file otherwise or when Redis cannot be reached."""
    if limit.redis is not None:
        with _log_failure():
            yield _redis(limit.redis)
    yield SqliteRateLimitStore(settings.data_folder() / "rate_limit.db")


@cache
def _redis(address: SecretStr) -> RedisRateLimitStore:
    return RedisRateLimitStore(address)


@contextmanager
def _log_failure() -> Iterator[None]:
    try:
        yield
    except RateLimitStoreError as error:
        _say_once(str(error))


@cache
def _say_once(problem: str) -> None:
    logger.warning("rate-limit store unavailable (%s); falling back to the local file, or to no limit", problem)


def _wait_exceeded(limit: RateLimit, wait: float) -> Failure:
    return Failure(
        "rate_limit",
        None,
        f"client-side rate limit ({limit.requests} per {limit.seconds:g} s): next slot in {wait:.1f} s exceeds "
        f"the maximum wait of {limit.max_wait:g} s; request not sent",
        "Call later or less often, raise MAAS_RPM_MAX_WAIT, or have the account's limit raised and set MAAS_RPM to it.",
        retry_after=wait,
    )
