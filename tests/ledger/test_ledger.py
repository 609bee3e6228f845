"""The ledger in a file: rows that are only added, sums that agree with them, and files that are none."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import gc
import os
import random
import re
import shutil
import sqlite3
import stat
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from litellm_maas.errors import LedgerBusyError, LedgerError
from litellm_maas.ledger import schema
from litellm_maas.ledger.base import Correction
from litellm_maas.ledger.event import FIELDS, Event
from litellm_maas.ledger.periods import Period
from litellm_maas.ledger.reprice import reprice
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.ledger.verify import check, verify
from litellm_maas.pricing import price_book
from litellm_maas.pricing.price_book import PriceBook
from tests.factories import HOUR, NOON, event, random_event
from tests.ledger_files import locked, program, rows, total, unguarded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a ledger can be."""
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    """A new ledger."""
    with contextlib.closing(SqliteLedger(path)) as new:
        yield new


def correction(event_id: str, micro_credits: int | None, basis: Any = "custom") -> Correction:
    """A correction of an event."""
    return Correction(event_id, micro_credits, 7, basis, "a new list", "the contract came late")


def test_an_event_is_one_row_however_often_it_comes(ledger: SqliteLedger) -> None:
    """The same event again adds nothing, and what came first stays, whatever comes later under its name."""
    assert ledger.insert(event())
    assert not ledger.insert(event())
    assert not ledger.insert(event(micro_credits=5))
    assert ledger.insert(event("e2", 5))
    assert [found.micro_credits for found in ledger.events()] == [1_000_000, 5]
    assert verify(ledger) == []


def test_every_field_comes_back_as_it_went_in(ledger: SqliteLedger) -> None:
    """300 random events come back equal, from the ledger and through JSON, oldest first."""
    pick = random.Random(7)
    written = [random_event(pick, f"e{number}") for number in range(300)]
    for made in written:
        ledger.insert(made)
    found = list(ledger.events())
    assert found == sorted(written, key=lambda made: made.started_at)
    assert [Event.from_dict(made.as_dict()) for made in written] == written
    newer = {**written[0].as_dict(), "field_of_a_newer_version": 1}
    assert Event.from_dict(newer) == written[0]


def test_rows_cannot_be_changed_or_deleted(ledger: SqliteLedger, path: Path) -> None:
    """The database itself refuses to change or delete rows of events and corrections."""
    ledger.insert(event())
    ledger.correct([correction("e1", 5)])
    with contextlib.closing(sqlite3.connect(path)) as anybody:
        for statement in (
            "UPDATE events SET micro_credits = 0",
            "DELETE FROM events",
            "UPDATE corrections SET micro_credits = 0",
            "DELETE FROM corrections",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="are never changed"):
                anybody.execute(statement)
    assert verify(ledger) == []


def test_a_correction_is_a_row_of_its_own(ledger: SqliteLedger) -> None:
    """The latest correction is in force, in the rows and in the hourly sums; the event's own row keeps what it said."""
    ledger.insert(event("e1", None))
    ledger.insert(event("e2", 100))
    ledger.correct([correction("e1", 500), correction("e2", 50)])
    ledger.correct([correction("e1", 600, "official")])
    first, second = ledger.events()
    assert (first.micro_credits, first.basis, first.saved_micro_credits) == (600, "official", 7)
    assert (second.micro_credits, second.basis, second.price_source) == (50, "custom", "a new list")
    assert list(ledger.query("SELECT micro_credits, basis FROM events ORDER BY seq")) == [
        (None, "unpriced"),
        (100, "custom"),
    ]
    assert list(ledger.query("SELECT event_id, reason FROM corrections ORDER BY seq")) == [
        ("e1", "the contract came late"),
        ("e2", "the contract came late"),
        ("e1", "the contract came late"),
    ]
    sums = "SELECT basis, calls, micro_credits, unpriced_calls FROM rollup_hourly WHERE calls ORDER BY basis"
    assert list(ledger.query(sums)) == [("custom", 1, 50, 0), ("official", 1, 600, 0)]
    # e1 is an official price that the official list does not have: verify says so, and finds nothing else.
    (problem,) = verify(ledger)
    assert problem.startswith("event e1: its cost is 600 micro-credits, by the official list ")


def test_corrections_are_made_all_or_none(ledger: SqliteLedger) -> None:
    """If one of several corrections cannot be written, none is."""
    ledger.insert(event("e1", 100))
    ledger.insert(event("e2", 100))
    with pytest.raises(LedgerError):
        ledger.correct([correction("e1", 5), dataclasses.replace(correction("e2", 5), reason=None)])  # type: ignore[arg-type]
    assert [found.micro_credits for found in ledger.events()] == [100, 100]
    assert verify(ledger) == []


@pytest.mark.parametrize("table", schema.HOURLY)
def test_hourly_sums_are_the_sums_of_the_events(ledger: SqliteLedger, table: str) -> None:
    """After 1,000 random events, some twice, and 300 corrections, every hourly sum equals that of its events."""
    pick = random.Random(11)
    made = [random_event(pick, f"e{number}") for number in range(1000)]
    for found in [*made, *pick.sample(made, 100)]:
        ledger.insert(found)
    for found in pick.choices(made, k=300):
        micro_credits, basis = pick.choice([(None, "unpriced"), (pick.randint(0, 10**9), "custom")])
        ledger.correct([correction(found.event_id, micro_credits, basis)])
    expected: dict[tuple[Any, ...], Counter[str]] = {}
    for found in ledger.events():
        hour = (found.started_at - dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)) // HOUR
        key = (hour, *(getattr(found, name) or "" for name in schema.HOURLY[table]))
        expected.setdefault(key, Counter()).update(
            calls=1,
            failed_calls=found.status in ("failed", "blocked"),
            micro_credits=found.micro_credits or 0,
            saved_micro_credits=found.saved_micro_credits,
            input_tokens=found.input_tokens,
            cached_tokens=found.cached_tokens,
            output_tokens=found.output_tokens,
            reasoning_tokens=found.reasoning_tokens,
            images=found.images,
            unpriced_calls=found.basis == "unpriced" and found.status in ("ok", "cancelled"),
            estimated_calls=found.usage_source == "estimated",
            anomalies=bool(found.anomalies),
        )
    width = 1 + len(schema.HOURLY[table])
    columns = f"hour, {schema.columns(schema.HOURLY[table])}, {', '.join(schema.MEASURES)}"
    found_sums = ledger.query(f"SELECT {columns} FROM {table} WHERE calls <> 0")  # noqa: S608 - our own columns
    hourly = {row[:width]: row[width:] for row in found_sums}
    assert hourly == {key: tuple(sums[name] for name in schema.MEASURES) for key, sums in expected.items()}
    left_behind = f"SELECT {', '.join(schema.MEASURES)} FROM {table} WHERE calls = 0"  # noqa: S608 - our own columns
    assert not any(any(row) for row in ledger.query(left_behind))


def test_periods_include_their_beginning_and_not_their_end(ledger: SqliteLedger) -> None:
    """An event at the first moment of a period is in it, one at its end is not, to the microsecond."""
    second = dt.timedelta(microseconds=1)
    for number, moment in enumerate((NOON - second, NOON, NOON + HOUR - second, NOON + HOUR)):
        ledger.insert(event(f"e{number}", started_at=moment, ended_at=moment))
    assert [found.event_id for found in ledger.events(NOON, NOON + HOUR)] == ["e1", "e2"]
    assert [found.event_id for found in ledger.events(until=NOON)] == ["e0"]
    assert [found.event_id for found in ledger.events(since=NOON + HOUR)] == ["e3"]


def test_events_by_their_number(ledger: SqliteLedger) -> None:
    """Events come in the order of recording, a few at a time."""
    assert ledger.last_seq() == 0
    for number in range(5):
        ledger.insert(event(f"e{number}", started_at=NOON - number * HOUR))
    first = ledger.events_since(0, 3)
    rest = ledger.events_since(first[-1][0], 3)
    assert [found.event_id for _, found in [*first, *rest]] == ["e0", "e1", "e2", "e3", "e4"]
    assert ledger.last_seq() == rest[-1][0]


def test_a_report_sees_one_state(ledger: SqliteLedger) -> None:
    """What is recorded while a query is being read is not in it, and neither waits for the other."""
    for number in range(100):
        ledger.insert(event(f"e{number}"))
    reading = ledger.events()
    next(reading)
    assert ledger.insert(event("late"), wait=0)
    assert len(list(reading)) == 99
    assert len(list(ledger.events())) == 101


def test_repricing_leaves_a_ledger_that_verifies(ledger: SqliteLedger) -> None:
    """Repricing old rows by today's prices corrects those that differ, once, and leaves free calls alone."""
    usage = {"model": "openai/gpt-4o", "input_tokens": 10, "output_tokens": 10}
    due = 10 * 70_888 + 10 * 283_550
    ledger.insert(event("wrong", 1, **usage))
    ledger.insert(event("unknown", None, **usage))
    ledger.insert(event("right", due, **{**usage, "basis": "official", "price_source": _source("openai/gpt-4o")}))
    ledger.insert(event("plan", 0, **{**usage, "basis": "plan"}))
    ledger.insert(event("hit", 0, **{**usage, "basis": "official", "status": "cache_hit"}))
    found = reprice(ledger, price_book.official_prices(), Period(None, None), "a test")
    assert list(ledger.query("SELECT count(*) FROM corrections")) == [(0,)]
    ledger.correct(found.corrections)
    (change,) = found.changes
    assert (change.events, change.before, change.after) == (2, 1, 2 * due)
    assert [made.micro_credits for made in ledger.events()] == [due, due, due, 0, 0]
    assert verify(ledger) == []
    assert reprice(ledger, price_book.official_prices(), Period(None, None), "again").corrections == ()


def _source(model: str) -> str | None:
    price = price_book.official_prices().price(model, NOON)
    return price.source if price else None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE events SET micro_credits = 7", "rollup_hourly: micro_credits of … : the sums say 1000000, the events 7"),  # noqa: E501 - a table
        ("UPDATE events SET micro_credits = -7", "event e1: its cost is negative (-7 micro-credits)"),
        ("UPDATE events SET micro_credits = NULL", "event e1: its basis is custom and its cost None"),
        ("UPDATE events SET basis = 'official'", "event e1: its cost is 1000000 micro-credits, by the official list 2126630"),  # noqa: E501 - a table
        ("UPDATE events SET cached_tokens = 11", "event e1: it has more cached than input tokens"),
        ("UPDATE events SET ended_at = started_at - 1", "event e1: it ended before it began"),
        ("DELETE FROM events", "rollup_hourly_users: calls of … : the sums say 1, the events 0"),
        ("UPDATE events SET basis = 'plan'", "event e1: its cost is 1000000 micro-credits, by its basis plan 0"),
        ("UPDATE events SET status = 'cache_hit'", "event e1: its cost is 1000000 micro-credits, by its status cache_hit 0"),  # noqa: E501 - a table
        ("UPDATE events SET status = 'blocked'", "event e1: its cost is 1000000 micro-credits, by its status blocked 0"),  # noqa: E501 - a table
        ("UPDATE events SET seq = 3", "events 1 to 2 are gone"),
        ("UPDATE events SET started_at = 2087164800000000, ended_at = 2087164800000000", "event e1: it began at 2036-02-21T00:00:00.000000+00:00, which is yet to come: a clock was wrong"),  # noqa: E501 - a table
        ("UPDATE rollup_hourly SET output_tokens = 0", "rollup_hourly: output_tokens of … : the sums say 0, the events 5"),  # noqa: E501 - a table
        ("INSERT INTO corrections SELECT 1, 'gone', 0, 1, 0, 'custom', NULL, ''", "1 corrections of events that are not there"),  # noqa: E501 - a table
    ],
)  # fmt: skip
def test_verify_finds_what_was_tampered_with(ledger: SqliteLedger, path: Path, change: str, problem: str) -> None:
    """A row, a sum or a correction that somebody changed behind the ledger's back is found."""
    ledger.insert(event())
    assert verify(ledger) == []
    with unguarded(path) as anybody:
        anybody.execute(change)
    assert problem in [re.sub(r"of \S.* in the hour of \S+:", "of … :", found) for found in verify(ledger)]


def test_rows_that_are_gone_are_missed(ledger: SqliteLedger, path: Path) -> None:
    """Rows that somebody deleted together with their sums leave gaps in the numbers, and each gap is named."""
    for number in range(12):
        ledger.insert(event(f"e{number}"))
    with unguarded(path) as anybody:
        for statement in schema.add_to_hourly("FROM events WHERE seq IN (2, 5, 6, 7)", sign="-"):
            anybody.execute(statement)
        anybody.execute("DELETE FROM events WHERE seq IN (2, 5, 6, 7)")
    assert verify(ledger) == [
        "event 2 is gone",
        "events 5 to 7 are gone",
    ]


def own_prices(tmp_path: Path, price: int, name: str = "contract 7") -> PriceBook:
    """The prices of a user's own list."""
    file = tmp_path / "prices.yaml"
    model = f"{{openai/gpt-4o: {{input: {price}, output: 200}}}}"
    file.write_text(f"format: 1\nlists:\n  - {{name: {name}, from: null, to: null, source: ours, models: {model}}}\n")
    return price_book.with_overrides(file)


@pytest.mark.parametrize(
    ("listed", "recorded", "problems", "not_repriced"),
    [
        ((100, "contract 7"), 2000, 0, 0),
        ((100, "contract 7"), 1000, 1, 0),
        ((100, "contract 7"), 0, 1, 0),
        ((100, "contract 8"), 1000, 0, 1),
        (None, 1000, 0, 1),
    ],
)
def test_own_prices_are_checked_where_they_are_at_hand(
    ledger: SqliteLedger,
    tmp_path: Path,
    listed: tuple[int, str] | None,
    recorded: int,
    problems: int,
    not_repriced: int,
) -> None:
    """A row that a user's list has priced is priced again by it; where the list is gone it is counted."""
    ledger.insert(event("e1", recorded, price_source="contract 7 (ours)"))
    found = check(ledger, None if listed is None else own_prices(tmp_path, *listed))
    assert (len(found.problems), found.not_repriced) == (problems, not_repriced)
    if problems:
        assert found.problems == [f"event e1: its cost is {recorded} micro-credits, by contract 7 (ours) 2000"]


def test_verify_finds_a_damaged_page(ledger: SqliteLedger, path: Path) -> None:
    """Damage to the file is found, as what verify returns or as an error that says what to do."""
    for number in range(2000):
        ledger.insert(event(f"e{number}"))
    ledger.checkpoint()
    ledger.close()
    content = bytearray(path.read_bytes())
    start = len(content) // 2
    content[start : start + 4096] = os.urandom(4096)
    path.write_bytes(content)
    try:
        assert verify(SqliteLedger(path))
    except LedgerError as error:
        assert "damaged" in str(error)  # noqa: PT017 - one of two good ends


def test_verify_names_twenty_rows_at_most(ledger: SqliteLedger) -> None:
    """A ledger full of mistakes is not printed row by row."""
    for number in range(30):
        ledger.insert(event(f"e{number}", -1))
    assert len(verify(ledger)) == 21
    assert verify(ledger)[-1] == "and 10 more problems with events"


def _foreign(path: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE contacts (name TEXT)")
        other.execute("INSERT INTO contacts VALUES ('Minh')")
        other.execute(f"PRAGMA user_version = {version}")
        other.commit()


def _newer(path: Path) -> None:
    SqliteLedger(path).close()
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {schema.VERSION + 1}")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: _foreign(path, 0), "is not a ledger.*MAAS_LEDGER to another file"),
        (lambda path: _foreign(path, schema.VERSION), "is not a ledger.*MAAS_LEDGER to another file"),
        (_newer, rf"of version {schema.VERSION + 1}, .*writes version {schema.VERSION}; update litellm-maas"),
        (lambda path: path.write_bytes(b"not a database, not at all" * 99), "damaged or no ledger: .*move it away"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(2000)), "damaged or no ledger: .*move it away"),
        (lambda path: path.mkdir(), "set MAAS_LEDGER to another file"),
    ],
    ids=["foreign database", "foreign database of our version", "newer version", "garbage", "broken header", "folder"],
)
def test_what_is_no_ledger_of_this_version_is_left_alone(
    path: Path, make: Callable[[Path], None], says: str, read_only: bool
) -> None:
    """A file that is something else, or of a newer version, is not touched, and the error says what to do."""
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    with pytest.raises(LedgerError, match=says) as caught:
        SqliteLedger(path, read_only=read_only)
    assert str(path) in str(caught.value)
    assert path.is_dir() or path.read_bytes() == before


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    """A file that was made beforehand, to give it its permissions, is used."""
    path.touch()
    with contextlib.closing(SqliteLedger(path)) as ledger:
        assert ledger.insert(event())


def test_an_interrupted_first_opening_is_made_good(path: Path) -> None:
    """A process that dies while it makes the tables leaves nothing behind that the next one stumbles over."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as dying:
        dying.execute("PRAGMA journal_mode = WAL")
        dying.execute("BEGIN IMMEDIATE")
        dying.execute("CREATE TABLE events (half TEXT)")
    with contextlib.closing(SqliteLedger(path)) as ledger:
        assert ledger.insert(event())


def test_reading_makes_no_ledger(path: Path) -> None:
    """A report of a ledger that is not there says so, and makes none."""
    with pytest.raises(LedgerError, match=r"ledger\.db"):
        SqliteLedger(path, read_only=True)
    assert not path.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """The ledger, its log and a folder made for them are nobody else's, whatever the process allows others."""
    before = os.umask(0)
    try:
        path = tmp_path / "made" / "ledger.db"
        ledger = SqliteLedger(path)
        ledger.insert(event())
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    ledger.close()
    assert {"ledger.db", "ledger.db-wal", "ledger.db-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("synchronous", "number"), [("normal", 1), ("full", 2)])
def test_durability_is_what_was_asked_for(path: Path, synchronous: Any, number: int) -> None:
    """The ledger logs ahead, and waits for the disk at each event only if asked to."""
    with contextlib.closing(SqliteLedger(path, synchronous=synchronous)) as ledger:
        assert list(ledger.query("PRAGMA journal_mode")) == [("wal",)]
        assert list(ledger.query("PRAGMA synchronous")) == [(number,)]


def test_a_checkpoint_moves_the_log_into_the_ledger(ledger: SqliteLedger, path: Path, tmp_path: Path) -> None:
    """After a checkpoint the file alone, without its log, holds all events."""
    for number in range(10):
        ledger.insert(event(f"e{number}"))
    ledger.checkpoint()
    alone = tmp_path / "alone.db"
    shutil.copy(path, alone)
    assert len(rows(alone)) == 10


OPEN_AND_INSERT = """
    import sys
    import _litellm_maas_cli  # so that LiteLLM, which takes seconds, is not imported
    from pathlib import Path
    from litellm_maas.ledger.sqlite import SqliteLedger
    from tests.factories import event
    print("ready", flush=True)
    ledger = None
    for round, _ in enumerate(iter(sys.stdin.readline, ""), 1):
        ledger = ledger or SqliteLedger(Path(sys.argv[1]))
        for number in range(50):
            ledger.insert(event(f"{sys.argv[2]}-{round}-{number}", round))
        print(round, flush=True)
    ledger.close()
"""


def tell(processes: list[subprocess.Popen[str]]) -> None:
    """Let all go on at once."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def hear(processes: list[subprocess.Popen[str]], answer: object) -> None:
    """Wait until all have said this."""
    for process in processes:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == f"{answer}\n", process.stderr and process.stderr.read()


def test_several_processes_make_and_fill_a_new_ledger_at_once(path: Path) -> None:
    """Of six processes that open a ledger that is not there yet, all succeed, and no event is missing."""
    with contextlib.ExitStack() as running:
        processes = [running.enter_context(program(OPEN_AND_INSERT, path, number)) for number in range(6)]
        tell(processes)
        hear(processes, 1)
    with contextlib.closing(SqliteLedger(path)) as ledger:
        assert len(list(ledger.events())) == 300
        assert verify(ledger) == []


def test_several_threads_use_one_ledger(ledger: SqliteLedger) -> None:
    """Eight threads that insert into one ledger lose nothing."""

    def insert(thread: int) -> None:
        for number in range(100):
            ledger.insert(event(f"{thread}-{number}"))

    threads = [threading.Thread(target=insert, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(ledger.events())) == 800
    assert verify(ledger) == []


def test_a_busy_ledger_is_waited_for_as_long_as_said(ledger: SqliteLedger, path: Path) -> None:
    """With another writer at work, an insert gives up at once or after its time, not later, also in many threads."""
    ledger.insert(event("before"))
    with locked(path):
        with pytest.raises(LedgerBusyError, match=r"is locked by another program.*end it, or wait"):
            ledger.insert(event(), wait=0)
        failures: list[float] = []

        def insert() -> None:
            started = dt.datetime.now(dt.timezone.utc)
            with pytest.raises(LedgerBusyError):
                ledger.insert(event(), wait=0.5)
            failures.append((dt.datetime.now(dt.timezone.utc) - started).total_seconds())

        threads = [threading.Thread(target=insert) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(failures) == 6
    assert max(failures) < 1.5
    assert ledger.insert(event(), wait=0)


def test_a_ledger_that_is_deleted_is_made_again(ledger: SqliteLedger, path: Path) -> None:
    """When somebody deletes the file, what comes next is in a new one at its place."""
    ledger.insert(event("lost with the file", 5))
    path.unlink()
    ledger.insert(event("e1", 7))
    assert total(path) == 7
    for file in path.parent.glob("ledger.db*"):
        file.unlink()
    ledger.insert(event("e2", 9))
    assert total(path) == 9
    path.rename(path.with_name("old.db"))
    ledger.insert(event("e3", 11))
    assert (total(path), total(path.with_name("old.db"))) == (11, 9)


def test_two_writers_survive_a_deletion(path: Path) -> None:
    """Two connections that both find the file gone go on in the same new one, whoever comes first."""
    with contextlib.closing(SqliteLedger(path)) as one, contextlib.closing(SqliteLedger(path)) as other:
        for number in range(6):
            one.insert(event(f"before-{number}"))
            other.insert(event(f"other-before-{number}"))
        path.unlink()
        for number in range(6):
            one.insert(event(f"after-{number}", 1))
            other.insert(event(f"other-after-{number}", 1))
        assert total(path) == 12
        assert verify(one) == []
    assert total(path) == 12


def test_several_processes_survive_deletions(path: Path) -> None:
    """Each time that somebody deletes the file alone, three processes go on in one new file and lose nothing more."""
    with contextlib.ExitStack() as running:
        processes = [running.enter_context(program(OPEN_AND_INSERT, path, number)) for number in range(3)]
        for number in range(1, 7):
            tell(processes)
            hear(processes, number)
            with contextlib.closing(SqliteLedger(path)) as ledger:
                assert Counter(found.micro_credits for found in ledger.events()) == {number: 150}
                assert verify(ledger) == []
            path.unlink()


def test_a_closed_ledger_opens_again(ledger: SqliteLedger) -> None:
    """Closing lets go of the file; the next insert takes it up again."""
    ledger.insert(event("e1"))
    ledger.close()
    ledger.close()
    assert ledger.insert(event("e2"))


def test_a_relative_path_means_where_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its folder goes on writing to the ledger that it began with."""
    monkeypatch.chdir(tmp_path)
    with contextlib.closing(SqliteLedger(Path("ledger.db"))) as ledger:
        ledger.insert(event("e1"))
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        ledger.insert(event("e2"))
        assert len(list(ledger.events())) == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_insert_in_the_middle_of_an_insert(ledger: SqliteLedger) -> None:
    """Garbage collection may close an abandoned stream, which is then recorded, while its own thread is recording."""

    class Tags(tuple[str, ...]):
        """Makes Python collect garbage at the moment when the ledger reads the event."""

        __slots__ = ()

        def __len__(self) -> int:
            gc.collect()
            return 1

    def stream() -> Iterator[None]:
        try:
            yield
        finally:
            ledger.insert(event("abandoned"))

    abandoned = stream()
    next(abandoned)
    cycle: list[Any] = [abandoned]
    cycle.append(cycle)
    del abandoned, cycle
    ledger.insert(event("e1", tags=Tags()), wait=1)
    assert {found.event_id for found in ledger.events()} == {"e1", "abandoned"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_of_a_fork_has_a_connection_of_its_own(ledger: SqliteLedger, path: Path) -> None:
    """Parent and child of a fork both insert into the ledger that was open before, and it stays sound."""
    ledger.insert(event("before"))
    child = os.fork()
    if child == 0:
        try:
            for number in range(20):
                ledger.insert(event(f"child-{number}"))
            ledger.close()
        finally:
            os._exit(0)
    for number in range(20):
        ledger.insert(event(f"parent-{number}"))
    os.waitpid(child, 0)
    assert len(rows(path)) == 41
    assert verify(ledger) == []


def test_the_columns_are_the_fields_of_an_event(ledger: SqliteLedger) -> None:
    """Every field of an event is a column of the same name."""
    assert tuple(row[1] for row in ledger.query("PRAGMA table_info(events)")) == ("seq", *FIELDS)
