"""`litellm_maas.spend`: what the command line shows, for Python."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import litellm
import pytest
from click.testing import CliRunner

import litellm_maas
from litellm_maas.cli.app import group
from litellm_maas.ledger import periods
from litellm_maas.ledger.outbox import Outbox
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.sandbox import Sandbox
from tests.factories import NOW, event, random_events
from tests.helpers import MESSAGES
from tests.ledger_files import recorded


@pytest.fixture(autouse=True)
def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it always be the same moment."""
    monkeypatch.setattr(periods, "now", NOW.astimezone)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger of random events."""
    path = tmp_path_factory.mktemp("history") / "ledger.db"
    recorded(path, random_events(3, 200)).close()
    return path


def printed(path: Path, *arguments: str) -> Any:
    """Return what `litellm-maas spend --json` prints."""
    result = CliRunner().invoke(group, ["spend", *arguments, "--json", "--ledger", str(path)])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


ASKED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "overview": ({}, []),
    "by model": ({"by": "model"}, ["--by", "model"]),
    "by two": ({"by": ["team", "month"], "since": "2026-09"}, ["--by", "team,month", "--since", "2026-09"]),
    "texts": ({"by": "end-user,tag", "since": "90d"}, ["--by", "end-user,tag", "--since", "90d"]),
    "month": ({"month": "last", "by": ["day"], "limit": 3}, ["--month", "last", "--by", "day", "--limit", "3"]),
    "a period": ({"since": "2026-10-01", "until": "2026-10-31"}, ["--since", "2026-10-01", "--until", "2026-10-31"]),
    "dates": (
        {"since": dt.date(2026, 10, 1), "until": dt.date(2026, 10, 31)},
        ["--since", "2026-10-01", "--until", "2026-10-31"],
    ),
    "datetimes": (
        {"since": dt.datetime(2026, 10, 1, 12, 30, tzinfo=dt.timezone.utc)},
        ["--since", "2026-10-01T12:30+00:00"],
    ),
    "filters": (
        {"model": "maas/openai/gpt-4o", "tag": "a", "status": "ok", "timezone": "Europe/Paris", "since": "90d"},
        ["--model", "openai/gpt-4o", "--tag", "a", "--status", "ok", "--timezone", "Europe/Paris", "--since", "90d"],
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_same_as_command_line(history: Path, name: str) -> None:
    """The report is the one of the command line, for every way of asking."""
    arguments, options = ASKED[name]
    report = litellm_maas.spend(ledger=history, **arguments)
    assert report.as_dict() == printed(history, *options)
    assert report.total.calls


def test_dataclasses(history: Path) -> None:
    """Report, rows and totals are frozen dataclasses, with integers in micro-credits and Decimals in credits."""
    report = litellm_maas.spend("90d", by=["model"], ledger=history)
    for each in (report, report.rows[0], report.total):
        assert dataclasses.is_dataclass(each)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(each, dataclasses.fields(each)[0].name, None)
    assert isinstance(report.total, litellm_maas.SpendTotal)
    assert sum(row.total.micro_credits for row in report.rows) == report.total.micro_credits
    assert report.total.credits == Decimal(report.total.micro_credits) / 1_000_000


def test_to_dicts(history: Path) -> None:
    """Each row is a flat dictionary; without a grouping the total is the only one."""
    report = litellm_maas.spend("90d", by=["model", "user"], ledger=history)
    rows = report.to_dicts()
    assert len(rows) == len(report.rows)
    assert list(rows[0])[:3] == ["model", "user", "calls"]
    assert rows[0]["credits"] == report.rows[0].total.credits
    (total,) = litellm_maas.spend("90d", ledger=history).to_dicts()
    assert total["micro_credits"] == report.total.micro_credits
    assert [row["period"] for row in litellm_maas.spend(ledger=history).to_dicts()] == ["today", "week", "month"]


def test_html_is_escaped(tmp_path: Path) -> None:
    """In Jupyter a report is a table, in which no name is markup."""
    path = tmp_path / "ledger.db"
    named = [
        event(1, user="<img src=x onerror=alert(1)>"),
        event(2, user='"&amp;', micro_credits=None, basis="unpriced"),
        event(3),
    ]
    recorded(path, named).close()
    shown = litellm_maas.spend("30d", by=["user"], ledger=path)._repr_html_()
    assert set(re.findall(r"</?(\w+)", shown)) <= {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "&quot;&amp;amp;" in shown
    assert "<td>(none)</td>" in shown
    assert "<td>-</td>" in shown
    assert "<td>total</td>" in shown
    assert "<td>total</td>" not in litellm_maas.spend("30d", ledger=path)._repr_html_()


def test_queued_events_are_flushed(tmp_path: Path) -> None:
    """What is queued beside the ledger is recorded first; what cannot be is counted."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(1)]).close()
    folder = Outbox(path).add(event(2))
    assert folder is not None
    assert litellm_maas.spend("30d", ledger=path).total.calls == 2
    (folder / "odd.json").write_text("{")
    assert litellm_maas.spend("30d", ledger=path).waiting_events == 1


def test_own_ledger_is_the_default(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `ledger` it is the one that this process records in; where nothing is recorded yet, it is empty."""
    monkeypatch.undo()  # calls are of today
    litellm_maas.track_spend(tmp_path / "own.db")
    empty = litellm_maas.spend(by=["model"])
    assert (empty.rows, empty.total, empty.ledger) == ((), litellm_maas.SpendTotal(), str(tmp_path / "own.db"))
    litellm.completion(
        model="maas/openai/gpt-4o",
        messages=MESSAGES,
        api_base=sandbox.url,
        api_key=sandbox.key,
        metadata={"tags": ["x"]},
    )
    report = litellm_maas.spend("today", by="tag", tag="x")
    assert [dict(row.key) for row in report.rows] == [{"tag": "x"}]
    assert report.total.micro_credits == sandbox.bill.micro_credits


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"by": "colour"}, litellm_maas.SettingsError, "cannot be grouped by 'colour'"),
        ({"since": "soon"}, litellm_maas.SettingsError, "'soon' is not a time"),
        ({"since": "2027-01-01"}, litellm_maas.SettingsError, "since= 2027-01-01 is in the future"),
        ({"since": "today", "until": "yesterday"}, litellm_maas.SettingsError, "until= yesterday is not after since="),
        ({"month": "last", "since": "7d"}, litellm_maas.SettingsError, "leave out since= and until="),
        ({"status": "lost"}, litellm_maas.SettingsError, "'lost' is not a status of a call; choose from ok"),
        ({"timezone": "Mars"}, litellm_maas.SettingsError, "not a time zone"),
        ({"ledger": "nowhere.db"}, litellm_maas.LedgerError, "there is no ledger nowhere.db; check what is passed"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_mistakes(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    """What cannot be meant is refused, and said in the words of Python and not of the command line."""
    with pytest.raises(error, match=re.escape(says)):
        litellm_maas.spend(**arguments)


def test_a_ledger_that_is_none(tmp_path: Path) -> None:
    """A file of another kind is a `LedgerError`."""
    path = tmp_path / "ledger.db"
    path.write_text("no database" * 100)
    with pytest.raises(litellm_maas.LedgerError):
        litellm_maas.spend(ledger=path)
    with pytest.raises(litellm_maas.LedgerError), SqliteLedger(path):
        pass
