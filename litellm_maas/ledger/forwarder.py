"""Forward a spool to its database in a thread, while the process runs."""

from __future__ import annotations

import contextlib
import logging
import threading

from litellm_maas.errors import LedgerBusyError, LedgerError
from litellm_maas.ledger.deadlines import LATE
from litellm_maas.ledger.forward import forward
from litellm_maas.ledger.location import PostgresLocation
from litellm_maas.ledger.postgres import PostgresLedger

logger = logging.getLogger("litellm_maas")

_PAUSE = 0.2
"""Seconds between two rounds: events that come close together travel together."""
_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 60.0
"""Seconds until the next try when the database is down, at first and at most."""
_SHUTDOWN_TIMEOUT = 5.0
"""Seconds that the end of the process waits for the last round."""


class Forwarder:
    """Forward the spool of a database in a daemon thread, which begins with the first event."""

    def __init__(self, database: PostgresLocation) -> None:
        self._database = database
        self._reset()

    def _reset(self) -> None:
        self._target: PostgresLedger | None = None
        self._something_new = threading.Event()
        self._take_event = threading.Event()
        self._thread: threading.Thread | None = None
        # Reentrant: garbage collection may close an abandoned stream, which is recorded then, in the midst of this.
        self._start = threading.RLock()
        self._reported = False
        self._retry_in = _SHORTEST_WAIT

    def wake(self) -> None:
        """There is a new event in the spool."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            with self._start:
                if self._thread is thread:
                    self._thread = threading.Thread(target=self._run, name="maas-forward", daemon=True)
                    with contextlib.suppress(RuntimeError):  # the interpreter is shutting down: the next process sends
                        self._thread.start()
        self._something_new.set()

    def close(self) -> None:
        """Send what is left, as far as that goes quickly, and end the thread."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._take_event.set()
            self._something_new.set()
            thread.join(_SHUTDOWN_TIMEOUT)

    def after_fork(self) -> None:
        """Forget the parent's thread and connection in the child of a fork."""
        if self._target is not None:
            self._target.connection.abandon()
        self._reset()

    def _run(self) -> None:
        while True:
            self._something_new.wait()
            self._something_new.clear()
            is_last = self._take_event.is_set()
            pause = self._round(_SHUTDOWN_TIMEOUT if is_last else 0.0)
            if is_last:
                break
            self._take_event.wait(pause)
        if self._target is not None:
            self._target.close()

    def _round(self, wait: float) -> float:
        """Send what waits; seconds until the next round. Whatever happens in it, the thread lives on."""
        try:
            self._target = self._target or PostgresLedger(self._database, self._say_late)
            forward(self._database, self._target, wait)
        except LedgerBusyError:
            # Whoever forwards just now may have looked before the newest event came.
            self._something_new.set()
            return _PAUSE
        except LedgerError as error:
            self._report(str(error))
        except Exception as error:
            logger.debug("a round of forwarding failed", exc_info=True)
            self._report(f"{self._database}: {type(error).__name__}")
        else:
            self._retry_in, self._reported = _SHORTEST_WAIT, False
            return _PAUSE
        self._something_new.set()
        pause, self._retry_in = self._retry_in, min(self._retry_in * 2, _LONGEST_WAIT)
        return pause

    def _say_late(self) -> None:
        self._report(f"{self._database}: no answer for {LATE:g} s")

    def _report(self, problem: str) -> None:
        if not self._reported:
            self._reported = True
            logger.warning(
                "cannot reach PostgreSQL (%s); events are queued in %s and will be retried",
                problem,
                self._database.outbox_path,
            )
