"""Open the current ledger, to read or to correct it, and flush what is queued beside it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from litellm_maas.errors import LedgerError
from litellm_maas.ledger import spools
from litellm_maas.ledger.base import Ledger
from litellm_maas.ledger.forward import forward
from litellm_maas.ledger.location import PostgresLocation
from litellm_maas.ledger.postgres import PostgresLedger
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.ledger.spools import OtherSpool, Unfit
from litellm_maas.ledger.sqlite import SqliteLedger, opened_to_read

_WAIT = 1.0
"""Seconds to wait for another writer, or sender of the same events; a person is waiting for the report."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Pair a remark on some events with the command that follows from it.

    Attributes:
        message: What is so.
        when: When to type the command; ends with a colon.
        command: The command.
    """

    message: str
    when: str
    command: str


@dataclass(frozen=True, slots=True)
class PendingEvents:
    """Report the events queued beside a ledger.

    Attributes:
        events: How many are still queued.
        problem: Why they could not be recorded; None where they were, or where nothing was queued.
        remarks: What else there is to say of events that are not in the ledger.
    """

    events: int = 0
    problem: str | None = None
    remarks: tuple[Remark, ...] = ()


@contextlib.contextmanager
def open_ledger(where: Path | PostgresLocation, *, writable: bool = False) -> Iterator[Ledger | None]:
    """Open a ledger, and close it again; None where nothing was ever recorded. Makes no file.

    Raises:
        LedgerError: It cannot be opened, or is no ledger.
    """
    ledger = PostgresLedger(where) if isinstance(where, PostgresLocation) else _open(where, writable=writable)
    try:
        yield ledger
    finally:
        if ledger is not None:
            ledger.close()


def flush(where: Path | PostgresLocation) -> PendingEvents:
    """Flush the outbox of a ledger, so that totals are complete. Never raises: what cannot be recorded stays."""
    recorder = Recorder(where.outbox_path if isinstance(where, PostgresLocation) else where)
    problem = None
    try:
        recorder.flush(_WAIT)
        if isinstance(where, PostgresLocation):
            forward(where, wait=_WAIT)
    except (LedgerError, OSError) as error:
        problem = str(error)
    finally:
        recorder.close()
    problem = problem or recorder.out_of_reach()
    waiting = sum(1 for _ in recorder.pending())
    if not isinstance(where, PostgresLocation):
        return PendingEvents(waiting, problem)
    not_sent, left_out = _not_sent(where)
    remarks = [_of_left_out(where, left_out)] if left_out else []
    remarks += [_of_other(where, other) for other in spools.others(where) if other.is_left_behind]
    return PendingEvents(waiting + not_sent, problem, tuple(remarks))


def _of_left_out(database: PostgresLocation, left_out: list[Unfit]) -> Remark:
    number = f"{len(left_out):,} event{'s' if len(left_out) > 1 else ''}"
    text = f"{database} rejected {number} (event {left_out[0].event_id}: {left_out[0].reason})"
    return Remark(text, "When the cause is fixed:", "litellm-maas spend resend")


def _of_other(database: PostgresLocation, other: OtherSpool) -> Remark:
    number = f"{other.waiting:,} event{'s' if other.waiting > 1 else ''}"
    return Remark(
        f"{number} for {other.about or 'a database whose address is not known'} are still queued in {other.path}",
        f"If that is the same ledger as {database}:",
        f"litellm-maas spend resend --from {shlex.quote(str(other.path))}",
    )


def pending_files(where: Path | PostgresLocation) -> list[Path]:
    """Return the files in the outbox of a ledger."""
    return list(Recorder(where.outbox_path if isinstance(where, PostgresLocation) else where).pending())


def left_out(where: Path | PostgresLocation) -> list[str]:
    """Return the events that a database rejects, each in a sentence."""
    found = _not_sent(where)[1] if isinstance(where, PostgresLocation) else []
    return [f"the database rejected event {each.event_id}: {each.reason}" for each in found]


def _not_sent(database: PostgresLocation) -> tuple[int, list[Unfit]]:
    """Return how many events of a spool are still to be sent, and those that the database did not take."""
    if not database.outbox_path.exists():
        return 0, []
    try:
        with opened_to_read(database.outbox_path) as spool:
            number = spools.forward_cursor(spool, database).number
            ((waiting,),) = spool.query("SELECT count(*) FROM events WHERE seq > ?", (number,))
            return waiting, spools.unfit(spool, database)
    except LedgerError:
        return 0, []


def _open(path: Path, *, writable: bool) -> Ledger | None:
    try:
        # A recorder makes the file before it makes the ledger in it.
        if path.stat().st_size == 0:
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror or error}", "name another ledger with MAAS_LEDGER") from None
    return SqliteLedger(path) if writable else opened_to_read(path)
