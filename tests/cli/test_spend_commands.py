from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from litellm_maas.cli.app import group
from litellm_maas.errors import MaasError
from litellm_maas.ledger.base import INSERT_EVENT, Correction, to_row
from litellm_maas.ledger.event import FIELDS, Event
from litellm_maas.ledger.sqlite import SqliteLedger
from tests.factories import NOW, corrected, event, random_events
from tests.helpers import run
from tests.ledger_files import recorded

Start = Callable[..., "subprocess.Popen[str]"]
COMMAND = str(Path(sys.executable).with_name("litellm-maas"))
OWN_PRICES = """
format: 1
lists:
  - {name: mine, from: null, to: null, source: a contract, models: {gemini/gemini-2.5-flash: {input: 100, output: 200}}}
"""
WITHOUT_LITELLM = """
    import sys
    import _litellm_maas_cli
    from click.testing import CliRunner
    from litellm_maas.cli.app import group
    for arguments in {calls!r}:
        result = CliRunner().invoke(group, arguments)
        assert result.exit_code == 0, result.output
    print("litellm" in sys.modules)
"""


def spend(path: Path, *arguments: str) -> Result:
    """Run `litellm-maas spend` in this process."""
    return CliRunner().invoke(group, ["spend", *arguments, "--ledger", str(path)])


def shown(path: Path, *arguments: str) -> str:
    """What it prints."""
    result = spend(path, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def mistake(path: Path, *arguments: str) -> str:
    """What it says is wrong."""
    result = spend(path, *arguments)
    assert isinstance(result.exception, MaasError), result.output
    return str(result.exception)


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, list[Event]]:
    """A ledger of random events with corrections, and the events as they count, oldest first."""
    path = tmp_path / "ledger.db"
    events = random_events(3, 200)
    ledger = recorded(path, events)
    events = corrected(ledger, events, 4)
    ledger.close()
    return path, sorted(events, key=lambda each: each.started_at)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `litellm-maas spend` as a process of its own, whose output is read line by line; ended with the test."""
    with contextlib.ExitStack() as processes:

        def started(path: Path, *arguments: str) -> subprocess.Popen[str]:
            environment = {name: value for name, value in os.environ.items() if not name.startswith("MAAS_")}
            # A shell starts what it runs in the background deaf to Ctrl-C, and its children are born so.
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            process = subprocess.Popen(
                [COMMAND, "spend", *arguments, "--ledger", str(path)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            signal.signal(signal.SIGINT, before)
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield started


def test_export_as_json_lines(history: tuple[Path, list[Event]]) -> None:
    """JSON lines read back are the events as they count, oldest first, with all fields and times in UTC."""
    path, events = history
    lines = shown(path, "export").splitlines()
    assert [Event.from_dict(json.loads(line)) for line in lines] == events
    record = json.loads(lines[0])
    assert tuple(record) == FIELDS
    assert record["started_at"].endswith("+00:00")
    assert isinstance(record["tags"], list)


def test_export_as_csv(history: tuple[Path, list[Event]]) -> None:
    """CSV read back is the events; lists are JSON, and what is not there is an empty cell."""
    path, events = history
    rows = list(csv.DictReader(io.StringIO(shown(path, "export", "--format", "csv"))))
    assert len(rows) == len(events)
    for row, each in zip(rows, events, strict=True):
        expected = each.as_dict()
        assert json.loads(row.pop("tags")) == expected.pop("tags")
        assert json.loads(row.pop("anomalies")) == expected.pop("anomalies")
        assert row == {name: "" if value is None else str(value) for name, value in expected.items()}


def test_export_of_a_period_into_a_file(history: tuple[Path, list[Event]], tmp_path: Path) -> None:
    """A period is exported from its first moment until its end, into a file, never silently over one."""
    path, events = history
    out = tmp_path / "out.jsonl"
    out.write_text("what stood there before\n" * 10_000)
    period = ("--since", "2026-10-01", "--until", "2026-10-31", "--timezone", "Europe/Paris")
    before = out.read_text()
    assert "out.jsonl already exists; name another --output" in mistake(path, "export", *period, "--output", str(out))
    assert out.read_text() == before
    assert spend(path, "export", *period, "--output", str(out), "--force").exit_code == 0
    since, until = (dt.datetime(2026, *at, tzinfo=dt.timezone.utc) for at in ((9, 30, 22), (10, 31, 23)))
    expected = [each for each in events if since <= each.started_at < until]
    assert expected
    assert [Event.from_dict(json.loads(line)) for line in out.read_text(encoding="utf-8").splitlines()] == expected


@pytest.mark.parametrize(
    ("only", "is_meant"),
    [
        ("unpriced", lambda each: each.micro_credits is None and each.status in ("ok", "cancelled")),
        ("estimated", lambda each: each.usage_source == "estimated"),
        ("anomalies", lambda each: each.anomalies != ()),
    ],
)
def test_export_of_what_is_odd(history: tuple[Path, list[Event]], only: str, is_meant: Any) -> None:
    """Calls without a price, with estimated tokens or with an impossible report can be exported alone."""
    path, events = history
    expected = [each.event_id for each in events if is_meant(each)]
    lines = shown(path, "export", "--only", only).splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == expected
    assert 0 < len(expected) < len(events)


def test_export_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Xlsx needs a file and its package; a file that cannot be written is an error, and leaves no half of it."""
    recorded(tmp_path / "ledger.db", [event(1)]).close()
    assert "name a file with --output" in spend(tmp_path / "ledger.db", "export", "--format", "xlsx").output
    out = str(tmp_path / "none" / "out.csv")
    assert "choose another --output" in mistake(tmp_path / "ledger.db", "export", "--output", out)
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    xlsx = ("--format", "xlsx", "--output", str(tmp_path / "out.xlsx"))
    assert "pip install xlsxwriter" in mistake(tmp_path / "ledger.db", "export", *xlsx)
    assert [file.name for file in tmp_path.glob("out*")] == []


def test_export_into_a_device(tmp_path: Path) -> None:
    """An output that is no file, such as a pipe's name, is written to as it is."""
    recorded(tmp_path / "ledger.db", [event(1)]).close()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert spend(tmp_path / "ledger.db", "export", "--output", str(pipe)).exit_code == 0
    reader.join()
    assert json.loads(read[0])["event_id"] == event(1).event_id
    assert pipe.is_fifo()


def test_export_without_a_ledger(tmp_path: Path) -> None:
    """A ledger that was named and is not there is exit status 1, with a CSV header, and makes no file."""
    done = spend(tmp_path / "ledger.db", "export")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"There is no ledger {tmp_path / 'ledger.db'}" in done.stderr
    assert "MAAS_TRACK_SPEND=1" in done.stderr
    done = spend(tmp_path / "ledger.db", "export", "--format", "csv")
    assert (done.exit_code, done.stdout) == (1, ",".join(FIELDS) + "\n")
    for form in ("jsonl", "csv", "xlsx"):
        out = tmp_path / f"out.{form}"
        assert spend(tmp_path / "ledger.db", "export", "--format", form, "--output", str(out)).exit_code == 1
        assert not out.exists()
    recorded(tmp_path / "empty.db", []).close()
    assert shown(tmp_path / "empty.db", "export", "--format", "csv") == ",".join(FIELDS) + "\n"


@pytest.mark.process
def test_export_is_made_of_constant_memory(tmp_path: Path) -> None:
    """Exporting 30,000 events takes no more memory than exporting 3,000."""
    peaks = []
    for number in (3_000, 30_000):
        path = tmp_path / f"{number}.db"
        ledger = SqliteLedger(path)
        connection = ledger._connection  # noqa: SLF001 - one transaction is a hundred times faster
        assert connection is not None
        connection.execute("BEGIN")
        connection.executemany(INSERT_EVENT, (to_row(event(each)) for each in range(number)))
        connection.execute("COMMIT")
        ledger.close()
        code = f"""
            import resource, sys
            import _litellm_maas_cli
            from pathlib import Path
            from litellm_maas.cli.app import group
            group(["spend", "export", "--ledger", {str(path)!r}, "--output", {os.devnull!r}], standalone_mode=False)
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        """
        peaks.append(int(run(code)))
    assert peaks[1] < peaks[0] * 1.1, peaks


def test_reprice_shows_first_and_writes_when_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repricing by one's own file shows the difference, writes nothing until told, and then reports follow it."""
    path, own = tmp_path / "ledger.db", tmp_path / "prices.yaml"
    unpriced: dict[str, Any] = {"model": "gemini/gemini-2.5-flash", "basis": "unpriced", "micro_credits": None}
    gpt_4o = event(1, price_source="official list of 2026-08-03 (vngcloud/docs, model-pricing-list, 2026-08-07)")
    recorded(path, [gpt_4o, event(2, **unpriced), event(3, **unpriced, output_tokens=10)]).close()
    assert "Nothing changes" in shown(path, "reprice")
    own.write_text(OWN_PRICES)
    monkeypatch.setenv("MAAS_PRICES", str(own))
    text = " ".join(shown(path, "reprice", "--since", "2026-11-01").split())
    assert "gemini/gemini-2.5-flash 2 - 0.202 VND 0.202 VND 2 without a price until now" in text
    assert f"litellm-maas spend reprice --since 2026-11-01 --ledger {path} --apply" in text
    assert json.loads(shown(path, "--json", "--since", "2026-01-01"))["total"]["unpriced_calls"] == 2
    dry = json.loads(shown(path, "reprice", "--json"))
    assert dry["applied"] is False
    changed = {"events": 2, "before": 0, "after": 202_000, "difference": 202_000}
    assert dry["total"] == {"model": None, **changed, "newly_priced": 2, "newly_unpriced": 0}
    applied = json.loads(shown(path, "reprice", "--apply", "--json", "--reason", "contract"))
    assert applied == dry | {"applied": True}
    found = json.loads(shown(path, "--json", "--since", "2026-01-01"))["total"]
    assert (found["unpriced_calls"], found["by_basis"]) == (0, {"custom": 202_000, "official": 70_888_000})
    assert "nothing is wrong" in shown(path, "verify")
    assert [row[0] for row in SqliteLedger(path).query("SELECT reason FROM corrections")] == ["contract"] * 2
    monkeypatch.delenv("MAAS_PRICES")
    text = " ".join(shown(path, "reprice", "--apply").split())
    assert "2 0.202 VND - -0.202 VND 2 without a price from now on" in text
    assert "2 calls corrected." in text


def test_reprice_only_what_was_asked_for(tmp_path: Path) -> None:
    """Repricing can be limited to a period and a model."""
    path = tmp_path / "ledger.db"
    cheap = {"micro_credits": 1}
    events = [event(1, **cheap), event(2, **cheap, model="openai/gpt-5"), event(60 * 24 * 30, **cheap)]
    recorded(path, events).close()
    text = shown(path, "reprice", "--model", "openai/gpt-4o", "--since", "2026-11-01")
    assert f"reprice --since 2026-11-01 --model openai/gpt-4o --ledger {path} --apply" in text
    found = json.loads(shown(path, "reprice", "--json", "--model", "openai/gpt-4o", "--since", "2026-11-01"))
    assert [(each["model"], each["events"]) for each in found["models"]] == [("openai/gpt-4o", 1)]
    assert json.loads(shown(path, "reprice", "--json"))["total"]["events"] == 3


def test_reprice_leaves_what_no_price_is_for(tmp_path: Path) -> None:
    """Token Plan calls, cache hits and refused calls cost nothing by any price."""
    path = tmp_path / "ledger.db"
    free: dict[str, Any] = {"micro_credits": 0}
    kinds: list[dict[str, Any]] = [{"basis": "plan"}, {"status": "cache_hit"}, {"status": "blocked"}]
    recorded(path, [event(number, **free, **kind) for number, kind in enumerate(kinds)]).close()
    assert "Nothing changes" in shown(path, "reprice")


def test_reprice_by_an_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With estimates switched on in the user's file, a model without any price is priced by LiteLLM's dollars."""
    path, own = tmp_path / "ledger.db", tmp_path / "prices.yaml"
    recorded(path, [event(1, model="gemini/gemini-2.5-flash", basis="unpriced", micro_credits=None)]).close()
    own.write_text("format: 1\nestimate: {vnd_per_usd: 25000}\n")
    monkeypatch.setenv("MAAS_PRICES", str(own))
    found = json.loads(shown(path, "reprice", "--apply", "--json"))
    assert found["total"]["after"] == 1000 * 300_000 // 1_000_000 * 25_000  # 0.30 dollars per million tokens
    assert list(json.loads(shown(path, "--json", "--since", "2026-01-01"))["total"]["by_basis"]) == ["estimate"]


def test_reprice_without_a_ledger_or_with_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a ledger, or with a mistake in the price file, nothing is written."""
    done = spend(tmp_path / "ledger.db", "reprice", "--apply")
    assert (done.exit_code, done.stdout) == (1, "")
    assert not (tmp_path / "ledger.db").exists()
    (tmp_path / "prices.yaml").write_text("format: 2\n")
    monkeypatch.setenv("MAAS_PRICES", str(tmp_path / "prices.yaml"))
    assert "prices.yaml:1: format" in mistake(tmp_path / "ledger.db", "reprice")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A ledger in which nothing is wrong."""
    path = tmp_path / "ledger.db"
    events = [event(number, started_at=NOW - number * dt.timedelta(minutes=7)) for number in range(50)]
    ledger = recorded(path, events)
    ledger.correct([Correction(events[3].event_id, 5, 0, "custom", "contract", "test")])
    ledger.close()
    return path


def tamper(path: Path, *statements: str) -> None:
    """Change rows behind the ledger's back."""
    ledger = SqliteLedger(path)
    connection = ledger._connection  # noqa: SLF001 - that is what tampering is
    assert connection is not None
    guards = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
    for statement in (*(f"DROP TRIGGER {name}" for name in guards), *statements):
        connection.execute(statement)
    ledger.close()


def test_verify_a_sound_ledger(sound: Path) -> None:
    """A sound ledger is said to be sound."""
    assert shown(sound, "verify") == f"{sound}: nothing is wrong.\n"
    assert json.loads(shown(sound, "verify", "--json")) == {
        "ledger": str(sound),
        "problems": [],
        "not_repriced": 1,
    }


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE events SET micro_credits = 1 WHERE seq = 7", "by the official list 70888000"),
        (
            "UPDATE events SET input_tokens = 999 WHERE seq = 7",
            "input_tokens of openai/gpt-4o provider ok official in the hour of",
        ),
        ("UPDATE events SET micro_credits = NULL WHERE seq = 7", "its basis is official and its cost None"),
        ("UPDATE events SET micro_credits = -5, basis = 'custom' WHERE seq = 7", "its cost is negative"),
        ("UPDATE events SET cached_tokens = 5000 WHERE seq = 7", "more cached than input tokens"),
        ("UPDATE events SET ended_at = 5 WHERE seq = 7", "ended before it began"),
        ("UPDATE events SET tags = '[' WHERE seq = 7", "an event cannot be read"),
        ("DELETE FROM events WHERE seq = 7", "calls of openai/gpt-4o provider ok official in the hour of"),
        (
            "UPDATE rollup_hourly SET output_tokens = 3",
            "output_tokens of openai/gpt-4o provider ok official in the hour of",
        ),
        (
            "INSERT INTO corrections SELECT 99, 'x', 0, NULL, 0, 'custom', NULL, 'reason'",
            "1 corrections of events that are not there",
        ),
    ],
)
def test_verify_finds_what_was_changed(sound: Path, statement: str, says: str) -> None:
    """A row that was changed, removed or added behind the ledger's back is found, with exit status 1."""
    tamper(sound, statement)
    done = spend(sound, "verify")
    assert done.exit_code == 1
    assert says in done.stdout
    done = spend(sound, "verify", "--json")
    assert done.exit_code == 1
    assert any(says in problem for problem in json.loads(done.stdout)["problems"])


def test_verify_finds_money_moved_between_hours(sound: Path) -> None:
    """Sums that are right in all and wrong in an hour are found."""
    tamper(
        sound,
        "UPDATE rollup_hourly SET calls = calls + 1 WHERE hour = (SELECT min(hour) FROM rollup_hourly)",
        "UPDATE rollup_hourly SET calls = calls - 1 WHERE hour = (SELECT min(hour) + 1 FROM rollup_hourly)",
    )
    assert len(spend(sound, "verify").stdout.splitlines()) == 2


def test_verify_names_the_first_twenty(sound: Path) -> None:
    """Where everything is wrong the first of it is named and the rest counted."""
    tamper(sound, "UPDATE events SET ended_at = 5")
    lines = spend(sound, "verify").stdout.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 30 more problems with events"


def test_verify_a_damaged_file(sound: Path) -> None:
    """An index that no longer says what the rows say is found by the database's own check, and only that is shown."""
    ledger = SqliteLedger(sound)
    ((page,),) = ledger.query("SELECT rootpage FROM sqlite_master WHERE name = 'events_by_time'")
    ((size,),) = ledger.query("PRAGMA page_size")
    ledger.checkpoint()
    ledger.close()
    content = bytearray(sound.read_bytes())
    content[page * size - 4] ^= 1  # in the first entry, which stands at the end of the page
    sound.write_bytes(content)
    done = spend(sound, "verify")
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == 1
    assert "events_by_time" in done.stdout
    assert "hourly sums" not in done.stdout


def test_verify_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    """What is no database at all is an error that says what to do."""
    (tmp_path / "ledger.db").write_bytes(os.urandom(20_000))
    assert "move it away" in mistake(tmp_path / "ledger.db", "verify")


def test_verify_without_a_ledger(tmp_path: Path) -> None:
    """To verify a ledger that is not there is a mistake."""
    assert "there is no ledger" in mistake(tmp_path / "ledger.db", "verify")


@pytest.fixture
def tail(sound: Path, start: Start) -> subprocess.Popen[str]:
    """A running `spend tail --json --lines 2`."""
    return start(sound, "tail", "--json", "--lines", "2")


def next_number(process: subprocess.Popen[str]) -> int:
    """The number of the event that is printed next."""
    assert process.stdout is not None
    return int(json.loads(process.stdout.readline())["event_id"], 16)


@pytest.mark.process
def test_tail_follows_until_interrupted(sound: Path, tail: subprocess.Popen[str]) -> None:
    """It begins with the last events, follows what is recorded, and ends cleanly on Ctrl-C."""
    assert [next_number(tail) for _ in range(2)] == [48, 49]
    with_more = recorded(sound, [event(number) for number in (100, 101, 102)])
    assert [next_number(tail) for _ in range(3)] == [100, 101, 102]
    with_more.close()
    tail.send_signal(signal.SIGINT)
    out, err = tail.communicate(timeout=20)
    assert (tail.returncode, out, err) == (0, "", "")


@pytest.mark.process
def test_tail_follows_a_new_ledger(sound: Path, tail: subprocess.Popen[str]) -> None:
    """A ledger that is moved away while it runs, and made anew, is followed from its beginning."""
    assert [next_number(tail) for _ in range(2)] == [48, 49]
    for file in sound.parent.glob("ledger.db*"):
        file.rename(file.with_name(f"old-{file.name}"))
    recorded(sound, [event(7)]).close()
    assert next_number(tail) == 7


@pytest.mark.process
def test_tail_of_a_file_that_is_no_ledger(tmp_path: Path, start: Start) -> None:
    """What is no ledger, and does not become one, is an error."""
    (tmp_path / "ledger.db").write_text("not a database, but long enough to be looked at as one" * 100)
    out, err = start(tmp_path / "ledger.db", "tail").communicate(timeout=20)
    assert (out, len(err.splitlines())) == ("", 1)
    assert "move it away" in err


@pytest.mark.process
def test_tail_waits_for_a_ledger(tmp_path: Path, start: Start) -> None:
    """Without a ledger it waits for one; lines for people show time, model, tokens and cost."""
    process = start(tmp_path / "ledger.db", "tail")
    assert process.stderr is not None
    assert process.stderr.readline() == f"No spend is recorded in {tmp_path / 'ledger.db'} yet; waiting for it.\n"
    recorded(tmp_path / "ledger.db", [event(1, cached_tokens=400, micro_credits=56_710_400)]).close()
    assert process.stdout is not None
    line = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "")
    assert line == ("2026-11-22 18:36:05  openai/gpt-4o  ok  1,000 in (400 cached)  0 out  56.71 VND  official\n")


@pytest.mark.process
def test_tail_ends_when_nobody_reads(sound: Path, start: Start) -> None:
    """When the reader of its output goes away it ends at once, without a word, though nothing more is recorded."""
    process = start(sound, "tail")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert (process.stderr.read(), process.wait(timeout=20)) == ("", 0)
    process.stderr.close()


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [
        ("export",),
        ("export", "--format", "csv"),
        ("--by", "session", "--csv"),
        ("--by", "session"),
        ("--by", "session", "--json"),
    ],
)
def test_a_closed_pipe_is_no_traceback(tmp_path: Path, arguments: tuple[str, ...], start: Start) -> None:
    """`| head` ends a long output without a word on standard error."""
    path = tmp_path / "ledger.db"
    recorded(path, (event(number, session_id=f"session {number}") for number in range(2_000))).close()
    process = start(path, *arguments, "--since", "2026-01-01")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=20) in (0, 1)
    process.stderr.close()


@pytest.mark.process
def test_errors_are_one_line(tmp_path: Path, start: Start) -> None:
    """As a process it says what is wrong in one line, with exit status 1."""
    process = start(tmp_path / "ledger.db", "--since", "soon")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("Error: 'soon' is not a time")
    assert len(err.splitlines()) == 1


@pytest.mark.process
def test_output_that_has_no_such_characters(sound: Path, monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    """Where the output cannot show ₫ or a bar, plain characters take their place, and JSON stays JSON."""
    recorded(sound, [event(1000, user="bình")]).close()
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.setenv("LC_ALL", "vi_VN")
    out, err = start(sound, "--chart", "--since", "2026-01-01").communicate(timeout=20)
    assert "###" in out
    assert "VND" in out
    assert err == ""
    out, _ = start(sound, "--by", "user", "--json", "--since", "2026-01-01").communicate(timeout=20)
    assert "bình" in [group["key"]["user"] for group in json.loads(out)["groups"]]
    out, err = start(sound, "--by", "user", "--since", "2026-01-01").communicate(timeout=20)
    assert ("b?nh" in out, err) == (True, "")
    command = [COMMAND, "spend", "--by", "user", "--csv", "--since", "2026-01-01", "--ledger", str(sound)]
    assert "bình," in subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8")


@pytest.mark.process
@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), (None, False)])
def test_colours(
    sound: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str] | None, coloured: bool
) -> None:
    """There are colours on a terminal, not with NO_COLOR, and not where the output is no terminal."""
    import pty

    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in (variables or {}).items():
        monkeypatch.setenv(name, value)
    command = [COMMAND, "spend", "--chart", "--since", "2026-01-01", "--ledger", str(sound)]
    if variables is None:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        parent, child = pty.openpty()
        subprocess.run(command, stdout=child, check=True)
        os.close(child)
        text = os.read(parent, 100_000).decode()
        os.close(parent)
    assert "█" in text
    assert ("\x1b[36m" in text) is coloured


@pytest.mark.process
def test_nothing_of_it_loads_litellm(sound: Path, tmp_path: Path) -> None:
    """Reports, exports, verifying and repricing answer without loading LiteLLM, which takes seconds."""
    (tmp_path / "prices.yaml").write_text(OWN_PRICES)
    ledger = ["--ledger", str(sound)]
    calls = [
        *(
            ["spend", *arguments, *ledger]
            for arguments in ((), ("--by", "tag,day"), ("--chart",), ("--json",), ("--csv",))
        ),
        *(["spend", subcommand, *ledger] for subcommand in ("export", "verify", "reprice")),
        *(["spend", *subcommand, "--help"] for subcommand in ((), ("tail",), ("export",), ("reprice",), ("verify",))),
    ]
    assert run(WITHOUT_LITELLM.format(calls=calls), MAAS_PRICES=str(tmp_path / "prices.yaml")) == "False"


@pytest.mark.process
def test_the_installed_command(sound: Path, start: Start) -> None:
    """The installed command prints the JSON of the contract."""
    out, err = start(sound, "--json", "--since", "2026-01-01", "--by", "model").communicate(timeout=20)
    found = json.loads(out)
    assert err == ""
    assert (found["total"]["calls"], found["groups"][0]["key"]) == (50, {"model": "openai/gpt-4o"})
