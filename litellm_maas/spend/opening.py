"""Opening the ledger in force, to read or to correct it, and what still waits beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from litellm_maas.spend.forward import forward
from litellm_maas.spend.ledger import Ledger, LedgerError, OlderLedgerError
from litellm_maas.spend.place import Database
from litellm_maas.spend.postgres import PostgresLedger
from litellm_maas.spend.recorder import Recorder
from litellm_maas.spend.sqlite import SqliteLedger

_WAIT = 1.0
"""Seconds to wait for another writer, or sender of the same events; a person is waiting for the report."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The events beside a ledger.

    Attributes:
        events: How many still wait.
        problem: Why they could not be recorded; None where they were, or where nothing waited.
    """

    events: int = 0
    problem: str | None = None


@contextlib.contextmanager
def opened(where: Path | Database, *, writable: bool = False) -> Iterator[Ledger | None]:
    """A ledger, closed again afterwards; None where nothing was ever recorded. Makes no file.

    Raises:
        LedgerError: It cannot be opened, or is no ledger.
    """
    ledger = PostgresLedger(where) if isinstance(where, Database) else _open(where, writable=writable)
    try:
        yield ledger
    finally:
        if ledger is not None:
            ledger.close()


def replay(where: Path | Database) -> Waiting:
    """Record what waits beside a ledger, so that totals are complete. Never raises: what cannot be recorded stays."""
    recorder = Recorder(where.spool if isinstance(where, Database) else where)
    problem = None
    try:
        recorder.replay(_WAIT)
        if isinstance(where, Database):
            forward(where, wait=_WAIT)
    except (LedgerError, OSError) as error:
        problem = str(error)
    finally:
        recorder.close()
    problem = problem or recorder.out_of_reach()
    waiting = sum(1 for _ in recorder.waiting())
    if isinstance(where, Database) and where.spool.exists():
        waiting += _not_sent(where)
    return Waiting(waiting, problem)


def waiting_files(where: Path | Database) -> list[Path]:
    """The files that wait beside a ledger."""
    return list(Recorder(where.spool if isinstance(where, Database) else where).waiting())


def _not_sent(database: Database) -> int:
    try:
        with SqliteLedger(database.spool, read_only=True) as spool:
            return spool.last_number() - spool.forwarded(database.name)
    except LedgerError:
        return 0


def _open(path: Path, *, writable: bool) -> Ledger | None:
    try:
        # A recorder makes the file before it makes the ledger in it.
        if path.stat().st_size == 0:
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror or error}; name another ledger with MAAS_LEDGER") from None
    if writable:
        return SqliteLedger(path)
    try:
        return SqliteLedger(path, read_only=True)
    except OlderLedgerError:
        SqliteLedger(path).close()  # which updates it
        return SqliteLedger(path, read_only=True)
