"""Recording, whatever happens to the ledger: it never raises, blocks no event loop, and loses nothing quietly."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import json
import logging
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from litellm_maas.errors import LedgerError
from litellm_maas.ledger import checkpoints
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.ledger.verify import verify
from tests.call_modes import until
from tests.factories import event
from tests.helpers import ROOT
from tests.ledger_files import locked, program, rows, total, unguarded


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own: events are queued there too."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.db"


@pytest.fixture
def recorder(path: Path) -> Iterator[Recorder]:
    """A recorder of a ledger that is not there yet."""
    with contextlib.closing(Recorder(path)) as new:
        yield new


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said at warning level or above."""
    return [found.getMessage() for found in caplog.records if found.levelno >= logging.WARNING]


def replayed(path: Path) -> Recorder:
    """A recorder of another process, which has written what waits."""
    with contextlib.closing(Recorder(path)) as other:
        other.flush()
    assert not list(other.pending())
    return other


def test_recording(recorder: Recorder, path: Path, caplog: pytest.LogCaptureFixture, temporary_folder: Path) -> None:
    """An event is in the ledger when `record` returns; nothing is said about it, and nothing left behind."""
    recorder.record(event())
    assert total(path) == 1_000_000
    assert (recorder.queued, recorder.dropped, list(recorder.pending()), warnings(caplog)) == (0, 0, [], [])
    assert list(temporary_folder.iterdir()) == []


async def test_recording_on_an_event_loop(recorder: Recorder, path: Path) -> None:
    """An event is in the ledger when `arecord` returns, the first one too, and many at once."""
    await asyncio.gather(*(recorder.arecord(event(f"e{number}", 1)) for number in range(50)))
    assert total(path) == 50


# Faults, and what is done about them. Each leaves the ledger in a state in which it cannot be written.
def _garbage_at_its_place(path: Path) -> Callable[[], None]:
    path.unlink(missing_ok=True)
    path.write_bytes(b"not a database at all " * 500)
    return path.unlink


def _pages_written_over(path: Path) -> Callable[[], None]:
    path.unlink(missing_ok=True)
    with contextlib.closing(SqliteLedger(path)) as ledger:
        ledger.insert(event("before", 5))
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    return path.unlink


def _a_folder_at_its_place(path: Path) -> Callable[[], None]:
    path.unlink(missing_ok=True)
    path.mkdir()
    return path.rmdir


def _a_newer_version(path: Path) -> Callable[[], None]:
    path.unlink(missing_ok=True)
    SqliteLedger(path).close()
    with unguarded(path) as anybody:
        anybody.execute("PRAGMA user_version = 99")
    return path.unlink


@pytest.mark.parametrize(
    ("fault", "open_before"),
    [
        (_garbage_at_its_place, False),
        (_pages_written_over, False),
        (_a_folder_at_its_place, False),
        (_a_folder_at_its_place, True),
        (_a_newer_version, False),
        (_a_newer_version, True),
    ],
)
def test_a_ledger_that_cannot_be_used(
    recorder: Recorder,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[Path], Callable[[], None]],
    open_before: bool,
) -> None:
    """What no ledger is, or of another version: events are kept, counted, said once, and recorded once it is mended."""
    if open_before:
        recorder.record(event("before", 5))
    mend = fault(path)
    for number in range(10):
        recorder.record(event(f"e{number}", 1))
    assert recorder.queued == 10
    assert len(list(recorder.pending())) == 10
    (said,) = warnings(caplog)
    assert said.startswith(f"spend is not being recorded ({path}")
    assert said.endswith("Events are queued in " + f"{path}.outbox and will be retried.")
    mend()
    recorder.flush()
    until(lambda: total(path) == 10)
    assert recorder.dropped == 0
    # The recorder looks by itself too, and may have written some of them meanwhile.
    written = [
        re.fullmatch(rf"flushed (\d+) queued events to {re.escape(str(path))}", each) for each in warnings(caplog)[1:]
    ]
    assert sum(int(each[1]) for each in written if each is not None) == 10
    assert None not in written


@pytest.mark.parametrize("in_place", [False, True])
def test_garbage_over_a_ledger_that_is_open(
    recorder: Recorder, path: Path, caplog: pytest.LogCaptureFixture, in_place: bool
) -> None:
    """Garbage in the place of a ledger whose log is whole does no harm: the log still holds everything."""
    recorder.record(event("before", 5))
    if not in_place:
        path.unlink()
    path.write_bytes(b"not a database at all " * 500)
    for number in range(10):
        recorder.record(event(f"e{number}", 1))
    recorder.close()
    assert (total(path), warnings(caplog)) == (15, [])


def test_a_locked_ledger_is_waited_for_once(
    recorder: Recorder, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a lock that stays, the first call waits its time, in whatever thread; those after it wait no more."""
    monkeypatch.setattr("litellm_maas.ledger.recorder._WAIT", 0.5)
    recorder.record(event("before", 1))
    with locked(path):
        started = time.monotonic()
        threads = [threading.Thread(target=recorder.record, args=(event(f"t{number}", 1),)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 0.4 < time.monotonic() - started < 3.5  # one after the other they would wait 4 s
        started = time.monotonic()
        for number in range(20):
            recorder.record(event(f"later-{number}", 1))
        assert time.monotonic() - started < 5  # and these 10 s
    assert recorder.queued == 28
    (said,) = warnings(caplog)
    assert "is locked by another program" in said or "is being written to" in said
    recorder.record(event("after", 1))
    recorder.close()  # waits for the replay that this set off
    assert (total(path), recorder.dropped, list(recorder.pending())) == (30, 0, [])


def test_a_ledger_that_is_locked_for_a_moment(recorder: Recorder, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A writer that takes its time and then ends is waited for, and nobody is told."""
    recorder.record(event("before", 1))
    with locked(path):
        thread = threading.Thread(target=recorder.record, args=(event("during", 1),))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join()
    assert (total(path), recorder.queued, warnings(caplog)) == (2, 0, [])


async def lag(work: Any) -> float:
    """How much longer an event loop was not free, while it awaited something, than a thread that does nothing."""
    longest, elsewhere, done = 0.0, 0.0, asyncio.ensure_future(work)

    def idle() -> None:
        nonlocal elsewhere
        while not done.done():
            started = time.perf_counter()
            time.sleep(0.005)
            elsewhere = max(elsewhere, time.perf_counter() - started - 0.005)

    thread = threading.Thread(target=idle)
    thread.start()
    while not done.done():
        started = time.perf_counter()
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - started - 0.005)
    thread.join()
    await done
    return longest - elsewhere


MOST_LAG = 0.25
"""Seconds. A healthy insert takes a ten-thousandth of a second; the rest is what a busy machine does to a test."""


MAKE_LEDGER = """
    import pathlib, sys
    import _litellm_maas_cli  # so that LiteLLM, which takes seconds, is not imported
    from litellm_maas.ledger.sqlite import SqliteLedger
    SqliteLedger(pathlib.Path(sys.argv[1])).close()
"""


def bring_about(state: str, path: Path) -> None:
    """Let something happen to a ledger that is open."""
    if state == "deleted and made by the other":
        path.unlink()
        command = [sys.executable, "-c", textwrap.dedent(MAKE_LEDGER), str(path)]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    if state == "not made yet":
        # As a process leaves it that dies before it has made the tables.
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("PRAGMA journal_mode = WAL")


@pytest.mark.parametrize("state", ["open", "not open yet", "deleted and made by the other", "not made yet"])
async def test_an_event_loop_never_waits_for_a_locked_ledger(recorder: Recorder, path: Path, state: str) -> None:
    """While another process holds the write lock for seconds, the loop goes on, and no event is lost."""
    if state != "not made yet":
        await recorder.arecord(event("before", 1))
    if state == "not open yet":
        recorder.close()
        recorder = Recorder(path)
    bring_about(state, path)

    async def record() -> None:
        calls = [asyncio.ensure_future(recorder.arecord(event(f"e{number}", 1))) for number in range(20)]
        recorder.record_nowait(event("of a cancelled task", 1))
        await asyncio.sleep(2 if state == "open" else 0.7)
        # Whoever waits is in the executor's threads, and the loop is free for everybody else.
        assert not any(call.done() for call in calls)
        holder.__exit__(None, None, None)
        await asyncio.gather(*calls)

    holder = locked(path)
    await asyncio.to_thread(holder.__enter__)
    assert await lag(record()) < MOST_LAG
    await asyncio.to_thread(recorder.close)
    replayed(path)
    survivors = 0 if state in ("deleted and made by the other", "not made yet") else 1
    assert total(path) == 21 + survivors
    assert verify(SqliteLedger(path)) == []


async def test_a_cancelled_task_does_not_wait(recorder: Recorder, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The event of a task that is cancelled behind a lock is queued at once, quietly, and recorded later."""
    await recorder.arecord(event("before", 1))
    with locked(path):
        started = time.monotonic()
        recorder.record_nowait(event("cancelled", 1))
        assert time.monotonic() - started < MOST_LAG
        assert recorder.queued == 1
    await recorder.arecord(event("after", 1))
    await asyncio.to_thread(recorder.close)
    assert (total(path), list(recorder.pending())) == (3, [])
    assert [said for said in warnings(caplog) if "not being recorded" in said] == []


def test_what_is_to_follow_a_recording_follows_it(recorder: Recorder, path: Path) -> None:
    """What is to be done once an event is in the ledger is done then: at once, or by itself when a writer has ended."""
    in_ledger: list[float] = []
    done = threading.Event()

    def then() -> None:
        in_ledger.append(total(path))
        done.set()

    recorder.record(event("at once", 1), then)
    assert (in_ledger, done.is_set()) == ([1], True)
    done.clear()
    with locked(path):
        recorder.record_nowait(event("queued", 1), then)
        assert not done.is_set()
    assert done.wait(60)
    assert in_ledger == [1, 2]
    assert list(recorder.pending()) == []


@pytest.mark.parametrize("other_replays", [False, True])
def test_what_is_to_follow_waits_for_a_broken_ledger(recorder: Recorder, path: Path, other_replays: bool) -> None:
    """What is to follow is done when the ledger is mended, whoever replays, and at the end of the process at last."""
    followed: list[str] = []
    path.mkdir()
    recorder.record(event("waits", 1), lambda: followed.append("waits"))
    path.rmdir()
    assert followed == []
    if other_replays:
        with contextlib.closing(Recorder(path)) as other:
            assert other.flush() == 1
    recorder.close()
    assert (followed, total(path)) == (["waits"], 1)


async def test_cancelling_while_an_event_waits_does_not_lose_it(recorder: Recorder, path: Path) -> None:
    """A task that is cancelled while its event waits behind a lock ends at once, and the event is recorded."""
    await recorder.arecord(event("before", 1))
    with locked(path):
        task = asyncio.ensure_future(recorder.arecord(event("waits", 1)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.to_thread(recorder.close)
    assert total(path) == 2


@pytest.mark.parametrize("is_async", [False, True])
def test_a_deleted_ledger_goes_on_in_a_new_one(
    recorder: Recorder, path: Path, caplog: pytest.LogCaptureFixture, is_async: bool
) -> None:
    """When the file is deleted while calls go on, the next ones are in a new file; nothing else happens."""

    def record(made: Event) -> None:
        asyncio.run(recorder.arecord(made)) if is_async else recorder.record(made)

    for number in range(3):
        record(event(f"before-{number}", 1))
    path.unlink()
    for number in range(3):
        record(event(f"after-{number}", 1))
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    for number in range(5):
        record(event(f"much later-{number}", 1))
    assert (total(path), recorder.queued, warnings(caplog)) == (5, 0, [])


AS_NOBODY = """
    import os, sys
    import _litellm_maas_cli  # so that LiteLLM, which takes seconds, is not imported
    import filelock
    from pathlib import Path
    from litellm_maas.ledger.recorder import Recorder
    from tests.factories import event
    os.setgid(65534); os.setuid(65534)
    path = Path(sys.argv[1])
    recorder = Recorder(path)
    for number in range(5):
        recorder.record(event(f"e{number}", 1))
    print("ready", flush=True)
    print(recorder.queued, recorder.dropped, *recorder.pending(), flush=True)
    recorder.close()
    sys.stdin.readline()
    print(recorder.flush())
    recorder.close()
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are for one alone."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("what", ["no ledger yet", "a ledger", "a ledger of somebody else's"])
def test_a_read_only_folder(open_folder: Path, what: str) -> None:
    """Where the folder may not be written to, events wait in the temporary folder until it may."""
    path, temporary = open_folder / "folder" / "ledger.db", open_folder / "temporary"
    path.parent.mkdir()
    temporary.mkdir()
    temporary.chmod(0o777)
    before = 0
    if what != "no ledger yet":
        with contextlib.closing(SqliteLedger(path)) as ledger:
            ledger.insert(event("before", 1))
        before = 1
    if what == "a ledger":
        os.chown(path, 65534, 65534)
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    with program(AS_NOBODY, path, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        set_aside, lost, *waiting = process.stdout.readline().split()
        assert (set_aside, lost, len(waiting)) == ("5", "0", 5)
        assert all(file.startswith(str(temporary)) for file in waiting)
        assert {stat.S_IMODE(Path(file).parent.stat().st_mode) for file in waiting} == {0o700}
        for file in path.parent.iterdir():
            os.chown(file, 65534, 65534)
        path.parent.chmod(0o777)
        said, complaint = process.communicate("go\n")
        assert said == "5\n", complaint
    assert complaint.count("spend is not being recorded") == 1
    assert total(path) == before + 5


UNSHARE = [shutil.which("unshare") or "", "--map-root-user", "--mount"]


def _can_mount() -> bool:
    command = [*UNSHARE, "mount", "-t", "tmpfs", "none", tempfile.gettempdir()]
    return bool(UNSHARE[0]) and subprocess.run(command, capture_output=True, check=False).returncode == 0


FULL_DISK = """
    import os, sys, shutil
    from pathlib import Path
    import _litellm_maas_cli  # so that LiteLLM, which takes seconds, is not imported
    from litellm_maas.ledger.recorder import Recorder
    from tests.factories import event
    from tests.ledger_files import total
    folder, temporary_is_full_too = Path(sys.argv[1]), sys.argv[2] == "True"
    path = folder / "ledger.db"
    recorder = Recorder(path)
    recorder.record(event("before", 1))
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            pass
    for number in range(40):
        recorder.record(event(f"e{number}", 1))
    aside, files = recorder.queued, len(list(recorder.pending()))
    ballast.unlink()
    recorder.record(event("after", 1))
    recorder.close()
    print(aside, files, recorder.dropped, len(list(recorder.pending())), total(path))
"""


@pytest.mark.skipif(not _can_mount(), reason="no file system can be mounted here")
@pytest.mark.parametrize("temporary_is_full_too", [False, True])
def test_a_full_disk(tmp_path: Path, temporary_folder: Path, temporary_is_full_too: bool) -> None:
    """On a disk that is really full events wait elsewhere, at worst in memory, and are recorded when there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(FULL_DISK))
    mount = f'mount -t tmpfs -o size=8m none "{disk}" && exec "{sys.executable}" "$@"'
    temporary = disk if temporary_is_full_too else temporary_folder
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", mount, "sh", script, disk, str(temporary_is_full_too)],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    aside, files, lost, left, in_ledger = map(int, done.stdout.split())
    assert aside > 20
    assert files < aside if temporary_is_full_too else files == aside
    assert (lost, left, in_ledger) == (0, 0, 42), done.stderr
    assert done.stderr.count("spend is not being recorded") == 1
    assert "the disk is full: make room" in done.stderr


FILE_TOO_LARGE = """
    import resource, signal, sys
    from pathlib import Path
    import _litellm_maas_cli  # so that LiteLLM, which takes seconds, is not imported
    from litellm_maas.ledger.recorder import Recorder
    from tests.factories import event
    from tests.ledger_files import total
    path = Path(sys.argv[1])
    recorder = Recorder(path)
    recorder.record(event("before", 1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    for number in range(200):
        recorder.record(event(f"e{number}", 1))
    aside = recorder.queued
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    recorder.record(event("after", 1))
    recorder.close()
    print(aside, recorder.dropped, len(list(recorder.pending())), total(path))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_file_that_may_not_grow(path: Path, temporary_folder: Path) -> None:
    """Where the system lets the ledger's files grow no further, events wait beside it until they may."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FILE_TOO_LARGE), path],
        env={**os.environ, "TMPDIR": str(temporary_folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    aside, lost, left, in_ledger = map(int, done.stdout.split())
    assert aside > 50
    assert (lost, left, in_ledger) == (0, 0, 202), done.stderr
    assert done.stderr.count("spend is not being recorded") == 1


def test_memory_is_the_last_resort_and_has_an_end(
    tmp_path: Path, temporary_folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing at all can be written, a bounded number of events is kept in memory, and the rest is counted."""
    monkeypatch.setattr("litellm_maas.ledger.recorder._LARGEST_BACKLOG", 3)
    blocked = tmp_path / "file"
    blocked.write_text("a file where folders would have to be")
    shutil.rmtree(temporary_folder)
    temporary_folder.write_text("here too")
    recorder = Recorder(blocked / "ledger.db")
    for number in range(5):
        recorder.record(event(f"e{number}", 1))
    assert (recorder.queued, recorder.dropped) == (5, 2)
    assert "Events are queued in memory" in warnings(caplog)[0]
    assert [said for said in warnings(caplog) if "dropping events" in said] == warnings(caplog)[1:2]
    with pytest.raises(LedgerError):
        recorder.flush()
    blocked.unlink()
    recorder.close()
    assert total(blocked / "ledger.db") == 3


def test_an_event_that_no_ledger_can_hold(recorder: Recorder, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An event that cannot be stored is queued for somebody to look at, and those after it are recorded."""
    recorder.record(event("e1", 10**30))
    recorder.record(event("e2", 1))
    recorder.close()
    assert (total(path), recorder.queued, len(list(recorder.pending()))) == (1, 1, 1)
    assert "cannot hold this" in warnings(caplog)[0]


def test_events_are_replayed_by_the_next_process(recorder: Recorder, path: Path) -> None:
    """What one process had to queue, another records with its own first event, once however often it is kept."""
    path.mkdir()
    for _ in range(2):
        recorder.record(event("e1", 1))
    recorder.record(event("e2", 1))
    recorder.close()
    path.rmdir()
    with contextlib.closing(Recorder(path)) as other:
        other.record(event("e3", 1))
    assert total(path) == 3
    assert list(other.pending()) == []


def test_a_replay_that_fails_is_tried_again(recorder: Recorder, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the ledger is locked again in the middle of a replay, the rest follows with a later event."""
    monkeypatch.setattr("litellm_maas.ledger.recorder._WAIT", 0.1)
    path.mkdir()
    for number in range(3):
        recorder.record(event(f"e{number}", 1))
    path.rmdir()
    with contextlib.closing(SqliteLedger(path)) as ledger:
        ledger.insert(event("there", 1))
    with locked(path), pytest.raises(Exception, match="locked"):
        recorder.flush()
    recorder.record(event("later", 1))
    recorder.close()
    assert (total(path), list(recorder.pending())) == (5, [])


def test_what_holds_no_event_is_left_where_it_is(
    recorder: Recorder, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Files that hold no event, or one that no ledger can hold, stop neither recording nor the replay of others."""
    waiting = Path(f"{path}.outbox")
    waiting.mkdir()
    sound = event("z").as_dict()
    contents = {
        "0-empty": "",
        "1-text": "no JSON",
        "2-list": "[]",
        "3-incomplete": json.dumps({"event_id": "x"}),
        "4-times": json.dumps({**sound, "started_at": "soon"}),
        "5-a-list-for-a-model": json.dumps({**sound, "event_id": "y", "model": ["a"]}),
        "6-no-model": json.dumps({**sound, "event_id": "y", "model": None}),
        "7-too-large": json.dumps({**sound, "event_id": "y", "micro_credits": 10**30}),
        "8-half-a-character": json.dumps({**sound, "event_id": "y", "user": "\ud800"}),
        "9-sound": json.dumps(sound),
    }
    for name, content in contents.items():
        (waiting / f"{name}.json").write_text(content)
    recorder.record(event("a"))
    recorder.close()
    assert {found.event_id for found in rows(path)} == {"a", "z"}
    assert sorted(file.stem for file in recorder.pending()) == sorted(contents)[:-1]
    assert sum("unreadable outbox file" in said for said in warnings(caplog)) == len(contents) - 1


def leave_waiting(path: Path, number: int) -> None:
    """Set events aside as another process does."""
    waiting = Path(f"{path}.outbox")
    waiting.mkdir()
    for made in (event(f"w{position}", 1) for position in range(number)):
        (waiting / f"{made.event_id}.json").write_text(made.as_json())


async def test_a_long_replay_delays_nobody(recorder: Recorder, path: Path) -> None:
    """While thousands of events are replayed, new ones are recorded as fast as ever."""
    await recorder.arecord(event("first", 1))
    leave_waiting(path, 1000)
    # Setting one more aside is what makes the recorder look.
    with locked(path):
        recorder.record_nowait(event("aside", 1))
    times = []
    for number in range(300):
        started = time.perf_counter()
        await recorder.arecord(event(f"n{number}", 1))
        times.append(time.perf_counter() - started)
        await asyncio.sleep(0)
    assert sum(1 for _ in recorder.pending()) > 0
    assert max(times) < MOST_LAG
    await asyncio.to_thread(recorder.close)
    assert total(path) == 1302


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_side_files_are_for_their_owner_alone(recorder: Recorder, path: Path) -> None:
    """What waits beside the ledger can be read by nobody else, whatever the process allows others."""
    path.mkdir()
    before = os.umask(0)
    try:
        recorder.record(event())
    finally:
        os.umask(before)
    (file,) = recorder.pending()
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("trap", ["a folder of somebody else's", "a folder open to all", "a link"])
def test_nobody_elses_temporary_folder_is_used(
    path: Path, temporary_folder: Path, tmp_path: Path, recorder: Recorder, trap: str
) -> None:
    """A folder that somebody else has put in the shared temporary folder gets none of our events, nor gives us any."""
    blocked = path.with_name("file")
    blocked.write_text("so that nothing can wait beside the ledger")
    trapped = temporary_folder / f"litellm-maas-{os.getuid()}"
    target = tmp_path / "target"
    target.mkdir()
    if trap == "a link":
        trapped.symlink_to(target)
    else:
        trapped.mkdir()
        trapped.chmod(0o777 if trap == "a folder open to all" else 0o755)
        os.chown(trapped, 65534 if trap == "a folder of somebody else's" else 0, 0)
    recorder = Recorder(blocked / "ledger.db")
    recorder.record(event("e1", 1))
    assert list(trapped.rglob("*.json")) == []
    planted = trapped / hashlib.sha256(str(recorder.path).encode()).hexdigest()[:16]
    planted.mkdir(parents=True, exist_ok=True)
    (planted / "planted.json").write_text(event("planted", 10**9).as_json())
    blocked.unlink()
    recorder.close()
    assert total(blocked / "ledger.db") == 1


def test_a_collected_stream_in_the_midst_of_opening(recorder: Recorder, path: Path) -> None:
    """Garbage collection that records an abandoned stream, in the same thread, while the ledger is being opened."""

    def stream() -> Iterator[None]:
        try:
            yield
        finally:
            recorder.record(event("abandoned", 1))

    abandoned = stream()
    next(abandoned)
    cycle: list[Any] = [abandoned]
    cycle.append(cycle)
    del abandoned, cycle
    gc.disable()
    collect = threading.Event()

    class Watched(type(path)):  # type: ignore[misc]  # the concrete class of paths depends on the system
        """A path whose first use collects garbage, as any allocation can."""

        def exists(self, **options: Any) -> bool:
            if not collect.is_set():
                collect.set()
                gc.collect()
            return bool(super().exists(**options))

    try:
        recorder.path = Watched(path)
        worker = threading.Thread(target=recorder.record, args=(event("e1", 1),), daemon=True)
        worker.start()
        worker.join(10)
        assert not worker.is_alive()
    finally:
        gc.enable()
    assert collect.is_set()
    assert total(path) == 2


def test_recording_after_the_end(path: Path) -> None:
    """A thread that goes on after the main program has ended still records, though no other thread can be started."""
    code = """
        import asyncio, threading, sys
        import _litellm_maas_cli  # so that LiteLLM, which takes seconds, is not imported
        from pathlib import Path
        from litellm_maas.ledger.recorder import Recorder
        from tests.factories import event
        recorder = Recorder(Path(sys.argv[1]))
        def work():
            threading.main_thread().join()
            asyncio.run(recorder.arecord(event("async", 1)))
            recorder.record_nowait(event("now", 1))
            recorder.record(event("sync", 1))
            recorder.close()
        threading.Thread(target=work).start()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), path], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)  # fmt: skip  # noqa: E501
    assert total(path) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_of_a_fork_records_by_itself(recorder: Recorder, path: Path) -> None:
    """Parent and child of a fork both go on recording, and what the parent keeps in memory is not the child's."""
    recorder.record(event("before", 1))
    child = os.fork()
    if child == 0:
        try:
            recorder.after_fork()
            recorder.record(event("child", 1))
            recorder.close()
        finally:
            os._exit(0)
    recorder.record(event("parent", 1))
    os.waitpid(child, 0)
    assert total(path) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("moment", ["idle", "amid a transaction"])
def test_a_child_that_outlives_its_parent(path: Path, moment: str) -> None:
    """What the child of a fork records after its parent has ended is in the ledger, whenever the parent forked."""
    code = """
        import os, sys, threading
        from litellm_maas.ledger.recorder import Recorder
        from litellm_maas.ledger.sqlite import SqliteLedger
        from pathlib import Path
        from tests.factories import event

        path = Path(sys.argv[1])
        recorder, ledger = Recorder(path), SqliteLedger(path)
        os.register_at_fork(after_in_child=recorder.after_fork)
        recorder.record(event("parent", 1))
        inside, forking = threading.Event(), threading.Event()

        def write():
            with ledger.write_transaction(5):
                inside.set()
                forking.wait(0.2)

        if sys.argv[2] != "idle":
            writer = threading.Thread(target=write)
            writer.start()
            inside.wait()
        to_child, from_parent = os.pipe()
        if os.fork() == 0:
            os.close(from_parent)
            recorder.record(event("child 0", 1))
            os.read(to_child, 1)  # nothing comes: the parent has ended
            for number in range(1, 4):
                recorder.record(event(f"child {number}", 1))
            print(recorder.queued, flush=True)
            os._exit(0)
        recorder.record(event("parent 2", 1))
        recorder.close()
        ledger.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path), moment]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    # The pipe is closed when the child ends too, so all is written.
    assert (done.stdout, total(path)) == ("0\n", 6), done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_forks_amid_everything(path: Path) -> None:
    """Thirty forks, while threads write, read and open the same ledger: each child records, and all rows are there."""
    code = """
        import os, sys, threading
        from litellm_maas.ledger.recorder import Recorder
        from litellm_maas.ledger.sqlite import SqliteLedger
        from pathlib import Path
        from tests.factories import event

        path, ended, written = Path(sys.argv[1]), threading.Event(), []
        recorder = Recorder(path)
        os.register_at_fork(after_in_child=recorder.after_fork)
        recorder.record(event("parent", 1))

        def write():
            while not ended.is_set():
                recorder.record(event(f"writer {len(written)}", 1))
                written.append(1)

        def read():
            ledger = SqliteLedger(path)
            while not ended.is_set():
                list(ledger.query("SELECT count(*) FROM events"))

        def open_and_close():
            while not ended.is_set():
                SqliteLedger(path).close()

        threads = [threading.Thread(target=each) for each in (write, read, open_and_close)]
        for thread in threads:
            thread.start()
        for number in range(30):
            if (child := os.fork()) == 0:
                recorder.record(event(f"child {number}", 1))
                os._exit(recorder.queued)
            assert os.waitpid(child, 0)[1] == 0
        ended.set()
        for thread in threads:
            thread.join()
        assert recorder.queued == 0
        recorder.close()
        print(1 + 30 + len(written))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.stdout == f"{total(path)}\n", done.stderr
    assert verify(SqliteLedger(path)) == []


def test_a_collected_stream_amid_handing_over_work(recorder: Recorder, path: Path) -> None:
    """Garbage collection that records a stream while this thread hands work to the recorder's own does not hang."""
    recorder.record(event("before", 1))
    recorder.close()

    class Pool:
        """The recorder's threads, with a stream that is collected while their lock is held."""

        def __init__(self) -> None:
            self.pool, self.lock = ThreadPoolExecutor(2), threading.Lock()

        def submit(self, *work: Any) -> Any:
            """Like the pool's."""
            with self.lock:
                recorder.record_nowait(event("abandoned", 1))
                return self.pool.submit(*work)

        def shutdown(self) -> None:
            """Like the pool's."""
            self.pool.shutdown()

    recorder._worker = Pool()  # type: ignore[assignment]  # noqa: SLF001 - the fault
    with locked(path):
        worker = threading.Thread(target=recorder.record_nowait, args=(event("waits", 1),), daemon=True)
        worker.start()
        worker.join(30)
        assert not worker.is_alive()
    recorder.close()
    with contextlib.closing(Recorder(path)) as later:
        later.flush()
    assert total(path) == 3


def test_nothing_is_imported_in_the_recorders_threads(path: Path) -> None:
    """All is imported when a recorder is made: a child forked amid another thread's import waits for it forever."""
    code = """
        import sys
        from litellm_maas.runtime import runtime
        from tests.factories import event
        recorder = runtime.tracker.recorder()
        before = set(sys.modules)
        recorder.open_in_background()
        recorder.record(event("e", 1))
        runtime.close()
        print(sorted(set(sys.modules) - before))
    """
    environment = {**os.environ, "MAAS_LEDGER": str(path)}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, total(path)) == ("[]\n", 1), done.stderr


def alone(path: Path) -> int:
    """How many events the ledger's file holds without its log, as a plain copy would."""
    copy = path.with_name("alone.db")
    for _ in range(100):
        shutil.copy(path, copy)
        # A copy that is made while the log is moved can be half old and half new.
        with contextlib.closing(sqlite3.connect(copy)) as found, contextlib.suppress(sqlite3.DatabaseError):
            if found.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                continue
            if not found.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return 0
            return int(found.execute("SELECT count(*) FROM events").fetchone()[0])
    raise AssertionError("the log is being moved all the time")


def test_the_log_is_moved_into_the_ledger_soon(recorder: Recorder, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A while after an event the file alone holds it, though nothing more is recorded; and so again and again."""
    monkeypatch.setattr(checkpoints, "_SOON", 0.01)
    monkeypatch.setattr(checkpoints, "_AT_LEAST", 0.01)
    # Other recorders of this process, which other tests opened, may have theirs.
    before = set(threading.enumerate())
    for number in range(3):
        recorder.record(event(f"e{number}", 1))
        until(lambda number=number: alone(path) == number + 1)  # type: ignore[misc]  # a default binds the number
    until(lambda: set(_threads("maas-checkpoint")) <= before)
    recorder.record(event("later", 1))
    until(lambda: alone(path) == 4)


def _threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_a_large_log_is_moved_at_once(recorder: Recorder, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log has grown large nobody waits for the time to come, and the log's file shrinks again."""
    monkeypatch.setattr(checkpoints, "_AT_LEAST", 0.0)
    monkeypatch.setattr(checkpoints, "_LARGE", 500_000)
    monkeypatch.setattr("litellm_maas.ledger.sqlite._KEPT_OF_LOG", 100_000)
    for number in range(400):
        recorder.record(event(f"e{number}", 1))
    until(lambda: alone(path) >= 64)
    for number in range(1000):
        recorder.record(event(f"later-{number}", 1))
        if Path(f"{path}-wal").stat().st_size < 500_000:
            return
        time.sleep(0.01)
    pytest.fail("the log never began anew")


def test_processes_that_record_little_leave_no_log(path: Path) -> None:
    """While one process keeps the ledger open, others that end after few events each leave no growing log behind."""
    with contextlib.closing(SqliteLedger(path)) as open_for_long:
        open_for_long.insert(event("before", 1))
        sizes = []
        for worker in range(8):
            with contextlib.closing(Recorder(path)) as short:
                for number in range(25):
                    short.record(event(f"{worker}-{number}", 1))
            assert alone(path) == 1 + 25 * (worker + 1)
            sizes.append(Path(f"{path}-wal").stat().st_size)
        assert max(sizes) <= 2 * sizes[0]


def test_the_log_of_killed_processes_is_moved_by_the_next(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose first event finds a large log moves it at once, whoever left it."""
    monkeypatch.setattr(checkpoints, "_LARGE", 100_000)
    with contextlib.closing(SqliteLedger(path)) as killed:
        for number in range(50):
            killed.insert(event(f"e{number}", 1))
        assert alone(path) == 0
        with contextlib.closing(Recorder(path)) as recorder:
            recorder.record(event("first", 1))
            until(lambda: alone(path) == 51)


@pytest.mark.parametrize("later", ["still blocked", "a folder is back"])
def test_what_is_lost_at_the_end_is_said(
    tmp_path: Path, temporary_folder: Path, caplog: pytest.LogCaptureFixture, later: str
) -> None:
    """What only memory holds when the process ends is one error with number, credits and cause, unless a file helps."""
    blocked = tmp_path / "file"
    blocked.write_text("a file where folders would have to be")
    shutil.rmtree(temporary_folder)
    temporary_folder.write_text("here too")
    recorder = Recorder(blocked / "ledger.db")
    for number in range(4):
        recorder.record(event(f"e{number}", 1_500_000))
    recorder.record(event("unpriced", None))
    if later != "still blocked":
        temporary_folder.unlink()
        temporary_folder.mkdir()
    for _ in range(2):
        recorder.close()
    errors = [found.getMessage() for found in caplog.records if found.levelno == logging.ERROR]
    if later != "still blocked":
        assert (errors, recorder.dropped, len(list(recorder.pending()))) == ([], 0, 5)
        return
    (error,) = errors
    assert error.startswith("dropped 5 events of this process, 6 VND of spend: ")
    assert "File exists; check the folder" in error
    assert recorder.dropped == 5


def test_what_failed_is_said_and_not_the_rollback(path: Path) -> None:
    """Where SQLite has ended a transaction by itself, on a full disk, the error says that the disk is full."""
    with contextlib.closing(SqliteLedger(path)) as ledger:
        with pytest.raises(LedgerError, match="disk is full: make room"), ledger.write_transaction(1) as connection:
            connection.execute("PRAGMA max_page_count = 1")
            connection.execute("INSERT INTO budgets VALUES ('a', ?)", ("x" * 1_000_000,))
        ledger.close()
        assert ledger.insert(event())


OUT_OF_REACH = """
    import logging, os, sys
    import _litellm_maas_cli  # so that LiteLLM, which takes seconds, is not imported
    import filelock
    from pathlib import Path
    from litellm_maas.ledger import access
    from litellm_maas.ledger.recorder import Recorder
    from tests.factories import event
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    os.setgid(65534); os.setuid(65534)
    path = Path(sys.argv[1])
    print(access.flush(path).problem, flush=True)
    recorder = Recorder(path)
    recorder.record(event("mine", 1))
    recorder.flush()
    recorder.close()
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("what", ["the folder", "a file"])
def test_events_that_another_user_set_aside(open_folder: Path, what: str) -> None:
    """What waits in a folder or a file of another user, which this one may not read, is said and recorded by nobody."""
    path = open_folder / "ledger.db"
    open_folder.chmod(0o777)
    waiting = Path(f"{path}.outbox")
    waiting.mkdir(mode=0o700)
    (waiting / "w.json").write_text(event("w", 1).as_json())
    if what == "a file":
        waiting.chmod(0o777)
        (waiting / "w.json").chmod(0o600)
    environment = {**os.environ, "TMPDIR": str(open_folder), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", textwrap.dedent(OUT_OF_REACH), str(path)]
    said = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    if what == "the folder":
        problem, *log = said.splitlines()
        assert problem == (
            f"events may be queued in {waiting}, which is closed to this user (it belongs to user 0); "
            "run this as that user, or give the folder to this one"
        )
        assert set(log) == {problem}
    else:
        assert "w.json is another user's (Permission denied); run this as that user" in said
    assert total(path) == 1
    os.chown(path, 0, 0)
    assert replayed(path)
    assert total(path) == 2
