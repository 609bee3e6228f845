"""Keep a ledger in PostgreSQL: one for all machines of a team, filled from the ledger files on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, ClassVar

from litellm_maas.ledger import schema
from litellm_maas.ledger.base import (
    INSERT_CORRECTION,
    ROLLUP_ADD,
    ROLLUP_SUBTRACT,
    Correction,
    Ledger,
    row_of_correction,
    to_row,
)
from litellm_maas.ledger.event import FIELDS, Event
from litellm_maas.ledger.location import PostgresLocation
from litellm_maas.ledger.postgres_connection import LOCK, Connection

_ROWS = 100
"""Events in one statement: each statement travels to the database and back."""


class PostgresLedger(Ledger):
    """One ledger in a PostgreSQL database. Its tables are made if they are not there. For one thread at a time.

    Args:
        database: The database.
        late: Called, in another thread, when there has been no answer for long.

    Attributes:
        connection: The connection to it.

    Raises:
        LedgerError: psycopg is not installed.
    """

    numbers_are_gapless: ClassVar[bool] = False

    def __init__(self, database: PostgresLocation, late: Callable[[], None] | None = None) -> None:
        self.connection = Connection(database, late)

    def insert(self, events: Sequence[Event]) -> int:
        """Commit events, all or none, and return how many of them are new.

        Raises:
            InvalidEventError: One of them is nothing that this database can hold.
            LedgerError: They cannot be written.
        """
        with self.connection.transaction(limited=True) as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            added: list[str] = []
            for start in range(0, len(events), _ROWS):
                rows = [to_row(event) for event in events[start : start + _ROWS]]
                cursor.execute(_insert(len(rows)), [value for row in rows for value in row])
                added += [row[0] for row in cursor.fetchall()]
            for statement in schema.add_to_hourly("FROM events WHERE event_id = ANY(%s)"):
                cursor.execute(statement.encode(), (added,))
        return len(added)

    def missing(self, event_ids: Sequence[str]) -> int:
        """Return how many of these events are not there.

        Raises:
            LedgerError: The database cannot be used.
        """
        with self.connection.transaction(limited=True) as cursor:
            cursor.execute("SELECT count(*) FROM events WHERE event_id = ANY(%s)", (list(event_ids),))
            (found,) = cursor.fetchone() or (0,)
        return len(event_ids) - int(found)

    def correct(self, corrections: Iterable[Correction]) -> None:
        """See `Ledger.correct`."""
        with self.connection.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            for found in corrections:
                where = (found.event_id,)
                for statement in ROLLUP_SUBTRACT:
                    cursor.execute(_sql(statement), where)
                cursor.execute(_sql(INSERT_CORRECTION), row_of_correction(found))
                for statement in ROLLUP_ADD:
                    cursor.execute(_sql(statement), where)

    def query(self, sql: str, parameters: Iterable[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """See `Ledger.query`."""
        with self.connection.transaction() as cursor, cursor.connection.cursor("rows") as rows:
            rows.execute(_sql(sql), tuple(parameters))
            yield from rows

    def integrity_check(self) -> list[str]:
        """See `Ledger.integrity_check`. PostgreSQL watches its pages itself."""
        return []

    def close(self) -> None:
        """See `Ledger.close`."""
        self.connection.close()


@cache
def _insert(rows: int) -> bytes:
    """Return the statement that adds so many events, and returns the ids of those that are new."""
    values = ", ".join([f"({', '.join(['%s'] * len(FIELDS))})"] * rows)
    return (
        f"INSERT INTO events ({schema.columns()}) VALUES {values} ON CONFLICT (event_id) DO NOTHING RETURNING event_id"
    ).encode()


def _sql(portable: str) -> bytes:
    """Return the portable SQL of this package, whose parameters are written `?`, as psycopg wants it."""
    return portable.replace("%", "%%").replace("?", "%s").encode()
