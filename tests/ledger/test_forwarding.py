"""What becomes of events on their way to PostgreSQL: odd rows, odd databases, lost ones, new addresses, dead lines."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import litellm
import psycopg
import pytest
from click.testing import CliRunner, Result

from litellm_maas.budgets.budget import Budget
from litellm_maas.budgets.reservations import BudgetStore
from litellm_maas.cli.app import group
from litellm_maas.doctor import ledger as ledgers
from litellm_maas.errors import LedgerError
from litellm_maas.ledger import access, deadlines, forwarder, spools
from litellm_maas.ledger.event import Event, sanitize_text
from litellm_maas.ledger.forward import forward
from litellm_maas.ledger.forwarder import Forwarder
from litellm_maas.ledger.location import PostgresLocation, resolve_location
from litellm_maas.ledger.postgres import PostgresLedger
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.ledger.verify import verify
from litellm_maas.sandbox import Sandbox
from tests.call_modes import until
from tests.factories import event
from tests.helpers import MESSAGES
from tests.ledger.loopback import Loopback
from tests.ledger.postgres_server import PostgresServer
from tests.ledger_files import unguarded
from tests.proxy_process import free_port

Address = Callable[[str], PostgresLocation]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Address:
    """Sets the address of the ledger, whose spools are in the test's own folder."""
    monkeypatch.setenv("MAAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAAS_TRACK_SPEND", "1")

    def named(address: str) -> PostgresLocation:
        monkeypatch.setenv("MAAS_LEDGER", address)
        where = resolve_location()
        assert isinstance(where, PostgresLocation)
        return where

    return named


@pytest.fixture
def ledger(at: Address, database: str) -> PostgresLocation:
    """An empty database."""
    return at(database)


def spooled(where: PostgresLocation, *events: Event) -> None:
    """Record events as calls do."""
    with SqliteLedger(spools.ready(where)) as spool:
        for each in events:
            spool.insert(each)


def some(count: int, prefix: str = "e") -> list[Event]:
    """So many events, of 1 VND each."""
    return [event(f"{prefix}{number}", user="Nguyễn Văn A") for number in range(count)]


def arrived(where: PostgresLocation) -> list[str]:
    """The ids of the events in the database, which is sound."""
    with PostgresLedger(where) as found:
        assert verify(found) == []
        return sorted(each.event_id for each in found.events())


def execute(where: PostgresLocation, *statements: str) -> None:
    """Do something to the database."""
    with psycopg.connect(where.address.get_secret_value(), autocommit=True) as connection:
        connection.execute(b"SET search_path TO litellm_maas")
        for statement in statements:
            connection.execute(statement.encode())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said."""
    return [found.getMessage() for found in caplog.records if found.levelno >= logging.WARNING]


def cli(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(group, arguments)


LONG = json.dumps([chr(0x4E00 + number * 7919 % 20000) for number in range(4000)])
REFUSING = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.event_id LIKE '{ids}' THEN RAISE EXCEPTION 'no such events here'; END IF; RETURN NEW; END $$"""
TRIGGER = "CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()"
UNFIT = {
    "index row": event("too long for an index", user=LONG),
    "index row ": event("too long, in the model", model=LONG),
    "NUL": event("a zero", session_id="a\0b"),
    "violates check constraint": event("a constraint", key_alias="bad"),
    "no such events here": event("a trigger"),
    "integer out of range": event("a narrower column", input_tokens=2**40),
}
STRICTER = (
    "ALTER TABLE events ADD CHECK (coalesce(key_alias, '') <> 'bad')",
    "ALTER TABLE events ADD COLUMN small INTEGER GENERATED ALWAYS AS (input_tokens::integer) STORED",
    REFUSING.format(ids="a trigger"),
    TRIGGER,
)


@pytest.mark.parametrize("among", [0, 30])
def test_unfit_rows_keep_nobody_back(ledger: PostgresLocation, caplog: pytest.LogCaptureFixture, among: int) -> None:
    """A row that the database does not take is noted and named everywhere; those before and after it are sent."""
    sound = [some(among, f"{number}-") for number in range(len(UNFIT) + 1)]
    assert arrived(ledger) == []
    execute(ledger, *STRICTER)
    spooled(ledger, *sound[0])
    for odd, those in zip(UNFIT.values(), sound[1:], strict=True):
        spooled(ledger, odd, *those)
    assert forward(ledger) == among * len(sound)
    assert len(arrived(ledger)) == among * len(sound)
    for said, (reason, odd) in zip(warnings(caplog), UNFIT.items(), strict=True):
        assert said.startswith(f"{ledger} rejected event {odd.event_id} (")
        assert reason.strip() in said
    spooled(ledger, event("later"))
    assert forward(ledger) == 1
    assert len(warnings(caplog)) == len(UNFIT)
    waiting = access.flush(ledger)
    assert (waiting.events, waiting.problem) == (0, None)
    assert "rejected 6 events (event " in waiting.remarks[0].message
    assert "litellm-maas spend resend" in cli("spend").output
    checked = cli("spend", "verify")
    assert checked.exit_code == 1
    for odd in UNFIT.values():
        assert f"the database rejected event {odd.event_id}: " in checked.output


def test_the_longest_texts_fit(ledger: PostgresLocation) -> None:
    """Texts of the length that is recorded at most, of characters that take the most room, fit into every index."""
    pick = random.Random(1)
    for number, (first, last) in enumerate(((0x10000, 0x10FFFF), (0x4E00, 0x9FFF), (0x80, 0x7FF), (0x21, 0x7E))):
        names = ("user", "end_user", "team_id", "team", "key_alias", "host", "model", "session_id")
        texts: dict[str, Any] = {
            name: sanitize_text("".join(map(chr, pick.choices(range(first, last), k=5000)))) for name in names
        }
        spooled(ledger, event(f"e{number}", **texts))
    assert forward(ledger) == 4
    assert len(arrived(ledger)) == 4


def test_an_unfit_row_is_sent_when_it_fits(ledger: PostgresLocation) -> None:
    """Once the cause is removed, `resend` sends what was left out, and nothing is said of it any more."""
    assert arrived(ledger) == []
    execute(ledger, REFUSING.format(ids="e1%"), TRIGGER)
    spooled(ledger, *some(25))
    assert forward(ledger) == 14
    execute(ledger, "DROP TRIGGER refuse ON events")
    done = cli("spend", "resend")
    assert (done.exit_code, done.output) == (0, f"25 events sent to {ledger}.\n")
    assert arrived(ledger) == sorted(each.event_id for each in some(25))
    assert access.flush(ledger) == access.PendingEvents()


def test_a_database_that_takes_nothing_is_no_fault_of_the_rows(ledger: PostgresLocation) -> None:
    """Where no event at all fits, none is left out: they wait until the database is mended."""
    assert arrived(ledger) == []
    execute(ledger, REFUSING.format(ids="%"), TRIGGER)
    spooled(ledger, *some(40))
    with pytest.raises(LedgerError, match="no such events here, for every event"):
        forward(ledger)
    execute(ledger, "DROP TRIGGER refuse ON events")
    assert forward(ledger) == 40
    assert access.flush(ledger).remarks == ()


def test_rows_that_cannot_be_read_keep_nobody_back(ledger: PostgresLocation, caplog: pytest.LogCaptureFixture) -> None:
    """A row of the spool that is no event any more is noted like one that does not fit."""
    spooled(ledger, *some(5))
    with unguarded(ledger.outbox_path) as anybody:
        for number, change in enumerate(("tags = 'no JSON'", "started_at = 9000000000000000000", "ended_at = 'x'"), 1):
            anybody.execute(f"UPDATE events SET {change} WHERE event_id = 'e{number}'")  # noqa: S608 - the fault
    assert forward(ledger) == 2
    assert arrived(ledger) == ["e0", "e4"]
    for number, said in enumerate(warnings(caplog), 1):
        assert f"rejected event e{number} (" in said
        assert "it cannot be read" in said


def test_a_database_without_an_encoding(at: Address, postgres_server: PostgresServer) -> None:
    """SQL_ASCII, which initdb makes where no language is set, holds names and reports like any other."""
    where = at(postgres_server.new_database("SQL_ASCII"))
    spooled(where, *some(3), event("emoji", user="🦆", tags=("đội",)))
    assert forward(where) == 4
    assert len(arrived(where)) == 4
    with PostgresLedger(where) as found:
        assert {each.user for each in found.events()} == {"Nguyễn Văn A", "🦆"}
    assert "Nguyễn Văn A" in cli("spend", "--by", "user", "--since", "2020-01-01").output


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1258"])
def test_a_database_with_too_few_letters(
    at: Address, postgres_server: PostgresServer, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Another encoding is refused with a sentence, by commands too; the thread lives on and what waits stays."""
    where = at(postgres_server.new_database(encoding))
    spooled(where, *some(2))
    running = Forwarder(where)
    for _ in range(2):
        running.wake()
        until(lambda: warnings(caplog))
    assert running._thread is not None  # noqa: SLF001 - there is no other sign of its life
    assert running._thread.is_alive()  # noqa: SLF001 - the same
    running.close()
    (said,) = warnings(caplog)
    assert f"is encoded in {encoding}, which lacks the letters of many names; make a database with ENCODING" in said
    for command in (("spend",), ("spend", "verify"), ("budget", "status")):
        done = cli(*command)
        assert done.exception is None or "lacks the letters" in str(done.exception) or done.exit_code == 1
        assert not isinstance(done.exception, UnicodeError)


@pytest.mark.parametrize(
    ("lost", "count"), [("a restored dump", 7), ("a restored dump", 1203), ("a schema that is gone", 1203)]
)
def test_what_a_database_has_lost_is_sent_again(
    ledger: PostgresLocation, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture, lost: str, count: int
) -> None:
    """Where the last events that were sent are gone, they are sent again with the next one, and the log says so."""
    first, rest = some(count)[:3], some(count)[3:]
    spooled(ledger, *first)
    forward(ledger)
    dump = postgres_server.dump(ledger.address.get_secret_value())
    spooled(ledger, *rest)
    forward(ledger)
    assert len(arrived(ledger)) == count
    if lost == "a restored dump":
        postgres_server.load(ledger.address.get_secret_value(), dump)
        assert len(arrived(ledger)) == 3
    else:
        execute(ledger, "DROP SCHEMA litellm_maas CASCADE")
    spooled(ledger, event("the next"))
    forward(ledger)
    assert len(arrived(ledger)) == count + 1
    (said,) = warnings(caplog)
    assert said.startswith(f"{ledger} lacks the last events that were sent to it")
    forward(ledger)
    assert len(warnings(caplog)) == 1


def test_a_running_forwarder_notices_a_loss(
    ledger: PostgresLocation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread of a process that runs on sends again what a replica that took over did not have."""
    monkeypatch.setattr(forwarder, "_SHORTEST_WAIT", 0.01)
    running = Forwarder(ledger)
    spooled(ledger, *some(5))
    running.wake()
    until(lambda: len(arrived(ledger)) == 5)
    running._target.close()  # type: ignore[union-attr]  # noqa: SLF001 - the connection to the one that died
    execute(ledger, "DROP SCHEMA litellm_maas CASCADE")
    spooled(ledger, event("the next"))
    running.wake()
    until(lambda: len(arrived(ledger)) == 6)
    running.close()
    assert "is sent again" in warnings(caplog)[-1]


def other_address(address: str, **parts: object) -> str:
    """An address with another user, host, port or name."""
    found = psycopg.conninfo.conninfo_to_dict(address) | parts
    return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**found)


def test_what_waited_under_a_wrong_address_arrives(
    at: Address, database: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls that were recorded under a wrong port arrive once the address is right, and budgets go on counting them."""
    from litellm_maas.runtime import runtime

    wrong = at(other_address(database, port=free_port()))
    with SqliteLedger(spools.ready(wrong)) as spool:
        BudgetStore(spool).set(Budget(name="month", credits=10**6))
    for _ in range(3):
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)
    runtime.close()
    right = at(database)
    assert right.outbox_path != wrong.outbox_path
    assert json.loads(cli("budget", "list", "--json").output)[0]["name"] == "month"
    litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)
    runtime.close()
    assert len(arrived(right)) == 4
    with PostgresLedger(right) as found:
        assert sum(each.micro_credits or 0 for each in found.events()) == sandbox.bill.micro_credits
    assert any(
        f"3 events of {wrong.outbox_path}" in said and f"are forwarded to {right} now" in said
        for said in warnings(caplog)
    )
    (status,) = json.loads(cli("budget", "status", "--json").output)
    assert status["spent_micro_credits"] == sandbox.bill.micro_credits
    assert access.flush(right) == access.PendingEvents()
    assert forward(right) == 0


def test_a_report_sends_what_waited_under_a_wrong_address(
    at: Address, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first command under the right address sends what waits for longer than a moment, before any call is made."""
    wrong = at(other_address(database, port=free_port()))
    spooled(wrong, *some(3))
    with contextlib.suppress(LedgerError):
        forward(wrong)
    right = at(database)
    assert "3 VND" in cli("spend", "--since", "2020-01-01").output
    assert len(arrived(right)) == 3


@pytest.mark.parametrize("change", ["another user", "another parameter"])
def test_another_user_is_the_same_ledger(at: Address, database: str, change: str) -> None:
    """A database that is named by another user, as where those rotate, has the same spool, and budgets stay."""
    before = at(database)
    spooled(before, *some(2))
    with SqliteLedger(before.outbox_path) as spool:
        BudgetStore(spool).set(Budget(name="day", credits=1, per="day"))
    if change == "another user":
        execute(before, "DROP ROLE IF EXISTS rotated", "CREATE ROLE rotated SUPERUSER LOGIN")
        after = at(other_address(database, user="rotated"))
    else:
        after = at(f"{database}?application_name=x")
    assert after.outbox_path == before.outbox_path
    assert forward(after) == 2
    assert "day" in cli("budget", "list").output


def test_a_ledger_under_two_names_is_one(at: Address, database: str) -> None:
    """A host that is called otherwise from now on leads to the same ledger: what was left behind is sent there."""
    before = at(database)
    spooled(before, *some(2))
    assert forward(before) == 2
    spooled(before, event("late"))
    after = at(other_address(database, host="localhost"))
    assert after.outbox_path != before.outbox_path
    spooled(after, event("new"))
    forward(after)
    assert arrived(after) == ["e0", "e1", "late", "new"]


def test_ledgers_are_not_mixed(at: Address, database: str, postgres_server: PostgresServer) -> None:
    """What waits for another database is not sent to this one by itself; it is named, and `resend --from` sends it."""
    other = at(postgres_server.new_database())
    spooled(other, *some(2, "other"))
    mine = at(database)
    spooled(mine, event("mine"))
    assert forward(mine) == 1
    assert arrived(mine) == ["mine"]
    (remark,) = access.flush(mine).remarks
    assert remark.message == f"2 events for {other.at.key} are still queued in {other.outbox_path}"
    assert remark.command == f"litellm-maas spend resend --from {other.outbox_path}"
    assert remark.command in cli("spend").output
    (named,) = [check for check in ledgers.ledger() if check.name == "outbox"]
    assert (named.status, named.fix) == ("error", remark.command)
    assert str(other.outbox_path) in named.message
    done = cli("spend", "resend", "--from", str(other.outbox_path))
    assert done.exit_code == 0, done.output
    assert arrived(mine) == ["mine", "other0", "other1"]
    assert access.flush(mine).remarks == ()


def test_a_ledger_of_the_same_name_elsewhere_is_another(at: Address, database: str) -> None:
    """Two databases of one name are told apart by the id of their ledgers, where both have been reached."""
    before = at(other_address(database, host="localhost"))
    spooled(before, *some(2))
    assert forward(before) == 2
    execute(before, "DROP SCHEMA litellm_maas CASCADE")  # as if it were another server's
    spooled(before, event("late"))
    after = at(database)
    spooled(after, event("new"))
    assert forward(after) == 1
    assert arrived(after) == ["new"]
    assert str(before.outbox_path) in access.flush(after).remarks[0].message


def test_budgets_of_another_database_are_named(at: Address) -> None:
    """Budgets of one database do not bind another one; who finds none is told where there are some."""
    before = at("postgresql://u@h/first")
    with SqliteLedger(spools.ready(before)) as spool:
        BudgetStore(spool).set(Budget(name="day", credits=1))
    at("postgresql://u@h/second")
    done = cli("budget", "list")
    assert done.stdout == "No budgets. Set one with: litellm-maas budget set 200000 --per day\n"
    assert f"litellm-maas budget list --ledger {before.outbox_path}" in done.stderr
    assert "day" in cli("budget", "list", "--ledger", str(before.outbox_path)).stdout
    at("postgresql://u@elsewhere/first")
    assert "day" in cli("budget", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("spend", "resend", "--ledger", "here.db"), "here.db is a file, not a database"),
        (("spend", "resend", "--from", "nowhere.db"), "there is no spool nowhere.db"),
        (("spend", "backup", "x.db"), "is a database, which pg_dump --schema=litellm_maas is for"),
        (("spend", "restore", "x.db"), "is a database, which pg_restore is for"),
    ],
)
def test_commands_say_what_they_are_not_for(ledger: PostgresLocation, arguments: tuple[str, ...], problem: str) -> None:
    """A command that does not fit the kind of ledger says which does."""
    assert problem in str(cli(*arguments).exception)


@pytest.fixture
def line(postgres_server: PostgresServer) -> Iterator[Loopback]:
    """A box in the middle of the way to the database."""
    with Loopback(postgres_server.port) as box:
        yield box


@pytest.mark.parametrize("when", ["connected", "while it connects"])
def test_a_line_that_is_dead_is_left(
    at: Address,
    database: str,
    line: Loopback,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """Where nothing is answered and nothing fails, it is said, the connection is given up, and a new one sends all."""
    monkeypatch.setattr(deadlines, "LATE", 0.1)
    monkeypatch.setattr(deadlines, "LONGEST", 0.5)
    monkeypatch.setattr(forwarder, "_SHORTEST_WAIT", 0.01)
    where = at(other_address(database, port=line.port) + "?connect_timeout=2")
    running = Forwarder(where)
    spooled(where, *some(2))
    if when == "connected":
        running.wake()
        until(lambda: len(arrived(at(database))) == 2)
    line.swallows.set()
    before = line.connections
    spooled(where, *some(2, "later"))
    running.wake()
    until(lambda: warnings(caplog))
    assert f"events are queued in {where.outbox_path}" in warnings(caplog)[0]
    until(lambda: line.connections > before)
    line.swallows.clear()
    until(lambda: len(arrived(at(database))) == 4)
    running.close()
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("fault", [ZeroDivisionError, UnicodeError])
def test_a_fault_ends_no_thread(
    ledger: PostgresLocation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    """A fault that nobody has thought of is said once, and the thread goes on with the next round."""
    monkeypatch.setattr(forwarder, "_SHORTEST_WAIT", 0.01)
    rounds: list[None] = []

    def faulty(*arguments: Any) -> int:
        rounds.append(None)
        if len(rounds) < 3:
            raise fault
        return forward(*arguments)

    monkeypatch.setattr(forwarder, "forward", faulty)
    running = Forwarder(ledger)
    spooled(ledger, *some(1))
    running.wake()
    until(lambda: arrived(ledger))
    running.close()
    (said,) = warnings(caplog)
    assert said.startswith(f"cannot reach PostgreSQL ({ledger}: {fault.__name__}); ")
    assert said.endswith(f"events are queued in {ledger.outbox_path} and will be retried")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_replaced(ledger: PostgresLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the thread was ended all the same, the next event starts another one."""
    dead = threading.Event()

    def end(*_: Any) -> int:
        dead.set()
        raise SystemExit

    monkeypatch.setattr(forwarder, "forward", end)
    running = Forwarder(ledger)
    spooled(ledger, *some(1))
    running.wake()
    assert dead.wait(30)
    thread = running._thread  # noqa: SLF001 - to wait for its end
    assert thread is not None
    thread.join()
    monkeypatch.setattr(forwarder, "forward", forward)
    running.wake()
    until(lambda: arrived(ledger))
    running.close()


def test_a_machine_that_is_cut_off_holds_nobody_up(ledger: PostgresLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that is cut off amid a transaction loses the lock of the writers in time."""
    from litellm_maas.ledger import postgres_connection

    limits = {**postgres_connection._LIMITS, "idle_in_transaction_session_timeout": "300ms"}  # noqa: SLF001 - sooner
    monkeypatch.setattr(postgres_connection, "_LIMITS", limits)
    cut_off = PostgresLedger(ledger)
    with pytest.raises(LedgerError), cut_off.connection.transaction(limited=True) as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (postgres_connection.LOCK,))
        spooled(ledger, *some(1))
        assert forward(ledger) == 1
        cursor.execute(b"SELECT 1")
    cut_off.close()
