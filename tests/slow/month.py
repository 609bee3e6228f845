"""A month closed as a finance person would: the totals, the sheets for Excel, and whether somebody changed the books.

LibreOffice, where it is installed, opens the sheets as Excel would: dates are to be dates, amounts numbers, and
Vietnamese names right. Without it only openpyxl reads the workbook, and the last line says so.
"""

from __future__ import annotations

import collections
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zoneinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl

from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing import price_book
from litellm_maas.pricing.cost import cost
from litellm_maas.pricing.usage import Usage
from tests.factories import event
from tests.ledger_files import unguarded

ZONE = zoneinfo.ZoneInfo("Asia/Ho_Chi_Minh")
TEAMS = ("Hỗ trợ khách hàng", "Nghiên cứu & phát triển", "Kế toán; đối soát", None)
PEOPLE = ("Nguyễn Thị Ánh", "Đặng Văn Dũng", '=HYPERLINK("http://evil.example","Trần")', "Phạm Lan")
MODELS = ("openai/gpt-4o", "qwen/qwen3.6-plus", "openai/gpt-4o-mini")
# How LibreOffice imports: separator, quote, UTF-8, first line, no columns of ours, language, numbers are detected.
IMPORT = "Text - txt - csv (StarCalc):{separator},34,76,1,,{language},false,true"
LANGUAGES = {"vi_VN.UTF-8": (ord(";"), 1066), "en_US.UTF-8": (ord(","), 1033)}


def year() -> list[Event]:
    """Calls of September to November, some within the seven hours in which the day of UTC is another one."""
    found = []
    start = dt.datetime(2026, 9, 20, tzinfo=ZONE)
    for number in range(2400):
        started_at = (start + dt.timedelta(minutes=35 * number)).astimezone(dt.timezone.utc)
        model = MODELS[number % 3]
        usage = Usage(900 + number, number % 300, 40 + number % 90, 0, source="reported")
        priced = cost(model, usage, started_at, "payg", price_book.official_prices())
        found.append(
            event(
                number,
                started_at=started_at,
                ended_at=started_at + dt.timedelta(seconds=3),
                requested_model=model,
                model=model,
                input_tokens=usage.input_tokens,
                cached_tokens=usage.cached_tokens,
                output_tokens=usage.output_tokens,
                micro_credits=priced.micro_credits,
                saved_micro_credits=priced.saved_micro_credits,
                basis=priced.basis,
                price_source=priced.price_source,
                team=TEAMS[number % 4],
                team_id=None if TEAMS[number % 4] is None else f"t-{number % 4}",
                user=PEOPLE[number // 4 % 4],
            )
        )
    return found


def spend(ledger: Path, *arguments: object, language: str = "C.UTF-8", status: int = 0) -> str:
    """What `litellm-maas spend` prints."""
    command = [sys.executable, "-m", "litellm_maas", "spend", *map(str, arguments), "--ledger", str(ledger)]
    environment = {**os.environ, "LC_ALL": language, "PYTHONUTF8": "1", "COLUMNS": "120"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == status, (done.stdout + done.stderr).decode()
    return done.stdout.decode("utf-8")


def opened(file: Path, into: Path, program: str, filter_name: str | None = None) -> Path:
    """A sheet that LibreOffice has opened and saved as a workbook."""
    into.mkdir(exist_ok=True)
    command = [program, "--headless", f"-env:UserInstallation=file://{into}/profile"]
    command += ["--infilter=" + filter_name] if filter_name else []
    command += ["--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", str(into), str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    return into / file.with_suffix(".xlsx").name


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a workbook in which no cell is a formula."""
    header, *rows = openpyxl.load_workbook(file).worksheets[0].iter_rows()
    assert all(cell.data_type != "f" for row in rows for cell in row)
    return [{str(name.value): cell.value for name, cell in zip(header, row, strict=True)} for row in rows]


def compare(found: list[dict[str, Any]], events: list[Event]) -> None:
    """Each row is its event: a real date of Vietnam, VND as a number, and the names as they are."""
    assert len(found) == len(events)
    for row, each in zip(found, events, strict=True):
        local = each.started_at.astimezone(ZONE)
        assert isinstance(row["date"], dt.datetime), row
        assert row["date"].date() == local.date()
        assert str(row["time"])[-8:] == f"{local:%H:%M:%S}", row["time"]
        assert isinstance(row["cost_vnd"], (int, float)), row
        assert round(Decimal(str(row["cost_vnd"])) * 10**6) == each.micro_credits
        assert row["team"] == each.team
        assert str(row["user"]).removeprefix("'") == each.user


def main() -> None:
    """Run, print, and exit with 0 only if all is as it was spent."""
    program = shutil.which("soffice")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger, events = folder / "ledger.db", year()
        with SqliteLedger(ledger) as made:
            for each in events:
                made.insert(each)
        october = [each for each in events if each.started_at.astimezone(ZONE).strftime("%Y-%m") == "2026-10"]
        truth: collections.Counter[tuple[str | None, str]] = collections.Counter()
        for each in october:
            truth[each.team, each.model] += each.micro_credits or 0
        print(spend(ledger, "--month", "2026-10", "--by", "team,model"))
        report = json.loads(spend(ledger, "--month", "2026-10", "--by", "team,model", "--json"))
        groups = {(each["key"]["team"], each["key"]["model"]): each["micro_credits"] for each in report["groups"]}
        assert groups == dict(truth)
        assert report["total"]["micro_credits"] == sum(truth.values())
        for other in (("--since", "2026-10-01", "--until", "2026-10-31"), ("--since", "2026-10", "--until", "2026-10")):
            assert json.loads(spend(ledger, *other, "--by", "team,model", "--json"))["total"] == report["total"]
        print(f"October: {len(october)} calls, {sum(truth.values()) / 1e6:,.2f} VND; three ways to ask agree")
        workbook = folder / "october.xlsx"
        spend(ledger, "export", "--month", "2026-10", "--format", "xlsx", "--output", workbook)
        compare(read(workbook), october)
        for language, (separator, number) in LANGUAGES.items():
            file = folder / f"october-{language[:2]}.csv"
            spend(ledger, "export", "--month", "2026-10", "--csv-for", "excel", "--output", file, language=language)
            if program:
                filter_name = IMPORT.format(separator=separator, language=number)
                compare(read(opened(file, folder / "opened", program, filter_name)), october)
        if program:
            compare(read(opened(workbook, folder / "opened-workbook", program)), october)
        print("the workbook and the CSV in two languages: dates, VND and names as they are")
        print(spend(ledger, "verify"))
        for change in ("micro_credits = micro_credits / 2", "micro_credits = 1"):
            with unguarded(ledger) as anybody:
                (before,) = anybody.execute("SELECT micro_credits FROM events WHERE seq = 1200").fetchone()
                anybody.execute(f"UPDATE events SET {change} WHERE seq = 1200")  # noqa: S608 - the fraud
            print(spend(ledger, "verify", status=1))
            with unguarded(ledger) as anybody:
                anybody.execute("UPDATE events SET micro_credits = ? WHERE seq = 1200", (before,))
        with unguarded(ledger) as anybody:
            anybody.execute("DELETE FROM events WHERE seq = 1300")
        print(spend(ledger, "verify", status=1))
    print("all is right" + ("" if program else "; without LibreOffice, which is not installed here"))


if __name__ == "__main__":
    main()
