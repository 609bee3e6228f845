"""Define the tables of a ledger, in SQLite and in PostgreSQL, and how an older ledger is migrated.

The SQL is written in what both understand; where they differ, `SQLITE` and `POSTGRES` say how.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from litellm_maas.ledger.event import FIELDS, FORMER_FIELDS, FORMER_STATUSES

APPLICATION_ID = 0x4D616153
"""Marks an SQLite file as a ledger: "MaaS" in ASCII."""

SUM_OF_EVENT = {
    "calls": "1",
    "failed_calls": "CASE WHEN {row}status IN ('failed', 'blocked') THEN 1 ELSE 0 END",
    "micro_credits": "coalesce({row}micro_credits, 0)",
    "saved_micro_credits": "{row}saved_micro_credits",
    "input_tokens": "{row}input_tokens",
    "cached_tokens": "{row}cached_tokens",
    "output_tokens": "{row}output_tokens",
    "reasoning_tokens": "{row}reasoning_tokens",
    "images": "{row}images",
    "unpriced_calls": "CASE WHEN {row}basis = 'unpriced' AND {row}status IN ('ok', 'cancelled') THEN 1 ELSE 0 END",
    "estimated_calls": "CASE WHEN {row}usage_source = 'estimated' THEN 1 ELSE 0 END",
    "anomalies": "CASE WHEN {row}anomalies IS NOT NULL THEN 1 ELSE 0 END",
}
"""What one event adds to each sum, in SQL over its columns; `{row}` is what they are prefixed with."""

MEASURES = tuple(SUM_OF_EVENT)
"""What is added up, for an hour in one of `HOURLY` and for a period in a report."""

HOURLY = {
    "rollup_hourly": ("model", "route", "host", "status", "basis"),
    "rollup_hourly_users": ("user", "end_user", "team_id", "team", "key_alias", "basis"),
}
"""The tables of hourly sums, and what each keeps apart; an empty text where an event has none. Two, because everything
kept apart from everything else would be nearly as many rows as there are events."""

MICROSECONDS_PER_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the two databases differ.

    Attributes:
        sequence: The type of a column that numbers rows as they come.
        guards: Statements that make rows of events and corrections unchangeable.
        hourly_options: What follows the table of hourly sums.
    """

    sequence: str
    guards: tuple[str, ...]
    hourly_options: str


def _append_only_trigger(table: str, action: str) -> str:
    return f"""CREATE TRIGGER {table}_{action} BEFORE {action.upper()} ON {table}
    BEGIN SELECT raise(ABORT, 'rows of {table} are never changed'); END"""


SQLITE = Dialect(
    sequence="INTEGER PRIMARY KEY",
    guards=tuple(
        _append_only_trigger(table, action) for table in ("events", "corrections") for action in ("update", "delete")
    ),
    hourly_options="WITHOUT ROWID",
)
POSTGRES = Dialect(
    sequence="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    guards=(
        """CREATE FUNCTION never_changed() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME; END $$""",
        "CREATE TRIGGER never BEFORE UPDATE OR DELETE ON events EXECUTE FUNCTION never_changed()",
        "CREATE TRIGGER never BEFORE UPDATE OR DELETE ON corrections EXECUTE FUNCTION never_changed()",
    ),
    hourly_options="",
)

_MONEY = ("micro_credits", "saved_micro_credits", "basis", "price_source")
_LATER = ("host", "end_user", "team_id")
"""Columns that came with version 2. They are the last of the view: PostgreSQL replaces a view, so that those who may
read it still may, if its columns so far stay where they are."""


def columns(names: tuple[str, ...] = FIELDS, row: str = "") -> str:
    """Return a list of columns in SQL; quoted, because `user` means something else to PostgreSQL."""
    return ", ".join(f'{row}"{name}"' for name in names)


def _tables(dialect: Dialect) -> tuple[str, ...]:
    return (
        f"""CREATE TABLE events (
            seq {dialect.sequence},
            event_id TEXT NOT NULL UNIQUE,
            started_at BIGINT NOT NULL,  -- microseconds since 1970, UTC
            ended_at BIGINT NOT NULL,
            operation TEXT NOT NULL,
            route TEXT NOT NULL,
            status TEXT NOT NULL,
            requested_model TEXT NOT NULL,
            model TEXT NOT NULL,
            host TEXT,
            input_tokens BIGINT NOT NULL,
            cached_tokens BIGINT NOT NULL,
            output_tokens BIGINT NOT NULL,
            reasoning_tokens BIGINT NOT NULL,
            images BIGINT NOT NULL,
            image_size TEXT,
            image_quality TEXT,
            usage_source TEXT NOT NULL,
            micro_credits BIGINT,
            saved_micro_credits BIGINT NOT NULL,
            basis TEXT NOT NULL,
            price_source TEXT,
            response_id TEXT,
            call_id TEXT,
            trace_id TEXT,
            attempt BIGINT NOT NULL,
            "user" TEXT,
            end_user TEXT,
            team_id TEXT,
            team TEXT,
            key_alias TEXT,
            session_id TEXT,
            tags TEXT,  -- a JSON list
            anomalies TEXT,  -- a JSON list
            http_status BIGINT,
            error_class TEXT
        )""",
        "CREATE INDEX events_by_time ON events (started_at)",
        f"""CREATE TABLE corrections (
            seq {dialect.sequence},
            event_id TEXT NOT NULL REFERENCES events (event_id),
            made_at BIGINT NOT NULL,
            micro_credits BIGINT,
            saved_micro_credits BIGINT NOT NULL,
            basis TEXT NOT NULL,
            price_source TEXT,
            reason TEXT NOT NULL
        )""",
        "CREATE INDEX corrections_by_event ON corrections (event_id, seq)",
        *dialect.guards,
        f"CREATE VIEW {_CURRENT_EVENTS}",
        *(_hourly(table, dialect) for table in HOURLY),
    )


def _hourly(table: str, dialect: Dialect) -> str:
    return f"""CREATE TABLE {table} (
        hour BIGINT NOT NULL,  -- hours since 1970, UTC
        {", ".join(f'"{name}" TEXT NOT NULL' for name in HOURLY[table])},
        {", ".join(f"{name} BIGINT NOT NULL" for name in MEASURES)},
        PRIMARY KEY (hour, {columns(HOURLY[table])})
    ) {dialect.hourly_options}"""


def _current_events() -> str:
    plain = columns(tuple(name for name in FIELDS if name not in (*_MONEY, *_LATER)), "e.")
    money = ", ".join(f"CASE WHEN c.seq IS NULL THEN e.{name} ELSE c.{name} END AS {name}" for name in _MONEY)
    return f"""current_events AS SELECT e.seq, {plain}, {money}, {columns(_LATER, "e.")}
    FROM events e LEFT JOIN corrections c ON c.seq = (SELECT max(seq) FROM corrections WHERE event_id = e.event_id)"""


_CURRENT_EVENTS = _current_events()


def _into(table: str, values: str) -> str:
    updates = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in MEASURES)
    return f"""INSERT INTO {table} (hour, {columns((*HOURLY[table], *MEASURES))}) {values}
    ON CONFLICT (hour, {columns(HOURLY[table])}) DO UPDATE SET {updates}"""


def hourly_key(table: str, row: str = "") -> list[str]:
    """Return the row of a table of hourly sums that an event belongs to, in SQL over the event's columns."""
    dimensions = (f"coalesce({row}\"{name}\", '')" for name in HOURLY[table])
    return [f"{row}started_at / {MICROSECONDS_PER_HOUR}", *dimensions]


def _add_up() -> str:
    sums = [SUM_OF_EVENT[name].format(row="NEW.") for name in MEASURES]
    added = (_into(table, f"VALUES ({', '.join((*hourly_key(table, 'NEW.'), *sums))})") for table in HOURLY)
    return f"CREATE TRIGGER events_add_up AFTER INSERT ON events BEGIN {'; '.join(added)}; END"


def add_to_hourly(source: str, *, sign: str = "+") -> tuple[str, ...]:
    """Statements that add events to their hours, or take them out again.

    Args:
        source: A SELECT over the events, from its FROM on.
        sign: ``+`` or ``-``.
    """
    sums = [f"{sign}sum({SUM_OF_EVENT[name].format(row='')})" for name in MEASURES]
    keys = {table: hourly_key(table) for table in HOURLY}
    return tuple(
        _into(
            table,
            f"SELECT {', '.join((*key, *sums))} {source} GROUP BY {', '.join(map(str, range(1, len(key) + 1)))}",
        )
        for table, key in keys.items()
    )


POSTGRES_TABLES = ("CREATE TABLE ledger (version INTEGER PRIMARY KEY, id TEXT)", *_tables(POSTGRES))
"""The table `ledger` holds a row for each version that the ledger has had; the newest has the ledger's id."""

_UNFIT = """CREATE TABLE unfit (
    destination TEXT NOT NULL,
    seq BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    noted_at BIGINT NOT NULL,
    PRIMARY KEY (destination, seq)
) WITHOUT ROWID"""
"""Events that a database that a ledger is forwarded to does not take."""

_SQLITE_TABLES = (
    *_tables(SQLITE),
    _add_up(),
    "CREATE TABLE forward_cursors (destination TEXT PRIMARY KEY, seq BIGINT NOT NULL, database_id TEXT)",
    _UNFIT,
    "CREATE TABLE budgets (name TEXT PRIMARY KEY, definition TEXT NOT NULL)",
    """CREATE TABLE reservations (
        id TEXT NOT NULL,
        budget TEXT NOT NULL,
        micro_credits BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,  -- microseconds since 1970, UTC
        PRIMARY KEY (id, budget)
    ) WITHOUT ROWID""",
    """CREATE TABLE alerts_sent (
        about TEXT NOT NULL,
        period TEXT NOT NULL,
        said_at BIGINT NOT NULL,
        PRIMARY KEY (about, period)
    ) WITHOUT ROWID""",
    """CREATE TABLE balance_readings (
        seq INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,  -- reading or topup
        at BIGINT NOT NULL,
        micro_credits BIGINT NOT NULL,
        noted_at BIGINT NOT NULL,
        host TEXT NOT NULL DEFAULT ''  -- whose account it is; empty for all hosts together
    )""",
)


_TABLES_RENAMED = {
    "hourly": "rollup_hourly",
    "hourly_users": "rollup_hourly_users",
    "forwarded": "forward_cursors",
    "notices": "alerts_sent",
    "console": "balance_readings",
}
"""The tables of versions 1 and 2, and those of version 3."""


def _rename_columns(table: str, names: Iterable[str] = FORMER_FIELDS) -> Iterator[str]:
    return (f"ALTER TABLE {table} RENAME COLUMN {name} TO {FORMER_FIELDS[name]}" for name in names)


def _rename_statuses(table: str) -> Iterator[str]:
    return (f"UPDATE {table} SET status = '{new}' WHERE status = '{old}'" for old, new in FORMER_STATUSES.items())


def _later_columns() -> tuple[str, ...]:
    return tuple(f"ALTER TABLE events ADD COLUMN {name} TEXT" for name in _LATER)


def _hourly_changed(table: str) -> tuple[str, ...]:
    new = tuple(name for name in HOURLY[table] if name in _LATER)
    return (
        *(f"ALTER TABLE {table} ADD COLUMN {name} TEXT NOT NULL DEFAULT ''" for name in new),
        *(f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT" for name in new),
        f"ALTER TABLE {table} ADD COLUMN failed_calls BIGINT NOT NULL DEFAULT 0",
        f"ALTER TABLE {table} ALTER COLUMN failed_calls DROP DEFAULT",
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey",
        f"ALTER TABLE {table} ADD PRIMARY KEY (hour, {columns(HOURLY[table])})",
        f"DELETE FROM {table}",
    )


_SQLITE_RENAMED = (
    "DROP TRIGGER events_add_up",
    "DROP TRIGGER events_update",
    "DROP VIEW current_events",
    *(f"ALTER TABLE {old} RENAME TO {new}" for old, new in _TABLES_RENAMED.items()),
    *_rename_columns("events"),
    *_rename_statuses("events"),
    _append_only_trigger("events", "update"),
)
_SQLITE_UPGRADES = {
    1: (
        *_SQLITE_RENAMED,
        *_later_columns(),
        f"CREATE VIEW {_CURRENT_EVENTS}",
        # SQLite cannot change keys.
        *(statement for table in HOURLY for statement in (f"DROP TABLE {table}", _hourly(table, SQLITE))),
        *add_to_hourly("FROM current_events"),
        _add_up(),
        "ALTER TABLE balance_readings ADD COLUMN host TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE forward_cursors ADD COLUMN database_id TEXT",
        _UNFIT,
    ),
    2: (
        *_SQLITE_RENAMED,
        f"CREATE VIEW {_CURRENT_EVENTS}",
        *_rename_columns("rollup_hourly", ["model_served"]),
        *_rename_statuses("rollup_hourly"),
        _add_up(),
    ),
}
_POSTGRES_RENAMED = (
    *_rename_columns("events"),
    "ALTER TABLE events DISABLE TRIGGER never",
    *_rename_statuses("events"),
    "ALTER TABLE events ENABLE TRIGGER never",
    *_rename_columns("current_events"),
    *(f"ALTER TABLE {old} RENAME TO {_TABLES_RENAMED[old]}" for old in ("hourly", "hourly_users")),
    *(f"ALTER INDEX {old}_pkey RENAME TO {_TABLES_RENAMED[old]}_pkey" for old in ("hourly", "hourly_users")),
    *_rename_columns("rollup_hourly", ["model_served"]),
)
POSTGRES_UPGRADES = {
    1: (
        *_POSTGRES_RENAMED,
        "ALTER TABLE ledger ADD COLUMN id TEXT",
        *_later_columns(),
        f"CREATE OR REPLACE VIEW {_CURRENT_EVENTS}",
        *(statement for table in HOURLY for statement in _hourly_changed(table)),
        *add_to_hourly("FROM current_events"),
    ),
    2: (*_POSTGRES_RENAMED, *_rename_statuses("rollup_hourly")),
}
"""By version, what makes it this package's version. What a version did not know stays empty in its rows."""

VERSION = 3


def statements_from(version: int, tables: Iterable[str], upgrades: Mapping[int, Iterable[str]]) -> Iterator[str]:
    """Yield what makes a ledger of a version (0 where there is none) one of this package's version."""
    if not version:
        yield from tables
    elif version < VERSION:
        yield from upgrades[version]


def is_foreign(connection: sqlite3.Connection) -> bool:
    """Return whether an SQLite file is something else than a ledger, or than an empty file that can become one."""
    # In this order: another process may be making the tables, and marks the file together with them.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    return bool(tables) and bool(application_id != APPLICATION_ID)


def migrate(connection: sqlite3.Connection) -> int:
    """Migrate an SQLite ledger to this version, and return the version afterwards, which may be a newer one.

    Safe when several processes open a new ledger at once: one of them migrates, the others wait and find it done.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version >= VERSION:
        return int(version)
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for statement in statements_from(version, _SQLITE_TABLES, _SQLITE_UPGRADES):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {max(version, VERSION)}")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise
    return max(int(version), VERSION)


def roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction that failed. Never raises: SQLite has ended some by itself, and the cause says more."""
    with contextlib.suppress(sqlite3.Error):
        connection.execute("ROLLBACK")
