"""The ledger in PostgreSQL: one for all the machines of a team, filled from the ledger files on each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from litellm_maas.spend import schema
from litellm_maas.spend.event import Event
from litellm_maas.spend.ledger import (
    INSERT_CORRECTION,
    INSERT_EVENT,
    INTO_HOURLY,
    OUT_OF_HOURLY,
    Correction,
    Ledger,
    LedgerError,
    row_of,
    row_of_correction,
)
from litellm_maas.spend.place import Database

if TYPE_CHECKING:
    import psycopg

_SCHEMA = "litellm_maas"
"""The PostgreSQL schema that holds the tables: the database may be somebody else's too, such as the proxy's."""

_LOCK = 0x4D616153
"""The advisory lock that one writer at a time holds: two that add to the same hours would wait for each other."""

_CONNECT_TIMEOUT = 10
"""Seconds."""


class PostgresLedger(Ledger):
    """One ledger in a PostgreSQL database. Its tables are made if they are not there. For one thread at a time.

    Raises:
        LedgerError: psycopg is not installed.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._psycopg = _psycopg()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def insert(self, events: Sequence[Event]) -> int:
        """Commit events, all or none; how many of them are new.

        Raises:
            LedgerError: They cannot be written.
        """
        with self._transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            added: list[str] = []
            for event in events:
                cursor.execute(_sql(f"{INSERT_EVENT} RETURNING event_id"), row_of(event))
                added += [row[0] for row in cursor.fetchall()]
            for statement in schema.add_to_hourly("FROM events WHERE event_id = ANY(%s)"):
                cursor.execute(statement.encode(), (added,))
        return len(added)

    def correct(self, corrections: Iterable[Correction]) -> None:
        """See `Ledger.correct`."""
        with self._transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for found in corrections:
                where = (found.event_id,)
                for statement in OUT_OF_HOURLY:
                    cursor.execute(_sql(statement), where)
                cursor.execute(_sql(INSERT_CORRECTION), row_of_correction(found))
                for statement in INTO_HOURLY:
                    cursor.execute(_sql(statement), where)

    def query(self, sql: str, parameters: Iterable[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """See `Ledger.query`."""
        with self._transaction() as cursor, cursor.connection.cursor("rows") as rows:
            rows.execute(_sql(sql), tuple(parameters))
            yield from rows

    def damage(self) -> list[str]:
        """See `Ledger.damage`. PostgreSQL watches its pages itself."""
        return []

    def close(self) -> None:
        """See `Ledger.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """Forget the connection without closing it, in the child of a fork: it is the parent's."""
        if self._connection is not None:
            _abandoned.append(self._connection)
            self._connection = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
        try:
            connection = self._connected()
            with connection.transaction(), connection.cursor() as cursor:
                # For this transaction alone: poolers hand a connection from one client to the next.
                cursor.execute(_SEARCH_PATH)
                yield cursor
        except self._psycopg.Error as error:
            self.close()
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise LedgerError(
                f"{self.database.name}: {reason}; check that the database runs and that MAAS_LEDGER is right"
            ) from None

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = self._psycopg.connect(
                self.database.address.get_secret_value(),
                autocommit=True,
                # Poolers do not know statements that were prepared on another connection.
                prepare_threshold=None,
                connect_timeout=_CONNECT_TIMEOUT,
                application_name="litellm-maas",
            )
            try:
                self._make_tables(self._connection)
            except LedgerError:
                self.close()
                raise
        return self._connection

    def _make_tables(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{_SCHEMA}.ledger",))
            if cursor.fetchone() != (True,):
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}".encode())
                cursor.execute(_SEARCH_PATH)
                cursor.execute("CREATE TABLE IF NOT EXISTS ledger (version INTEGER PRIMARY KEY)")
                if cursor.execute("SELECT 1 FROM ledger").fetchone() is None:
                    for statement in schema.POSTGRES_TABLES:
                        cursor.execute(statement.encode())
                    cursor.execute("INSERT INTO ledger VALUES (%s)", (schema.VERSION,))
            cursor.execute(_SEARCH_PATH)
            (version,) = cursor.execute("SELECT max(version) FROM ledger").fetchone() or (0,)
        if version != schema.VERSION:
            raise LedgerError(
                f"{self.database.name} holds a ledger of version {version}, this package writes version "
                f"{schema.VERSION}; update litellm-maas, or set MAAS_LEDGER to another database"
            )


_SEARCH_PATH = f"SET LOCAL search_path TO {_SCHEMA}".encode()
_abandoned: list[psycopg.Connection[tuple[Any, ...]]] = []


def _sql(portable: str) -> bytes:
    """The portable SQL of this package, whose parameters are written `?`, as psycopg wants it."""
    return portable.replace("%", "%%").replace("?", "%s").encode()


def _psycopg() -> ModuleType:
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError:
        raise LedgerError(
            "a ledger in PostgreSQL needs psycopg; install it with: pip install 'psycopg[binary]'"
        ) from None
    return psycopg
