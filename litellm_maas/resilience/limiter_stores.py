"""Share a sliding-window rate limit between processes (SQLite) or machines (Redis).

A slot is a moment, handed out in the order of the requests for one. It is never nearer than a window to the slot that
is so many before it, so the limit holds in every window, wherever that begins. The SQLite file is not the ledger: a
slot need not survive a power cut and must not wait behind a report.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from litellm_maas import fork_safety
from litellm_maas.errors import RateLimitStoreError
from litellm_maas.gateway.retry_after import LONGEST
from litellm_maas.settings import RateLimit

_PATIENCE = 10.0
"""Seconds that somebody waits for another one who uses the file."""


@dataclass(slots=True)
class Slot:
    """A slot, or the delay until there would be one.

    Attributes:
        acquired: Whether the caller got it; false if it is further away than the caller would wait.
        delay: Seconds until it.
    """

    acquired: bool
    delay: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class RateLimitStore(Protocol):
    """Share the slots of each name. All methods may wait for other processes for a moment.

    Each raises `RateLimitStoreError` if the store cannot be used.
    """

    def try_acquire(self, name: str, limit: RateLimit, max_wait: float) -> Slot:
        """Acquire the next slot, unless it is further away than `max_wait` seconds."""

    def release(self, name: str, slot: Slot) -> None:
        """Release a slot that will not be used, to whoever asks next."""

    def block_for(self, name: str, seconds: float) -> None:
        """Block all slots of this name for so many seconds."""

    def blocked_for(self, name: str) -> float:
        """Return the seconds for which slots of this name are still blocked."""


class SqliteRateLimitStore:
    """Share slots in a file, between the processes of one machine.

    Args:
        path: The file; it is made if it is not there.
        clock: Seconds, the same for all processes.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self.after_fork_in_child()
        fork_safety.register(self)

    def before_fork(self) -> bool:
        """See `fork_safety.Forkable`."""
        return self._lock.acquire(timeout=_PATIENCE)

    def after_fork_in_parent(self) -> None:
        """See `fork_safety.Forkable`."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """See `fork_safety.Forkable`."""
        self._lock = threading.Lock()

    def try_acquire(self, name: str, limit: RateLimit, max_wait: float) -> Slot:
        """See `RateLimitStore.try_acquire`."""
        with self._transaction() as connection:
            now, apart = self._clock(), limit.seconds + limit.margin
            # Slots in a far future are from a clock that was wrong.
            connection.execute("DELETE FROM slots WHERE at <= ? OR at > ?", (now - 10 * apart, now + LONGEST))
            earlier = connection.execute(
                "SELECT at FROM slots WHERE name = ? ORDER BY at DESC LIMIT 1 OFFSET ?", (name, limit.requests - 1)
            ).fetchone()
            at = max(now, self._blocked_until(connection, name), earlier[0] + apart if earlier else now)
            slot = Slot(at - now <= max_wait, at - now)
            if slot.acquired:
                connection.execute("INSERT INTO slots VALUES (?, ?, ?)", (slot.id, name, at))
        return slot

    def release(self, name: str, slot: Slot) -> None:
        """See `RateLimitStore.release`."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM slots WHERE id = ? AND name = ?", (slot.id, name))

    def block_for(self, name: str, seconds: float) -> None:
        """See `RateLimitStore.block_for`."""
        with self._transaction() as connection:
            until = max(self._clock() + seconds, self._blocked_until(connection, name))
            connection.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?)", (name, until))

    def blocked_for(self, name: str) -> float:
        """See `RateLimitStore.blocked_for`."""
        with self._transaction() as connection:
            return max(0.0, self._blocked_until(connection, name) - self._clock())

    def _blocked_until(self, connection: sqlite3.Connection, name: str) -> float:
        row = connection.execute("SELECT until FROM blocks WHERE name = ?", (name,)).fetchone()
        # One that lasts longer than any limit was made by mistake, or by a clock that was wrong.
        return float(row[0]) if row and row[0] <= self._clock() + LONGEST else 0.0

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A connection for each use: no state that a thread or the child of a fork could share.
            with (
                self._lock,
                contextlib.closing(sqlite3.connect(self._path, isolation_level=None, timeout=_PATIENCE)) as connection,
            ):
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("CREATE TABLE IF NOT EXISTS slots (id TEXT PRIMARY KEY, name TEXT, at REAL)")
                connection.execute("CREATE TABLE IF NOT EXISTS blocks (name TEXT PRIMARY KEY, until REAL)")
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise RateLimitStoreError(f"{self._path}: {error}") from None


_ACQUIRE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local apart = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 10 * apart)
local earlier = redis.call('ZREVRANGE', KEYS[1], ARGV[1] - 1, ARGV[1] - 1, 'WITHSCORES')
local blocked = tonumber(redis.call('GET', KEYS[2]) or 0)
local at = now
if blocked < now + 86400 then at = math.max(now, blocked) end
if earlier[2] then at = math.max(at, earlier[2] + apart) end
local acquired = at - now <= tonumber(ARGV[3])
if acquired then
    redis.call('ZADD', KEYS[1], string.format('%.6f', at), ARGV[4])
    redis.call('PEXPIRE', KEYS[1], math.ceil((at - now + 10 * apart) * 1000))
end
return {acquired and 1 or 0, string.format('%.6f', at - now)}
"""
_BLOCK = """
local time = redis.call('TIME')
local until_ = time[1] + time[2] / 1000000 + ARGV[1]
if until_ > tonumber(redis.call('GET', KEYS[1]) or 0) then
    redis.call('SET', KEYS[1], string.format('%.6f', until_), 'PX', math.ceil(ARGV[1] * 1000) + 1)
end
"""


class RedisRateLimitStore:
    """Share slots in Redis, between machines, by the clock of Redis.

    Args:
        address: ``redis://…`` or ``rediss://…``, password included.

    Raises:
        RateLimitStoreError: The package redis is not installed, or the address is none.
    """

    def __init__(self, address: SecretStr) -> None:
        try:
            import redis  # noqa: PLC0415 - an extra
        except ImportError:
            raise RateLimitStoreError("a rate limit in Redis needs the package redis", "pip install redis") from None
        self._error: type[Exception] = redis.RedisError
        try:
            self._client = redis.Redis.from_url(
                address.get_secret_value(), socket_timeout=5.0, socket_connect_timeout=5.0
            )
        except ValueError:
            raise RateLimitStoreError(
                "MAAS_REDIS_URL is not a Redis address", "write it like redis://host:6379/0"
            ) from None
        self._acquire_script = self._client.register_script(_ACQUIRE)
        self._block_script = self._client.register_script(_BLOCK)

    def try_acquire(self, name: str, limit: RateLimit, max_wait: float) -> Slot:
        """See `RateLimitStore.try_acquire`."""
        slot = Slot(acquired=False, delay=0.0)
        arguments: list[str | int | float] = [limit.requests, limit.seconds + limit.margin, max_wait, slot.id]
        with self._errors():
            acquired, wait = self._acquire_script(keys=[_slots(name), _blocks(name)], args=arguments)
        slot.acquired, slot.delay = bool(acquired), float(wait)
        return slot

    def release(self, name: str, slot: Slot) -> None:
        """See `RateLimitStore.release`."""
        with self._errors():
            self._client.zrem(_slots(name), slot.id)

    def block_for(self, name: str, seconds: float) -> None:
        """See `RateLimitStore.block_for`."""
        with self._errors():
            self._block_script(keys=[_blocks(name)], args=[seconds])

    def blocked_for(self, name: str) -> float:
        """See `RateLimitStore.blocked_for`."""
        with self._errors():
            left: Any = self._client.pttl(_blocks(name))
        return max(0.0, float(left) / 1000) if left <= LONGEST * 1000 else 0.0

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise RateLimitStoreError(f"Redis: {error}") from None


# The braces let a cluster keep both in one place.
def _slots(name: str) -> str:
    return f"maas:{{{name}}}:slots"


def _blocks(name: str) -> str:
    return f"maas:{{{name}}}:blocked"
