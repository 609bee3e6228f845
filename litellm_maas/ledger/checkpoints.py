"""Checkpoints: what the log of a ledger holds is moved into the ledger, in a thread of its own.

Soon after an event, so that a copy of the file alone lacks little, and at once where the log has grown, so that it
stays small however few events each process records.
"""

from __future__ import annotations

import logging
import threading

from litellm_maas.errors import LedgerError
from litellm_maas.ledger.sqlite import SqliteLedger

logger = logging.getLogger("litellm_maas")

_SOON = 30.0
"""Seconds from the first event in the log to a checkpoint."""
_AT_LEAST = 1.0
"""Seconds between two checkpoints: each waits for the disk."""
_LARGE = 4 * 1024 * 1024
"""Bytes of a log that is moved at once; an event takes some ten thousand."""
_LOOK_EVERY = 64
"""Events between two looks at how large the log is."""


class Checkpoints:
    """The checkpoints that one process makes of a ledger. The thread begins with the first event and ends by itself."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self._events = 0
        self._thread: threading.Thread | None = None
        self._now = threading.Event()
        # Reentrant: garbage collection may close an abandoned stream, which is recorded then, in the midst of this.
        self._lock = threading.RLock()

    def notice(self) -> None:
        """There is a new event in the log."""
        self._events += 1
        if self._thread is None:
            self._start()
        elif self._events % _LOOK_EVERY == 0 and self._ledger.log_size() > _LARGE:
            self._now.set()

    def close(self) -> None:
        """Make the last one, if anything was recorded, and end the thread."""
        with self._lock:
            self._thread = None
        self._now.set()
        if self._events:
            self._events = 0
            self._checkpoint()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = thread = threading.Thread(target=self._run, name="maas-checkpoint", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is shutting down: whoever closes the ledger makes the last one
                    self._thread = None

    def _run(self) -> None:
        if self._ledger.log_size() > _LARGE:
            # Processes that record few events each leave it to the next one.
            self._checkpoint()
        while not self._is_over(None):
            self._now.wait(_SOON)
            self._now.clear()
            before = self._events
            if self._is_over(None):
                return
            self._checkpoint()
            threading.Event().wait(_AT_LEAST)
            if self._is_over(before):
                return

    def _is_over(self, events: int | None) -> bool:
        """Return whether there is nothing left to do, because the ledger is closed or has no new events."""
        with self._lock:
            if self._thread is threading.current_thread() and self._events == events:
                self._thread = None
            return self._thread is not threading.current_thread()

    def _checkpoint(self) -> None:
        try:
            self._ledger.checkpoint()
        except LedgerError as error:
            logger.debug("later: %s", error)
