"""Filters, groupings and periods of `litellm-maas spend` and its subcommands, and what is said beside the numbers."""

from __future__ import annotations

import datetime as dt
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from litellm_maas.cli import tables
from litellm_maas.cli.app import group
from litellm_maas.errors import MaasError
from litellm_maas.ledger import periods, reports
from litellm_maas.ledger.event import Event, sanitize_text
from litellm_maas.ledger.filters import Filters
from litellm_maas.ledger.location import PostgresLocation, resolve_location
from litellm_maas.ledger.periods import Period
from litellm_maas.ledger.postgres import PostgresLedger
from tests.factories import NOW, event, random_events, total
from tests.ledger_files import recorded

COMMAND = str(Path(sys.executable).with_name("litellm-maas"))
FILTERS: list[tuple[tuple[str, ...], Any]] = [
    (("--model", "maas/openai/gpt-4o"), lambda each: each.model == "openai/gpt-4o"),
    (("--user", "bình"), lambda each: each.user == "bình"),
    (("--end-user", "khách 2"), lambda each: each.end_user == "khách 2"),
    (("--team", "x"), lambda each: each.team == "x"),
    (("--team", "x-1"), lambda each: each.team_id == "x-1"),
    (("--team", ""), lambda each: not each.team and not each.team_id),
    (("--key", "key-2"), lambda each: each.key_alias == "key-2"),
    (("--session", "s2"), lambda each: each.session_id == "s2"),
    (("--status", "failed"), lambda each: each.status == "failed"),
    (("--host", "maas.vn"), lambda each: each.host == "maas.vn"),
    (("--tag", "đêm"), lambda each: "đêm" in each.tags),
    (("--tag", ""), lambda each: not each.tags),
    (("--user", "an", "--team", "x", "--status", "ok"), lambda each: (each.user, each.team, each.status) == ("an", "x", "ok")),
]  # fmt: skip


@pytest.fixture(autouse=True)
def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always the same moment."""
    monkeypatch.setattr(periods, "now", NOW.astimezone)
    for name in ("LC_ALL", "LC_MONETARY", "LANG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A ledger of random events, and the events."""
    path = tmp_path_factory.mktemp("history") / "ledger.db"
    events = random_events(5, 400)
    recorded(path, events).close()
    return path, sorted(events, key=lambda each: each.started_at)


def spend(path: Path, *arguments: str) -> Result:
    """Run `litellm-maas spend` in this process."""
    return CliRunner().invoke(group, ["spend", *arguments, "--ledger", str(path)])


def words(path: Path, *arguments: str) -> str:
    """What it prints, in one line."""
    result = spend(path, *arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def as_json(path: Path, *arguments: str) -> Any:
    """What it prints as JSON."""
    result = spend(path, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.process
@pytest.mark.parametrize(("filters", "has"), FILTERS)
def test_every_command_takes_every_filter(
    history: tuple[Path, list[Event]], filters: tuple[str, ...], has: Any
) -> None:
    """Totals, exports, repricing and the tail are about the same events."""
    path, events = history
    chosen = [each.event_id for each in events if has(each)]
    assert 0 < len(chosen) < len(events)
    assert as_json(path, *filters, "--since", "2026-01")["total"]["calls"] == len(chosen)
    lines = spend(path, "export", *filters).stdout.splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == chosen
    repriced = as_json(path, "reprice", *filters)
    everything = [each for each in events if each.basis != "plan" and each.status not in ("cache_hit", "blocked")]
    assert repriced["total"]["events"] <= sum(has(each) for each in everything)
    assert bool(repriced["total"]["events"]) == any(has(each) for each in everything)
    follow = [COMMAND, "spend", "tail", "--json", "--lines", "3", *filters, "--ledger", str(path)]
    in_order_of_recording = [each.event_id for each in random_events(5, 400) if has(each)][-3:]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = [json.loads(process.stdout.readline())["event_id"] for _ in in_order_of_recording]
        process.send_signal(signal.SIGTERM)
    assert found == in_order_of_recording


def test_filters_in_postgres(
    history: tuple[Path, list[Event]], database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every filter and every grouping of a ledger in PostgreSQL gives what plain Python adds up."""
    _, events = history
    monkeypatch.setenv("MAAS_HOME", str(tmp_path))
    where = resolve_location(database)
    assert isinstance(where, PostgresLocation)
    with PostgresLedger(where) as ledger:
        ledger.insert(events)
        for filters, has in FILTERS:
            named = {
                name.removeprefix("--").replace("-", "_"): value
                for name, value in zip(filters[::2], filters[1::2], strict=True)
            }
            named["model"] = named.get("model", "").removeprefix("maas/") or None  # type: ignore[assignment]
            chosen = [each for each in events if has(each)]
            for by in ((), ("month",), ("week", "host"), ("user", "end_user"), ("tag",)):
                found = reports.report(ledger, Period(None, None), dt.timezone.utc, by, Filters(**named))
                assert found.total.as_dict() == total(chosen)
                if "tag" not in by and by:
                    assert sum(group.calls for group in found.groups.values()) == len(chosen)


def test_a_very_long_name_is_found_as_it_is_recorded(tmp_path: Path) -> None:
    """A name that was cut when it was recorded is found by the whole of it."""
    name = "người dùng " * 100
    recorded(tmp_path / "ledger.db", [event(1, user=sanitize_text(name)), event(2)]).close()
    assert as_json(tmp_path / "ledger.db", "--user", name)["total"]["calls"] == 1


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (("--user", "bìn"), "No call of the user bìn is recorded; did you mean bình?"),
        (("--end-user", "nosuch"), "No call of the end user nosuch is recorded; there are: khách 1, khách 2."),
        (("--team", "nosuch"), "No call of the team nosuch is recorded; there are: x, x-1."),
        (("--key", "other"), "No call of the key other is recorded; there are: key-1, key-2."),
        (("--session", "nosuch"), "No call of the session nosuch is recorded; there are: s1, s2."),
        (("--host", "maas"), "No call to maas is recorded; did you mean maas.vn?"),
        (("--tag", "nosuch"), "No call with the tag nosuch is recorded; there are: a, b, c, b, đêm."),
    ],
)
def test_a_name_that_nobody_has(history: tuple[Path, list[Event]], filters: tuple[str, ...], says: str) -> None:
    """A filter that no call matches is said to be one, with the names that there are."""
    assert says in words(history[0], *filters)
    assert says in " ".join(spend(history[0], *filters, "--json").stderr.split())


def test_many_names_are_not_listed(tmp_path: Path) -> None:
    """Where there are many names, the command that lists them is said, without the filter that matches nothing."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(number, user=f"user {number}") for number in range(20)]).close()
    text = words(path, "--user", "nosuch", "--month", "this")
    assert f"litellm-maas spend --by user --month this --ledger {path}" in text


@pytest.mark.parametrize(
    "by", [("--by", "day,model"), ("--by", "day", "--by", "model"), ("--by", "day", "--by", " model,day")]
)
def test_repeated_groupings_add_up(history: tuple[Path, list[Event]], by: tuple[str, ...]) -> None:
    """`--by` twice groups by both."""
    found = as_json(history[0], *by, "--since", "2026-01")
    assert found == as_json(history[0], "--by", "day,model", "--since", "2026-01")
    assert tuple(found["groups"][0]["key"]) == ("day", "model")


def test_groupings_as_options_are_written(history: tuple[Path, list[Event]]) -> None:
    """`--by end-user` is `--by end_user`."""
    assert as_json(history[0], "--by", "end-user") == as_json(history[0], "--by", "end_user")


@pytest.mark.parametrize(
    ("typed", "since", "until", "heading"),
    [
        (("--month", "2026-10"), "2026-10-01", "2026-11-01", "2026-10-01 … 2026-10-31 (31 days)"),
        (("--month", "last"), "2026-10-01", "2026-11-01", "2026-10-01 … 2026-10-31 (31 days)"),
        (("--since", "2026-10-01", "--until", "2026-10-31"), "2026-10-01", "2026-11-01", "2026-10-01 … 2026-10-31 (31 days)"),
        (("--since", "2026-10", "--until", "2026-10"), "2026-10-01", "2026-11-01", "2026-10-01 … 2026-10-31 (31 days)"),
        (("--since", "2026-11"), "2026-11-01", None, "2026-11-01 … 2026-11-22 (22 days so far)"),
        (("--since", "last week", "--until", "last week"), "2026-11-09", "2026-11-16", "2026-11-09 … 2026-11-15 (7 days)"),
        (("--by", "day"), "2026-11-01", "2026-12-01", "2026-11-01 … 2026-11-22 (22 days so far)"),
        (("--since", "2026-10-31T12:00", "--until", "2026-11-01T12:00"), "2026-10-31T12:00", "2026-11-01T12:00", "2026-10-31 12:00 … 2026-11-01 12:00"),
    ],
)  # fmt: skip
def test_a_period_is_counted_and_shown(
    history: tuple[Path, list[Event]], typed: tuple[str, ...], since: str, until: str | None, heading: str
) -> None:
    """A period is counted to the end of its last day; the heading says so in words, JSON has the exact ends."""
    path, events = history
    ends = [None if each is None else dt.datetime.fromisoformat(each).replace(tzinfo=periods.zone(periods.DEFAULT_ZONE)) for each in (since, until)]  # fmt: skip
    first, end = ends
    assert first is not None
    chosen = [each for each in events if first <= each.started_at and (end is None or each.started_at < end)]
    found = as_json(path, *typed)
    assert found["total"]["calls"] == len(chosen) > 0
    assert [found[name] and dt.datetime.fromisoformat(found[name]) for name in ("since", "until")] == ends
    assert spend(path, *typed).stdout.splitlines()[0] == heading
    chart = typed if "--by" in typed else (*typed, "--by", "model")
    assert spend(path, *chart, "--chart").stdout.splitlines()[0] == heading


def test_the_heading_says_what_the_numbers_are_of(history: tuple[Path, list[Event]]) -> None:
    """Filters, and a zone of days that is not Vietnam's, stand in the heading."""
    found = spend(history[0], "--month", "2026-10", "--team", "x", "--end-user", "", "--timezone", "UTC").stdout
    assert found.splitlines()[0] == "2026-10-01 … 2026-10-31 (31 days), days of UTC, end user (none), team x"


@pytest.mark.parametrize(
    "typed", [("--month", "2026-10", "--since", "2026-10-01"), ("--month", "2026-10", "--until", "today")]
)
def test_a_month_is_a_period_of_its_own(tmp_path: Path, typed: tuple[str, ...]) -> None:
    """`--month` goes with no other end."""
    assert "--month is a period of its own" in spend(tmp_path / "ledger.db", *typed).output


def test_a_month_that_is_yet_to_come(tmp_path: Path) -> None:
    """Nothing is recorded in the future."""
    result = spend(tmp_path / "ledger.db", "--month", "2027-01")
    assert isinstance(result.exception, MaasError)
    assert "--month 2027-01 is in the future" in str(result.exception)


def test_what_a_wrong_clock_recorded_is_in_no_current_period(tmp_path: Path) -> None:
    """Calls that a clock ahead of its time recorded are not in today, this week and this month."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(1), event(2, started_at=NOW + dt.timedelta(days=3650))]).close()
    assert [each["calls"] for each in as_json(path)["groups"]] == [1, 1, 1]
    assert as_json(path, "--since", "2026-01")["total"]["calls"] == 2


def test_weeks_and_months_in_a_chart(tmp_path: Path) -> None:
    """Weeks and months without a call are drawn too, each once, in the order of time."""
    starts = [
        dt.datetime(2026, month, day, 5, tzinfo=dt.timezone.utc) for month, day in ((1, 31), (2, 28), (5, 1), (11, 1))
    ]
    recorded(tmp_path / "ledger.db", [event(number, started_at=at) for number, at in enumerate(starts)]).close()
    _, *lines = spend(tmp_path / "ledger.db", "--by", "month", "--chart", "--since", "2026-01").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [f"2026-{month:02}" for month in range(1, 12)]
    _, *lines = spend(tmp_path / "ledger.db", "--by", "week", "--chart", "--since", "2026-01").stdout.splitlines()
    mondays = [f"{dt.date(2026, 1, 26) + dt.timedelta(weeks=week)}" for week in range(40)]
    assert [line.split()[0] for line in lines] == mondays


@pytest.mark.parametrize("form", [(), ("--by", "model"), ("--json",), ("--csv",), ("--chart",)])
def test_calls_of_several_hosts_are_said(tmp_path: Path, form: tuple[str, ...]) -> None:
    """Where a total has calls of more than one host, that is said, with the command that keeps them apart."""
    path = tmp_path / "ledger.db"
    events = [event(1, host="maas.vn"), event(2, host="127.0.0.1:8787"), event(3, host=None, started_at=NOW)]
    recorded(path, events).close()
    result = spend(path, *form)
    text = " ".join((result.stderr if form in (("--json",), ("--csv",)) else result.stdout).split())
    assert "Calls of 2 hosts are in these sums (127.0.0.1:8787, maas.vn). To see each:" in text
    assert f"litellm-maas spend --by host --since 2026-11-01 --ledger {path}" in text
    assert "hosts are" not in spend(path, *form, "--host", "maas.vn").output


@pytest.mark.parametrize("arguments", [("--by", "host"), ("--until", "2026-01-01")])
def test_calls_of_several_hosts_are_not_said_where_it_is_seen(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Grouped by host, or without a call, there is nothing to say of hosts."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(1, host="maas.vn"), event(2, host="127.0.0.1:8787")]).close()
    assert "hosts are" not in words(path, *arguments)


def test_failed_calls_have_a_column_where_there_are_any(tmp_path: Path) -> None:
    """Calls that failed or were refused are counted apart; calls that were answered or abandoned are not among them."""
    path = tmp_path / "ledger.db"
    ends = ("ok", "cache_hit", "cancelled", "failed", "blocked", "blocked")
    recorded(path, [event(number, status=status, user="an") for number, status in enumerate(ends)]).close()
    found = as_json(path, "--by", "status")
    assert (found["total"]["calls"], found["total"]["failed_calls"]) == (6, 3)
    assert "calls failed input" in words(path)
    assert "today 6 3 " in words(path)
    assert as_json(path, "--user", "an", "--by", "user")["groups"][0]["failed_calls"] == 3
    assert "calls input" in words(path, "--status", "ok")


def test_names_that_differ_in_white_space_look_different(tmp_path: Path) -> None:
    """A name with white space at an end stands in quotes."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(1, tags=("chatbot",)), event(2, tags=("chatbot ",))]).close()
    text = words(path, "--by", "tag")
    assert "chatbot 1" in text
    assert "'chatbot ' 1" in text


@pytest.mark.process
def test_names_that_differ_in_white_space_look_different_wherever_they_stand(tmp_path: Path) -> None:
    """So it does in headings, in a line of the tail, and where names are listed because none was found."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(1, user="an "), event(2, user="an", tags=(" x", "y"))]).close()
    assert ", user 'an ' period" in words(path, "--user", "an ")
    assert "No call of the user minh is recorded; there are: an, 'an '." in " ".join(
        spend(path, "--user", "minh").output.split()
    )
    warned = CliRunner().invoke(group, ["budget", "set", "5", "--user", "an  ", "--ledger", str(path)]).stderr
    assert warned.startswith("Warning: no call of user 'an  ' is recorded; there are: an, 'an '.")
    follow = [COMMAND, "spend", "tail", "--ledger", str(path)]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
    assert [line.partition("official  ")[2] for line in lines] == ["user 'an '\n", "user an  tags ' x', y\n"]


@pytest.mark.parametrize("arguments", [(), ("--by", "model"), ("--by", "day", "--chart"), ("--since", "2026-01")])
def test_calls_without_a_price_are_said_once(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """However many periods, groups and charts are shown, what is in none of the sums is said once."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(number, basis="unpriced", micro_credits=None) for number in range(9)]).close()
    assert words(path, *arguments).count("9 calls without a price are not in the sums") == 1


@pytest.mark.parametrize("columns", [80, 100])
def test_long_groups_stand_in_columns_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """At 80 columns a row of two names is one line, with fewer numbers beside it."""
    monkeypatch.setenv("COLUMNS", str(columns))
    path = tmp_path / "ledger.db"
    recorded(path, [event(1, model="z-ai/glm-5.2", user="chi.nguyen@example.vn")]).close()
    lines = spend(path, "--by", "model,user").stdout.splitlines()
    assert lines[1].split()[:3] == ["model", "user", "calls"]
    assert lines[2].split()[:3] == ["z-ai/glm-5.2", "chi.nguyen@example.vn", "1"]


@pytest.mark.process
def test_the_tail_shows_who(tmp_path: Path) -> None:
    """A line of the tail for people has user, end user, team and tags where there are any."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(1, user="an", end_user="khách", team="Sales", tags=("a", "b"))]).close()
    with subprocess.Popen(
        [COMMAND, "spend", "tail", "--ledger", str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
    assert line.endswith("official  user an  end user khách  team Sales  tags a, b\n")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_long_work_is_counted_for_who_waits(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    """At a terminal what was read is counted on standard error; a program that reads it hears nothing."""
    out = io.StringIO()
    to = Console(file=out, force_terminal=is_terminal, width=80)
    monkeypatch.setattr(tables, "console", lambda **_: to)
    monkeypatch.setattr(tables, "_COUNTED_AT_ONCE", 10)
    with tables.progress("events read") as count:
        assert sum(1 for _ in count(range(35))) == 35
    with tables.busy("checking"):
        pass
    assert ("30 events read" in out.getvalue()) is is_terminal
    assert ("checking" in out.getvalue()) is is_terminal
    with tables.progress("events written", on=False) as count:
        assert list(count(range(3))) == [0, 1, 2]
    assert "written" not in out.getvalue()
