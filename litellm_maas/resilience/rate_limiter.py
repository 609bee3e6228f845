"""Pacing: waiting before a request instead of being refused after it.

The gateway's limit (10 requests a minute by default, vendor documentation, read 2026-10) is the account's, shared by
all models and keys, so no fallback escapes it. `MAAS_RPM` switches pacing on. A refusal of the gateway that says how
long to wait is heeded by everybody who shares the turns.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from urllib.parse import urlsplit

from pydantic import SecretStr

from litellm_maas import settings
from litellm_maas.errors import RateLimitStoreError
from litellm_maas.gateway.errors import Failure, GatewayError
from litellm_maas.gateway.request import GatewayRequest
from litellm_maas.resilience.limiter_stores import RateLimitStore, RedisRateLimitStore, SqliteRateLimitStore
from litellm_maas.settings import RateLimit

logger = logging.getLogger("litellm_maas")

configured: RateLimit | None = None
"""The pacing that a router's file sets; the environment goes before it."""

_AT_ONCE = 0.05
"""Seconds. Who waits no longer than this need not look again whether the turns were held meanwhile."""


class RateLimited:
    """A block, synchronous (`with`) or asynchronous (`async with`), that begins when its request may be sent.

    The wait can be cancelled, which gives the turn to somebody else, and never blocks the event loop.

    Raises:
        GatewayError: The turn is further away than the longest wait; nothing was sent. It says how long to wait.
    """

    def __init__(self, request: GatewayRequest) -> None:
        self._account = urlsplit(request.endpoint.base_url).netloc
        self._model = f"{self._account}/{request.model}"
        self._pacing = settings.pacing(configured)

    def __enter__(self) -> None:
        if self._pacing is not None:
            for wait in self._waits(self._pacing):
                time.sleep(wait)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pacing is not None and isinstance(error, GatewayError):
            self._apply_retry_after(self._pacing, error.failure)

    async def __aenter__(self) -> None:
        if self._pacing is None:
            return
        waits = _Steps(self._waits(self._pacing))
        try:
            while (wait := await asyncio.to_thread(waits.next)) is not None:  # noqa: ASYNC110 - a turn is a time
                await asyncio.sleep(wait)
        except asyncio.CancelledError:
            # A turn that a thread is still asking for can be given back only when it is there.
            await asyncio.shield(asyncio.to_thread(waits.close))
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pacing is not None and isinstance(error, GatewayError):
            await asyncio.to_thread(self._apply_retry_after, self._pacing, error.failure)

    def _waits(self, pacing: RateLimit) -> Generator[float, None, None]:
        """Seconds to wait, one after the other, until the request may be sent."""
        for store in shared_stores(pacing):
            with _saying_what_fails():
                yield from self._waits_for(store, pacing)
                return

    def _waits_for(self, store: RateLimitStore, pacing: RateLimit) -> Generator[float, None, None]:
        deadline = time.monotonic() + pacing.max_wait
        while True:
            left = deadline - time.monotonic()
            if (blocked := store.blocked_for(self._model)) > 0:
                if blocked > left:
                    raise GatewayError(_wait_exceeded(pacing, blocked))
                yield blocked
                continue
            slot = store.try_acquire(self._account, pacing, left)
            if not slot.acquired:
                raise GatewayError(_wait_exceeded(pacing, slot.delay))
            try:
                yield slot.delay
            except GeneratorExit:
                store.release(self._account, slot)
                raise
            if slot.delay <= _AT_ONCE or not (store.blocked_for(self._account) or store.blocked_for(self._model)):
                return
            store.release(self._account, slot)

    def _apply_retry_after(self, pacing: RateLimit, failure: Failure) -> None:
        """Hold the turns for as long as the gateway asked to wait: those of the model, where it says that it is one."""
        if failure.kind != "rate_limit" or failure.status is None or failure.retry_after is None:
            return
        name = self._model if "model" in failure.message.lower() else self._account
        for store in shared_stores(pacing):
            with _saying_what_fails():
                store.block_for(name, failure.retry_after)
                return


class _Steps:
    """A generator that threads run, one at a time."""

    def __init__(self, steps: Generator[float, None, None]) -> None:
        self._steps = steps
        self._lock = threading.Lock()

    def next(self) -> float | None:
        """The next value, or None at the end."""
        with self._lock:
            return next(self._steps, None)

    def close(self) -> None:
        """End it where it stands."""
        with self._lock:
            self._steps.close()


def shared_stores(pacing: RateLimit) -> Iterator[RateLimitStore]:
    """Where turns are shared: in Redis, if that is set, and otherwise or when it is away in a file."""
    if pacing.redis is not None:
        with _saying_what_fails():
            yield _redis(pacing.redis)
    yield SqliteRateLimitStore(settings.data_folder() / "pacing.db")


@cache
def _redis(address: SecretStr) -> RedisRateLimitStore:
    return RedisRateLimitStore(address)


@contextmanager
def _saying_what_fails() -> Iterator[None]:
    try:
        yield
    except RateLimitStoreError as error:
        _say_once(str(error))


@cache
def _say_once(problem: str) -> None:
    logger.warning("pacing does not work as set: %s. Calls go on, paced on this machine alone or not at all.", problem)


def _wait_exceeded(pacing: RateLimit, wait: float) -> Failure:
    return Failure(
        "rate_limit",
        None,
        f"the next turn under the limit of {pacing.requests} requests in {pacing.seconds:g} s is {wait:.1f} s away; "
        f"the longest wait is {pacing.max_wait:g} s, so nothing was sent",
        "Call later or less often, raise MAAS_RPM_MAX_WAIT, or have the account's limit raised and set MAAS_RPM to it.",
        retry_after=wait,
    )
