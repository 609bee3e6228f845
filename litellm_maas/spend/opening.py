"""The ledger in force: where it is, opening it to read or to correct, and what still waits beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from litellm_maas import settings
from litellm_maas.spend.ledger import Ledger, LedgerError
from litellm_maas.spend.recorder import Recorder
from litellm_maas.spend.sqlite import SqliteLedger

_WAIT = 1.0
"""Seconds to wait for a writer; a person is waiting for the report."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The events beside a ledger.

    Attributes:
        events: How many still wait.
        problem: Why they could not be recorded; None where they were, or where nothing waited.
    """

    events: int = 0
    problem: str | None = None


def default_ledger() -> Path:
    """`ledger.db` in the user's data folder."""
    return Path(platformdirs.user_data_dir("litellm-maas", appauthor=False)) / "ledger.db"


def ledger_in_force() -> str:
    """Where spend is recorded: `MAAS_LEDGER`, or the user's data folder."""
    return settings.ledger() or str(default_ledger())


@contextlib.contextmanager
def opened(where: str, *, writable: bool = False) -> Iterator[Ledger | None]:
    """A ledger, closed again afterwards; None where nothing was ever recorded. Makes no file.

    Raises:
        LedgerError: It cannot be opened, or is no ledger.
    """
    ledger = _open(where, writable=writable)
    try:
        yield ledger
    finally:
        if ledger is not None:
            ledger.close()


def replay(where: str) -> Waiting:
    """Record what waits beside a ledger, so that totals are complete. Never raises: what cannot be recorded stays."""
    recorder = Recorder(Path(where))
    try:
        recorder.replay(_WAIT)
        problem = None
    except (LedgerError, OSError) as error:
        problem = str(error)
    finally:
        recorder.close()
    return Waiting(sum(1 for _ in recorder.waiting()), problem)


def _open(where: str, *, writable: bool) -> Ledger | None:
    path = Path(where)
    try:
        # A recorder makes the file before it makes the ledger in it.
        if path.stat().st_size == 0:
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror or error}; name another ledger with MAAS_LEDGER") from None
    return SqliteLedger(path, read_only=not writable)
