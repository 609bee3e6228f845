"""Ledgers of older versions: what is in them stays, and what comes later joins it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from litellm_maas.ledger import access, schema
from litellm_maas.ledger.base import Correction, Ledger
from litellm_maas.ledger.event import FIELDS, FORMER_FIELDS
from litellm_maas.ledger.location import PostgresLocation, resolve_location
from litellm_maas.ledger.postgres import PostgresLedger
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.ledger.verify import verify
from tests.factories import event
from tests.ledger_files import rows

TABLES = {version: Path(__file__).parent / f"ledgers_of_version_{version}" for version in (1, 2)}
FORMER_NAMES = {new: old for old, new in FORMER_FIELDS.items()}
OLD_FIELDS = {
    1: [FORMER_NAMES.get(name, name) for name in FIELDS if name not in ("host", "end_user", "team_id")],
    2: [FORMER_NAMES.get(name, name) for name in FIELDS],
}
ROLLUPS = {
    1: {"hourly": '"model_served", "route", "status"', "hourly_users": '"user", "team", "key_alias"'},
    2: {
        "hourly": '"model_served", "route", "host", "status"',
        "hourly_users": '"user", "end_user", "team_id", "team", "key_alias"',
    },
}
OLD_ROW = {
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
OLD_ROWS = [
    OLD_ROW,
    {**OLD_ROW, "event_id": "given up", "status": "aborted"},
    {**OLD_ROW, "event_id": "no room", "status": "refused", "micro_credits": 0, "basis": "official"},
]
MEASURES = {1: [name for name in schema.MEASURES if name != "failed_calls"], 2: list(schema.MEASURES)}
NEW = event("new", 5, user="minh", end_user="khách", team_id="t-1", team="Sales", host="maas.vn:8443")


def insert(version: int, placeholder: str) -> str:
    """The statement that writes a row as a version did."""
    fields = OLD_FIELDS[version]
    return f"INSERT INTO events ({schema.columns(tuple(fields))}) VALUES ({', '.join([placeholder] * len(fields))})"  # noqa: S608 - our own columns


def values(version: int) -> list[list[Any]]:
    """The rows of a ledger of a version."""
    return [[row.get(name) for name in OLD_FIELDS[version]] for row in OLD_ROWS]


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    """An older version."""
    return int(request.param)


@pytest.fixture
def old(tmp_path: Path, version: int) -> Path:
    """A ledger file of an older version with rows, a budget, an alert and a balance."""
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.executescript((TABLES[version] / "sqlite.sql").read_text())
        made.executemany(insert(version, "?"), values(version))
        made.execute('INSERT INTO budgets VALUES (\'a\', \'{"name": "a", "credits": "5"}\')')
        made.execute("INSERT INTO notices VALUES ('a', '2026-11', 3)")
        made.execute("INSERT INTO console (kind, at, micro_credits, noted_at) VALUES ('reading', 1, 2, 3)")
        made.execute("INSERT INTO forwarded (destination, seq) VALUES ('postgresql://a@b/c', 1)")
    return path


def check(ledger: Ledger) -> None:
    """The old rows and the new one are whole, and the sums are theirs."""
    first, second, third, last = ledger.events()
    assert (first.event_id, first.micro_credits, first.user, first.team) == ("old", 7, "minh", "Sales")
    assert (first.operation, first.requested_model, first.model) == ("chat", "trio", "openai/gpt-4o")
    assert (first.host, first.end_user, first.team_id) == (None, None, None)
    assert [row.status for row in (first, second, third)] == ["ok", "cancelled", "blocked"]
    assert last == NEW
    assert verify(ledger) == []
    ledger.correct([Correction(each, 3, 0, "custom", "list", "a test") for each in ("old", "new")])
    assert [found.micro_credits for found in ledger.events()] == [3, 7, 0, 3]
    assert [problem for problem in verify(ledger) if "rollup" in problem] == []


def test_a_file_becomes_a_newer_one(old: Path) -> None:
    """Whoever writes to an older ledger updates it: rows, sums, budgets and balances stay."""
    with SqliteLedger(old) as ledger:
        assert ledger.insert(NEW)
        check(ledger)
        assert list(ledger.query("SELECT seq FROM events")) == [(1,), (2,), (3,), (4,)]
        assert list(ledger.query("SELECT name FROM budgets")) == [("a",)]
        assert list(ledger.query("SELECT * FROM forward_cursors")) == [("postgresql://a@b/c", 1, None)]
        assert list(ledger.query("SELECT * FROM alerts_sent")) == [("a", "2026-11", 3)]
        assert list(ledger.query("SELECT * FROM balance_readings")) == [(1, "reading", 1, 2, 3, "")]
    for change in ("DELETE FROM events", "UPDATE events SET status = 'ok'"):
        with pytest.raises(sqlite3.IntegrityError, match="are never changed"), sqlite3.connect(old) as anybody:
            anybody.execute(change)
        anybody.close()


def test_a_report_updates_a_file_that_it_reads(old: Path) -> None:
    """After an update of the package a report comes at once, and not after the next call."""
    with access.open_ledger(old) as ledger:
        assert ledger is not None
        assert [found.event_id for found in ledger.events()] == ["old", "given up", "no room"]


@pytest.mark.parametrize("folder", ["waiting", "outbox"])
def test_an_older_outbox_is_flushed(tmp_path: Path, folder: str) -> None:
    """Events that an older version queued are recorded, wherever it kept them and whatever it called their fields."""
    path = tmp_path / "ledger.db"
    queued = Path(f"{path}.{folder}")
    queued.mkdir()
    plain = {FORMER_NAMES.get(name, name): value for name, value in NEW.as_dict().items()} | {"status": "aborted"}
    (queued / "new.json").write_text(json.dumps(plain))
    assert access.flush(path).events == 0
    assert rows(path) == [dataclasses.replace(NEW, status="cancelled")]
    assert list(queued.iterdir()) == []


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


def test_a_half_done_update_is_none(old: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update that fails in the middle leaves the ledger as it was, and the next one succeeds."""
    upgrades = schema._SQLITE_UPGRADES  # noqa: SLF001 - the fault
    with monkeypatch.context() as broken, pytest.raises(Exception, match="syntax error"):
        broken.setitem(upgrades, version, (*upgrades[version][:-1], "no SQL"))
        SqliteLedger(old)
    with contextlib.closing(sqlite3.connect(old)) as found:
        assert found.execute("PRAGMA user_version").fetchone() == (version,)
        assert [row[1] for row in found.execute("PRAGMA table_info(events)")] == ["seq", *OLD_FIELDS[version]]
    SqliteLedger(old).close()
    assert [found.event_id for found in rows(old)] == ["old", "given up", "no room"]


@pytest.fixture
def old_database(database: str, version: int) -> Iterator[PostgresLocation]:
    """A database with a ledger of an older version, that somebody else may read."""
    with psycopg.connect(database) as connection:
        connection.execute((TABLES[version] / "postgres.sql").read_bytes())
        connection.cursor().executemany(insert(version, "%s").encode(), values(version))
        for table, kept_apart in ROLLUPS[version].items():
            dimensions = ", ".join(f"coalesce({name}, '')" for name in kept_apart.split(", "))
            sums = ", ".join(schema.SUM_OF_EVENT[name].format(row="") for name in MEASURES[version])
            sums = sums.replace("cancelled", "aborted").replace("blocked", "refused")
            columns = ", ".join(("hour", kept_apart, "basis", *MEASURES[version]))
            added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in MEASURES[version])
            for row in OLD_ROWS:
                connection.execute(
                    f"""INSERT INTO {table} ({columns}) SELECT 0, {dimensions}, basis, {sums} FROM events
                    WHERE event_id = '{row["event_id"]}'
                    ON CONFLICT (hour, {kept_apart}, basis) DO UPDATE SET {added}""".encode()  # noqa: S608 - the same
                )
        connection.execute(b"DROP ROLE IF EXISTS reader")
        connection.execute(b"CREATE ROLE reader")
        connection.execute(b"GRANT SELECT ON current_events, hourly TO reader")
    where = resolve_location(database)
    assert isinstance(where, PostgresLocation)
    yield where
    with psycopg.connect(database) as connection:
        connection.execute(b"DROP OWNED BY reader")
        connection.execute(b"DROP ROLE reader")


def test_a_database_becomes_a_newer_one(old_database: PostgresLocation, version: int) -> None:
    """Whoever connects to an older ledger updates it; its id stays, and who could read its views and sums still can."""
    with PostgresLedger(old_database) as ledger:
        assert ledger.insert([NEW]) == 1
        check(ledger)
        assert (ledger.connection.ledger_id == "the id of the ledger") is (version == 2)
    with psycopg.connect(old_database.address.get_secret_value()) as connection:
        for table in ("current_events", "rollup_hourly"):
            asked = "SELECT has_table_privilege('reader', %s, 'SELECT')"
            assert connection.execute(asked, (f"litellm_maas.{table}",)).fetchone() == (True,)
        versions = connection.execute("SELECT version, id IS NULL FROM litellm_maas.ledger ORDER BY 1").fetchall()
        assert versions == [(version, version == 1), (schema.VERSION, False)]
        with pytest.raises(psycopg.errors.RaiseException, match="are never changed"), connection.transaction():
            connection.execute(b"UPDATE litellm_maas.events SET status = 'ok'")


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
