"""What every test gets: a home and an environment of its own, LiteLLM as it was imported, and a check of two promises.

Whatever is run here, no key is printed and nothing is left in the data folder of whoever runs it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import litellm
import pytest

import litellm_maas
from litellm_maas import settings, testing
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Sandbox
from tests.helpers import KEY, OTHER_KEYS

REAL_DATA_FOLDER = settings.data_folder()
"""That of whoever runs the tests."""


COVERED_PROCESSES = ("test_cli", "test_doctor", "test_recorder", "test_spend_commands", "test_versions")
"""Files of tests whose processes run code that no test runs itself. To trace those of others costs a minute."""


def live_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process, and those that it starts, take a folder for the user's home."""
    monkeypatch.setenv("HOME", str(home))
    for name, part in (("DATA", ".local/share"), ("STATE", ".local/state"), ("CONFIG", ".config"), ("CACHE", ".cache")):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / part))


def left_in(folder: Path) -> set[Path]:
    """The files below a folder that belong to this package, but for those that SQLite keeps beside an open one."""
    found = (file for file in folder.rglob("*") if not file.name.endswith(("-wal", "-shm")))
    return {file for file in found if "litellm-maas" in str(file.relative_to(folder.parent))}


@pytest.fixture(scope="session", autouse=True)
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the session have a home that is nobody's, and find nothing left there, nor in the real one, at its end."""
    home = tmp_path_factory.mktemp("home")
    before = left_in(REAL_DATA_FOLDER)
    with pytest.MonkeyPatch.context() as monkeypatch:
        live_in(home, monkeypatch)
        yield
    assert not left_in(home), "a test wrote into the home of the session: give what it starts a home of its own"
    assert left_in(REAL_DATA_FOLDER) == before, "a test wrote into the data folder of whoever runs the tests"


_started: list[str] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    # Only programs of this environment: `platform`, for one, runs uname the first time that somebody asks.
    is_own = event in ("subprocess.Popen", "os.posix_spawn") and str(arguments[0]).startswith(sys.prefix)
    if event == "os.fork" or is_own:
        _started.append(f"{event} {arguments[:1]}")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def marked_processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that starts a process and is not marked `process`: `-m "not process"` is there to be quick."""
    del _started[:]
    yield
    if request.node.get_closest_marker("process") is None:
        assert not _started, "a test that starts a process is marked: @pytest.mark.process"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the machine's keys nor its settings reach a test, and what it records by default is in its own folder."""
    for name in list(os.environ):
        if name.startswith(("MAAS_", "OPENAI_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    live_in(tmp_path / "home", monkeypatch)


@pytest.fixture(autouse=True)
def uncovered_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the processes that a test starts unmeasured, unless they are the ones that run some of the code at all."""
    if request.path.stem not in COVERED_PROCESSES:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def registered() -> tuple[object, ...]:
    """What LiteLLM has been told of the provider."""
    ours = {name: dict(entry) for name, entry in litellm.model_cost.items() if name.startswith("maas/")}
    return id(litellm.model_cost), ours, list(litellm.custom_provider_map), list(litellm._custom_providers)  # noqa: SLF001 - LiteLLM's second list


@pytest.fixture(autouse=True)
def clean_litellm() -> Iterator[None]:
    """What a test sets on LiteLLM is gone after it."""
    before = {name: getattr(litellm, name) for name in ("cache", "drop_params", "num_retries", "model_cost")}
    providers, told = list(litellm.custom_provider_map), registered()
    litellm.suppress_debug_info = True
    yield
    changed = registered() != told
    for name, value in before.items():
        setattr(litellm, name, value)
    litellm.custom_provider_map = providers
    # LiteLLM keeps callbacks in seven lists and takes no second one of the same class.
    litellm.logging_callback_manager._reset_all_callbacks()  # type: ignore[no-untyped-call]  # noqa: SLF001 - untyped, and nothing public does it
    if changed:  # to register takes longer than most tests
        litellm_maas.register()


@pytest.fixture(autouse=True)
def clean_tracking() -> Iterator[None]:
    """Recording that a test switches on is off after it, and its ledgers are closed."""
    yield
    testing.reset()


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A fresh sandbox to which the environment leads."""
    with Sandbox(key=KEY) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def ledger_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where spend is recorded while the test runs; what cannot be recorded is queued in the test's own folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("MAAS_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("MAAS_TRACK_SPEND", "1")
    yield tmp_path / "ledger.db"
    runtime.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose output, log or traceback holds a key."""
    report = yield
    printed = "\n".join([*(text for _, text in report.sections), report.longreprtext])
    if any(key in printed for key in (KEY, *OTHER_KEYS)):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a key was printed"
        report.sections = []
    return report
