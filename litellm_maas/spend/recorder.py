"""Recording without ever breaking a call: into the ledger, or into a file beside it until the ledger is back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from litellm_maas.settings import Synchronous
from litellm_maas.spend.event import Event
from litellm_maas.spend.ledger import LedgerBusyError, LedgerError
from litellm_maas.spend.sqlite import SqliteLedger

logger = logging.getLogger("litellm_maas")

_WAIT = 5.0
"""Seconds to wait for another writer before an event is set aside."""
_RETRY_AFTER = 1.0
"""Seconds after which a ledger that could not be opened is tried again."""
_CHECKPOINT_EVERY = 2000
"""Events after which what SQLite has logged is moved into the ledger, in the recorder's own thread."""
_LARGEST_BACKLOG = 100_000
"""Events kept in memory when not even a file can be written."""


class Recorder:
    """Writes events to one ledger.

    Args:
        path: The ledger's file.
        synchronous: See `SqliteLedger`.
        recorded: Called after each event that is in the ledger.

    Attributes:
        set_aside: Events that could not be written to the ledger so far and wait beside it.
        lost: Events that could not even be kept, because disk and memory were full.
    """

    def __init__(
        self, path: Path, synchronous: Synchronous = "normal", recorded: Callable[[], None] | None = None
    ) -> None:
        self.path = path
        self._recorded = recorded
        self.set_aside = 0
        self.lost = 0
        self._synchronous: Synchronous = synchronous
        self._reset()

    def _reset(self) -> None:
        self._ledger: SqliteLedger | None = None
        self._failed_at: float | None = None
        self._reported = False
        self._backlog: deque[Event] = deque()
        self._may_wait = True  # an earlier process may have left events beside the ledger
        self._since_checkpoint = 0
        self._lock = threading.Lock()
        self._worker: ThreadPoolExecutor | None = None

    def record(self, event: Event) -> None:
        """Commit an event, or set it aside. Never raises, and waits at most five seconds for another writer."""
        try:
            # Whoever locks the ledger for long is waited for once, not by every call.
            self._write(event, 0 if self._reported else _WAIT)
        except LedgerError as error:
            self._keep(event, error)

    async def arecord(self, event: Event) -> None:
        """Like `record`, but the event loop only ever waits for a healthy insert: contention is waited for off it."""
        try:
            if self._ledger is not None:
                self._write(event, 0)
                return
        except LedgerBusyError:
            pass
        except LedgerError as error:
            self._keep(event, error)
            return
        # If the task is cancelled meanwhile, the event is recorded all the same.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor(), self.record, event))

    def record_now(self, event: Event) -> None:
        """Commit an event without waiting for anybody, or set it aside: for the end of a cancelled task."""
        try:
            self._write(event, 0)
        except LedgerError as error:
            self._keep(event, error, quietly=isinstance(error, LedgerBusyError))

    def replay(self, wait: float = _WAIT) -> int:
        """Write the events that were set aside, by this process or another; how many there were.

        Args:
            wait: Seconds to wait for another writer.

        Raises:
            LedgerError: The ledger still cannot be written; they stay where they are.
        """
        self._may_wait = False
        replayed = 0
        while self._backlog:
            self._opened().insert(self._backlog[0], wait=wait)
            self._backlog.popleft()
            replayed += 1
        for file in self.waiting():
            try:
                event = Event.from_dict(json.loads(file.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue  # another process was faster
            except (ValueError, KeyError, TypeError) as error:
                logger.warning("%s holds no event (%s); move it away", file, error)
                continue
            self._opened().insert(event, wait=wait)
            file.unlink(missing_ok=True)
            replayed += 1
        if replayed:
            logger.warning("%d events that had been set aside are in the ledger %s now", replayed, self.path)
        return replayed

    def waiting(self) -> Iterator[Path]:
        """The files of events that were set aside for this ledger."""
        for folder in self._folders():
            if folder.is_dir():
                yield from sorted(folder.glob("*.json"))

    def close(self) -> None:
        """Write what waits, as far as that is possible, and close the ledger."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown()
        if self._ledger is not None:
            self._ledger.close()

    def after_fork(self) -> None:
        """In the child of a fork: the parent's ledger connection, thread and backlog are not the child's."""
        if self._ledger is not None:
            self._ledger.abandon()
        self._reset()

    def _write(self, event: Event, wait: float) -> None:
        ledger = self._opened()
        ledger.insert(event, wait=wait)
        if self._recorded is not None:
            self._recorded()
        self._reported = False
        self._since_checkpoint += 1
        if self._may_wait:
            self._may_wait = False
            if self._backlog or any(True for _ in self.waiting()):
                self._executor().submit(self._try_to, self.replay)
        if self._since_checkpoint >= _CHECKPOINT_EVERY:
            self._since_checkpoint = 0
            self._executor().submit(self._try_to, ledger.checkpoint)

    def _opened(self) -> SqliteLedger:
        if self._ledger is not None:
            return self._ledger
        with self._lock:
            if self._ledger is None:
                if self._failed_at is not None and time.monotonic() - self._failed_at < _RETRY_AFTER:
                    raise LedgerError(f"{self.path} could not be opened a moment ago")
                try:
                    self._ledger = SqliteLedger(self.path, synchronous=self._synchronous)
                except LedgerError:
                    self._failed_at = time.monotonic()
                    raise
            return self._ledger

    def _executor(self) -> ThreadPoolExecutor:
        # One thread, made when something has to be waited for: events queue up behind the one that waits.
        with self._lock:
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, thread_name_prefix="maas-ledger")
            return self._worker

    @staticmethod
    def _try_to(work: Callable[[], object]) -> None:
        try:
            work()
        except LedgerError as error:
            logger.debug("later: %s", error)

    def _keep(self, event: Event, error: LedgerError, *, quietly: bool = False) -> None:
        """Set an event aside: as a file beside the ledger, in the temporary folder, or in memory."""
        self._may_wait = True
        self.set_aside += 1
        where = "in memory"
        for folder in self._folders():
            part = folder / f"{event.event_id}.part"
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                part.write_text(event.as_json(), encoding="utf-8")
                part.replace(folder / f"{event.event_id}.json")
            except OSError:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)
                continue
            where = f"in {folder}"
            break
        else:
            if len(self._backlog) < _LARGEST_BACKLOG:
                self._backlog.append(event)
            else:
                self.lost += 1
        if not self._reported and not quietly:
            self._reported = True
            logger.warning("spend is not being recorded (%s). Events wait %s and are recorded later.", error, where)

    def _folders(self) -> tuple[Path, Path]:
        named = hashlib.sha256(str(self.path.absolute()).encode()).hexdigest()[:16]
        mine = f"litellm-maas-{os.getuid() if hasattr(os, 'getuid') else 'waiting'}"
        return Path(f"{self.path}.waiting"), Path(tempfile.gettempdir()) / mine / named
