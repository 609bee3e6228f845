from __future__ import annotations

import csv
import datetime as dt
import io
import json
import random
import re
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from litellm_maas.cli.app import group
from litellm_maas.errors import MaasError
from litellm_maas.ledger import periods
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.reports import GROUPS
from tests.factories import MODELS, NOW, corrected, event, keys, random_events, total
from tests.ledger_files import recorded

FILTERS: list[tuple[str, tuple[str, ...], Callable[[Event, str], bool]]] = [
    ("--model", (*MODELS, f"maas/{MODELS[0]}"), lambda each, value: each.model == value.removeprefix("maas/")),
    ("--user", ("an", "bình", ""), lambda each, value: (each.user or "") == value),
    ("--end-user", ("khách 1", ""), lambda each, value: (each.end_user or "") == value),
    ("--team", ("x", "x-1"), lambda each, value: value in (each.team, each.team_id)),
    ("--team", ("",), lambda each, _: not each.team and not each.team_id),
    ("--key", ("key-1",), lambda each, value: each.key_alias == value),
    ("--session", ("s1", ""), lambda each, value: (each.session_id or "") == value),
    ("--status", ("ok", "blocked"), lambda each, value: each.status == value),
    (
        "--host",
        ("maas.vn", "http://127.0.0.1:5000/v1"),
        lambda each, value: bool(each.host) and str(each.host) in value,
    ),
    ("--tag", ("b", "đêm", "c, b"), lambda each, value: value in each.tags),
    ("--tag", ("",), lambda each, _: not each.tags),
]
ZONES = (
    "Asia/Ho_Chi_Minh",
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",  # +05:30
    "Asia/Kathmandu",  # +05:45
    "Australia/Lord_Howe",  # +10:30, and +11:00 in summer
)
HCM = zoneinfo.ZoneInfo("Asia/Ho_Chi_Minh")


@pytest.fixture(autouse=True)
def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always the same moment, in a terminal of no particular width or language."""
    monkeypatch.setattr(periods, "now", NOW.astimezone)
    for name in ("LC_ALL", "LC_MONETARY", "LANG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A ledger of random events with corrections, and the events as they count."""
    path = tmp_path_factory.mktemp("history") / "ledger.db"
    events = random_events(1, 500)
    ledger = recorded(path, events)
    events = corrected(ledger, events, 2)
    ledger.close()
    return path, events


def spend(path: Path, *arguments: str) -> Result:
    """Run `litellm-maas spend` in this process."""
    return CliRunner().invoke(group, ["spend", *arguments, "--ledger", str(path)])


def shown(path: Path, *arguments: str) -> str:
    """What it prints."""
    result = spend(path, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def as_json(path: Path, *arguments: str) -> Any:
    """What it prints as JSON."""
    return json.loads(shown(path, *arguments, "--json"))


def mistake(path: Path, *arguments: str) -> str:
    """What it says is wrong."""
    result = spend(path, *arguments)
    assert isinstance(result.exception, MaasError), result.output
    return str(result.exception)


def local(text: str, zone: str) -> dt.datetime:
    """A moment in a zone."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone))


def _end(chance: random.Random, at: dt.datetime) -> dt.datetime:
    """The end of a period: an event's very moment, or where its minute or hour begins."""
    return chance.choice((at, at.replace(second=0, microsecond=0), at.replace(minute=0, second=0, microsecond=0)))


@pytest.mark.parametrize("seed", range(100))
def test_reports_equal_plain_sums(history: tuple[Path, list[Event]], seed: int) -> None:
    """Any grouping of any period in any zone equals what plain Python adds up, corrections included."""
    path, events = history
    chance = random.Random(seed)
    zone = chance.choice(ZONES)
    summed_by_hour = [name for name in GROUPS if name not in ("tag", "session", "attempt", "cycle")]
    by = chance.sample(chance.choice((GROUPS, summed_by_hour)), chance.randrange(1, 4))
    arguments = ["--timezone", zone, "--by", ",".join(by)]
    ends = sorted(_end(chance, chance.choice(events).started_at) for _ in range(2))
    since, until = ends[0], ends[1] + dt.timedelta(microseconds=chance.choice((1, 0)) or ends[0] == ends[1])
    arguments += ["--since", since.astimezone(zoneinfo.ZoneInfo(zone)).isoformat()]
    chosen = [each for each in events if each.started_at >= since]
    if chance.random() < 0.7:
        arguments += ["--until", until.isoformat()]
        chosen = [each for each in chosen if each.started_at < until]
    for option, values, has in chance.sample(FILTERS, chance.choice((0, 0, 1, 1, 2, 3))):
        value = chance.choice(values)
        arguments += [option, value]
        chosen = [each for each in chosen if has(each, value)]
    found = as_json(path, *arguments)
    assert found["total"] == total(chosen)
    assert found["timezone"] == zone
    assert dt.datetime.fromisoformat(found["since"]) == since
    groups: dict[tuple[Any, ...], list[Event]] = {}
    for each in chosen:
        for key in keys(each, by, zoneinfo.ZoneInfo(zone)):
            groups.setdefault(key, []).append(each)
    printed = {}
    for each in found["groups"]:
        key = each.pop("key")
        printed[tuple(key[name] for name in by)] = each
    assert len(printed) == len(found["groups"])
    assert printed == {key: total(group) for key, group in groups.items()}


@pytest.mark.parametrize("zone", ZONES)
def test_the_overview_is_of_calendar_periods(history: tuple[Path, list[Event]], zone: str) -> None:
    """Today, this week and this month begin at midnight, on Monday and on the first, in the zone asked for."""
    path, events = history
    now = NOW.astimezone(zoneinfo.ZoneInfo(zone))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    begins = {
        "today": midnight,
        "week": midnight - dt.timedelta(days=midnight.weekday()),
        "month": midnight.replace(day=1),
    }
    found = as_json(path, "--timezone", zone)
    for each, (name, since) in zip(found["groups"], begins.items(), strict=True):
        assert each.pop("key") == {"period": name}
        assert each == total(event for event in events if event.started_at >= since)
    assert found["total"] == found["groups"][-1]
    ends = (midnight.replace(day=1) + dt.timedelta(days=31)).replace(day=1)
    assert [dt.datetime.fromisoformat(found[name]) for name in ("since", "until")] == [begins["month"], ends]


def test_what_a_period_is_without_words(history: tuple[Path, list[Event]]) -> None:
    """A grouping is of this month unless a period is given; with an end alone it is of everything before."""
    path, events = history
    month = [each for each in events if each.started_at >= local("2026-11-01", "Asia/Ho_Chi_Minh")]
    before = [each for each in events if each.started_at < local("2026-10-01", "Asia/Ho_Chi_Minh")]
    assert as_json(path, "--by", "model")["total"] == total(month)
    ended = as_json(path, "--by", "model", "--until", "2026-09-30")
    assert (ended["total"], ended["since"]) == (total(before), None)
    assert as_json(path, "--by", "model", "--until", "2026-10-01T00:00")["total"] == total(before)
    assert as_json(path, "--since", "2026-11-01")["groups"] == []


def test_a_period_within_an_hour(history: tuple[Path, list[Event]]) -> None:
    """A period that holds no whole hour is counted from the events alone, once."""
    path, events = history
    at = events[0].started_at.replace(microsecond=0)
    at = at.replace(minute=min(at.minute, 57))
    since, until = at - dt.timedelta(seconds=at.second), at + dt.timedelta(minutes=2)
    expected = total(each for each in events if since <= each.started_at < until)
    found = as_json(path, "--since", since.isoformat(), "--until", until.isoformat(), "--by", "model")["total"]
    assert expected["calls"]
    assert found == expected


def test_days_by_their_names(history: tuple[Path, list[Event]]) -> None:
    """A period can begin and end with `yesterday` and `today`, which is in it."""
    path, events = history
    since, until = (local(day, "Asia/Ho_Chi_Minh") for day in ("2026-11-21", "2026-11-22"))
    expected = total(each for each in events if since <= each.started_at < until)
    assert expected["calls"]
    assert as_json(path, "--since", "yesterday", "--until", "yesterday")["total"] == expected
    both = total(each for each in events if since <= each.started_at)
    assert as_json(path, "--since", "yesterday", "--until", "today")["total"] == both


def test_the_models_without_a_price_are_named_up_to_five(tmp_path: Path) -> None:
    """Of many models without a price the most used are named and the rest counted."""
    models = [f"some/model-{number}" for number in range(7)]
    events = [event(n, model=model, basis="unpriced", micro_credits=None) for n, model in enumerate(models)]
    more = [event(100, model=models[6], basis="unpriced", micro_credits=None)]
    recorded(tmp_path / "ledger.db", [*events, *more]).close()
    text = " ".join(shown(tmp_path / "ledger.db").split())
    assert "8 calls without a price are not in the sums: some/model-6 (2), some/model-0 (1)" in text
    assert "some/model-3 (1), 2 models more." in text


def test_limit(history: tuple[Path, list[Event]]) -> None:
    """A limit leaves the most expensive groups, or the latest ones, and says that there are more."""
    path, _ = history
    by_model = as_json(path, "--by", "model", "--since", "200d")["groups"]
    assert [each["micro_credits"] for each in by_model] == sorted(
        (each["micro_credits"] for each in by_model), reverse=True
    )
    assert as_json(path, "--by", "model", "--since", "200d", "--limit", "2")["groups"] == by_model[:2]
    by_day = as_json(path, "--by", "model,day")["groups"]
    assert [each["key"]["day"] for each in by_day] == sorted(each["key"]["day"] for each in by_day)
    assert as_json(path, "--by", "model,day", "--limit", "3")["groups"] == by_day[-3:]
    assert f"{len(by_model) - 2} more groups are not shown" in shown(path, "--by", "model", "--limit", "2")


def test_csv(history: tuple[Path, list[Event]]) -> None:
    """CSV has the groups of the JSON, with the parts by basis as columns; an ungrouped period is one row."""
    path, _ = history
    groups = as_json(path, "--by", "tag,user")["groups"]
    rows = list(csv.DictReader(io.StringIO(shown(path, "--by", "tag,user", "--csv"))))
    assert len(rows) == len(groups)
    for row, each in zip(rows, groups, strict=True):
        assert (row["tag"] or None, row["user"] or None) == (each["key"]["tag"], each["key"]["user"])
        for basis in ("official", "custom", "estimate", "plan"):
            assert int(row[f"micro_credits_{basis}"]) == each["by_basis"].get(basis, 0)
        for name in ("calls", "micro_credits", "cached_tokens", "unpriced_calls", "anomalies"):
            assert int(row[name]) == each[name]
    (row,) = csv.DictReader(io.StringIO(shown(path, "--since", "7d", "--csv")))
    assert int(row["calls"]) == as_json(path, "--since", "7d")["total"]["calls"]
    periods_ = [row["period"] for row in csv.DictReader(io.StringIO(shown(path, "--csv")))]
    assert periods_ == ["today", "week", "month"]


def test_the_overview_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The overview shows periods and models, what a sum is made of, and what to do about what is odd."""
    events = [
        event(1, cached_tokens=400, saved_micro_credits=14_177_600, micro_credits=56_710_400),
        event(2, basis="custom", micro_credits=2_000_000),
        event(3, model="gemini/gemini-2.5-flash", basis="unpriced", micro_credits=None),
        event(4, model="gemini/gemini-2.5-flash", basis="unpriced", micro_credits=None, status="failed"),
        event(5, status="cancelled", usage_source="estimated", micro_credits=1234),
        event(6, anomalies=("prompt_tokens is -1",), basis="unpriced", micro_credits=None),
        event(7, basis="estimate", micro_credits=3_000_000),
    ]
    recorded(tmp_path / "ledger.db", events).close()
    monkeypatch.setenv("COLUMNS", "100")
    text = " ".join(shown(tmp_path / "ledger.db").split())
    assert "today 7 1 2 7,000 400 0 61.71 VND official 56.71 VND custom 2 VND estimate 3 VND" in text
    assert "gemini/gemini-2.5-flash 2 1 1 2,000 0 0 - " in text
    assert "2 calls without a price are not in the sums: gemini/gemini-2.5-flash (1), openai/gpt-4o (1)." in text
    ledger = f"--ledger {tmp_path / 'ledger.db'}"
    assert f"litellm-maas spend reprice --since 2026-11-01 {ledger}" in text
    assert f"litellm-maas spend export --only estimated --since 2026-11-01 {ledger}" in text
    assert f"litellm-maas spend export --only anomalies --since 2026-11-01 {ledger}" in text
    assert "3 VND of it is a guess from LiteLLM's dollar prices" in text
    assert "Cached tokens saved 14.18 VND" in text


def test_official_sums_have_no_parts(tmp_path: Path) -> None:
    """A sum that is official alone is shown without its parts, and without remarks."""
    recorded(tmp_path / "ledger.db", [event(1)]).close()
    line = "1 1,000 0 0 70.89 VND"
    assert " ".join(shown(tmp_path / "ledger.db").split()) == (
        "2026-11-22; this week is from 2026-11-16 on, this month from 2026-11-01 on "
        f"period calls input cached output cost today {line} this week {line} this month {line} "
        f"this month by model openai/gpt-4o {line}"
    )


def test_a_cache_dearer_than_none(tmp_path: Path) -> None:
    """Where the cache price is above the input price it is said that cached tokens cost more."""
    recorded(tmp_path / "ledger.db", [event(1, saved_micro_credits=-3_544_000)]).close()
    assert "Cached tokens cost 3.54 VND more than plain ones" in " ".join(shown(tmp_path / "ledger.db").split())


def test_small_calls_are_not_nothing(tmp_path: Path) -> None:
    """The cost of a small call is shown with its fractions."""
    recorded(tmp_path / "ledger.db", [event(1, micro_credits=4_253)]).close()
    assert "0.004253 VND" in shown(tmp_path / "ledger.db")


@pytest.mark.parametrize(
    ("variables", "amount"),
    [
        ({}, "1,234,567 VND"),
        ({"LANG": "vi_VN.UTF-8"}, "1.234.567 ₫"),
        ({"LANG": "en_US.UTF-8", "LC_MONETARY": "vi_VN"}, "1.234.567 ₫"),
        ({"LANG": "vi_VN", "LC_MONETARY": "vi_VN", "LC_ALL": "C"}, "1,234,567 VND"),
        ({"LANG": "vi_VN", "LC_ALL": ""}, "1.234.567 ₫"),
    ],
)
def test_amounts_follow_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], amount: str
) -> None:
    """Amounts and numbers are written as in Vietnam where the locale says so; the narrowest variable decides."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    recorded(tmp_path / "ledger.db", [event(1, micro_credits=1_234_567_000_000, input_tokens=123_456_789)]).close()
    text = shown(tmp_path / "ledger.db", "--by", "model")
    assert amount in text
    assert "123M" in text
    monkeypatch.setenv("COLUMNS", "160")
    assert ("123.456.789" if "₫" in amount else "123,456,789") in shown(tmp_path / "ledger.db", "--by", "model")


@pytest.mark.parametrize("columns", [40, 60, 80, 81, 100, 200])
@pytest.mark.parametrize(
    "arguments", [(), ("--by", "model,day,user,tag"), ("--by", "tag", "--since", "3h"), ("--chart",)]
)
def test_no_line_is_wider_than_the_terminal(
    history: tuple[Path, list[Event]], monkeypatch: pytest.MonkeyPatch, columns: int, arguments: tuple[str, ...]
) -> None:
    """Tables and charts fit the terminal, and amounts are never cut off; commands to copy stay whole."""
    path, _ = history
    monkeypatch.setenv("COLUMNS", str(columns))
    text = shown(path, *arguments)
    lines = [line for line in text.splitlines() if not line.startswith("  litellm-maas")]
    assert max(map(len, lines)) <= columns
    assert "…" not in text.replace(" … ", "", 1)  # but in the period's heading


def test_a_wide_terminal_has_exact_numbers(history: tuple[Path, list[Event]], monkeypatch: pytest.MonkeyPatch) -> None:
    """With room there are exact numbers and a column of what the cache saved; at 80 columns short numbers."""
    path, events = history
    monkeypatch.setenv("COLUMNS", "160")
    wide = shown(path, "--since", "2026-01-01")
    assert "saved" in wide
    assert f"{sum(each.input_tokens for each in events):,}" in wide
    monkeypatch.setenv("COLUMNS", "80")
    narrow = shown(path, "--since", "2026-01-01")
    assert not re.search("output +saved", narrow)
    assert f"{sum(each.input_tokens for each in events) / 10**6:.2f}M" in narrow


@pytest.mark.parametrize("columns", [81, 84, 88, 92, 96, 100, 108])
def test_the_wide_form_folds_nothing(
    history: tuple[Path, list[Event]], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """The wide form is taken only where everything fits into its line."""
    path, _ = history
    monkeypatch.setenv("COLUMNS", str(columns))
    text = shown(path, "--by", "model", "--since", "2026-01-01")
    assert all(model in text for model in MODELS)


def test_names_from_outside_cannot_move_the_cursor(tmp_path: Path) -> None:
    """Control characters in a name are replaced, and rich's markup is text."""
    events = [event(1, user="\x1b]0;title\x07\x1b[31mred", tags=("[bold]b",)), event(2, model="\x1b[2Jm")]
    recorded(tmp_path / "ledger.db", events).close()
    for arguments in ((), ("--by", "user,tag"), ("--by", "user,tag", "--chart")):
        assert "\x1b" not in shown(tmp_path / "ledger.db", *arguments)
    assert "[bold]b" in shown(tmp_path / "ledger.db", "--by", "tag")


def test_a_chart_shows_the_days_between(tmp_path: Path) -> None:
    """Bars of time are in the order of time, days without a call included, and as long as their amounts."""
    days = [("2026-11-03T12:00", 1_000_000_000), ("2026-11-05T12:00", 500_000_000), ("2026-11-06T12:00", 1)]
    events = [
        event(number, started_at=local(at, "Asia/Ho_Chi_Minh"), micro_credits=amount)
        for number, (at, amount) in enumerate(days)
    ]
    recorded(tmp_path / "ledger.db", events).close()
    heading, *lines = shown(tmp_path / "ledger.db", "--chart").splitlines()
    assert heading == "2026-11-01 … 2026-11-22 (22 days so far)"
    assert [line.split()[0] for line in lines] == ["2026-11-03", "2026-11-04", "2026-11-05", "2026-11-06"]
    assert [line.split()[-2] for line in lines] == ["1,000", "0", "500", "0.000001"]
    full, none, half, least = (sum(character in "█▉▊▋▌▍▎▏" for character in line) for line in lines)
    assert (none, least) == (0, 1)
    assert abs(full - 2 * half) <= 1
    _, *models = shown(tmp_path / "ledger.db", "--chart", "--by", "model").splitlines()
    assert [line.split()[0] for line in models] == ["openai/gpt-4o"]


@pytest.mark.parametrize(
    ("zone", "since", "hours"),
    [("Europe/Paris", "2026-10-25", 24), ("Asia/Kolkata", "2026-11-21", 24), ("America/New_York", "2026-11-01", 24)],
)
def test_hours_of_a_day_on_which_clocks_change(tmp_path: Path, zone: str, since: str, hours: int) -> None:
    """A chart of hours has each hour of the wall clock once, also where clocks go back."""
    begin = local(since, zone)
    first, last = begin, begin + dt.timedelta(hours=23)
    recorded(tmp_path / "ledger.db", [event(1, started_at=first), event(2, started_at=last)]).close()
    options = ("--by", "hour", "--chart", "--since", since, "--timezone", zone)
    heading, *lines = shown(tmp_path / "ledger.db", *options).splitlines()
    assert heading.endswith(f"so far), days of {zone}")
    assert [line[:16] for line in lines] == [f"{since} {hour:02}:00" for hour in range(hours)]


@pytest.mark.parametrize("arguments", [(), ("--by", "model"), ("--chart",), ("--since", "7d")])
def test_an_empty_ledger(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """With an empty ledger, or an empty file, it is said how recording is switched on."""
    path = tmp_path / "empty.db"
    path.touch()
    for _ in range(2):
        text = shown(path, *arguments)
        assert "No spend is recorded in" in text
        for way in ("litellm_maas.track_spend()", "MAAS_TRACK_SPEND=1", "litellm_maas.spend_logger"):
            assert way in text
        found = spend(path, *arguments, "--json") if arguments != ("--chart",) else spend(path, "--json")
        assert found.exit_code == 0
        assert json.loads(found.stdout)["total"] == total([])
        assert "No spend is recorded in" in found.stderr
        recorded(path, []).close()


@pytest.mark.parametrize(
    "arguments", [(), ("--by", "model"), ("--chart",), ("--json",), ("reprice",), ("reprice", "--apply")]
)
@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_named_ledger_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], how: str
) -> None:
    """A ledger that was named and is not there is exit status 1, with no data that could be taken for a sum of 0."""
    path = tmp_path / "none" / "ledger.db"
    monkeypatch.setenv("MAAS_LEDGER", str(path))
    done = CliRunner().invoke(group, ["spend", *arguments]) if how == "environment" else spend(path, *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"There is no ledger {path}" in "".join(done.stderr.splitlines())
    assert "MAAS_TRACK_SPEND=1" in done.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "first"),
    [(("--csv",), "period,calls,failed_calls,"), (("--csv", "--by", "team,day"), "team,day,calls,"), (("--csv-for", "excel"), "\ufeffperiod,calls,")],
)  # fmt: skip
def test_csv_has_a_header_always(tmp_path: Path, arguments: tuple[str, ...], first: str) -> None:
    """CSV of a ledger that is not there, of an empty one and of a period without calls has its header."""
    recorded(tmp_path / "empty.db", []).close()
    recorded(tmp_path / "ledger.db", [event(1)]).close()
    for name, status in (("none.db", 1), ("empty.db", 0), ("ledger.db", 0)):
        done = spend(tmp_path / name, *arguments, "--until", "2020-01-01")
        expected = first.removeprefix("period,") if "--by" not in arguments and "\ufeff" not in first else first
        assert done.exit_code == status
        assert done.stdout.startswith(expected.replace("\ufeffperiod,", "\ufeff"))


def test_no_ledger_that_anybody_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first call, without a ledger's name, it is said how recording is switched on, and nothing is wrong."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    done = CliRunner().invoke(group, ["spend"])
    assert done.exit_code == 0
    assert "No spend is recorded in" in done.stdout
    assert not (tmp_path / "data").exists()


def test_a_period_without_calls(tmp_path: Path) -> None:
    """A grouping of a period without calls says that there are none."""
    recorded(tmp_path / "ledger.db", [event(1)]).close()
    assert shown(tmp_path / "ledger.db", "--by", "model", "--until", "2020-01-01") == (
        "the beginning … 2020-01-01\nNo calls in this period.\n"
    )


def test_the_ledger_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`MAAS_LEDGER` names the ledger; without it, it is in the user's data folder."""
    recorded(tmp_path / "ledger.db", [event(1)]).close()
    monkeypatch.setenv("MAAS_LEDGER", str(tmp_path / "ledger.db"))
    found = json.loads(CliRunner().invoke(group, ["spend", "--json"]).stdout)
    assert (found["total"]["calls"], found["ledger"]) == (1, str(tmp_path / "ledger.db"))
    monkeypatch.delenv("MAAS_LEDGER")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (path,) = [json.loads(CliRunner().invoke(group, ["spend", "--json"]).stdout)["ledger"]]
    assert Path(path).is_relative_to(tmp_path)
    assert Path(path).name == "ledger.db"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--by", "colour"), "choose from model, user"),
        (("--since", "yesteryear"), "write a day (2026-11-01)"),
        (("--since", "99999999999d"), "is not a time"),
        (("--since", "90000d"), "is not a time"),
        (("--until", "9999-12-31"), "is not a time"),
        (("--timezone", "Mars/Olympus"), "is not a time zone"),
        (("--since", "2026-11-02", "--until", "2026-11-01"), "the period would be empty"),
    ],
)
def test_what_cannot_be_understood(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """An option that cannot be understood is an error that says how to write it."""
    recorded(tmp_path / "ledger.db", [event(1)]).close()
    assert says in mistake(tmp_path / "ledger.db", *arguments)


@pytest.mark.parametrize("arguments", [("--json", "--csv"), ("--json", "--chart"), ("--limit", "0")])
def test_options_that_exclude_each_other(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """One form of output at a time."""
    assert spend(tmp_path / "ledger.db", *arguments).exit_code == 2


def test_options_of_a_subcommand_come_after_it(tmp_path: Path) -> None:
    """An option before the subcommand is refused, because it would be lost."""
    result = CliRunner().invoke(group, ["spend", "--since", "7d", "export"])
    assert result.exit_code == 2
    assert "write --since after export" in result.output


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    """A file that is no ledger, and a path through a file, are errors that say what to do."""
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be looked at as one" * 100)
    assert "move it away" in mistake(tmp_path / "notes.txt")
    assert "name another ledger" in mistake(tmp_path / "notes.txt" / "ledger.db")


def test_hours_ago_are_hours_that_went_by(history: tuple[Path, list[Event]], monkeypatch: pytest.MonkeyPatch) -> None:
    """`2h` is two hours of time, also where clocks went forward meanwhile; `1d` is a day of the calendar."""
    paris = zoneinfo.ZoneInfo("Europe/Paris")
    now = dt.datetime(2026, 3, 29, 4, 0, tzinfo=paris)  # an hour and a half of time after 01:30
    assert periods.moment("2h", now).astimezone(dt.timezone.utc) == dt.datetime(
        2026, 3, 29, 0, 0, tzinfo=dt.timezone.utc
    )
    assert periods.moment("1d", now) == dt.datetime(2026, 3, 28, 4, 0, tzinfo=paris)


def test_the_day_begins_at_the_first_of_two_midnights() -> None:
    """Where clocks go back over midnight, today begins at the first midnight."""
    havana = zoneinfo.ZoneInfo("America/Havana")
    second_half_past_midnight = dt.datetime(2026, 11, 1, 0, 30, fold=1, tzinfo=havana)
    since = periods.around("day", second_half_past_midnight).since
    assert since is not None
    assert since.astimezone(dt.timezone.utc) == dt.datetime(2026, 11, 1, 4, 0, tzinfo=dt.timezone.utc)


def test_events_beside_the_ledger_are_recorded_first(tmp_path: Path) -> None:
    """What waits beside the ledger is recorded before it is read."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(1)]).close()
    (tmp_path / "ledger.db.outbox").mkdir()
    (tmp_path / "ledger.db.outbox" / "2.json").write_text(event(2).as_json())
    found = as_json(path)
    assert (found["total"]["calls"], found["waiting_events"]) == (2, 0)
    assert not list((tmp_path / "ledger.db.outbox").iterdir())


def test_events_that_cannot_be_recorded_are_mentioned(tmp_path: Path) -> None:
    """What cannot be recorded stays where it is, is said, and does not keep the report back."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(1)]).close()
    (tmp_path / "ledger.db.outbox").mkdir()
    (tmp_path / "ledger.db.outbox" / "2.json").write_text("not an event")
    result = spend(path, "--json")
    found = json.loads(result.stdout)
    assert (found["total"]["calls"], found["waiting_events"]) == (1, 1)
    assert "1 event queued beside the ledger is not in the sums" in " ".join(result.stderr.split())
    assert "1 event queued beside the ledger is not in the sums" in " ".join(shown(path).split())


def test_a_ledger_that_cannot_be_written_is_still_read(tmp_path: Path) -> None:
    """While another program holds the ledger, reports say what is missing and come all the same."""
    path = tmp_path / "ledger.db"
    ledger = recorded(path, [event(1)])
    (tmp_path / "ledger.db.outbox").mkdir()
    (tmp_path / "ledger.db.outbox" / "2.json").write_text(event(2).as_json())
    lock = ledger._connection  # noqa: SLF001 - another program's transaction
    assert lock is not None
    lock.execute("BEGIN IMMEDIATE")
    text = " ".join(shown(path).split())
    assert "today 1" in text
    assert "1 event queued beside the ledger is not in the sums" in text
    assert "locked by another program" in text
    done = spend(path, "export")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 1)
    assert "1 event queued beside the ledger is not in the sums" in done.stderr
    lock.execute("ROLLBACK")
    ledger.close()
    assert as_json(path)["total"]["calls"] == 2


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (("--model", "gpt-4o"), "No call of gpt-4o is recorded; did you mean openai/gpt-4o?"),
        (("--model", "maas/openai/gpt-4"), "No call of openai/gpt-4 is recorded; did you mean openai/gpt-4o?"),
        (("--tag", "nosuch"), "No call with the tag nosuch is recorded; there are: a."),
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",), ("--by", "day")])
def test_a_filter_that_nothing_matches(
    tmp_path: Path, filters: tuple[str, ...], says: str, form: tuple[str, ...]
) -> None:
    """A sum of 0 for a model or a tag that the ledger never saw is said to be one, beside data on standard error."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(1, tags=("a",))]).close()
    result = spend(path, *filters, *form)
    assert result.exit_code == 0
    assert says in " ".join((result.stderr if form and form[0] != "--by" else result.stdout).split())
    known = spend(path, "--model", "openai/gpt-4o", "--tag", "a", "--until", "2026-01-01", *form)
    assert "is recorded" not in known.output


def test_a_period_that_is_yet_to_come(tmp_path: Path) -> None:
    """A period that begins after now is a slip of the pen."""
    assert "--since 2027-01-01 is in the future" in mistake(tmp_path / "ledger.db", "--since", "2027-01-01")
