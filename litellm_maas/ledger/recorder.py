"""Record without ever breaking a call: in the ledger, or in the outbox beside it until the ledger is back."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from litellm_maas.errors import InvalidEventError, LedgerBusyError, LedgerError
from litellm_maas.ledger.checkpoints import Checkpoints
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.outbox import Outbox
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing.credits import format_credits
from litellm_maas.settings import Synchronous

logger = logging.getLogger("litellm_maas")

_WAIT = 5.0
"""Seconds to wait for another writer before an event is queued."""
_BRIEFLY = 0.001
"""The same, once it is known that somebody holds the ledger for long."""
_RETRY_AFTER = 1.0
"""Seconds after which a ledger that could not be opened is tried again."""
_PAUSE = 0.000_5
"""Seconds between two events that are flushed, in which new ones go first."""
_TICK_EVERY = 300.0
"""Seconds between two looks at whether credits run out."""
_LARGEST_BACKLOG = 100_000
"""Events kept in memory when not even a file can be written."""

OnCommitted = Callable[[], None]


class Recorder:
    """Write events to one ledger.

    Args:
        path: The ledger's file.
        synchronous: See `SqliteLedger`.
        recorded: Called after each event that is in the ledger.
        on_tick: Called in the recorder's own thread after the first event, and after that every five minutes while
            there are new ones.

    Attributes:
        queued: Events that could not be written to the ledger at once, and were queued.
        dropped: Events that could not even be queued, because disk and memory were full.
    """

    def __init__(
        self,
        path: Path,
        synchronous: Synchronous = "normal",
        recorded: Callable[[], None] | None = None,
        on_tick: Callable[[], None] | None = None,
    ) -> None:
        self.path = path.absolute()
        self._outbox = Outbox(self.path)
        self._recorded = recorded
        self._on_tick = on_tick
        self.queued = 0
        self.dropped = 0
        self._dropped_before = 0  # those that have been said
        self._dropped_credits = 0
        self._why = ""
        self._synchronous: Synchronous = synchronous
        self._reset()

    def _reset(self) -> None:
        self._ledger: SqliteLedger | None = None
        self._failed: tuple[float, LedgerError] | None = None  # when it could not be opened, and why
        self._reported = False  # that nothing can be written
        self._to_report = False  # that all is written after all
        self._backlog: deque[Event] = deque()
        self._on_committed: list[OnCommitted] = []  # what is to follow once all queued events are in the ledger
        self._may_wait = True  # an earlier process may have left events beside the ledger
        self._is_flushing = False
        self._said: set[str] = set()
        self._checkpoints: Checkpoints | None = None
        self._ticked_at: float | None = None
        # Reentrant: garbage collection may close an abandoned stream, which is recorded then, in the midst of anything.
        self._opening = threading.RLock()
        self._lock = threading.RLock()
        self._worker: ThreadPoolExecutor | None = None
        self._is_submitting = False

    def open_in_background(self) -> None:
        """Open the ledger in the background, while the gateway works on the first call."""
        if self._ledger is None:
            self._in_background(self._try_to, self._opened)

    def record(self, event: Event, then: OnCommitted | None = None) -> None:
        """Commit an event, or queue it. Never raises, and waits at most five seconds for another writer.

        Args:
            event: The event.
            then: Called when the event is in the ledger, later if it is queued first; must not raise.
        """
        try:
            # Whoever locks the ledger for long is waited for once, not by every call.
            self._write(event, _BRIEFLY if self._reported else _WAIT, then)
        except LedgerError as error:
            self._enqueue(event, then, error)

    async def arecord(self, event: Event, then: OnCommitted | None = None) -> None:
        """Do what `record` does, but wait for contention off the event loop, which only waits for a healthy insert."""
        try:
            if self._ledger is not None:
                self._write(event, 0, then)
                return
        except LedgerBusyError:
            pass
        except LedgerError as error:
            self._enqueue(event, then, error)
            return
        # If the task is cancelled meanwhile, the event is recorded all the same.
        if (recorded := self._in_background(self.record, event, then)) is not None:
            await asyncio.shield(asyncio.wrap_future(recorded))
        else:
            self.record(event, then)

    def record_nowait(self, event: Event, then: OnCommitted | None = None) -> None:
        """Commit an event without waiting for anybody, or queue it: for the end of a cancelled task."""
        if self._ledger is None and self._in_background(self.record, event, then) is not None:
            return
        try:
            self._write(event, 0, then)
        except LedgerError as error:
            self._enqueue(event, then, error, quietly=isinstance(error, LedgerBusyError))

    def flush(self, wait: float | None = None) -> int:
        """Write the events that this process or another queued, and return how many there were.

        Args:
            wait: Seconds to wait for another writer; as long as `record` does, if not given.

        Raises:
            LedgerError: The ledger still cannot be written; they stay where they are.
        """
        self._may_wait = False
        if (problem := self.out_of_reach()) is not None:
            self._say_once(problem)
        afterwards, self._on_committed = self._on_committed, []
        flushed, wait = 0, _WAIT if wait is None else wait
        try:
            while self._backlog:
                flushed += self._flush_memory(wait)
            for file in self.pending():
                flushed += self._flush_file(file, wait)
                time.sleep(_PAUSE)
        except LedgerError:
            self._on_committed += afterwards
            self._may_wait = True
            raise
        finally:
            if flushed:
                # Where nothing was logged, because another writer was only busy, no all-clear is needed.
                level = logging.WARNING if self._to_report else logging.INFO
                self._to_report = False
                logger.log(level, "flushed %d queued events to %s", flushed, self.path)
        for then in afterwards:
            then()
        return flushed

    def _flush_soon(self) -> None:
        with self._lock:
            if not self._is_flushing:
                self._is_flushing = self._in_background(self._flush_all) is not None

    def _flush_all(self) -> None:
        try:
            while self._may_still_wait():
                self.flush()
        except LedgerError as error:
            logger.debug("later: %s", error)
            self._is_flushing = False

    def _may_still_wait(self) -> bool:
        with self._lock:
            # Under the lock, so that what is queued from now on asks for another flush.
            self._is_flushing = self._may_wait
            return self._may_wait

    def _flush_memory(self, wait: float) -> int:
        try:
            event = self._backlog.popleft()
        except IndexError:
            return 0  # another thread was faster
        try:
            self._opened(again=True).insert(event, wait=wait)
        except InvalidEventError:
            if self._outbox.add(event) is None:
                self._drop(event)
            return 0
        except LedgerError:
            self._backlog.appendleft(event)
            raise
        return 1

    def _flush_file(self, file: Path, wait: float) -> int:
        try:
            event = Event.from_dict(json.loads(file.read_text(encoding="utf-8")))
            self._opened(again=True).insert(event, wait=wait)
            file.unlink(missing_ok=True)
        except FileNotFoundError:
            return 0  # another process was faster
        except PermissionError as error:
            self._say_once(
                f"{file} is another user's ({error.strerror}); run this as that user, or give the file to this one"
            )
            return 0
        except (ValueError, KeyError, TypeError, OSError, InvalidEventError) as error:
            self._say_once(f"ignoring unreadable outbox file {file} ({error}); move it away")
            return 0
        return 1

    def _say_once(self, problem: str) -> None:
        if problem not in self._said:
            self._said.add(problem)
            logger.warning("%s", problem)

    def out_of_reach(self) -> str | None:
        """See `Outbox.out_of_reach`."""
        return self._outbox.out_of_reach()

    def pending(self) -> Iterator[Path]:
        """Yield the files of events that are queued for this ledger."""
        return self._outbox.files()

    def close(self) -> None:
        """Flush what is queued, as far as that is possible, and close the ledger."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown()
        if self._backlog or self._on_committed:
            # Nothing else will ever do this.
            self._try_to(self.flush)
        self._report_dropped()
        if self._checkpoints is not None:
            self._checkpoints.close()
        if self._ledger is not None:
            self._ledger.close()

    def _report_dropped(self) -> None:
        """Write what is in memory before the process ends."""
        while self._backlog and self._outbox.add(self._backlog[0]) is not None:
            self._backlog.popleft()
        for event in self._backlog:
            self._drop(event)
        self._backlog.clear()
        if self.dropped > self._dropped_before:
            logger.error(
                "dropped %d events of this process, %s of spend: neither %s nor a file beside it nor one in the "
                "temporary folder could be written (%s)",
                self.dropped - self._dropped_before,
                format_credits(self._dropped_credits),
                self.path,
                self._why,
            )
        self._dropped_before, self._dropped_credits = self.dropped, 0

    def _drop(self, event: Event) -> None:
        self.dropped += 1
        self._dropped_credits += event.micro_credits or 0

    def after_fork(self) -> None:
        """Forget the parent's thread and queue in the child of a fork."""
        self._reset()

    def _write(self, event: Event, wait: float, then: OnCommitted | None = None) -> None:
        ledger = self._opened()
        ledger.insert(event, wait=wait)
        if self._recorded is not None:
            self._recorded()
        if then is not None:
            then()
        self._reported = False
        if self._checkpoints is not None:
            self._checkpoints.notice()
        if self._may_wait:
            self._flush_soon()
        if self._on_tick is not None:
            now = time.monotonic()
            if self._ticked_at is None or now - self._ticked_at > _TICK_EVERY:
                self._ticked_at = now
                self._in_background(self._on_tick)

    def _opened(self, *, again: bool = False) -> SqliteLedger:
        """Return the ledger; `again` tries to open it also where that has failed a moment ago."""
        if self._ledger is not None:
            return self._ledger
        with self._opening:
            if self._ledger is None:
                if not again and self._failed is not None and time.monotonic() - self._failed[0] < _RETRY_AFTER:
                    raise LedgerError(self._failed[1].message, self._failed[1].hint)
                try:
                    self._ledger = SqliteLedger(self.path, synchronous=self._synchronous)
                    self._checkpoints = Checkpoints(self._ledger)
                except LedgerError as error:
                    self._failed = (time.monotonic(), error)
                    raise
            return self._ledger

    def _in_background(self, work: Callable[..., None], *arguments: object) -> Future[None] | None:
        """Do something in a thread, made when there is first need of one; None where that cannot be.

        That is at the end of the process, and where garbage collection records a stream in the midst of this: the pool
        would wait for its own locks.
        """
        with self._lock:
            if self._is_submitting:
                return None
            self._is_submitting = True
            try:
                if self._worker is None:
                    # Two: new events do not queue up behind a long flush.
                    self._worker = ThreadPoolExecutor(2, thread_name_prefix="maas-ledger")
                return self._worker.submit(work, *arguments)
            except RuntimeError:  # the interpreter is shutting down and takes no more work for threads
                return None
            finally:
                self._is_submitting = False

    @staticmethod
    def _try_to(work: Callable[[], object]) -> None:
        try:
            work()
        except LedgerError as error:
            logger.debug("later: %s", error)

    def _enqueue(self, event: Event, then: OnCommitted | None, error: LedgerError, *, quietly: bool = False) -> None:
        """Queue an event: as a file beside the ledger, in the temporary folder, or in memory."""
        with self._lock:
            self.queued += 1
        self._why = str(error)
        if (folder := self._outbox.add(event)) is not None:
            where = f"in {folder}"
        elif len(self._backlog) < _LARGEST_BACKLOG:
            self._backlog.append(event)
            where = "in memory"
        else:
            if self.dropped == self._dropped_before:
                logger.error("dropping events from here on: disk and memory are full, and %s cannot be used", self.path)
            self._drop(event)
            where, then = "nowhere", None
        with self._lock:
            # Last of all: whoever flushes from now on finds the event.
            if then is not None:
                self._on_committed.append(then)
            self._may_wait = True
            is_news = not self._reported and not quietly
            self._reported = self._reported or is_news
            self._to_report = self._to_report or is_news
        if quietly:
            # Nothing is wrong: the other writer is done in a moment.
            self._flush_soon()
        if is_news:
            logger.warning("spend is not being recorded (%s). Events are queued %s and will be retried.", error, where)
