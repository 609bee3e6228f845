"""Forwarding: events that are safe in a ledger file go to PostgreSQL, in a thread of their own.

A call waits for the file only. When the database is down, or the process is killed, what has not gone yet stays in the
file; this or any later process on the machine sends it. The same event twice is one row there too.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from litellm_maas.spend.ledger import LedgerBusyError, LedgerError
from litellm_maas.spend.place import Database
from litellm_maas.spend.postgres import PostgresLedger
from litellm_maas.spend.sqlite import SqliteLedger

logger = logging.getLogger("litellm_maas")

_BATCH = 500
"""Events in one transaction."""
_PAUSE = 0.2
"""Seconds between two rounds: events that come close together travel together."""
_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 60.0
"""Seconds until the next try when the database is down, at first and at most."""
_LAST_ROUND = 5.0
"""Seconds that the end of the process waits for the last round."""


def forward(database: Database, target: PostgresLedger | None = None, wait: float = 0.0) -> int:
    """Send what the database does not have yet; how many events those were.

    Args:
        database: Where to; its spool is where from.
        target: A ledger on it that is connected already.
        wait: Seconds to wait for another process that is forwarding the same file.

    Raises:
        LedgerBusyError: Another process is forwarding the same file, and did not end in that time.
        LedgerError: The database or the file cannot be used. Nothing is lost: the next round begins where it stopped.
    """
    if not database.spool.exists():
        return 0
    sent = 0
    with contextlib.ExitStack() as opened:
        opened.enter_context(_alone(database.spool, wait))
        spool = opened.enter_context(SqliteLedger(database.spool))
        target = target or opened.enter_context(PostgresLedger(database))
        done = spool.forwarded(database.name)
        while batch := spool.events_after(done, _BATCH):
            target.insert([event for _, event in batch])
            done = batch[-1][0]
            spool.note_forwarded(database.name, done)
            sent += len(batch)
    return sent


class Forwarder:
    """Forwards the spool of a database in a daemon thread, which begins with the first event."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reset()

    def _reset(self) -> None:
        self._target: PostgresLedger | None = None
        self._something_new = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        # Reentrant: garbage collection may close an abandoned stream, which is recorded then, in the midst of this.
        self._start = threading.RLock()
        self._reported = False

    def notice(self) -> None:
        """There is a new event in the spool."""
        if self._thread is None:
            with self._start:
                if self._thread is None:
                    self._thread = thread = threading.Thread(target=self._run, name="maas-forward", daemon=True)
                    thread.start()
        self._something_new.set()

    def close(self) -> None:
        """Send what is left, as far as that goes quickly, and end the thread."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._ended.set()
            self._something_new.set()
            thread.join(_LAST_ROUND)

    def after_fork(self) -> None:
        """In the child of a fork: the parent's thread and connection are not the child's."""
        if self._target is not None:
            self._target.abandon()
        self._reset()

    def _run(self) -> None:
        retry_in = _SHORTEST_WAIT
        while True:
            self._something_new.wait()
            self._something_new.clear()
            is_last = self._ended.is_set()
            try:
                self._target = self._target or PostgresLedger(self._database)
                forward(self._database, self._target, _LAST_ROUND if is_last else 0.0)
                retry_in, pause, self._reported = _SHORTEST_WAIT, _PAUSE, False
            except LedgerBusyError:
                # Whoever forwards just now may have looked before the newest event came.
                self._something_new.set()
                pause = _PAUSE
            except LedgerError as error:
                self._report(error)
                self._something_new.set()
                pause, retry_in = retry_in, min(retry_in * 2, _LONGEST_WAIT)
            if is_last:
                break
            self._ended.wait(pause)
        if self._target is not None:
            self._target.close()

    def _report(self, error: LedgerError) -> None:
        if not self._reported:
            self._reported = True
            logger.warning("spend waits in %s: %s. It is sent when that works again.", self._database.spool, error)


@contextlib.contextmanager
def _alone(spool: Path, wait: float) -> Iterator[None]:
    try:
        with FileLock(f"{spool}.forwarding", timeout=wait):
            yield
    except Timeout:
        raise LedgerBusyError(f"another process is forwarding {spool}") from None
    except OSError as error:
        raise LedgerError(f"{spool}: {error.strerror or error}; check its folder") from None
