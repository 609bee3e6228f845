"""Spools: the ledger files in front of PostgreSQL databases, what they note of the way there, and older ones.

A spool belongs to the database of one address. When the address changes, because it was wrong or because the database
has moved, the spool so far stays behind; what it holds is taken over by the new one where it is the same ledger.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from litellm_maas.errors import LedgerError, SettingsError
from litellm_maas.ledger import database_url
from litellm_maas.ledger.base import from_micros, from_row, to_micros
from litellm_maas.ledger.event import sanitize_text
from litellm_maas.ledger.location import PostgresLocation
from litellm_maas.ledger.sqlite import PATIENCE, SqliteLedger, opened_to_read

_BATCH = 500
"""Events that are copied in one transaction."""
_LATE = dt.timedelta(minutes=1)
"""Older events have been left behind; newer ones may be in flight."""
_SET_BY_PEOPLE = ("budgets", "balance_readings", "alerts_sent")
_TAKEN = "taken over for "
"""Before the key of a database whose spool has taken the events of this one over."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a spool's events have come.

    Attributes:
        number: The number of the last event that the database has.
        ledger_id: The id of the ledger in the database; None where it was never reached.
    """

    number: int = 0
    ledger_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unfit:
    """An event that the database does not take.

    Attributes:
        number: Its number in the spool.
    """

    number: int
    event_id: str
    reason: str


def forward_cursor(spool: SqliteLedger, database: PostgresLocation) -> Progress:
    """Return how far the events have been forwarded to a database.

    Raises:
        LedgerError: The spool cannot be read.
    """
    sql = "SELECT seq, database_id FROM forward_cursors WHERE destination = ?"
    return next((Progress(*row) for row in spool.query(sql, (database.at.key,))), Progress())


def set_forward_cursor(
    spool: SqliteLedger, database: PostgresLocation, reached: Progress, left_out: Iterable[Unfit] = ()
) -> None:
    """Note how far the events are, and which of them the database did not take.

    What comes after that is to be sent, whatever was noted of it before.

    Raises:
        LedgerError: The spool cannot be written.
    """
    _note(spool, database.at.key, reached, left_out)


def _note(spool: SqliteLedger, destination: str, reached: Progress, left_out: Iterable[Unfit] = ()) -> None:
    now = to_micros(dt.datetime.now(dt.timezone.utc))
    with spool.write_transaction(PATIENCE) as connection:
        connection.execute(
            "INSERT INTO forward_cursors VALUES (?, ?, ?) ON CONFLICT (destination)"
            " DO UPDATE SET seq = excluded.seq, database_id = excluded.database_id",
            (destination, reached.number, reached.ledger_id),
        )
        connection.execute("DELETE FROM unfit WHERE destination = ? AND seq > ?", (destination, reached.number))
        connection.executemany(
            "INSERT OR REPLACE INTO unfit VALUES (?, ?, ?, ?, ?)",
            [
                (destination, each.number, sanitize_text(each.event_id), sanitize_text(each.reason), now)
                for each in left_out
            ],
        )


def unfit(spool: SqliteLedger, database: PostgresLocation) -> list[Unfit]:
    """Return the events that a database did not take, in the order in which they were recorded.

    Raises:
        LedgerError: The spool cannot be read.
    """
    sql = "SELECT seq, event_id, reason FROM unfit WHERE destination = ? ORDER BY seq"
    return [Unfit(*row) for row in spool.query(sql, (database.at.key,))]


def sent_before(spool: SqliteLedger, database: PostgresLocation, number: int) -> list[tuple[int, str]]:
    """Return the last events up to a number that the database took, the newest first: their numbers and ids.

    Raises:
        LedgerError: The spool cannot be read.
    """
    sql = """SELECT seq, event_id FROM events
    WHERE seq <= ? AND seq NOT IN (SELECT seq FROM unfit WHERE destination = ?) ORDER BY seq DESC LIMIT ?"""
    return [(row[0], row[1]) for row in spool.query(sql, (number, database.at.key, _BATCH))]


@dataclass(frozen=True, slots=True)
class OtherSpool:
    """A spool of another address.

    Attributes:
        path: The file.
        about: The database that it was for, by its key; None where it does not say.
        ledger_id: The id of the ledger that it was sent to; None where that is not known.
        is_sent: Whether anything of it was ever sent.
        is_taken: Whether the spool of the address now has taken all of it over.
        waiting: Events in it that no database and no other spool has.
        waiting_since: When the first of them was recorded.
        budgets: How many budgets it holds.
    """

    path: Path
    about: str | None
    ledger_id: str | None
    is_sent: bool
    is_taken: bool
    waiting: int
    waiting_since: dt.datetime | None
    budgets: int

    @property
    def is_left_behind(self) -> bool:
        """Return whether events wait in it for longer than they would on their way."""
        return self.waiting_since is not None and dt.datetime.now(dt.timezone.utc) - self.waiting_since > _LATE

    def is_named_like(self, database: PostgresLocation) -> bool:
        """Return whether it was for a database of the same name, wherever that was."""
        return self.about is not None and self.about.rpartition("/")[2] == database.at.key.rpartition("/")[2]

    def is_of(self, database: PostgresLocation, ledger_id: str) -> bool:
        """Return whether its events are of the ledger that a database holds.

        They are if they were sent to the same ledger under another address, and if its address was one of a database of
        this name, under which none has ever been reached.
        """
        if self.ledger_id is not None:
            return self.ledger_id == ledger_id
        return self.about == database.at.key if self.is_sent else self.is_named_like(database)


def others(database: PostgresLocation) -> list[OtherSpool]:
    """Return the spools of other addresses in the data folder that can be read, those used last first."""
    mine = database.outbox_path
    files = sorted((path for path in mine.parent.glob("spool-*.db") if path != mine), key=_used_at, reverse=True)
    return [found for path in files if (found := _look_into(path, database)) is not None]


def _used_at(path: Path) -> float:
    files = (path, path.with_name(f"{path.name}-wal"))
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def _look_into(path: Path, database: PostgresLocation) -> OtherSpool | None:
    try:
        with opened_to_read(path) as spool:
            found = list(spool.query("SELECT destination, seq, database_id FROM forward_cursors ORDER BY rowid"))
            last = spool.last_seq()
            sent = max((seq for _, seq, _ in found), default=0)
            sql = "SELECT count(*), min(ended_at) FROM events WHERE seq > ?"
            ((waiting, since),) = spool.query(sql, (sent,))
            ((budgets,),) = spool.query("SELECT count(*) FROM budgets")
    except LedgerError:
        return None
    own = next(((key, seq, found_id) for key, seq, found_id in found if not key.startswith(_TAKEN)), (None, 0, None))
    taken = next((seq for key, seq, _ in found if key == _TAKEN + database.at.key), 0)
    return OtherSpool(
        path=path,
        about=_key(own[0]),
        ledger_id=own[2],
        is_sent=own[1] > 0,
        is_taken=taken >= last,
        waiting=waiting,
        waiting_since=None if since is None else from_micros(since),
        budgets=budgets,
    )


def _key(destination: str | None) -> str | None:
    """Return the key of a database, which version 1 noted by its address."""
    try:
        address = database_url.read(destination or "")
    except SettingsError:
        return None
    return destination if address is None else address.key


def take_over(spool: SqliteLedger, database: PostgresLocation, other: OtherSpool) -> int:
    """Copy the events of another spool into this one, from where they are forwarded, and return how many are new.

    All are copied and not only those that wait, so that budgets know what was spent. The other spool notes that it was
    done.

    Raises:
        LedgerError: One of the two cannot be used.
    """
    added = 0
    with SqliteLedger(other.path) as source:
        ((done,),) = source.query(
            "SELECT coalesce(max(seq), 0) FROM forward_cursors WHERE destination = ?", (_TAKEN + database.at.key,)
        )
        while rows := source.rows_since(done, _BATCH):
            for row in rows:
                with contextlib.suppress(ValueError, TypeError, OverflowError):  # no event: it stays where it is
                    added += spool.insert(from_row(row[1:]))
            done = rows[-1][0]
            _note(source, _TAKEN + database.at.key, Progress(done))
    return added


def ready(database: PostgresLocation, *, make: bool = True) -> Path:
    """Return the spool of a database. One that has to be made gets the budgets and balances of the one before it.

    That is the one that was used last for a database of the same name.

    Args:
        database: The database.
        make: Make it also where there is none before it.

    Raises:
        LedgerError: It cannot be made.
    """
    path = database.outbox_path
    if path.exists():
        return path
    before = next((other for other in others(database) if other.is_named_like(database)), None)
    if make or before is not None:
        with SqliteLedger(path) as spool:
            if before is not None:
                _adopt(spool, before.path)
            if forward_cursor(spool, database) == Progress():
                set_forward_cursor(
                    spool, database, Progress()
                )  # so that it says what it is for before anything is sent
    return path


def _adopt(spool: SqliteLedger, before: Path) -> None:
    with opened_to_read(before) as source, spool.write_transaction(PATIENCE) as connection:
        for table in _SET_BY_PEOPLE:
            for row in source.query(f"SELECT * FROM {table}"):
                values = ", ".join("?" * len(row))
                connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({values})", row)
