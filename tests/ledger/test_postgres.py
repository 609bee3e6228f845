from __future__ import annotations

import datetime as dt
import logging
import os
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import litellm
import psycopg
import pytest

import litellm_maas
from litellm_maas.errors import LedgerBusyError, LedgerError, SettingsError
from litellm_maas.ledger.base import Correction, Ledger
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.forward import forward
from litellm_maas.ledger.location import PostgresLocation, resolve_location
from litellm_maas.ledger.periods import Period
from litellm_maas.ledger.postgres import PostgresLedger
from litellm_maas.ledger.reports import report
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.ledger.verify import verify
from litellm_maas.pricing import price_book
from litellm_maas.pricing.cost import cost
from litellm_maas.pricing.usage import Usage
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Sandbox
from tests.factories import event
from tests.helpers import MESSAGES
from tests.ledger.postgres_server import PostgresServer
from tests.warm_process import WarmProcess, run_warm

CALL: dict[str, Any] = {"model": "maas/openai/gpt-4o", "messages": MESSAGES}
START = dt.datetime(2026, 11, 1, 9, 30, tzinfo=dt.timezone.utc)
UTC = dt.timezone.utc


@pytest.fixture
def ledger(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PostgresLocation:
    """A database that MAAS_LEDGER names, with a spool of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("MAAS_LEDGER", database)
    monkeypatch.setenv("MAAS_TRACK_SPEND", "1")
    where = resolve_location()
    assert isinstance(where, PostgresLocation)
    return where


def events(count: int, seed: int = 1) -> list[Event]:
    """Random events over two days, some failed, some unpriced, some with tags."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        started = START + dt.timedelta(seconds=chance.randrange(172_800))
        model = chance.choice(["openai/gpt-4o", "qwen/qwen3.6-plus", "gemini/gemini-2.5-flash"])
        usage = Usage(chance.randrange(5000), 0, chance.randrange(2000), source="reported")
        priced = cost(model, usage, started, "payg", price_book.official_prices())
        made.append(
            event(
                f"{seed}-{number}",
                priced.micro_credits,
                started_at=started,
                model=model,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                basis=priced.basis,
                price_source=priced.price_source,
                user=chance.choice(["an", "bình", None]),
                tags=tuple(chance.sample(["app", "đội", "x y"], chance.randrange(3))),
            )
        )
    return made


def totals(ledger: Ledger, *by: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The groups of a report that cuts hours at both ends, and its total."""
    period = Period(START + dt.timedelta(minutes=20), START + dt.timedelta(days=1, minutes=7))
    found = report(ledger, period, UTC, by)
    return {(): found.total.as_dict()} | {key: total.as_dict() for key, total in found.groups.items()}


@pytest.mark.parametrize(
    "by", [(), ("model",), ("day", "user"), ("tag",), ("hour",), ("cycle",), ("status", "basis"), ("session",)]
)
def test_both_databases_report_the_same(ledger: PostgresLocation, tmp_path: Path, by: tuple[str, ...]) -> None:
    """A report over PostgreSQL equals the one over SQLite, before and after corrections; both ledgers verify."""
    made = events(300)
    there, here = PostgresLedger(ledger), SqliteLedger(tmp_path / "here.db")
    there.insert(made)
    for each in made:
        here.insert(each)
    corrections = [Correction(each.event_id, 7, 0, "custom", "contract", "a test") for each in made[::3]]
    for _ in range(2):
        assert totals(there, *by) == totals(here, *by)
        assert list(there.events()) == list(here.events())
        assert verify(there) == verify(here) == []
        there.correct(corrections)
        here.correct(corrections)
    there.close()
    here.close()


def test_the_same_event_is_one_row(ledger: PostgresLocation) -> None:
    """Events that are sent again, in other batches, add nothing."""
    made = events(50)
    there = PostgresLedger(ledger)
    assert there.insert(made) == 50
    assert there.insert(made[10:40] + events(5, seed=2)) == 5
    assert len(list(there.events())) == 55
    assert verify(there) == []
    there.close()


def test_many_machines_fill_one_ledger(ledger: PostgresLocation) -> None:
    """Ledgers that are made and filled by several writers at once lose nothing and wait for each other."""

    def fill(seed: int) -> int:
        mine = PostgresLedger(ledger)
        try:
            return sum(mine.insert(events(20, seed=seed * 100 + part)) for part in range(5))
        finally:
            mine.close()

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(fill, range(6))) == 600
    there = PostgresLedger(ledger)
    assert len(list(there.events())) == 600
    assert verify(there) == []
    there.close()


def test_rows_are_never_changed(ledger: PostgresLocation) -> None:
    """PostgreSQL itself refuses to change or delete an event."""
    there = PostgresLedger(ledger)
    there.insert(events(1))
    there.close()
    with psycopg.connect(ledger.address.get_secret_value()) as connection:
        for statement in ("UPDATE litellm_maas.events SET micro_credits = 0", "DELETE FROM litellm_maas.events"):
            with pytest.raises(psycopg.errors.RaiseException, match="rows of events are never changed"):
                connection.execute(statement.encode())
            connection.rollback()


def test_calls_reach_the_database(ledger: PostgresLocation, sandbox: Sandbox) -> None:
    """What calls cost stands in PostgreSQL when the process ends, and the spool remembers that it does."""
    out = run_warm(
        """
        import litellm, litellm_maas
        from tests.ledger.test_postgres import CALL
        for _ in range(5):
            litellm.completion(**CALL)
            list(litellm.completion(stream=True, **CALL))
        """,
        **sandbox.environment(),
        **environment(ledger),
    )
    assert out == ""
    there = PostgresLedger(ledger)
    assert sum(event.micro_credits or 0 for event in there.events()) == sandbox.bill.micro_credits
    assert len(list(there.events())) == len(sandbox.bill.charges) == 10
    there.close()
    assert forward(ledger) == 0


def environment(ledger: PostgresLocation) -> dict[str, str]:
    """The variables for a process of its own."""
    return {
        "MAAS_LEDGER": ledger.address.get_secret_value(),
        "MAAS_TRACK_SPEND": "1",
        "XDG_DATA_HOME": str(ledger.outbox_path.parent.parent),
    }


def test_the_database_may_be_down(
    postgres_server: PostgresServer, ledger: PostgresLocation, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """While the database is down calls go on, one warning says so, and what waits is sent when it is up again."""
    runtime.close()
    warned = threading.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warned.set()

    watch = Watch(logging.WARNING)
    logging.getLogger("litellm_maas").addHandler(watch)
    postgres_server.stop()
    try:
        for _ in range(3):
            litellm.completion(**CALL)
            assert warned.wait(30)
        (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert "a-password" not in warning.getMessage()
        assert str(ledger.outbox_path) in warning.getMessage()
        with SqliteLedger(ledger.outbox_path) as spool:
            assert len(list(spool.events())) == 3
    finally:
        logging.getLogger("litellm_maas").removeHandler(watch)
        postgres_server.start()
    litellm.completion(**CALL)
    runtime.close()
    there = PostgresLedger(ledger)
    assert sum(event.micro_credits or 0 for event in there.events()) == sandbox.bill.micro_credits
    assert len(list(there.events())) == 4
    there.close()


def test_what_a_killed_process_left_is_sent_later(ledger: PostgresLocation, sandbox: Sandbox) -> None:
    """A process that is killed right after the response leaves its event in the spool, and anyone can send it."""
    code = """
        import litellm, litellm_maas, os, signal
        from tests.ledger.test_postgres import CALL
        from litellm_maas.ledger.forwarder import Forwarder
        Forwarder.wake = lambda self: None  # the kill comes before the thread gets to run
        litellm.completion(**CALL)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with WarmProcess(code, {**os.environ, **sandbox.environment(), **environment(ledger)}, Path.cwd()) as killed:
        killed.wait()
    assert killed.returncode == -signal.SIGKILL
    assert forward(ledger) == 1
    there = PostgresLedger(ledger)
    assert [event.micro_credits for event in there.events()] == [sandbox.bill.micro_credits]
    there.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_fork_has_a_forwarder_of_its_own(ledger: PostgresLocation, sandbox: Sandbox) -> None:
    """Parent and child of a fork both record and send, after the parent had begun."""
    run_warm(
        """
        import litellm, litellm_maas, os, warnings
        from tests.ledger.test_postgres import CALL
        from litellm_maas.runtime import runtime
        litellm.completion(**CALL)
        warnings.simplefilter("ignore")  # Python warns of forks in programs with threads
        if (child := os.fork()) == 0:
            litellm.completion(**CALL)
            runtime.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        litellm.completion(**CALL)
        """,
        **sandbox.environment(),
        **environment(ledger),
    )
    there = PostgresLedger(ledger)
    assert len(list(there.events())) == 3
    assert sum(event.micro_credits or 0 for event in there.events()) == sandbox.bill.micro_credits
    there.close()


def test_one_process_at_a_time_forwards_a_spool(ledger: PostgresLocation) -> None:
    """Whoever finds a spool being forwarded is told so instead of doing it twice."""
    from filelock import FileLock

    with SqliteLedger(ledger.outbox_path) as spool:
        spool.insert(events(1)[0])
    with FileLock(f"{ledger.outbox_path}.forwarding"), pytest.raises(LedgerBusyError, match="another process"):
        forward(ledger)
    assert forward(ledger) == 1


def test_a_forwarder_survives_a_fault_of_the_file_system(ledger: PostgresLocation) -> None:
    """Where not even the lock of a spool can be opened, the thread tries again, and says why until then."""
    with SqliteLedger(ledger.outbox_path) as spool:
        spool.insert(events(1)[0])
    lock = Path(f"{ledger.outbox_path}.forwarding")
    lock.mkdir()
    with pytest.raises(LedgerError, match="check its folder"):
        forward(ledger)
    lock.rmdir()
    assert forward(ledger) == 1


def test_a_newer_ledger_is_left_alone(ledger: PostgresLocation) -> None:
    """A database that a newer version of the package made is not written to."""
    there = PostgresLedger(ledger)
    there.insert(events(1))
    there.close()
    with psycopg.connect(ledger.address.get_secret_value()) as connection:
        connection.execute("UPDATE litellm_maas.ledger SET version = 99")
    with pytest.raises(LedgerError, match=r"version 99.*update litellm-maas"):
        PostgresLedger(ledger).insert(events(1))


def test_other_addresses_are_refused(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, tmp_path: Path
) -> None:
    """An address of something else is an error in code; from the environment it breaks no call and loses nothing."""
    wanted = "mysql://…; set MAAS_LEDGER to the path"
    with pytest.raises(SettingsError, match=wanted):
        litellm_maas.track_spend("mysql://maas@127.0.0.1/x")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("MAAS_TRACK_SPEND", "1")
    monkeypatch.setenv("MAAS_LEDGER", "mysql://maas@127.0.0.1/x")
    litellm.completion(**CALL)
    litellm.completion(**CALL)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert wanted in warning
    with SqliteLedger(tmp_path / "litellm-maas" / "ledger.db") as default:
        assert len(list(default.events())) == 2


def test_psycopg_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psycopg the error names the command that installs it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    where = resolve_location("postgresql://maas@127.0.0.1/x")
    assert isinstance(where, PostgresLocation)
    with pytest.raises(LedgerError, match=r"pip install 'psycopg\[binary\]'"):
        PostgresLedger(where)
