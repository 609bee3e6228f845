"""Forwarding: events that are safe in a ledger file go to PostgreSQL.

A call waits for the file only. When the database is down, or the process is killed, what has not gone yet stays in the
file; this or any later process on the machine sends it. The same event twice is one row there too.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from litellm_maas.errors import InvalidEventError, LedgerBusyError, LedgerError
from litellm_maas.ledger import spools
from litellm_maas.ledger.base import from_row
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.location import PostgresLocation
from litellm_maas.ledger.postgres import PostgresLedger
from litellm_maas.ledger.spools import Progress, Unfit
from litellm_maas.ledger.sqlite import SqliteLedger

logger = logging.getLogger("litellm_maas")

_BATCH = 500
"""Events in one transaction."""
_MANY = 20
"""Events of which some should fit; where none does, something is wrong with the database and not with them."""

_Numbered = tuple[int, Event]


def forward(
    database: PostgresLocation,
    target: PostgresLedger | None = None,
    wait: float = 0.0,
    *,
    again: bool = False,
    taking: Path | None = None,
) -> int:
    """Send what the database does not have yet, and return how many events those were.

    Args:
        database: Where to; its spool is where from.
        target: A ledger on it that is connected already.
        wait: Seconds to wait for another process that is forwarding the same file.
        again: Send also what has been sent, and what the database did not take.
        taking: A spool of another address whose events are to be sent too.

    Raises:
        LedgerBusyError: Another process is forwarding the same file, and did not end in that time.
        LedgerError: The database or the file cannot be used. Nothing is lost: the next round begins where it stopped.
    """
    if not database.outbox_path.exists() and not _waits_elsewhere(database) and taking is None:
        return 0
    with contextlib.ExitStack() as opened:
        opened.enter_context(_single_forwarder(database.outbox_path, wait))
        spool = opened.enter_context(SqliteLedger(spools.ready(database)))
        if again:
            spools.set_forward_cursor(spool, database, Progress(0, spools.forward_cursor(spool, database).ledger_id))
        target = target or opened.enter_context(PostgresLedger(database))
        return _Round(database, spool, target).send(taking)


def _waits_elsewhere(database: PostgresLocation) -> bool:
    return any(each.is_left_behind and each.is_named_like(database) for each in spools.others(database))


class _Round:
    """Forward in one round."""

    def __init__(self, database: PostgresLocation, spool: SqliteLedger, target: PostgresLedger) -> None:
        self._database = database
        self._spool = spool
        self._target = target
        self._left_out: list[Unfit] = []

    def send(self, taking: Path | None) -> int:
        """Send what is queued, and return how many events that was."""
        connection, sent = self._target.connection, 0
        ledger_id = connection.ledger_id
        if connection.is_new or taking is not None:
            self._take_over(ledger_id, taking)
            self._look_back(ledger_id)
            connection.is_new = False
        done = spools.forward_cursor(self._spool, self._database).number
        while rows := self._spool.rows_since(done, _BATCH):
            self._left_out.clear()
            read = [(number, event) for number, *row in rows if (event := self._event(number, row)) is not None]
            sent += self._insert(read)
            done = rows[-1][0]
            spools.set_forward_cursor(self._spool, self._database, Progress(done, ledger_id), self._left_out)
            self._say_what_is_left_out()
        return sent

    def _take_over(self, ledger_id: str, taking: Path | None) -> None:
        for other in spools.others(self._database):
            is_wanted = taking is not None and other.path.resolve() == taking.resolve()
            if other.is_taken or not (is_wanted or other.is_of(self._database, ledger_id)):
                continue
            added = spools.take_over(self._spool, self._database, other)
            if added:
                logger.warning(
                    "%d events of %s, the spool of the former address (%s), are forwarded to %s now",
                    *(added, other.path, other.about or "unknown", self._database),
                )

    def _look_back(self, ledger_id: str) -> None:
        """Begin again where the database has lost what it had: it may be a copy of an earlier day."""
        reached = number = spools.forward_cursor(self._spool, self._database).number
        while sent := spools.sent_before(self._spool, self._database, number):
            if not self._target.missing([event_id for _, event_id in sent]):
                break
            number = sent[-1][0] - 1
        if number < reached:
            logger.warning(
                "%s lacks the last events that were sent to it: it was restored, or recreated. What it may lack is "
                "sent again from %s.",
                self._database,
                self._spool.path,
            )
            spools.set_forward_cursor(self._spool, self._database, Progress(max(number, 0), ledger_id))

    def _event(self, number: int, row: Sequence[Any]) -> Event | None:
        try:
            return from_row(row)
        except (ValueError, TypeError, OverflowError) as error:
            self._left_out.append(Unfit(number, str(row[0]), f"it cannot be read: {error}"))
            return None

    def _insert(self, batch: Sequence[_Numbered]) -> int:
        """Send events together; where one of them does not fit, in halves, until it is alone."""
        if not batch:
            return 0
        try:
            self._target.insert([event for _, event in batch])
        except InvalidEventError as error:
            if len(batch) == 1:
                ((number, event),) = batch
                self._left_out.append(Unfit(number, event.event_id, str(error)))
                return 0
            middle = len(batch) // 2
            sent = self._insert(batch[:middle]) + self._insert(batch[middle:])
            if not sent and len(batch) >= _MANY:
                raise LedgerError(
                    f"{self._database}: {error}, for every event", "check the tables of the database"
                ) from None
            return sent
        return len(batch)

    def _say_what_is_left_out(self) -> None:
        for each in self._left_out:
            logger.warning(
                "%s rejected event %s (%s); it stays in %s, and the others are forwarded. "
                "When the cause is fixed: litellm-maas spend resend",
                *(self._database, each.event_id, each.reason, self._spool.path),
            )


@contextlib.contextmanager
def _single_forwarder(spool: Path, wait: float) -> Iterator[None]:
    try:
        spool.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{spool}.forwarding", timeout=wait):
            yield
    except Timeout:
        raise LedgerBusyError(f"another process is forwarding {spool}") from None
    except OSError as error:
        raise LedgerError(f"{spool}: {error.strerror or error}", "check its folder") from None
