"""Copies of a ledger: made and put back while programs record in it, and what a copy without its log is."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from litellm_maas.budgets.budget import Budget
from litellm_maas.budgets.reservations import BudgetStore
from litellm_maas.cli.app import group
from litellm_maas.errors import LedgerError
from litellm_maas.ledger import backup
from litellm_maas.ledger.backup import Copied, back_up, restore
from litellm_maas.ledger.base import Correction
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.ledger.verify import verify
from tests.call_modes import until
from tests.factories import event
from tests.ledger.test_ledger_versions import old, version  # noqa: F401 - fixtures
from tests.ledger_files import locked, program, rows, total

__all__ = ["old"]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the ledger is."""
    monkeypatch.setenv("MAAS_LEDGER", str(tmp_path / "ledger.db"))
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    """A ledger of three events of 1 VND, of which one is corrected to 2."""
    with SqliteLedger(path) as made:
        for number in range(3):
            made.insert(event(f"e{number}"))
        made.correct([Correction("e0", 2_000_000, 0, "custom", None, "a test")])
        yield made


def cli(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(group, ["spend", *arguments])


WRITE = """
    import sys
    import _litellm_maas_cli  # so that LiteLLM, which takes seconds, is not imported
    from pathlib import Path
    from litellm_maas.ledger.recorder import Recorder
    from tests.factories import event
    recorder, number = Recorder(Path(sys.argv[1])), 0
    recorder.record(event(f"{sys.argv[2]}-0", 1))
    print("ready", flush=True)
    stop = False
    import threading
    def wait():
        global stop
        sys.stdin.readline()
        stop = True
    threading.Thread(target=wait, daemon=True).start()
    while not stop:
        number += 1
        threading.Event().wait(float(sys.argv[3]))
        recorder.record(event(f"{sys.argv[2]}-{number}", 1))
    recorder.record(event(f"{sys.argv[2]}-last", 1))
    recorder.close()
    print(number, recorder.queued, recorder.dropped, flush=True)
"""


@contextlib.contextmanager
def writers(path: Path, count: int = 2, pause: float = 0.0) -> Iterator[list[tuple[int, ...]]]:
    """Programs that record, so many seconds apart at least; in the end the list holds what each says of itself."""
    said: list[tuple[int, ...]] = []
    with contextlib.ExitStack() as running:
        processes = [running.enter_context(program(WRITE, path, number, pause)) for number in range(count)]
        yield said
        for process in processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("stop\n")
            process.stdin.flush()
            said.append(tuple(map(int, process.stdout.readline().split())))


def test_a_copy_is_made_while_programs_record(path: Path, tmp_path: Path) -> None:
    """Copies are sound, each one of a moment of its own, and no event that was recorded is missing from the ledger."""
    with writers(path) as said:
        copied = [back_up(path, tmp_path / f"copy-{number}.db") for number in range(5)]
    for number, each in enumerate(copied):
        with SqliteLedger(tmp_path / f"copy-{number}.db", read_only=True) as copy:
            assert verify(copy) == []
            found = [one.event_id for one in copy.events()]
        assert len(found) == each.events > 0
        for writer in "01":
            numbers = {int(name.partition("-")[2]) for name in found if name.startswith(writer)}
            assert numbers == set(range(len(numbers)))  # nothing of a later moment, and no gap
    assert [each.events for each in copied] == sorted(each.events for each in copied)
    assert len(rows(path)) == sum(number + 2 for number, _, _ in said)
    assert all(lost == 0 for _, _, lost in said)


def test_a_copy_is_one_file_for_its_owner(ledger: SqliteLedger, path: Path, tmp_path: Path) -> None:
    """A copy needs no log, holds corrections and budgets, can be read in a folder that is closed, and is complete."""
    BudgetStore(ledger).set(Budget(name="a", credits=5))
    folder = tmp_path / "backups"
    assert back_up(path, folder / "copy.db") == Copied(3, 4_000_000)
    assert [file.name for file in folder.iterdir()] == ["copy.db"]
    assert stat.S_IMODE((folder / "copy.db").stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(f"file:{folder}/copy.db?immutable=1", uri=True)) as anybody:
        assert anybody.execute("SELECT name FROM budgets").fetchall() == [("a",)]
    assert total(folder / "copy.db") == 4_000_000


def test_the_commands(ledger: SqliteLedger, path: Path, tmp_path: Path) -> None:
    """`backup` and `restore` say what they did and where, and overwrite nothing that was not said."""
    copy = tmp_path / "copy.db"
    assert cli("backup", str(copy)).output == f"Copied {path} to {copy}: 3 events (4 VND).\n"
    again = cli("backup", str(copy))
    assert f"{copy} already exists; name another file, or overwrite it with --force" in str(again.exception)
    ledger.insert(event("later"))
    done = cli("restore", str(copy))
    assert done.stdout == f"Restored {path} from {copy}: 3 events (4 VND).\n"
    (kept,) = tmp_path.glob("ledger.db.before-*")
    assert done.stderr == f"What the ledger held until now (4 events (5 VND)) is kept in {kept}.\n"
    assert len(rows(path)) == 3
    assert len(rows(kept)) == 4
    assert cli("restore", str(kept)).exit_code == 0
    assert cli("backup", str(copy), "--force").exit_code == 0
    assert len(rows(copy)) == 4
    assert json.loads(cli("--json", "--since", "2020-01-01").stdout)["total"]["micro_credits"] == 5_000_000


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("restore", "nothing.db"), "there is no file nothing.db"),
        (("restore", "notes.txt"), "is not a ledger but another program's file|damaged or no ledger"),
        (("restore", "empty.db"), "empty.db"),
        (("backup", "ledger.db"), "already exists"),
        (("backup", "ledger.db", "--force"), "is the ledger itself"),
        (("backup", "ledger.db-wal", "--force"), "is the ledger itself"),
        (("backup", "notes.txt/x.db"), "name a file in a folder that you may write to"),
        (("backup", "x.db", "--ledger", "nowhere.db"), "there is no ledger at nowhere.db"),
    ],
)
def test_mistakes(
    ledger: SqliteLedger,
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    problem: str,
) -> None:
    """What cannot be copied is said, and the ledger stays as it is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no ledger at all " * 100)
    (tmp_path / "empty.db").touch()
    before = {file.name for file in tmp_path.iterdir()}
    done = cli(*arguments)
    assert done.exit_code == 1
    assert re.search(problem, str(done.exception))
    assert len(list(ledger.events())) == 3
    assert {file.name for file in tmp_path.iterdir()} == before


def test_a_ledger_is_put_back_while_programs_record(path: Path, tmp_path: Path) -> None:
    """While two programs record, the ledger is put back five times: it stays sound, they go on, and nothing is lost."""
    copy = tmp_path / "copy.db"
    with SqliteLedger(copy) as made:
        for number in range(50):
            made.insert(event(f"copy-{number}", 1))
    with writers(path) as said:
        for _ in range(5):
            until(lambda: len(rows(path)) > 60)
            restored = restore(copy, path)
            assert restored.before is not None
            assert restored.before.events > 60
            assert restored.now.events >= 50
    with SqliteLedger(path) as ledger:
        assert verify(ledger) == []
        names = {each.event_id for each in ledger.events()}
    assert {f"copy-{number}" for number in range(50)} <= names
    assert {"0-last", "1-last"} <= names
    assert all(lost == 0 for _, _, lost in said)
    kept = sorted(tmp_path.glob("ledger.db.before-*"))
    assert len(kept) == 5
    for each in kept:
        with SqliteLedger(each, read_only=True) as before:
            assert verify(before) == []
            names |= {one.event_id for one in before.events()}
    for writer, (last, _, _) in enumerate(said):
        assert {f"{writer}-{number}" for number in range(last + 1)} <= names


def test_budgets_know_what_was_put_back(path: Path, tmp_path: Path) -> None:
    """A program that runs on counts by what the ledger holds now, though it has as many rows as before."""
    budget = Budget(name="all", credits=1000, per="total")
    with SqliteLedger(path) as running:
        store = BudgetStore(running)
        running.insert(event("before", 7_000_000))
        assert store.status([budget])[0].spent == 7_000_000
        with SqliteLedger(tmp_path / "copy.db") as made:
            made.insert(event("other", 2_000_000))
        restore(tmp_path / "copy.db", path)
        assert store.status([budget])[0].spent == 2_000_000
        running.insert(event("after", 1_000_000))
        assert store.status([budget])[0].spent == 3_000_000


@pytest.mark.parametrize("left", ["nothing", "a log of a killed process", "an empty file", "a ledger without its log"])
def test_a_copy_comes_to_a_place_without_a_ledger(path: Path, tmp_path: Path, left: str) -> None:
    """Where there is no ledger, or only what is left of one, the copy is all that is there afterwards."""
    with SqliteLedger(tmp_path / "copy.db") as made:
        made.insert(event("copy", 3))
    if left != "nothing":
        with SqliteLedger(path) as killed:
            for number in range(20):
                killed.insert(event(f"e{number}", 1))
            for suffix in ("", "-wal", "-shm"):
                shutil.copy(f"{path}{suffix}", f"{path}.kept{suffix}")
        path.unlink()
        if left == "a log of a killed process":
            Path(f"{path}.kept-wal").rename(f"{path}-wal")
            Path(f"{path}.kept-shm").rename(f"{path}-shm")
        elif left == "an empty file":
            path.touch()
        else:
            Path(f"{path}.kept").rename(path)
    restored = restore(tmp_path / "copy.db", path)
    assert restored.now == Copied(1, 3)
    assert total(path) == 3
    with SqliteLedger(path) as ledger:
        assert verify(ledger) == []


def test_a_damaged_ledger_is_moved_away(ledger: SqliteLedger, path: Path, tmp_path: Path) -> None:
    """In the place of a ledger that nobody can read comes the copy, while a program runs; what was there is kept."""
    back_up(path, tmp_path / "copy.db")
    with contextlib.closing(Recorder(path)) as running:
        running.record(event("before"))
        ledger.close()
        running.close()
        content = path.read_bytes()
        path.write_bytes(content[:2048] + os.urandom(len(content) - 2048))
        running.record(event("during", 1))
        assert running.queued == 1
        restored = restore(tmp_path / "copy.db", path)
        assert restored.before is None
        assert restored.kept is not None
        assert restored.kept.stat().st_size == len(content)
        running.record(event("after", 1))
    assert {each.event_id for each in rows(path)} == {"e0", "e1", "e2", "during", "after"}


def test_a_damaged_copy_is_not_put_back(ledger: SqliteLedger, path: Path, tmp_path: Path) -> None:
    """A copy that is damaged leaves the ledger as it is."""
    for number in range(500):
        ledger.insert(event(f"more{number}"))
    back_up(path, tmp_path / "copy.db")
    content = bytearray((tmp_path / "copy.db").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = os.urandom(8192)
    (tmp_path / "copy.db").write_bytes(content)
    with pytest.raises(LedgerError, match=r"copy\.db.*(damaged|malformed)"):
        restore(tmp_path / "copy.db", path)
    assert len(list(ledger.events())) == 503
    assert list(tmp_path.glob("*before*")) == []
    assert list(tmp_path.glob("*part*")) == []


def test_who_writes_and_does_not_end_is_waited_for_in_vain(
    ledger: SqliteLedger, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a program that keeps the ledger locked nothing is put back, which is said; a copy is made all the same."""
    monkeypatch.setattr(backup, "PATIENCE", 0.2)
    with locked(path):
        assert back_up(path, tmp_path / "copy.db").events == 3
        with pytest.raises(LedgerError, match="is locked by another program"):
            restore(tmp_path / "copy.db", path)
    assert len(list(ledger.events())) == 3


def test_a_copy_of_an_older_version_is_put_back(old: Path, tmp_path: Path) -> None:
    """A copy that an older version of this package made is brought up to date; the copy itself stays as it was."""
    copy = tmp_path / "copy.db"
    assert back_up(old, copy).events == 3
    ledger = tmp_path / "elsewhere" / "ledger.db"
    assert restore(copy, ledger).now.events == 3
    with SqliteLedger(ledger) as found:
        assert found.insert(event("new"))
        assert verify(found) == []


def test_a_copy_with_pages_of_another_size(ledger: SqliteLedger, path: Path, tmp_path: Path) -> None:
    """A copy that another tool has packed anew, with larger pages, is put back too."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as anybody:
        anybody.execute("VACUUM INTO ?", (str(tmp_path / "packed.db"),))
    with contextlib.closing(sqlite3.connect(tmp_path / "packed.db", isolation_level=None)) as anybody:
        anybody.execute("PRAGMA journal_mode = DELETE")
        anybody.execute("PRAGMA page_size = 8192")
        anybody.execute("VACUUM")
    ledger.insert(event("later"))
    assert restore(tmp_path / "packed.db", path).now.events == 3


def test_a_plain_copy_without_its_log_is_named(ledger: SqliteLedger, path: Path, tmp_path: Path) -> None:
    """What `cp` makes of a ledger in use, without its log, is not taken for a ledger without spend."""
    shutil.copy(path, tmp_path / "plain.db")
    for command in ((), ("verify",), ("export",), ("backup", "x.db")):
        done = cli(*command, "--ledger", str(tmp_path / "plain.db"))
        assert done.exit_code == 1
        assert "plain.db is empty, as its log plain.db-wal is missing" in str(done.exception)
        assert "litellm-maas spend backup FILE" in str(done.exception)


def test_a_copy_of_all_three_files_is_whole(ledger: SqliteLedger, path: Path, tmp_path: Path) -> None:
    """A ledger that is copied with its log is a ledger."""
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{suffix}", f"{tmp_path / 'whole.db'}{suffix}")
    assert total(tmp_path / "whole.db") == 4_000_000
