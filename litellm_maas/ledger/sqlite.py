"""Keep the ledger in a file: SQLite, embedded, with several processes at once."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from litellm_maas import fork_safety
from litellm_maas.errors import DamagedLedgerError, InvalidEventError, LedgerBusyError, LedgerError, OlderLedgerError
from litellm_maas.ledger import schema
from litellm_maas.ledger.base import (
    INSERT_CORRECTION,
    INSERT_EVENT,
    ROLLUP_ADD,
    ROLLUP_SUBTRACT,
    Correction,
    Ledger,
    row_of_correction,
    to_row,
)
from litellm_maas.ledger.event import Event
from litellm_maas.settings import Synchronous

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.000_1, 0.01
"""Seconds between two attempts to insert while somebody else is writing."""
PATIENCE = 5.0
"""Seconds that a person, or a thread of its own, waits for another writer."""
_AT_ONCE = 1000
"""Rows of a report that are read in one go."""
_TOO_LARGE = 32 * 1024 * 1024
"""Bytes of a log for which other writers are held up, if it does not begin anew beside them."""
_HOLD_UP = 50
"""Milliseconds for which they are at most, while somebody else reads."""
_KEPT_OF_LOG = 1024 * 1024
"""Bytes that the file of the log keeps when it begins anew after a checkpoint."""
_WAIT_TO_MAKE = 5.0
"""Seconds for which another process may take to make the file."""


class SqliteLedger(Ledger):
    """Open one ledger file. Safe for several threads; several processes may have the same file open.

    Args:
        path: The file; it is made, for its owner alone, if it is not there.
        synchronous: ``normal`` survives the end of the process; ``full`` also a power cut, at the price of waiting for
            the disk each time.
        read_only: Never write, and fail if there is no ledger.
        any_version: Read also one of an older version, of which only what all versions have can be asked.

    Attributes:
        identity: Tells the file from another one that takes its place.

    Raises:
        LedgerError: It cannot be opened, is no ledger, or is of a newer version than this package.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Synchronous = "normal",
        read_only: bool = False,
        any_version: bool = False,
    ) -> None:
        self.path = path.absolute()
        self._any_version = any_version
        self._synchronous = synchronous
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self.identity: tuple[int, int] | None = None
        self._make_locks()
        fork_safety.register(self)
        with self._lock, self._errors():
            self._connection = self._open()

    def _make_locks(self) -> None:
        self._lock = threading.RLock()
        # Held while something is done on another connection.
        self._other = threading.RLock()

    def insert(self, event: Event, *, wait: float = PATIENCE) -> bool:
        """Commit an event, and return whether it is new. The same event again changes nothing.

        Args:
            event: The event.
            wait: Seconds to wait for another writer. 0 never waits, neither for a process nor for a thread, nor until
                a file that was deleted or replaced is opened again.

        Raises:
            LedgerBusyError: Another writer took longer than that.
            InvalidEventError: The event holds what cannot be stored.
            LedgerError: It cannot be written.
        """
        deadline = time.monotonic() + wait
        # Reentrant: garbage collection may close an abandoned stream, which is recorded then, in the midst of this.
        if not self._lock.acquire(timeout=wait):
            raise LedgerBusyError(f"{self.path} is being written to")
        try:
            row, pause = to_row(event), _SHORTEST_PAUSE
            while True:
                try:
                    with self._errors():
                        return self._usable(wait).execute(INSERT_EVENT, row).rowcount > 0
                except LedgerBusyError:
                    if time.monotonic() + pause > deadline:
                        raise
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def write_transaction(self, wait: float = 0.0) -> Iterator[sqlite3.Connection]:
        """Open a transaction in which nobody else writes.

        Args:
            wait: Seconds to wait for another writer.

        Raises:
            LedgerBusyError: Somebody is writing just now, and was for that long.
            LedgerError: It cannot be written.
        """
        deadline, pause = time.monotonic() + wait, _SHORTEST_PAUSE
        if not self._lock.acquire(timeout=wait):
            raise LedgerBusyError(f"{self.path} is being written to")
        try:
            while True:
                try:
                    with self._errors():
                        connection = self._usable(_WAIT_TO_MAKE)
                        connection.execute("BEGIN IMMEDIATE")
                    break
                except LedgerBusyError:
                    if time.monotonic() + pause > deadline:
                        raise
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            with self._errors():
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    schema.roll_back(connection)
                    raise
        finally:
            self._lock.release()

    def correct(self, corrections: Iterable[Correction]) -> None:
        """See `Ledger.correct`."""
        with self._errors(), self._transaction() as connection:
            for found in corrections:
                where = (found.event_id,)
                for statement in ROLLUP_SUBTRACT:
                    connection.execute(statement, where)
                connection.execute(INSERT_CORRECTION, row_of_correction(found))
                for statement in ROLLUP_ADD:
                    connection.execute(statement, where)

    def query(self, sql: str, parameters: Iterable[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """See `Ledger.query`."""
        # On a connection of its own: a report sees one state of the ledger, whatever is written meanwhile. It is closed
        # before somebody else may do something, unless there are very many rows.
        with self._errors(), self._other, contextlib.ExitStack() as opened:
            connection = opened.enter_context(contextlib.closing(self._connect()))
            cursor = connection.execute(sql, tuple(parameters))
            rows = cursor.fetchmany(_AT_ONCE)
            remaining = opened.pop_all() if len(rows) == _AT_ONCE else None
        yield from rows
        if remaining is None:
            return
        try:
            while rows:
                with self._errors(), self._other:
                    rows = cursor.fetchmany(_AT_ONCE)
                yield from rows
        finally:
            with self._other:
                remaining.close()

    def integrity_check(self) -> list[str]:
        """See `Ledger.integrity_check`."""
        return [row[0] for row in self.query("PRAGMA integrity_check") if row[0] != "ok"]

    def checkpoint(self) -> None:
        """Move what the log holds into the ledger proper. Waits for the disk, so not for an event loop.

        Raises:
            LedgerError: It cannot be written.
        """
        with self._errors(), self._other, contextlib.closing(self._connect()) as connection:
            # The log begins anew where nothing is recorded meanwhile: the second one is short, as little is left over.
            # Where that never happens other writers are held up at last.
            for _ in range(2):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            if self.log_size() > _TOO_LARGE:
                connection.execute(f"PRAGMA busy_timeout = {_HOLD_UP}")
                connection.execute("PRAGMA wal_checkpoint(RESTART)")

    def copy_to(self, file: Path) -> None:
        """Copy the ledger as it is at this moment into another file, which needs no log beside it.

        Raises:
            LedgerError: It cannot be read, or the file cannot be written.
        """
        with (
            self._errors(),
            self._other,
            contextlib.closing(self._connect()) as connection,
            contextlib.closing(sqlite3.connect(file, isolation_level=None)) as copy,
        ):
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")

    def copy_from(self, file: Path, first: Callable[[], None]) -> None:
        """Take all that a copy holds in the place of what the ledger holds, in one transaction.

        Args:
            file: The copy.
            first: Called once nobody else can write, while who reads finds what the ledger has held until then.

        Raises:
            LedgerError: The ledger cannot be written.
        """
        with (
            self._errors(),
            self._other,
            contextlib.closing(self._connect()) as connection,
            contextlib.closing(sqlite3.connect(file, isolation_level=None)) as copy,
        ):
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            if copy.execute("PRAGMA page_size").fetchone() != (size,):
                # SQLite copies only between pages of one size where there is a log, and changes it only without one.
                copy.execute("PRAGMA journal_mode = DELETE")
                copy.execute(f"PRAGMA page_size = {size}")
                copy.execute("VACUUM")
            is_first = True

            def progress(*_: int) -> None:
                nonlocal is_first
                if is_first:
                    is_first = False
                    first()

            # It locks the ledger with the first pages, and a ledger has many more.
            copy.backup(connection, pages=4, progress=progress)

    def log_size(self) -> int:
        """Return the size of the log in bytes; 0 where there is none."""
        try:
            return os.stat(f"{self.path}-wal").st_size  # noqa: PTH116 - among the events, and a tenth of the price
        except OSError:
            return 0

    def close(self) -> None:
        """See `Ledger.close`."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def before_fork(self) -> bool:
        """See `fork_safety.Forkable`."""
        if not self._lock.acquire(timeout=PATIENCE):
            return False
        if not self._other.acquire(timeout=PATIENCE):
            self._lock.release()
            return False
        self.close()
        return True

    def after_fork_in_parent(self) -> None:
        """See `fork_safety.Forkable`."""
        self._other.release()
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """See `fork_safety.Forkable`."""
        self._make_locks()
        if self._connection is not None:
            # It is the parent's, and closing it would end what the parent does with it.
            _abandoned.append(self._connection)
            self._connection = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._other, contextlib.closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                schema.roll_back(connection)
                raise

    def _usable(self, wait: float) -> sqlite3.Connection:
        """Return the connection for inserts, opened again if the file was deleted or replaced since."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 - on every write, and a tenth of the price
            identity = (status.st_dev, status.st_ino)
        except FileNotFoundError:
            identity = None
        connection = self._connection
        if connection is None or identity != self.identity:
            if wait == 0:
                raise LedgerBusyError(f"{self.path} must be reopened")
            self._connection = None
            connection = self._connection = self._open(connection)
        return connection

    def _open(self, previous: sqlite3.Connection | None = None) -> sqlite3.Connection:
        """Open the file; `previous` is the connection to one that was deleted or replaced."""
        try:
            if self._read_only or (self.path.exists() and self.path.stat().st_size):
                return self._opened()
            return self._made(previous)
        finally:
            if previous is not None:
                previous.close()

    def _made(self, previous: sqlite3.Connection | None) -> sqlite3.Connection:
        """Create and open the file, unless another process is faster.

        Whoever deletes a ledger that is in use leaves its log and the index of it behind. Shared by two ledgers, the
        deleted one that some process still has open and the new one, they would destroy both.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - once in the life of a ledger

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with FileLock(f"{self.path}.lock", timeout=_WAIT_TO_MAKE, mode=0o600):
                if not self.path.exists():
                    if previous is not None:
                        # Where the file was not deleted but moved, it gets what its log holds.
                        with contextlib.suppress(sqlite3.Error):
                            previous.execute("PRAGMA wal_checkpoint(PASSIVE)")
                    for left_behind in ("-wal", "-shm"):
                        Path(f"{self.path}{left_behind}").unlink(missing_ok=True)
                    # SQLite would make it readable to everybody.
                    os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
                # SQLite lets only one process at a time begin a log, and the others do not wait for it.
                return self._opened()
        except Timeout:
            raise LedgerBusyError(f"{self.path} is being created by another process") from None

    def _opened(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            version = schema.migrate(connection) if not self._read_only else self._version(connection)
            if version > schema.VERSION:
                raise LedgerError(
                    f"{self.path} is a ledger of version {version}, this package writes version {schema.VERSION}",
                    "update litellm-maas, or set MAAS_LEDGER to another file",
                )
            if version < schema.VERSION and not (version and self._any_version):
                raise _older(self.path, version)
            status = self.path.stat()
            # `insert` waits by itself: SQLite would wait a whole millisecond at least, a healthy insert takes a tenth.
            connection.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            connection.close()
            raise
        self.identity = (status.st_dev, status.st_ino)
        return connection

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode={'ro' if self._read_only else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0, check_same_thread=False)
        try:
            if schema.is_foreign(connection):
                raise LedgerError(
                    f"{self.path} is not a ledger but another program's file", "set MAAS_LEDGER to another file"
                )
            if not self._read_only:
                # Counts when the file is made. An insert touches five pages and logs them whole: half the usual size
                # makes it a tenth faster.
                connection.execute("PRAGMA page_size = 2048")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA synchronous = {self._synchronous}")
                # A checkpoint waits for the disk; `checkpoint` makes it where nobody waits for it.
                connection.execute("PRAGMA wal_autocheckpoint = 0")
                connection.execute(f"PRAGMA journal_size_limit = {_KEPT_OF_LOG}")
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return int(version)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Map the errors of SQLite and the file system to what to do."""
        try:
            yield
        except _UNFIT as error:
            raise InvalidEventError(f"{self.path} cannot hold this ({error})") from None
        except sqlite3.Error as error:
            text = str(error)
            if "locked" in text or "busy" in text:
                raise LedgerBusyError(f"{self.path} is locked by another program ({text})", "end it, or wait") from None
            kind = DamagedLedgerError if _is_damage(text) else LedgerError
            raise kind(f"{self.path}: {text}", _fix(text)) from None
        except OSError as error:
            raise LedgerError(f"{self.path}: {error.strerror or error}", _fix(str(error))) from None


def opened_to_read(path: Path) -> SqliteLedger:
    """Open an existing ledger for reading; an older version is migrated for that.

    Raises:
        LedgerError: It cannot be opened.
    """
    try:
        return SqliteLedger(path, read_only=True)
    except OlderLedgerError:
        SqliteLedger(path).close()
        return SqliteLedger(path, read_only=True)


# Values of a type, size or encoding that SQLite does not know, or none where there has to be one.
_UNFIT = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError, UnicodeError)
_abandoned: list[sqlite3.Connection] = []


def _older(path: Path, version: int) -> LedgerError:
    if version:
        return OlderLedgerError(f"{path} is a ledger of version {version}", "the next recorded call updates it")
    return DamagedLedgerError(
        f"{path} is empty, as its log {path.name}-wal is missing, in which its events were (a ledger is copied with "
        "all its files, or better by: litellm-maas spend backup FILE)",
        "find the log, or restore a copy",
    )


def _is_damage(text: str) -> bool:
    return "malformed" in text or "not a database" in text


def _fix(text: str) -> str:
    if _is_damage(text):
        return "the file is damaged or no ledger: restore a copy, or move it away (a new one is made)"
    if "full" in text or "No space" in text:
        return "the disk is full: make room"
    return "check the folder and its permissions, or set MAAS_LEDGER to another file"
