"""Whatever order duplicates, retries, replays and crashes come in: the same rows, and the same total."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import warnings
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from litellm_maas.errors import LedgerBusyError
from litellm_maas.ledger import recorder as recorder_module
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.ledger.verify import verify
from tests.factories import event, random_event
from tests.helpers import ROOT
from tests.ledger_files import rows, total

RECORDERS = 3


@pytest.fixture(autouse=True, scope="module")
def garbage_of_others() -> None:
    """Hypothesis collects garbage when it begins: what earlier tests left must not count against this one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class Ledger(RuleBasedStateMachine):
    """Several recorders on one file, and everything that can come between them and it."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.path = self.folder / "ledger.db"
        self.stack.enter_context(mock.patch.object(tempfile, "tempdir", str(self.folder)))
        self.stack.enter_context(mock.patch.object(recorder_module, "_WAIT", 0.005))
        self.stack.enter_context(mock.patch.object(recorder_module, "_PAUSE", 0))
        self.stack.enter_context(mock.patch.object(recorder_module.logger, "warning"))
        self.recorders = [Recorder(self.path) for _ in range(RECORDERS)]
        self.crashed: list[Recorder] = []
        self.expected: dict[str, Event] = {}
        self.lock: sqlite3.Connection | None = None

    @initialize()
    def begin(self) -> None:
        """The ledger is there, so that it can be locked."""
        self.record(0, 0, "sync", behind_a_lock=False)

    @rule(
        which=st.integers(0, RECORDERS - 1),
        number=st.integers(0, 30),
        how=st.sampled_from(["sync", "async", "now", "twice"]),
        behind_a_lock=st.booleans(),
    )
    def record(self, which: int, number: int, how: str, behind_a_lock: bool) -> None:
        """An event is recorded: a new one, or one that was recorded before, by whichever recorder and way."""
        if behind_a_lock and self.lock is None:
            self.hold()
            self.record(which, number, how, behind_a_lock)
            self.release()
            return
        made = random_event(random.Random(number), f"e{number}")
        recorder = self.recorders[which]
        if how == "async":
            asyncio.run(recorder.arecord(made))
        elif how == "now":
            recorder.record_nowait(made)
        else:
            for _ in range(2 if how == "twice" else 1):
                recorder.record(made)
        self.expected[made.event_id] = made

    @rule(which=st.integers(0, RECORDERS - 1))
    def crash(self, which: int) -> None:
        """A process dies: nothing is closed and nothing in its memory survives."""
        if self.recorders[which]._backlog:  # noqa: SLF001 - what no disk took is lost with the process, by design
            return
        self.crashed.append(self.recorders[which])
        self.recorders[which] = Recorder(self.path)

    @rule(which=st.integers(0, RECORDERS - 1))
    def end(self, which: int) -> None:
        """A process ends in good order, and another begins."""
        self.recorders[which].close()
        self.recorders[which] = Recorder(self.path)

    @rule(which=st.integers(0, RECORDERS - 1))
    def replay(self, which: int) -> None:
        """Somebody asks for what waits to be recorded."""
        with contextlib.suppress(LedgerBusyError):  # the other program, or the recorder's own replay
            self.recorders[which].flush()

    @precondition(lambda self: self.lock is None)
    @rule()
    def hold(self) -> None:
        """Another program takes the write lock and keeps it."""
        self.lock = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        self.lock.execute("BEGIN IMMEDIATE")

    @precondition(lambda self: self.lock is not None)
    @rule()
    def release(self) -> None:
        """It lets go."""
        assert self.lock is not None
        self.lock.close()
        self.lock = None

    @rule(all_of_them=st.booleans())
    def come_back(self, all_of_them: bool) -> None:
        """Side files of recorded events lie there: a process died between recording one and removing it."""
        waiting = Path(f"{self.path}.outbox")
        waiting.mkdir(exist_ok=True)
        for made in rows(self.path)[:: 1 if all_of_them else 3]:
            (waiting / f"{made.event_id}.json").write_text(json.dumps(made.as_dict()))

    @rule()
    def checkpoint(self) -> None:
        """The log is moved into the ledger."""
        with contextlib.closing(SqliteLedger(self.path)) as ledger:
            ledger.checkpoint()

    @invariant()
    def nothing_is_there_that_nobody_recorded(self) -> None:
        """At any moment the ledger holds a part of what was recorded, unchanged."""
        for found in rows(self.path) if self.path.exists() else ():
            assert self.expected[found.event_id] == found

    def teardown(self) -> None:
        """In the end, everything that was recorded is there, once, and the sums agree."""
        try:
            if self.lock is not None:
                self.release()
            recorder_module._WAIT = 5  # noqa: SLF001 - from here on, nothing is in the way for long
            for recorder in self.recorders:
                recorder.close()
            with contextlib.closing(Recorder(self.path)) as last:
                last.flush()
                assert list(last.pending()) == []
            found = rows(self.path)
            assert {made.event_id: made for made in found} == self.expected
            assert len(found) == len(self.expected)
            assert total(self.path) == sum(made.micro_credits or 0 for made in self.expected.values())
            with contextlib.closing(SqliteLedger(self.path)) as ledger:
                assert [problem for problem in verify(ledger) if "hourly" in problem] == []
            assert all(recorder.dropped == 0 for recorder in self.recorders)
        finally:
            for recorder in self.crashed:
                recorder.close()
            self.stack.close()


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


UNTIL_KILLED = """
    import sys
    from pathlib import Path
    import _litellm_maas_cli  # so that LiteLLM, which takes seconds, is not imported
    from litellm_maas.ledger.recorder import Recorder
    from tests.factories import event
    recorder = Recorder(Path(sys.argv[1]))
    for number in range(int(sys.argv[2]), 10**9):
        recorder.record(event(f"e{number}", 1))
        print(number, flush=True)
"""


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_killed_at_any_moment(tmp_path: Path) -> None:
    """A process that is killed anywhere in its work has recorded whatever `record` has returned from, and no more."""
    path, pick, confirmed = tmp_path / "ledger.db", random.Random(5), 0
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(UNTIL_KILLED), str(path), str(confirmed)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as process:
            assert process.stdout is not None
            for _ in range(pick.randint(1, 400)):
                confirmed = int(process.stdout.readline()) + 1
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:  # what it had written before it died
                confirmed = int(line) + 1 if line.endswith(b"\n") else confirmed
    recorded = {int(made.event_id[1:]) for made in rows(path)}
    assert set(range(confirmed)) <= recorded
    assert len(recorded) - confirmed <= 1  # one may be recorded and not yet confirmed
    with contextlib.closing(SqliteLedger(path)) as ledger:
        assert verify(ledger) == []


def test_a_ledger_copied_in_the_midst_of_a_crash_is_whole(tmp_path: Path) -> None:
    """The files as they lie on the disk at any moment, copied elsewhere, are a ledger with every confirmed event."""
    path = tmp_path / "ledger.db"
    with contextlib.closing(Recorder(path)) as recorder:
        for number in range(200):
            recorder.record(event(f"e{number}", 1))
            if number % 20 == 19:
                copy = tmp_path / f"copy-{number}"
                copy.mkdir()
                for file in tmp_path.glob("ledger.db*"):
                    shutil.copy(file, copy)
                assert total(copy / "ledger.db") == number + 1
