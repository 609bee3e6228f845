"""Ledgers of an older version: what is in them stays, and what comes later joins it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from litellm_maas.ledger import access, schema
from litellm_maas.ledger.base import Correction, Ledger
from litellm_maas.ledger.event import FIELDS
from litellm_maas.ledger.location import PostgresLocation, resolve_location
from litellm_maas.ledger.postgres import PostgresLedger
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.ledger.verify import verify
from tests.factories import event
from tests.ledger_files import rows

TABLES = Path(__file__).parent / "ledgers_of_version_1"
OLD_FIELDS = [name for name in FIELDS if name not in ("host", "end_user", "team_id")]
OLD_ROW = {
    **dict.fromkeys(OLD_FIELDS),
    "event_id": "old",
    "started_at": 1,
    "ended_at": 2,
    "kind": "chat",
    "route": "provider",
    "status": "ok",
    "model_requested": "trio",
    "model_served": "openai/gpt-4o",
    "usage_source": "reported",
    "basis": "custom",
    "input_tokens": 10,
    "cached_tokens": 0,
    "output_tokens": 5,
    "reasoning_tokens": 0,
    "images": 0,
    "attempt": 1,
    "micro_credits": 7,
    "saved_micro_credits": 0,
    "user": "minh",
    "team": "Sales",
}
NEW = event("new", 5, user="minh", end_user="khách", team_id="t-1", team="Sales", host="maas.vn:8443")


def insert(placeholder: str) -> str:
    """The statement that writes a row as version 1 did."""
    return (
        f"INSERT INTO events ({schema.columns(tuple(OLD_FIELDS))}) VALUES ({', '.join([placeholder] * len(OLD_ROW))})"  # noqa: S608 - our own columns
    )


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger file of version 1 with one row and a budget."""
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.executescript((TABLES / "sqlite.sql").read_text())
        made.execute(insert("?"), list(OLD_ROW.values()))
        made.execute('INSERT INTO budgets VALUES (\'a\', \'{"name": "a", "credits": "5"}\')')
        made.execute("INSERT INTO forwarded VALUES ('postgresql://a@b/c', 1)")
    return path


def check(ledger: Ledger) -> None:
    """The old row and the new one are whole, and the sums are theirs."""
    first, second = ledger.events()
    assert (first.event_id, first.micro_credits, first.user, first.team) == ("old", 7, "minh", "Sales")
    assert (first.host, first.end_user, first.team_id) == (None, None, None)
    assert second == NEW
    assert verify(ledger) == []
    ledger.correct([Correction(each, 3, 0, "custom", "list", "a test") for each in ("old", "new")])
    assert [found.micro_credits for found in ledger.events()] == [3, 3]
    assert verify(ledger) == []


def test_a_file_becomes_a_newer_one(old: Path) -> None:
    """Whoever writes to a ledger of version 1 updates it: rows, sums, budgets and notes stay."""
    with SqliteLedger(old) as ledger:
        assert ledger.insert(NEW)
        check(ledger)
        assert list(ledger.query("SELECT name FROM budgets")) == [("a",)]
        assert list(ledger.query("SELECT * FROM forwarded")) == [("postgresql://a@b/c", 1, None)]
        with pytest.raises(sqlite3.IntegrityError, match="are never changed"), sqlite3.connect(old) as anybody:
            anybody.execute("DELETE FROM events")
        anybody.close()


def test_a_report_updates_a_file_that_it_reads(old: Path) -> None:
    """After an update of the package a report comes at once, and not after the next call."""
    with access.open_ledger(old) as ledger:
        assert ledger is not None
        assert [found.event_id for found in ledger.events()] == ["old"]


def test_an_updated_file_has_the_tables_of_a_new_one(old: Path, tmp_path: Path) -> None:
    """Both have the same tables, columns, keys, indexes, views and triggers."""
    SqliteLedger(old).close()
    SqliteLedger(tmp_path / "new.db").close()
    assert shape(old) == shape(tmp_path / "new.db")


def shape(path: Path) -> Any:
    """What a ledger consists of, whatever the order of its columns."""
    with contextlib.closing(sqlite3.connect(path)) as found:
        names = found.execute("SELECT type, name FROM sqlite_master ORDER BY 1, 2").fetchall()
        tables = [name for kind, name in names if kind in ("table", "view")]
        # Where a column stands differs; its place in the key (the last field) does not.
        columns = {name: sorted(row[1:] for row in found.execute(f"PRAGMA table_info({name})")) for name in tables}
        return names, columns, found.execute("PRAGMA user_version").fetchall()


def test_a_half_done_update_is_none(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update that fails in the middle leaves the ledger as it was, and the next one succeeds."""
    upgrades = schema._SQLITE_UPGRADES  # noqa: SLF001 - the fault
    with monkeypatch.context() as broken, pytest.raises(Exception, match="syntax error"):
        broken.setitem(upgrades, 1, (*upgrades[1][:-1], "no SQL"))
        SqliteLedger(old)
    with contextlib.closing(sqlite3.connect(old)) as found:
        assert found.execute("PRAGMA user_version").fetchone() == (1,)
        assert [row[1] for row in found.execute("PRAGMA table_info(events)")] == ["seq", *OLD_FIELDS]
    SqliteLedger(old).close()
    assert [found.event_id for found in rows(old)] == ["old"]


@pytest.fixture
def old_database(database: str) -> PostgresLocation:
    """A database with a ledger of version 1, that somebody else may read."""
    with psycopg.connect(database) as connection:
        connection.execute((TABLES / "postgres.sql").read_bytes())
        connection.execute(insert("%s").encode(), list(OLD_ROW.values()))
        for table, kept_apart in (
            ("hourly", '"model_served", "route", "status"'),
            ("hourly_users", '"user", "team", "key_alias"'),
        ):
            values = ", ".join(f"coalesce({name}, '')" for name in kept_apart.split(", "))
            connection.execute(
                f"INSERT INTO {table} SELECT 0, {values}, basis, 1, 7, 0, 10, 0, 5, 0, 0, 0, 0, 0 FROM events".encode()  # noqa: S608 - the same
            )
        connection.execute(b"DROP ROLE IF EXISTS reader")
        connection.execute(b"CREATE ROLE reader")
        connection.execute(b"GRANT SELECT ON current_events, hourly TO reader")
    where = resolve_location(database)
    assert isinstance(where, PostgresLocation)
    return where


def test_a_database_becomes_a_newer_one(old_database: PostgresLocation) -> None:
    """Whoever connects to a ledger of version 1 updates it; who could read its views and sums still can."""
    with PostgresLedger(old_database) as ledger:
        assert ledger.insert([NEW]) == 1
        check(ledger)
    with psycopg.connect(old_database.address.get_secret_value()) as connection:
        for table in ("current_events", "hourly"):
            asked = "SELECT has_table_privilege('reader', %s, 'SELECT')"
            assert connection.execute(asked, (f"litellm_maas.{table}",)).fetchone() == (True,)
        versions = connection.execute("SELECT version, id IS NULL FROM litellm_maas.ledger ORDER BY 1").fetchall()
        assert versions == [(1, True), (schema.VERSION, False)]
        connection.execute(b"DROP OWNED BY reader")
        connection.execute(b"DROP ROLE reader")


def test_an_updated_database_has_the_tables_of_a_new_one(old_database: PostgresLocation, postgres_server: Any) -> None:
    """Both have the same columns, with the same types and defaults, and the same keys."""
    new = resolve_location(postgres_server.new_database())
    assert isinstance(new, PostgresLocation)
    shapes = []
    for where in (old_database, new):
        with PostgresLedger(where) as ledger:
            ledger.last_seq()
        with psycopg.connect(where.address.get_secret_value()) as connection:
            columns = connection.execute(
                """SELECT table_name, column_name, data_type, is_nullable, column_default
                FROM information_schema.columns WHERE table_schema = 'litellm_maas' ORDER BY 1, 2"""
            ).fetchall()
            keys = connection.execute(
                """SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
                WHERE connamespace = 'litellm_maas'::regnamespace AND contype IN ('p', 'u') ORDER BY 1, 2"""
            ).fetchall()
        shapes.append((columns, keys))
    assert shapes[0] == shapes[1]
