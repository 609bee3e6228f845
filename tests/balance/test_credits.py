from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from litellm_maas import alerts
from litellm_maas.cli.app import group
from litellm_maas.errors import MaasError, SettingsError
from litellm_maas.ledger import periods
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing import price_book
from litellm_maas.pricing.credits import parse_credits
from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.pricing.usage import Usage
from litellm_maas.runtime import runtime, track_spend
from litellm_maas.sandbox import Answer, Charge, Choice, Sandbox
from litellm_maas.tracking.attribution import Attribution
from litellm_maas.tracking.event_builder import AttemptCounter, EventBuilder
from tests.factories import event
from tests.helpers import KEY, ROOT

UTC = dt.timezone.utc
DAY = dt.timedelta(days=1)
START = dt.datetime(2026, 7, 20, 0, 0, tzinfo=UTC)
"""Two weeks before the prices changed (2026-08-03)."""
MILLION = 1_000_000
STALE = """
format: 1
time_zone: Asia/Ho_Chi_Minh
lists:
  - name: the old list
    from: null
    to: null
    source: somebody forgot to take it away
    models:
      openai/gpt-4o: {input: 96005, cached: 48003, output: 384020}
"""


class Month:
    """An account that is used for a month: what the sandbox bills, and what is recorded of it."""

    def __init__(self, sandbox: Sandbox, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sandbox = sandbox
        self.path = path
        self.now = START
        self._ledger = SqliteLedger(path)
        self._chance = random.Random(7)
        self._http = httpx.Client(base_url=sandbox.url, headers={"authorization": f"Bearer {KEY}"}, trust_env=False)
        self.books: PriceBook = price_book.official_prices()
        sandbox.account.clock = lambda: self.now.timestamp()  # noqa: PLW0108 - of the moment of asking
        sandbox.account.balance = 300_000 * MILLION
        monkeypatch.setattr(periods, "now", lambda zone: self.now.astimezone(zone))  # noqa: PLW0108 - ditto

    def close(self) -> None:
        """Close what is open."""
        self._http.close()
        self._ledger.close()

    def call(self, *, metered: bool = True) -> None:
        """One call at this moment; recorded as the provider records its calls, unless it is somebody else's."""
        answer = Answer((Choice("một hai ba " * self._chance.randrange(1, 20)),), self._chance.randrange(500, 3000), 0)
        self.sandbox.script(answer)
        body = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
        attempt = EventBuilder(
            "chat",
            "provider",
            "openai/gpt-4o",
            "payg",
            Attribution(),
            None,
            None,
            AttemptCounter(),
            started_at=self.now,
        )
        reply = self._http.post("/chat/completions", json=body)
        assert reply.status_code == 200, reply.text
        if metered:
            attempt.response_id = reply.json()["id"]
            cost = attempt.cost(Usage.from_response(reply.json()["usage"]), self.books)
            self._ledger.insert(attempt.event("ok", cost, 200))

    def live(self, until: dt.datetime, *, unmetered: float = 0.0) -> None:
        """Calls by day and fewer by night, a part of them by an application that nobody records."""
        while True:
            night = not 1 <= self.now.hour < 13
            after = self.now + dt.timedelta(minutes=self._chance.randrange(60, 180) if night else 45)
            if after > until:
                break
            self.now = after
            self.sandbox.account.collect()
            if self.sandbox.account.exhausted:
                return
            self.call(metered=self._chance.random() >= unmetered)
        self.now = until

    def note(self, what: str, credits_: str) -> None:
        """Note something, as a person does who looks at the console now."""
        done = credits_command(self.path, what, credits_, "--at", self.now.isoformat())
        assert done.exit_code == 0, done.output

    def look(self) -> None:
        """Note what the console shows now."""
        self.sandbox.account.collect()
        assert self.sandbox.account.balance is not None
        balance = self.sandbox.account.balance
        self.note("set", f"{balance // MILLION}.{balance % MILLION:06d}")

    def top_up(self, credits_: int) -> None:
        """Buy credits, and note that."""
        assert self.sandbox.account.balance is not None
        self.sandbox.account.balance += credits_ * MILLION
        self.note("topup", str(credits_))

    def shown(self) -> Any:
        """What `litellm-maas credits --json` says now."""
        done = credits_command(self.path, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def billed(self, since: dt.datetime, until: dt.datetime) -> int:
        """What the sandbox's own bill says for a time."""
        return sum(each.micro_credits or 0 for each in self.charges(since, until))

    def charges(self, since: dt.datetime, until: dt.datetime) -> list[Charge]:
        """The charges of a time."""
        return [each for each in self.sandbox.bill.charges if since <= each.at < until]

    def recorded(self) -> set[str | None]:
        """The replies that are recorded."""
        return {each.response_id for each in self._ledger.events()}


def credits_command(path: Path, *arguments: str) -> Result:
    """Run `litellm-maas credits` in this process."""
    return CliRunner().invoke(group, ["credits", *arguments, "--ledger", str(path)])


@pytest.fixture
def month(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Month]:
    """A month that begins."""
    made = Month(sandbox, tmp_path / "ledger.db", monkeypatch)
    yield made
    made.close()


def test_a_month_of_credits(month: Month, tmp_path: Path) -> None:
    """Balance, drift and forecast of a month agree with the sandbox's own account and bill, to the micro-credit."""
    account = month.sandbox.account
    month.look()
    # A week in which everything is recorded, with a top-up in its midst.
    month.live(START + 3 * DAY)
    month.top_up(200_000)
    month.live(START + 7 * DAY)
    month.look()
    # A week in which every third call is somebody else's.
    month.live(START + 14 * DAY, unmetered=0.33)
    month.look()
    # The week in which the prices change.
    month.live(START + 17 * DAY)
    month.top_up(100_000)
    month.live(START + 21 * DAY)
    month.look()
    # A week in which somebody still records by the old prices.
    (tmp_path / "stale.yaml").write_text(STALE)
    month.books = price_book.with_overrides(tmp_path / "stale.yaml")
    month.live(START + 28 * DAY)
    month.look()
    month.books = price_book.official_prices()
    month.live(START + 30 * DAY)

    found = month.shown()
    recorded = month.recorded()
    by_hand = []
    for first in (0, 7, 14, 21):
        charges = month.charges(START + first * DAY, START + (first + 7) * DAY)
        somebody_elses = sum(each.micro_credits or 0 for each in charges if each.response_id not in recorded)
        too_dear = 0
        if first == 21:
            # By hand: the old price of these calls against what they were billed.
            old = sum(each.input_tokens * 96_005 + each.output_tokens * 384_020 for each in charges)
            too_dear = old - sum(each.micro_credits or 0 for each in charges)
        by_hand.append(somebody_elses - too_dear)
    assert [each["drift_micro_credits"] for each in found["drifts"]] == by_hand
    assert by_hand[0] == by_hand[2] == 0
    assert by_hand[1] > 5_000 * MILLION
    assert by_hand[3] < -5_000 * MILLION
    assert [each["topups_micro_credits"] // MILLION for each in found["drifts"]] == [200_000, 0, 100_000, 0]
    assert account.balance is not None
    assert found["balance_micro_credits"] == account.balance - account.uncollected
    assert found["spent_micro_credits"] == month.billed(START + 28 * DAY, month.now)
    assert found["expires_at"] == (START + 17 * DAY).replace(year=2027).isoformat()


def test_the_forecast_of_a_month(month: Month) -> None:
    """The forecast follows from the bill's days as plain arithmetic has it, and the credits run out in its range."""
    month.now = START + 15 * DAY
    month.look()
    month.live(START + 25 * DAY)
    found = month.shown()
    now = month.now
    days = [month.billed(now - (back + 1) * DAY, now - back * DAY) for back in range(7)]
    last_hour = month.billed(now - dt.timedelta(hours=1), now)
    assert found["burn_micro_credits"] == {
        "last_hour": last_hour,
        "per_hour": days[0] // 24,
        "per_day": sum(days) // 7,
        "max_day": max(days),
        "min_day": min(days),
    }
    left = found["balance_micro_credits"]
    zero_at = {name: dt.datetime.fromisoformat(at) for name, at in found["runs_out_at"].items()}
    fastest = max(*days, 24 * last_hour)
    by_hand = {"at": sum(days) / 7, "earliest": fastest, "latest": min(days)}
    for name, per_day in by_hand.items():
        assert abs(zero_at[name] - (now + left / per_day * DAY)) < dt.timedelta(seconds=2)
    month.live(now + 100 * DAY)
    gone_at = month.now
    assert month.sandbox.account.exhausted
    assert zero_at["earliest"] < gone_at < zero_at["latest"]
    assert abs(gone_at - zero_at["at"]) < (gone_at - now) * 0.1


def test_a_wild_hour_brings_the_end_nearer(month: Month) -> None:
    """After quiet days, an hour of runaway spend is what the earliest end follows, and it is warned of."""
    month.look()
    month.live(START + 3 * DAY)
    quiet = month.shown()
    assert quiet["alerts"] == []
    hour = month.now
    for _ in range(60):
        month.now += dt.timedelta(seconds=50)
        for _ in range(5):
            month.call()
    found = month.shown()
    per_hour = month.billed(hour, month.now + dt.timedelta(seconds=1))
    earliest = dt.datetime.fromisoformat(found["runs_out_at"]["earliest"])
    by_hand = month.now + found["balance_micro_credits"] / per_hour * dt.timedelta(hours=1)
    # `live` may have made a call in that hour too.
    assert abs(earliest - by_hand) < (by_hand - month.now) * 0.1
    assert (
        earliest
        < dt.datetime.fromisoformat(found["runs_out_at"]["at"])
        < dt.datetime.fromisoformat(quiet["runs_out_at"]["at"])
    )
    assert "credits may run out at" in found["alerts"][0]


def test_a_reading_in_the_midst_of_a_cycle(month: Month) -> None:
    """What the console may not have collected is said, and is no drift."""
    month.look()
    month.now += dt.timedelta(hours=1)
    month.call()
    month.now += dt.timedelta(minutes=2)
    month.look()  # the sandbox has not taken that call yet
    month.now += dt.timedelta(hours=1)
    month.call()
    found = month.shown()
    last, before = (each.micro_credits for each in reversed(month.sandbox.bill.charges))
    assert found["uncertainty_micro_credits"] == before
    month.now += dt.timedelta(minutes=4)
    found = month.shown()
    assert found["pending_micro_credits"] == last
    (drift,) = found["drifts"]
    assert drift["drift_micro_credits"] == -(before or 0)
    assert drift["at_least_micro_credits"] == -(before or 0)
    assert drift["at_most_micro_credits"] == 0
    table = credits_command(month.path).stdout
    assert "were spent in the five minutes before the last reading" in table
    assert "The console debited what the ledger recorded" in table
    month.now += dt.timedelta(minutes=2)
    assert month.shown()["pending_micro_credits"] == 0


def test_what_is_printed(month: Month) -> None:
    """The table has the sum and what it is made of; drift of either sign says what may be behind it."""
    assert "litellm-maas credits set" in credits_command(month.path).stdout
    assert "litellm-maas credits set" in credits_command(month.path, "list").stdout
    assert json.loads(credits_command(month.path, "--json").stdout) == {"balance_micro_credits": None}
    month.note("set", "1000000")
    table = credits_command(month.path).stdout
    assert "1,000,000 VND" in table
    assert "never at this rate" in table
    month.now += DAY
    month.note("set", "900000")
    assert (
        "The console debited at least 100,000 VND more than the ledger recorded" in credits_command(month.path).stdout
    )
    month.now += DAY
    month.note("set", "950000")
    assert "The console debited at least 50,000 VND less" in credits_command(month.path).stdout
    month.note("topup", "2.000.000")
    table = credits_command(month.path).stdout
    assert "2,950,000 VND" in table
    assert "2027-07-22" in table
    listed = credits_command(month.path, "list").stdout
    assert [line.split()[0] for line in listed.splitlines()[1:]] == ["1", "2", "3", "4"]
    assert credits_command(month.path, "remove", "4").exit_code == 0
    assert [each["id"] for each in json.loads(credits_command(month.path, "list", "--json").stdout)] == [1, 2, 3]
    assert max(map(len, table.splitlines())) <= 100


def test_credits_that_expire_before_they_are_gone(month: Month) -> None:
    """Credits run out at the latest when they expire, and one call is not `1 calls`."""
    month.note("topup", "1000000")
    month.note("set", "1000000")
    month.now += dt.timedelta(hours=1)
    month.call()
    month.now += DAY / 2
    table = credits_command(month.path).stdout
    assert [line.split() for line in table.splitlines() if line.startswith("runs out")] == [
        ["runs", "out", "2027-07-20", "07:00,", "when", "they", "expire"]
    ]
    assert month.shown()["runs_out_at"]["at"] == month.shown()["expires_at"] == "2027-07-20T00:00:00+00:00"
    with SqliteLedger(month.path) as ledger:
        ledger.insert(event("unpriced", None, started_at=month.now))
    month.now += DAY / 2
    assert "and 1 call without a price" in " ".join(credits_command(month.path).stdout.split())


def test_credits_that_are_gone(month: Month, heard: list[dict[str, Any]]) -> None:
    """Who has spent more than there was is told so; a top-up of a leap day expires on the last of February."""
    month.now = dt.datetime(2028, 2, 29, 12, tzinfo=UTC)
    month.note("topup", "1000")
    month.note("set", "5")
    month.now += dt.timedelta(hours=1)
    month.sandbox.account.balance = None
    month.call()
    month.now += dt.timedelta(hours=1)
    found = month.shown()
    assert found["balance_micro_credits"] < 0
    assert found["runs_out_at"] == dict.fromkeys(("at", "earliest", "latest"), month.now.isoformat())
    assert found["expires_at"] == "2029-02-28T12:00:00+00:00"
    assert "credits have run out" in heard[0]["text"]


def test_credits_that_expire(month: Month, heard: list[dict[str, Any]]) -> None:
    """Before credits expire there is a warning; then nothing is left of them, and for a week they can be recovered."""
    month.now = dt.datetime(2025, 1, 5, 5, tzinfo=UTC)
    month.note("topup", "2000000")
    month.now += DAY
    month.note("set", "2000000")
    expires_at = "2026-01-05T05:00:00+00:00"
    month.now = dt.datetime(2025, 12, 29, 4, tzinfo=UTC)
    assert (month.shown()["alerts"], heard) == ([], [])
    month.now += 2 * dt.timedelta(hours=1)
    found = month.shown()
    assert (found["balance_micro_credits"], found["expired_micro_credits"]) == (2_000_000 * MILLION, 0)
    assert found["runs_out_at"] == dict.fromkeys(("at", "earliest", "latest"), expires_at)
    assert found["alerts"][0].startswith("credits expire at 2026-01-05 12:00 (Asia/Ho_Chi_Minh): 2,000,000 VND left")
    assert [each["threshold"] for each in heard] == ["expiry"]
    month.now = dt.datetime(2026, 1, 5, 5, tzinfo=UTC)
    found = month.shown()
    assert (found["balance_micro_credits"], found["expired_micro_credits"]) == (0, 2_000_000 * MILLION)
    assert (found["expires_at"], found["runs_out_at"]["at"]) == (expires_at, expires_at)
    assert "credits expired at 2026-01-05 12:00" in found["alerts"][0]
    assert "The vendor can recover them until 2026-01-12 12:00" in found["alerts"][0]
    assert "expired 2,000,000 VND" in " ".join(credits_command(month.path).stdout.split())
    month.now += 300 * DAY
    assert "recover" not in month.shown()["alerts"][0]
    assert month.shown()["balance_micro_credits"] == 0


def test_a_top_up_after_credits_expired(month: Month) -> None:
    """What had expired does not come back with the next top-up, and what was spent before that had not expired."""
    month.note("topup", "1000")
    month.note("set", "1000")
    with SqliteLedger(month.path) as ledger:
        ledger.insert(event("before", 300 * MILLION, started_at=month.now + 10 * DAY))
        ledger.insert(event("after", 20 * MILLION, started_at=month.now + 402 * DAY))
    month.now += 400 * DAY
    month.note("topup", "500")
    month.now += 5 * DAY
    found = month.shown()
    assert (found["balance_micro_credits"], found["expired_micro_credits"]) == (480 * MILLION, 700 * MILLION)
    assert found["expires_at"] == (START + 400 * DAY).replace(year=2028).isoformat()
    assert found["alerts"] == []


def test_a_top_up_keeps_credits_from_expiring(month: Month) -> None:
    """Credits last a year from the latest top-up, those from before it too."""
    month.note("topup", "1000")
    month.note("set", "1000")
    month.now += 300 * DAY
    month.note("topup", "500")
    month.now += 300 * DAY
    found = month.shown()
    assert (found["balance_micro_credits"], found["expired_micro_credits"]) == (1500 * MILLION, 0)


def test_a_reading_after_the_expiry_is_believed(month: Month) -> None:
    """Where the console shows credits after they should have expired, a later top-up is not noted: no date is known."""
    month.note("topup", "1000")
    month.now += 400 * DAY
    month.note("set", "800")
    found = month.shown()
    assert (found["balance_micro_credits"], found["expires_at"], found["alerts"]) == (800 * MILLION, None, [])
    assert "not known: there is no top-up" in credits_command(month.path).stdout


def test_credits_that_will_be_spent_before_they_expire(month: Month) -> None:
    """There is no warning of an expiry that comes after the end, at the rate of the last days."""
    month.note("topup", "1000")
    month.now += 360 * DAY
    month.note("set", "1000")
    with SqliteLedger(month.path) as ledger:
        ledger.insert(event("now", 500 * MILLION, started_at=month.now + DAY / 8))
    month.now += DAY / 4
    assert not any("expire" in text for text in month.shown()["alerts"])


def test_a_balance_of_one_host(month: Month, heard: list[dict[str, Any]]) -> None:
    """A note can belong to a host's account, of which the calls to it count; the others to all hosts together."""
    month.note("set", "1000")
    for host, credits_ in (("https://a.vn/v1", "500"), ("b.vn:8080", "70")):
        done = credits_command(month.path, "set", credits_, "--host", host, "--at", month.now.isoformat())
        assert done.exit_code == 0, done.output
    with SqliteLedger(month.path) as ledger:
        for name, of, spent in (("1", "a.vn", 100), ("2", "b.vn:8080", 60), ("3", None, 5)):
            ledger.insert(event(name, spent * MILLION, host=of, started_at=month.now + DAY / 2))
    month.now += DAY
    for host, left in (("a.vn", 400), ("http://b.vn:8080", 10)):
        found = json.loads(credits_command(month.path, "--host", host, "--json").stdout)
        assert (found["balance_micro_credits"], found["host"]) == (left * MILLION, host.removeprefix("http://"))
        assert len(found["alerts"]) == (left == 10)
    error = str(credits_command(month.path, "--json").exception)
    assert "there are readings of more than one account (all hosts together, a.vn, b.vn:8080)" in error
    table = " ".join(credits_command(month.path).stdout.split())
    assert "all hosts together credits amount left 835 VND" in table
    assert "a.vn credits amount left 400 VND" in table
    assert "Calls of 2 hosts are in what was spent (a.vn, b.vn:8080)." in table
    assert "litellm-maas credits set AMOUNT --host b.vn:8080" in table
    assert [(each["host"], each["threshold"]) for each in heard] == [("b.vn:8080", "6 h")]
    page = (ROOT / "docs" / "budgets.md").read_text(encoding="utf-8")
    assert [name for name in heard[0] if f"`{name}`" not in page] == []
    assert "credits at b.vn:8080 may run out" in heard[0]["text"]
    listed = json.loads(credits_command(month.path, "list", "--json").stdout)
    assert [each["host"] for each in listed] == [None, "a.vn", "b.vn:8080"]
    assert "b.vn:8080" in credits_command(month.path, "list").stdout
    assert "There is no reading for c.vn" in credits_command(month.path, "--host", "c.vn").stdout


def test_the_only_account_is_the_one_that_is_shown(month: Month) -> None:
    """Where only one host's balance is noted, nobody has to name it."""
    assert credits_command(month.path, "set", "500", "--host", "a.vn", "--at", month.now.isoformat()).exit_code == 0
    assert month.shown()["host"] == "a.vn"


@pytest.mark.parametrize("arguments", [[], ["list"]])
def test_credits_of_a_ledger_that_is_not_there(tmp_path: Path, arguments: list[str]) -> None:
    """A ledger that was named and is not there is a mistake."""
    assert "there is no ledger" in str(credits_command(tmp_path / "none.db", *arguments).exception)


def test_what_waits_is_said(month: Month) -> None:
    """Events that cannot be recorded yet are in no sum, and that is said."""
    month.note("set", "1000")
    folder = Path(f"{month.path}.outbox")
    folder.mkdir()
    (folder / "broken.json").write_text("{")
    assert "1 event queued beside the ledger is not in the sums" in credits_command(month.path).stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["set", "1.530"], "could be 1530 or"),
        (["set", "much"], "is not an amount"),
        (["set", "1", "--at", "2030-01-01"], "is in the future"),
        (["topup", "0"], "must be more than 0 credits"),
        (["remove", "3"], "there is no entry 3, as there is none at all; begin with"),
    ],
)
def test_what_cannot_be_noted(tmp_path: Path, arguments: list[str], says: str) -> None:
    """A note that cannot be meant is refused with what to write instead."""
    error = credits_command(tmp_path / "ledger.db", *arguments).exception
    assert isinstance(error, MaasError)
    assert says in str(error)


def test_options_before_a_subcommand(tmp_path: Path) -> None:
    """An option before the subcommand is refused and not lost."""
    done = CliRunner().invoke(group, ["credits", "--ledger", str(tmp_path / "other.db"), "set", "1"])
    assert done.exit_code == 2
    assert "after set" in done.output


@pytest.mark.parametrize(
    ("text", "credits_"),
    [
        ("1530000", "1530000"),
        ("1,530,000", "1530000"),
        ("1.530.000", "1530000"),
        (" 1.530.000 ₫", "1530000"),
        ("1,530,000 VND", "1530000"),
        ("1,530,000.50", "1530000.50"),
        ("0,500", "0.500"),
        ("1.530.000,5", "1530000.5"),
        ("1530.5", "1530.5"),
        ("0,25", "0.25"),
        ("0.250", "0.250"),
        ("0", "0"),
        ("1530.1234", "1530.1234"),
    ],
)
def test_amounts(text: str, credits_: str) -> None:
    """Amounts are read as people write them, English or Vietnamese."""
    whole, _, part = credits_.partition(".")
    assert parse_credits(text) == int(whole) * MILLION + int((part or "0").ljust(6, "0"))


@pytest.mark.parametrize(
    "text",
    ["1.530", "1,530", "12.345", "1,530,000.000", "1.53.000", "1,53,000", "-5", "", "1e6", "1.1234567", "9" * 13],
)
def test_amounts_that_are_none(text: str) -> None:
    """What could be two amounts, or is none, is refused."""
    with pytest.raises(SettingsError, match="write"):
        parse_credits(text)


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """The warnings that a program's hook is given."""
    found: list[dict[str, Any]] = []
    alerts.on_alert(found.append)
    yield found
    alerts._hooks.remove(found.append)  # noqa: SLF001 - there is no way to take a hook back


def _a_spender(path: Path) -> None:
    """A ledger with a reading of 1,000 credits, and 900 of them spent within the last hour."""
    assert credits_command(path, "set", "1000", "--at", "2h").exit_code == 0
    now = dt.datetime.now(UTC)
    with contextlib.closing(SqliteLedger(path)) as ledger:
        for number in range(9):
            ledger.insert(event(f"{number}", 100 * MILLION, started_at=now - dt.timedelta(minutes=10)))


def test_warnings_are_given_once_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """The command warns of a near end and of a low balance, once for each on a day, and shows it every time."""
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("MAAS_CREDITS_WARN_BELOW", "500")
    _a_spender(path)
    assert credits_command(path).exit_code == 0
    assert [each["threshold"] for each in heard] == ["6 h", "500 VND"]
    assert [each["balance_micro_credits"] for each in heard] == [100 * MILLION] * 2
    assert "credits may run out at" in caplog.text
    table = credits_command(path).stdout
    assert len(heard) == 2
    assert "credits may run out at" in table
    assert "credits are below 500 VND" in table
    tomorrow = dt.datetime.now(UTC) + DAY
    monkeypatch.setattr(periods, "now", tomorrow.astimezone)
    assert json.loads(credits_command(path, "--json").stdout)["alerts"]
    assert [each["threshold"] for each in heard] == ["6 h", "500 VND", "500 VND"]


@pytest.mark.parametrize(
    ("environment", "marks"),
    [
        ({"MAAS_CREDITS_WARN_HOURS": "0"}, []),
        ({"MAAS_CREDITS_WARN_HOURS": "0.01"}, []),
        ({"MAAS_CREDITS_WARN_HOURS": "0", "MAAS_CREDITS_WARN_BELOW": "99"}, []),
        ({"MAAS_CREDITS_WARN_HOURS": "0", "MAAS_CREDITS_WARN_BELOW": "1.000.000"}, ["1,000,000 VND"]),
    ],
)
def test_when_there_is_nothing_to_warn_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    heard: list[dict[str, Any]],
    environment: dict[str, str],
    marks: list[str],
) -> None:
    """The limits are those that are set."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _a_spender(tmp_path / "ledger.db")
    credits_command(tmp_path / "ledger.db")
    assert [each["threshold"] for each in heard] == marks


@pytest.mark.parametrize(("name", "value"), [("HOURS", "soon"), ("BELOW", "1.530")])
def test_limits_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A limit that is none is said with its variable; a running program goes on without it."""
    _a_spender(tmp_path / "ledger.db")
    monkeypatch.setenv(f"MAAS_CREDITS_WARN_{name}", value)
    error = credits_command(tmp_path / "ledger.db").exception
    assert isinstance(error, SettingsError)
    assert f"MAAS_CREDITS_WARN_{name}" in str(error)
    track_spend(tmp_path / "ledger.db")
    runtime.tracker.recorder().record(event("another"))


def test_a_running_program_warns(
    tmp_path: Path, heard: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who records spend is warned while the program runs, in its log and at its webhook, once for all processes."""
    got: list[Any] = []
    came = threading.Event()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()
            came.set()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setenv("MAAS_ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        path = tmp_path / "ledger.db"
        _a_spender(path)
        for number in range(2):
            track_spend(path)
            runtime.tracker.recorder().record(event(f"new {number}", started_at=dt.datetime.now(UTC)))
            runtime.close()  # waits for what the recorder does in its own thread
        assert came.wait(20)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [each["threshold"] for each in heard] == ["6 h"]
    assert [each["about"] for each in got] == ["credits"]
    assert [record.levelno for record in caplog.records if "credits may run out" in record.message] == [logging.WARNING]


def test_the_look_at_credits_is_rare_and_in_another_thread(tmp_path: Path) -> None:
    """However much is recorded, credits are looked at once, and not by the thread that records."""
    looked: list[int] = []
    recorder = Recorder(tmp_path / "ledger.db", on_tick=lambda: looked.append(threading.get_ident()))
    for number in range(50):
        recorder.record(event(f"{number}"))
    recorder.close()
    assert len(looked) == 1
    assert looked[0] != threading.get_ident()


def test_credits_with_a_ledger_in_postgres(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Notes are kept in the file on this machine, spend is what the database has, of all machines."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = CliRunner().invoke(group, ["credits", "set", "1000", "--at", "2h", "--ledger", database])
    assert done.exit_code == 0, done.output
    track_spend(database)
    runtime.tracker.recorder().record(event("here", 100 * MILLION, started_at=dt.datetime.now(UTC)))
    runtime.close()
    found = json.loads(CliRunner().invoke(group, ["credits", "--json", "--ledger", database]).stdout)
    assert found["balance_micro_credits"] == 900 * MILLION
    spools = list(tmp_path.rglob("spool-*.db"))
    assert len(spools) == 1
    assert "a-password" not in json.dumps(found)
