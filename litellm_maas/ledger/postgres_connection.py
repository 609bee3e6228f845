"""Connect to a ledger in PostgreSQL, check it, and never wait on it for ever."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from litellm_maas.errors import InvalidEventError, LedgerError
from litellm_maas.ledger import schema
from litellm_maas.ledger.deadlines import LONGEST, Deadline, deadline
from litellm_maas.ledger.event import new_id
from litellm_maas.ledger.location import PostgresLocation

if TYPE_CHECKING:
    import psycopg

_SCHEMA = "litellm_maas"
"""The PostgreSQL schema that holds the tables: the database may be somebody else's too, such as the proxy's."""

LOCK = 0x4D616153
"""The advisory lock that one writer at a time holds: two that add to the same hours would wait for each other."""

_ENCODINGS = ("UTF8", "SQL_ASCII")
"""Encodings of databases that hold every name; each of the others lacks letters."""

_CONNECTION: Mapping[str, str | int] = {
    "connect_timeout": 10,  # s
    # A peer that is gone without a word is noticed within half a minute, and not after hours.
    "keepalives": 1,
    "keepalives_idle": 10,  # s
    "keepalives_interval": 5,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # ms
    "application_name": "litellm-maas",
}
"""How to connect, where the address says nothing else."""

_LIMITS = {"lock_timeout": "10s", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "60s"}
"""For transactions that write. The last is for the others: a machine that is cut off holds the lock no longer."""

_UNFIT = ("22", "23", "54", "P0")
"""Classes of SQLSTATE that are about the data: what cannot be held, what breaks a constraint, what is too large for an
index, and what somebody's own trigger refuses."""


class Connection:
    """A connection that is made when it is first needed, and again when it is lost. For one thread at a time.

    Args:
        database: Where to.
        late: Called, in another thread, when there has been no answer for long.

    Attributes:
        is_new: Whether it is another one than when somebody set this to False.

    Raises:
        LedgerError: psycopg is not installed.
    """

    def __init__(self, database: PostgresLocation, late: Callable[[], None] | None = None) -> None:
        self.is_new = True
        self._database = database
        self._late = late
        self._id = ""
        self._psycopg = _psycopg()
        self._deadline: Deadline | None = None
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    @property
    def ledger_id(self) -> str:
        """Return the id of the ledger, whoever connects to it and by which address.

        Raises:
            LedgerError: The database cannot be used.
        """
        if self._connection is None or self._connection.closed:
            with self.transaction(limited=True):
                pass
        return self._id

    @contextlib.contextmanager
    def transaction(self, *, limited: bool = False) -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
        """Open a transaction.

        Args:
            limited: Whether it has time limits: what is written has, a report may take as long as it takes.

        Raises:
            InvalidEventError: What is written is nothing that the database can hold.
            LedgerError: The database cannot be used.
        """
        with self._errors(), contextlib.ExitStack() as opened:
            connection = self._connected()
            if limited:
                self._deadline = opened.enter_context(deadline(connection.fileno(), self._late))
            opened.enter_context(connection.transaction())
            cursor = opened.enter_context(connection.cursor())
            # For this transaction alone: poolers hand a connection from one client to the next.
            cursor.execute(_settings({"search_path": _SCHEMA, **(_LIMITS if limited else {})}))
            yield cursor

    def close(self) -> None:
        """Close it; the next use makes it again."""
        self.is_new = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """Forget it without closing it, in the child of a fork: it is the parent's."""
        if self._connection is not None:
            _abandoned.append(self._connection)
            self._connection = None

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Map psycopg's errors to what to do."""
        self._deadline = None
        try:
            yield
        except UnicodeError as error:
            raise InvalidEventError(str(error)) from None
        except self._psycopg.Error as error:
            if isinstance(error, self._psycopg.DataError) or (error.sqlstate or "").startswith(_UNFIT):
                raise InvalidEventError(self._reason(error)) from None
            self.close()
            raise LedgerError(
                f"{self._database}: {self._reason(error)}", "check that the database runs and that MAAS_LEDGER is right"
            ) from None

    def _reason(self, error: Exception) -> str:
        if self._deadline is not None and self._deadline.passed:
            return f"no answer for {LONGEST:g} s, so the connection was closed"
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        return self._database.at.without_secrets(first)

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            address = self._database.at
            unsaid: Any = {name: value for name, value in _CONNECTION.items() if name not in address.parameters}
            self._connection = self._psycopg.connect(
                address.whole.get_secret_value(),
                autocommit=True,
                # Poolers do not know statements that were prepared on another connection.
                prepare_threshold=None,
                # Without it text comes as bytes where the database has no encoding (psycopg#276).
                client_encoding="utf8",
                **unsaid,
            )
            self.is_new = True
            try:
                with deadline(self._connection.fileno(), self._late) as self._deadline:
                    self._check_encoding(self._connection)
                    self._make_tables(self._connection)
            except LedgerError:
                self.close()
                raise
        return self._connection

    def _check_encoding(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding not in (None, *_ENCODINGS):
            raise LedgerError(
                f"{self._database} is encoded in {encoding}, which lacks the letters of many names",
                "make a database with ENCODING 'UTF8' TEMPLATE template0, and name it in MAAS_LEDGER",
            )

    def _make_tables(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            version = _version(cursor)
            if version < schema.VERSION:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                version = _version(cursor)
                if not cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (_SCHEMA,)).fetchone():
                    cursor.execute(f"CREATE SCHEMA {_SCHEMA}".encode())
                cursor.execute(_settings({"search_path": _SCHEMA}))
                for statement in schema.statements_from(version, schema.POSTGRES_TABLES, schema.POSTGRES_UPGRADES):
                    cursor.execute(statement.encode())
                if version < schema.VERSION:
                    cursor.execute(
                        "INSERT INTO ledger VALUES (%s,"
                        " coalesce((SELECT id FROM ledger ORDER BY version DESC LIMIT 1), %s))",
                        (schema.VERSION, new_id()),
                    )
                    version = schema.VERSION
            newest = f"SELECT id FROM {_SCHEMA}.ledger ORDER BY version DESC LIMIT 1".encode()
            (self._id,) = (version == schema.VERSION and cursor.execute(newest).fetchone()) or ("",)
        if version > schema.VERSION:
            raise LedgerError(
                f"{self._database} holds a ledger of version {version}, this package writes version {schema.VERSION}",
                "update litellm-maas, or set MAAS_LEDGER to another database",
            )


_abandoned: list[psycopg.Connection[tuple[Any, ...]]] = []


def _version(cursor: psycopg.Cursor[tuple[Any, ...]]) -> int:
    """Return the version of the ledger; 0 where there is none."""
    # Not by to_regclass, which may remember that another connection had not made it yet.
    cursor.execute("SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'ledger'", (_SCHEMA,))
    if not cursor.fetchone():
        return 0
    (version,) = cursor.execute(f"SELECT max(version) FROM {_SCHEMA}.ledger".encode()).fetchone() or (0,)
    return int(version or 0)


def _settings(values: Mapping[str, str]) -> bytes:
    """Return a statement that makes settings for the transaction that it is in."""
    calls = (f"set_config('{name}', '{value}', true)" for name, value in values.items())
    return f"SELECT {', '.join(calls)}".encode()


def _psycopg() -> ModuleType:
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ImportError:
        raise LedgerError(
            "a ledger in PostgreSQL needs psycopg", "install it with: pip install 'psycopg[binary]'"
        ) from None
    return psycopg
