from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import os
import random
import signal
import sqlite3
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import litellm
import pydantic
import pytest
from click.testing import CliRunner, Result

import litellm_maas
from litellm_maas import alerts
from litellm_maas.budgets import budget
from litellm_maas.budgets import enforcement as budgeting_module
from litellm_maas.budgets.budget import Budget
from litellm_maas.budgets.max_cost import estimate_max_cost
from litellm_maas.budgets.reservations import BudgetStore
from litellm_maas.budgets.spent_cache import SpentCache
from litellm_maas.cli.budget import command
from litellm_maas.errors import ConfigFileError
from litellm_maas.gateway.endpoint import resolve_endpoint, resolve_key
from litellm_maas.ledger.base import Correction
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing import price_book
from litellm_maas.resilience.cooldowns import DeploymentKey
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Answer, Choice, Fault, Sandbox
from tests import call_modes
from tests.factories import event
from tests.helpers import KEY, MESSAGES, ROOT, astream, until
from tests.warm_process import WarmProcess

# What the sandbox answers is as long as it may be at most, and the price of what it reads is small beside that.
CALL: dict[str, Any] = {"model": "maas/openai/gpt-4o", "messages": MESSAGES, "max_tokens": 200}
ANSWER = Answer((Choice("Xin" + " chào" * 199),), input_tokens=10)
COST = Decimal(10 * 70_888 + 200 * 283_550) / 1_000_000
UTC = dt.timezone.utc


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger in which spend is recorded."""
    monkeypatch.setenv("MAAS_TRACK_SPEND", "1")
    monkeypatch.setenv("MAAS_LEDGER", str(tmp_path / "ledger.db"))
    return tmp_path / "ledger.db"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls do not wait for room."""
    monkeypatch.setattr(budgeting_module, "_LONGEST_WAIT", 0.0)


def allow(amount: Decimal | float, **more: Any) -> Budget:
    """Put a budget in force."""
    made = Budget(name=more.pop("name", "test"), credits=amount, **more)
    runtime.budgets.configured = (*runtime.budgets.configured, made)
    return made


def events(ledger: Path) -> list[Event]:
    """What is recorded."""
    with SqliteLedger(ledger) as found:
        return list(found.events())


def reserved(ledger: Path) -> int:
    """Micro-credits that are reserved."""
    with SqliteLedger(ledger) as found:
        ((total,),) = found.query("SELECT coalesce(sum(micro_credits), 0) FROM reservations")
    return int(total)


WAYS: dict[str, Callable[..., Any]] = {
    **call_modes.WAYS,
    "router": lambda **call: litellm.Router(
        [{"model_name": call["model"], "litellm_params": {"model": call["model"]}}], num_retries=2
    ).completion(**call),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_full_budget_refuses(ledger: Path, sandbox: Sandbox, way: str) -> None:
    """What does not fit is refused with LiteLLM's own error, all figures and what to do; nothing is sent."""
    sandbox.script(ANSWER)
    allow(COST * 2, per="day", name="a day's")
    litellm.completion(**CALL)
    assert len(sandbox.requests) == 1
    with pytest.raises(Exception, match="a day's") as refused:
        WAYS[way](**CALL)
    error = getattr(refused.value, "original_exception", refused.value)
    assert isinstance(error, litellm.BudgetExceededError)
    assert type(error).__name__ == "BudgetExceededError"
    assert str(error).startswith("litellm.BudgetExceededError: MaaS: budget")
    assert error.current_cost == pytest.approx(float(COST))
    assert error.max_budget == pytest.approx(float(COST * 2))
    for part in ("57.42 VND spent", "0 VND reserved", "Resets at", "00:00 (Asia/Ho_Chi_Minh)", "max_tokens"):
        assert part in str(error)
    assert len(sandbox.requests) == 1
    last = events(ledger)[-1]
    assert (last.status, last.micro_credits, last.model) == ("blocked", 0, "openai/gpt-4o")
    assert reserved(ledger) == 0


@pytest.mark.parametrize("kind", ["tasks", "threads", "streams"])
def test_a_budget_holds_under_concurrency(ledger: Path, sandbox: Sandbox, kind: str) -> None:
    """200 calls at once under a budget that pays for 37: never above it, and 95 % of it used."""
    for _ in range(200):
        sandbox.script(ANSWER)
    limit = allow(COST * 37).limit

    async def together() -> list[Any]:
        one = astream if kind == "streams" else litellm.acompletion
        return await asyncio.gather(*(one(**CALL) for _ in range(200)), return_exceptions=True)

    if kind == "threads":
        with ThreadPoolExecutor(50) as pool:
            outcomes = list(pool.map(lambda _: _outcome(litellm.completion), range(200)))
    else:
        outcomes = asyncio.run(together())
    spent = sandbox.bill.micro_credits
    assert 0.95 * limit <= spent <= limit
    assert sum(event.micro_credits or 0 for event in events(ledger)) == spent
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 200 - len(sandbox.bill.charges)
    assert reserved(ledger) == 0


def _outcome(call: Callable[..., Any]) -> Any:
    try:
        return call(**CALL)
    except litellm.BudgetExceededError as error:
        return error


def test_room_that_is_set_aside_is_waited_for(ledger: Path, sandbox: Sandbox) -> None:
    """A call that fits only when another has cost less than it might waits for that, and then goes out."""
    sandbox.faults.add(Fault(delay=0.5))
    allow(COST * Decimal("1.5"))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: litellm.completion(**CALL), range(2))
    assert first.id != second.id
    assert len(sandbox.requests) == 2


@pytest.mark.usefixtures("impatient")
def test_what_is_set_aside_counts(ledger: Path, sandbox: Sandbox) -> None:
    """While a call is in flight its maximum cost is reserved; what it has not cost is released afterwards."""
    allow(COST * Decimal("1.5"))
    first = litellm.completion(stream=True, **CALL)
    next(iter(first))
    assert reserved(ledger) > COST * 1_000_000
    with pytest.raises(litellm.BudgetExceededError, match=r"[1-9][\d.]* VND reserved"):
        litellm.completion(**CALL)
    list(first)
    assert reserved(ledger) == 0
    litellm.completion(**CALL)


@pytest.mark.parametrize("way", ["completion", "acompletion", "stream", "astream"])
@pytest.mark.parametrize("ending", ["failure", "refused before", "abandoned", "no JSON", "a wrong client"])
def test_nothing_stays_set_aside(
    ledger: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, way: str, ending: str
) -> None:
    """A call that fails, is never sent, or is given up leaves nothing reserved."""
    allow(COST * 100)
    if ending == "failure":
        sandbox.faults.add(Fault(status=500))
    elif ending == "refused before":
        monkeypatch.setenv("MAAS_RPM", "1")
        monkeypatch.setenv("MAAS_RPM_MAX_WAIT", "0.001")
        monkeypatch.setenv("XDG_DATA_HOME", str(ledger.parent))
        litellm.completion(**CALL)
    oddities: dict[str, dict[str, Any]] = {
        "no JSON": {"temperature": float("nan")},
        "a wrong client": {"client": object()},
    }
    strange = oddities.get(ending, {})
    if ending != "abandoned":
        with pytest.raises(
            (litellm.InternalServerError, litellm.RateLimitError, litellm.APIConnectionError, Exception)
        ):
            WAYS[way](**CALL, **strange)
    elif way == "stream":
        given_up = litellm.completion(stream=True, **CALL)
        next(iter(given_up))
        del given_up
    elif way == "astream":
        asyncio.run(_give_up_stream())
    elif way == "acompletion":
        sandbox.faults.add(Fault(hang=True))
        asyncio.run(_give_up_call(sandbox))
    until(lambda: reserved(ledger) == 0)


async def _give_up_stream() -> None:
    chunks = await litellm.acompletion(stream=True, **CALL)
    await anext(aiter(chunks))


async def _give_up_call(sandbox: Sandbox) -> None:
    task = asyncio.create_task(litellm.acompletion(**CALL))
    await asyncio.to_thread(until, lambda: len(sandbox.requests) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.process
@pytest.mark.usefixtures("impatient")
def test_a_killed_process_gives_its_room_back_in_time(ledger: Path, sandbox: Sandbox) -> None:
    """What a process had reserved that was killed in the middle of a call is free after a quarter of an hour."""
    made = allow(COST * Decimal("1.5"))
    with SqliteLedger(ledger) as opened:
        BudgetStore(opened).set(made)
    sandbox.faults.add(Fault(hang=True))
    code = textwrap.dedent(
        """
        import litellm, litellm_maas
        from tests.budgets.test_budgets import CALL
        litellm.completion(**CALL)
        """
    )
    environment = {**os.environ, **sandbox.environment()}
    with WarmProcess(code, environment, Path.cwd()) as process:
        try:
            until(lambda: len(sandbox.requests) == 1)
        finally:
            process.send_signal(signal.SIGKILL)
    assert reserved(ledger) > 0
    with pytest.raises(litellm.BudgetExceededError):
        litellm.completion(**CALL)
    with sqlite3.connect(ledger) as connection:
        ((left,),) = connection.execute("SELECT max(expires_at) FROM reservations")
        assert 14 * 60 < left / 1e6 - time.time() <= 15 * 60
        connection.execute("UPDATE reservations SET expires_at = expires_at - 900000000")
    connection.close()
    litellm.completion(**CALL)


def test_a_downgrade_sends_the_call_to_another_model(ledger: Path, sandbox: Sandbox) -> None:
    """Where there is no room for a model, the budget's cheaper one answers, and the ledger says so."""
    allow(COST, model="openai/gpt-4o", action="downgrade:qwen/qwen3.6-flash")
    for way, call in WAYS.items():
        call(**{**CALL, "max_tokens": 2000})
        last = events(ledger)[-1]
        assert (last.requested_model.removeprefix("maas/"), last.model) == (
            "openai/gpt-4o",
            "qwen/qwen3.6-flash",
        ), way
    assert {charge.model for charge in sandbox.bill.charges} == {"qwen/qwen3.6-flash"}


def test_a_downgrade_that_fails_makes_the_model_rest_that_was_called(ledger: Path, sandbox: Sandbox) -> None:
    """Where the cheaper model is not there, that one rests, and not the one that was asked for."""
    allow(COST, model="openai/gpt-4o", action="downgrade:qwen/qwen3.6-flash")
    sandbox.faults.add(Fault(status=404, body={"error": {"message": "model not found", "code": "model_not_found"}}))
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**{**CALL, "max_tokens": 2000})
    key = resolve_key(None)
    assert key is not None
    models = ("openai/gpt-4o", "qwen/qwen3.6-flash")
    assert [
        bool(runtime.cooldowns.seconds_remaining(DeploymentKey.of(each, resolve_endpoint(None), key)))
        for each in models
    ] == [
        False,
        True,
    ]


def test_a_downgrade_that_leads_nowhere_refuses(ledger: Path, sandbox: Sandbox) -> None:
    """Budgets that send calls to each other's models refuse in the end."""
    allow(0.01, name="one", model="openai/gpt-4o", action="downgrade:openai/gpt-5")
    allow(0.01, name="two", model="openai/gpt-5", action="downgrade:openai/gpt-4o")
    with pytest.raises(litellm.BudgetExceededError, match="'two'"):
        litellm.completion(**CALL)
    assert not sandbox.requests


def test_a_warning_budget_never_refuses(ledger: Path, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """With the action warn calls go on, and each mark is said once."""
    sandbox.script(*[ANSWER] * 5)
    allow(COST * 2, action="warn", warn_at=(50, 100, 150))
    for _ in range(5):
        litellm.completion(**CALL)
    marks = [record.getMessage() for record in caplog.records if "budget test" in record.getMessage()]
    assert [mark.partition("(")[2].partition(" reached")[0] for mark in marks] == ["50 %", "100 %", "150 %"]


@pytest.mark.parametrize("model", ["gemini/gemini-2.5-flash", "qwen/qwen3-27b"])
def test_models_without_a_price_need_leave(ledger: Path, sandbox: Sandbox, model: str) -> None:
    """Under a budget a model without a price is refused, unless the budget allows such models."""
    allow(COST, name="strict")
    with pytest.raises(litellm.BudgetExceededError, match=r"blocks unpriced models.*\n.*MAAS_PRICES"):
        litellm.completion(**{**CALL, "model": f"maas/{model}"})
    assert not sandbox.requests
    runtime.budgets.configured = ()
    allow(COST, allow_unpriced=True)
    litellm.completion(**{**CALL, "model": f"maas/{model}"})


@pytest.mark.parametrize(
    ("filters", "call", "counts"),
    [
        ({"tag": "app"}, {"metadata": {"tags": ["x", "app"]}}, True),
        ({"tag": "app"}, {"metadata": {"tags": ["x"]}}, False),
        ({"user": "an"}, {"user": "an"}, True),
        ({"user": "an"}, {"user": "bình"}, False),
        ({"user": "an"}, {"user": "an", "metadata": {"user_api_key_user_id": "lan"}}, False),
        ({"user": "lan"}, {"user": "an", "metadata": {"user_api_key_user_id": "lan"}}, True),
        ({"user": "an"}, {"user": "an", "metadata": {"user_api_key_hash": "h"}}, False),
        ({"end_user": "an"}, {"user": "an", "metadata": {"user_api_key_user_id": "lan"}}, True),
        ({"end_user": "an"}, {"user": "an"}, False),
        ({"user": "x" * 5000}, {"user": "x" * 5000}, True),
        ({"user": "x" * 5000}, {"user": "x" * 5001}, False),
        ({"team": "đội"}, {"metadata": {"user_api_key_team_alias": "đội"}}, True),
        ({"team": "đội"}, {"metadata": {"user_api_key_team_alias": "đội", "user_api_key_team_id": "t-1"}}, True),
        ({"team": "t-1"}, {"metadata": {"user_api_key_team_alias": "đội", "user_api_key_team_id": "t-1"}}, True),
        ({"team": "t-2"}, {"metadata": {"user_api_key_team_alias": "đội", "user_api_key_team_id": "t-1"}}, False),
        ({"host": "127.0.0.1:1"}, {}, False),
        ({"key": "k"}, {"metadata": {"user_api_key_alias": "k"}}, True),
        ({"key": "k"}, {}, False),
        ({"model": "openai/gpt-4o", "user": "an"}, {"user": "an"}, True),
        ({"model": "openai/gpt-5", "user": "an"}, {"user": "an"}, False),
    ],
)
def test_only_what_a_budget_is_about_counts(
    ledger: Path, sandbox: Sandbox, filters: dict[str, str], call: dict[str, Any], *, counts: bool
) -> None:
    """Calls that a budget's filters match count and are refused; others pass, and do not use it up."""
    sandbox.script(*[ANSWER] * 4)
    runtime.budgets.configured = (Budget(name="other", credits=COST * 3),)
    litellm.completion(**CALL, **call)
    with SqliteLedger(ledger) as opened:
        (state,) = BudgetStore(opened).status([Budget(name="test", credits=1, **filters)])
    assert state.spent == (COST * 1_000_000 if counts else 0)
    allow(COST * Decimal("1.1"), **filters)
    if counts:
        with pytest.raises(litellm.BudgetExceededError):
            litellm.completion(**CALL, **call)
    else:
        litellm.completion(**CALL, **call)


def test_a_budget_of_a_host(ledger: Path, sandbox: Sandbox) -> None:
    """A budget can be about one host, as a base URL too; calls to another one neither count nor are refused."""
    sandbox.script(*[ANSWER] * 2)
    here = sandbox.url.split("/")[2]
    assert allow(COST * Decimal("1.1"), host=sandbox.url).host == here
    litellm.completion(**CALL)
    with pytest.raises(litellm.BudgetExceededError, match=f"host {here}"):
        litellm.completion(**CALL)
    with Sandbox(key=KEY) as other:
        litellm.completion(**CALL, api_base=other.url)
    with SqliteLedger(ledger) as opened:
        states = BudgetStore(opened).status(
            [Budget(name=host, credits=1, host=host) for host in (here, "elsewhere.vn")]
        )
    assert [state.spent for state in states] == [COST * 1_000_000, 0]
    with pytest.raises(pydantic.ValidationError, match="is not a host"):
        Budget(name="a", credits=1, host="https://")


ROWS = 400


def test_periods_are_the_calendars(ledger: Path) -> None:
    """What is spent in a period equals the sum of its events, for every period, filter and moment; also as it grows."""
    pick = random.Random(5)
    now = dt.datetime.now(UTC)
    made = []
    for number in range(ROWS):
        at = now - dt.timedelta(seconds=pick.choice((60, 3600, 90_000, 700_000, 3_000_000)) * pick.random())
        priced = pick.random() < 0.9
        made.append(
            event(
                str(number),
                pick.randrange(10**9) if priced else None,
                started_at=at,
                model=pick.choice(["openai/gpt-4o", "openai/gpt-5"]),
                user=pick.choice(["an", "bình", None]),
                tags=tuple(pick.sample(["a", "b"], pick.randrange(3))),
            )
        )
    periods = ("hour", "day", "week", "month", "total", "rolling 2h", "rolling 9d", "rolling 1w")
    filters: tuple[dict[str, str], ...] = ({}, {"user": "an"}, {"tag": "a"}, {"model": "openai/gpt-5", "user": "bình"})
    budgets = [Budget(name=f"{per} {given}", credits=1, per=per, **given) for per in periods for given in filters]
    with SqliteLedger(ledger) as opened:
        store = BudgetStore(opened)
        for upto in (100, 101, 250, ROWS):
            for each in made[len(list(opened.events())) : upto]:
                opened.insert(each)
            _compare(store, budgets, list(opened.events()))
        opened.correct([Correction(each.event_id, 5, 0, "custom", None, "a test") for each in made[::7]])
        _compare(store, budgets, list(opened.events()))


def _compare(store: BudgetStore, budgets: list[Budget], found: list[Event]) -> None:
    for state in store.status(budgets):
        period = state.budget.period(dt.datetime.now(UTC))
        expected = sum(
            event.micro_credits or 0
            for event in found
            if state.budget.matches(event.model, event)
            and (period.since is None or event.started_at >= period.since)
            and (period.until is None or event.started_at < period.until)
        )
        assert state.spent == expected, state.budget.name


@pytest.mark.parametrize(
    ("per", "since", "until"),
    [
        ("hour", "2026-11-22T15:00", "2026-11-22T16:00"),
        ("day", "2026-11-22T00:00", "2026-11-23T00:00"),
        ("week", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("month", "2026-11-01T00:00", "2026-12-01T00:00"),
        ("total", None, None),
        ("rolling 36h", "2026-11-21T03:59", None),
    ],
)
def test_a_period_begins_and_ends_in_vietnam(per: str, since: str | None, until: str | None) -> None:
    """Hours, days, weeks and business months are those of Asia/Ho_Chi_Minh."""
    vietnam = dt.timezone(dt.timedelta(hours=7))
    found = Budget(name="x", credits=1, per=per).period(dt.datetime(2026, 11, 22, 15, 59, tzinfo=vietnam))
    for text, moment in ((since, found.since), (until, found.until)):
        assert moment == (None if text is None else dt.datetime.fromisoformat(text).replace(tzinfo=vietnam))


def test_a_correction_gives_room_back(ledger: Path, sandbox: Sandbox) -> None:
    """What is repriced counts as repriced, in a process that has been counting all along."""
    sandbox.script(*[ANSWER] * 3)
    allow(COST * Decimal("1.5"))
    litellm.completion(**CALL)
    with pytest.raises(litellm.BudgetExceededError):
        litellm.completion(**CALL)
    with SqliteLedger(ledger) as opened:
        opened.correct([Correction(events(ledger)[0].event_id, 0, 0, "custom", None, "a gift")])
    litellm.completion(**CALL)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What a webhook was sent; it fails at first."""
    received: list[dict[str, Any]] = []
    failures = [500]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(failures.pop() if failures else 204)
            self.end_headers()
            received.append(json.loads(body))

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("MAAS_ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook?token=s3cret")
    yield received
    server.shutdown()
    server.server_close()
    thread.join()


def test_warnings_reach_hook_and_webhook(
    ledger: Path,
    sandbox: Sandbox,
    webhook: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each mark is told once a period to log, hook and webhook; one that fails harms nobody."""
    monkeypatch.setattr(alerts, "_hooks", [])
    told: list[dict[str, Any]] = []

    @alerts.on_alert
    def broken(warning: dict[str, Any]) -> None:
        raise RuntimeError

    litellm_maas.on_alert(told.append)
    sandbox.script(*[ANSWER] * 3)
    allow(COST * 4, per="month", name="team")
    for _ in range(3):
        litellm.completion(**CALL)
    runtime.budgets.close()  # another process would know nothing of what was said, but for the ledger
    with pytest.raises(litellm.BudgetExceededError):
        litellm.completion(**{**CALL, "max_tokens": 400})
    assert [warning["percent"] for warning in told] == [50]
    assert told[0] == {
        "about": "budget",
        "text": "budget team: 115 VND of 230 VND spent (50 % reached; per month, all calls)",
        "budget": "team",
        "percent": 50,
        "spent_micro_credits": int(COST * 2_000_000),
        "limit_micro_credits": int(COST * 4_000_000),
        "reserved_micro_credits": 0,
    }
    until(lambda: len(webhook) == 2)
    assert webhook == [told[0], told[0]]
    page = (ROOT / "docs" / "budgets.md").read_text(encoding="utf-8")
    assert [name for name in told[0] if f"`{name}`" not in page] == []
    assert "s3cret" not in caplog.text
    for thread in threading.enumerate():
        if thread.name == "maas-webhook":
            thread.join()


def test_a_webhook_that_is_away_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sandbox: Sandbox
) -> None:
    """A webhook that does not answer is tried three times and then logged, without its address."""
    monkeypatch.setenv("MAAS_ALERT_WEBHOOK", f"{sandbox.url}/s3cret")
    alerts.send_alert({"about": "budget", "text": "a test"})
    for thread in threading.enumerate():
        if thread.name == "maas-webhook":
            thread.join()
    assert "could not send an alert to MAAS_ALERT_WEBHOOK (HTTPStatusError)" in caplog.text
    assert "s3cret" not in caplog.text


def test_an_unusable_ledger_stops_no_call(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the ledger cannot be used, budgets cannot hold: one warning says so, and calls go on."""
    (tmp_path / "ledger.db").write_text("no ledger")
    monkeypatch.setenv("MAAS_TRACK_SPEND", "1")
    monkeypatch.setenv("MAAS_LEDGER", str(tmp_path / "ledger.db"))
    allow(0.01)
    litellm.completion(**CALL)
    litellm.completion(**CALL)
    said = [record for record in caplog.records if "budgets are not being enforced" in record.getMessage()]
    assert len(said) == 1


async def test_an_event_loop_adds_nothing_up(ledger: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was spent before is added up in a thread, because it may be all events of a month."""
    threads = []
    add_up = SpentCache._compute  # noqa: SLF001 - nothing public tells where it was done

    def watched(*given: Any) -> Any:
        threads.append(threading.current_thread())
        return add_up(*given)

    monkeypatch.setattr(SpentCache, "_compute", watched)
    allow(COST * 10, name="tag", tag="a")
    allow(COST * 10, name="window", per="rolling 24h")
    for _ in range(3):
        await litellm.acompletion(**CALL, metadata={"tags": ["a"]})
    assert len(threads) == 2
    assert threading.main_thread() not in threads


def test_a_ledger_in_the_place_of_another_is_read_anew(ledger: Path, sandbox: Sandbox) -> None:
    """Another ledger file, with more rows than the one before it, counts from its own first row on."""
    made = allow(COST * 10)
    litellm.completion(**CALL)
    with SqliteLedger(ledger) as old:
        store = BudgetStore(old)
        assert store.status([made])[0].spent == sandbox.bill.micro_credits
        for name in (ledger, Path(f"{ledger}-wal"), Path(f"{ledger}-shm")):
            name.unlink(missing_ok=True)
        with SqliteLedger(ledger) as new:
            for number in range(3):
                new.insert(event(f"e{number}", 5))
        assert store.status([made])[0].spent == 15


def test_whoever_raises_a_limit_is_warned_again(ledger: Path) -> None:
    """The marks of a budget with another limit have not been said yet."""
    with SqliteLedger(ledger) as opened:
        opened.insert(event("e", 100_000_000, started_at=dt.datetime.now(UTC)))
        store = BudgetStore(opened)
        for limit, said in ((100, [100]), (100, []), (150, [50]), (150, [])):
            made = Budget(name="team", credits=limit, per="total", warn_at=[50, 100])
            assert [notice.percent for notice in store.release("none", [made])] == said


def test_a_deleted_ledger_is_a_new_one(ledger: Path, sandbox: Sandbox) -> None:
    """When the ledger is deleted, budgets begin again with the new one, and hold there."""
    sandbox.script(*[ANSWER] * 4)
    allow(COST * Decimal("1.5"))
    litellm.completion(**CALL)
    for file in ledger.parent.glob("ledger.db*"):
        file.unlink()
    litellm.completion(**CALL)
    with pytest.raises(litellm.BudgetExceededError):
        litellm.completion(**CALL)


def test_without_recording_there_are_no_budgets(sandbox: Sandbox, tmp_path: Path) -> None:
    """A process that records no spend neither knows nor makes a ledger."""
    allow(0.01)
    litellm.completion(**CALL)
    assert not list(tmp_path.iterdir())


def test_the_worst_case_is_never_less_than_the_truth() -> None:
    """For random requests the cost at worst is at least what the sandbox's own bill says."""
    pick = random.Random(3)
    words = ["Xin chào", "thủ đô", "🦜", "a", " ", "\n", "hello world", "漢字"]
    models = [model for model, entry in _official().items() if entry.output is not None]
    with Sandbox() as sandbox:
        for _ in range(150):
            model = pick.choice(models)
            messages = [
                {"role": pick.choice(["user", "system"]), "content": "".join(pick.choices(words, k=pick.randrange(60)))}
                for _ in range(1 + pick.randrange(4))
            ]
            body = {"messages": messages, "max_tokens": 1 + pick.randrange(300)}
            most = estimate_max_cost(model, "chat", body, "payg", price_book.official_prices())
            litellm.completion(model=f"maas/{model}", api_base=sandbox.url, api_key=sandbox.key, **body)
            assert most is not None
            assert most >= (sandbox.bill.charges[-1].micro_credits or 0)


@pytest.mark.parametrize(
    "content",
    ["data: 12\n" * 500, "\ud800" * 50, [{"type": "text", "text": "data:image/png;base64," + "A" * 4000}]],
    ids=["text that begins as a picture does", "halves of characters", "text in a part"],
)
def test_text_is_counted_as_text(content: Any) -> None:
    """The worst case of text is at least its characters, whatever it begins with."""
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 1}
    length = len(content if isinstance(content, str) else content[0]["text"])
    assert (
        estimate_max_cost("openai/gpt-4o", "chat", body, "payg", price_book.official_prices()) or 0
    ) >= length * 70_888


def test_a_picture_costs_the_same_by_its_address() -> None:
    """A picture is taken for as many tokens by its address as in the request itself; tools may be pydantic models."""

    class Schema(pydantic.BaseModel):
        """What a caller may put into a tool."""

        name: str = "x" * 100

    costs = []
    for url in ("https://example.vn/a.png", "data:image/png;base64," + "A" * 100_000):
        picture = {"type": "image_url", "image_url": {"url": url}}
        body = {"messages": [{"role": "user", "content": [picture]}], "tools": [{"function": Schema()}]}
        costs.append(estimate_max_cost("openai/gpt-4o", "chat", body, "payg", price_book.official_prices()))
    assert costs[0] == costs[1]


def _official() -> dict[str, Any]:
    _, newest = next(price_book.official_prices().lists())
    return dict(newest.models)


def test_a_worst_case_counts_what_is_not_text() -> None:
    """Pictures, tools and images to be made are counted; what has no price has no worst case."""
    prices = price_book.official_prices()
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    seen = estimate_max_cost(
        "openai/gpt-4o", "chat", {"messages": [{"role": "user", "content": [picture]}]}, "payg", prices
    )
    assert seen is not None
    assert 4096 * 283_550 + 3000 * 70_888 < seen < 4096 * 283_550 + 3100 * 70_888
    tools = estimate_max_cost("openai/gpt-4o", "chat", {"messages": [], "tools": [{"a": "b" * 500}]}, "payg", prices)
    assert tools is not None
    assert tools > 4096 * 283_550 + 500 * 70_888
    assert estimate_max_cost("gemini/gemini-2.5-flash", "chat", {"messages": []}, "payg", prices) is None
    assert (
        estimate_max_cost("gpt-image-2", "image", {"n": 2, "size": "1024x1024", "quality": "low"}, "payg", prices)
        is None
    )
    assert estimate_max_cost("qwen/qwen3-embedding-8b", "embedding", {"input": ["abc"]}, "payg", prices) == 3 * 1134
    assert estimate_max_cost("glm-5.2", "chat", {"messages": []}, "plan", prices) == 0


@pytest.mark.parametrize(
    ("yaml", "line", "problem"),
    [
        ("budgets:\n  - {name: a, credits: 0}", 2, "0 cannot be a limit; write credits"),
        ("budgets:\n  - {name: a, credits: many}", 2, "'many' is not an amount; write it like"),
        ("budgets:\n  - {name: a, credits: '1.530'}", 2, "could be 1530"),
        ("budgets:\n  - {name: a, credits: 200,000}", 2, "write 200000, not 200,000"),
        ("- {name: a, credits: 1}", 1, "write `budgets:` on a line above it"),
        (
            "budgets:\n  - name: a\n    credits: 1\n    model: maas/",
            4,
            "is not a model id; write one such as openai/gpt-4o",
        ),
        (
            "budgets:\n  - name: a\n    credits: 1\n    model: maas/x/y\n    action: downgrade:x/y",
            5,
            "leads back to the model that is limited; name a cheaper one",
        ),
        ("budgets:\n  - name: a\n    credits: 1\n    per: year", 4, "'year' is not a period; write hour, day"),
        ("budgets:\n  - name: a\n    credits: 1\n    action: stop", 4, "'stop' is not an action; write block, warn"),
        ("budgets:\n  - name: a\n    credits: 1\n    timezone: Mars", 4, "'Mars' is not a time zone"),
        ("budgets:\n  - name: a\n    credits: 1\n    warn_at: [0]", 4, r"\[0\] are not percentages; write a list"),
        ("budgets:\n  - name: a\n    credits: 1\n    colour: red", 4, "unknown key"),
        ("budgets:\n  - credits: 1", 2, "required key is missing"),
        ("budgets:\n  - {name: a, credits: 1}\n  - {name: a, credits: 2}", 1, "two budgets are called 'a'"),
        ("budgets: 7", 1, "tuple"),
    ],
)
def test_mistakes_in_a_file_are_named(
    tmp_path: Path, ledger: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, yaml: str, line: int, problem: str
) -> None:
    """A mistake in a file of budgets is an error with file and line, also for a call: nothing is spent unlimited."""
    file = tmp_path / "budgets.yaml"
    file.write_text(yaml)
    with pytest.raises(ConfigFileError, match=problem) as found:
        budget.read(file)
    assert found.value.line == line
    monkeypatch.setenv("MAAS_BUDGETS", str(file))
    with pytest.raises(litellm.BadRequestError, match=r"budgets\.yaml"):
        litellm.completion(**CALL)
    assert not sandbox.requests


def test_a_file_of_budgets_holds(
    tmp_path: Path, ledger: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that MAAS_BUDGETS names is in force, before the ledger's of the same name, and so is a change of it."""
    file = tmp_path / "budgets.yaml"
    file.write_text("budgets:\n  - {name: a, credits: 0.5}")
    monkeypatch.setenv("MAAS_BUDGETS", str(file))
    with SqliteLedger(ledger) as opened:
        BudgetStore(opened).set(Budget(name="a", credits=10**9))
    with pytest.raises(litellm.BudgetExceededError, match=r"0\.5 VND per month"):
        litellm.completion(**CALL)
    file.write_text("budgets:\n  - {name: a, credits: 5000}")
    os.utime(file, (1, 1))
    litellm.completion(**CALL)
    monkeypatch.setenv("MAAS_BUDGETS", str(tmp_path / "missing.yaml"))
    with pytest.raises(litellm.BadRequestError, match=r"missing\.yaml.*cannot be read"):
        litellm.completion(**CALL)


def _half_saved(file: Path) -> None:
    file.write_text("budgets:\n  - {name: a, cred")


def _misspelt(file: Path) -> None:
    file.write_text("budgets:\n  - {name: a, credit: 1}")


def _emptied(file: Path) -> None:
    file.write_text("")


def _unreadable(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("breaks", [Path.unlink, _half_saved, _misspelt, _emptied, _unreadable])
def test_the_last_sound_budgets_stay_in_force(
    tmp_path: Path,
    ledger: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    breaks: Callable[[Path], None],
) -> None:
    """While a file of budgets is broken its last sound ones hold, and calls go on; the mistake is said once."""
    sandbox.script(*[ANSWER] * 3)
    file = tmp_path / "budgets.yaml"
    file.write_text(f"budgets:\n  - {{name: a, credits: {COST * 2}, warn_at: []}}")
    monkeypatch.setenv("MAAS_BUDGETS", str(file))
    litellm.completion(**CALL)
    breaks(file)
    litellm.completion(**{**CALL, "max_tokens": 100})
    with pytest.raises(litellm.BudgetExceededError, match="'a'"):
        litellm.completion(**CALL)
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said.startswith(f"MAAS_BUDGETS: {file}")
    assert said.endswith("Keeping the budgets that it held before until it is fixed.")
    if file.is_dir():
        file.rmdir()
    file.write_text(f"budgets:\n  - {{name: a, credits: {COST * 9}, warn_at: []}}")
    litellm.completion(**CALL)


def test_a_change_of_a_budgets_file_of_the_same_time_is_seen(
    tmp_path: Path, ledger: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of budgets that keeps its time holds as soon as its size or the file itself is another."""
    file = tmp_path / "budgets.yaml"
    monkeypatch.setenv("MAAS_BUDGETS", str(file))
    for limit, refuses in (("2", True), ("90000", False), ("1", True), ("3", True), ("95000", False)):
        other = tmp_path / "other.yaml"
        other.write_text(f"budgets:\n  - {{name: a, credits: {limit}}}")
        os.utime(other, (1, 1))
        if file.exists() and other.stat().st_size != file.stat().st_size:
            file.write_bytes(other.read_bytes())
            os.utime(file, (1, 1))
        else:
            other.replace(file)
        if refuses:
            with pytest.raises(litellm.BudgetExceededError, match=rf"{limit} VND per month"):
                litellm.completion(**CALL)
        else:
            litellm.completion(**CALL)


@pytest.mark.parametrize("by", [dt.timedelta(minutes=20), dt.timedelta(days=3650)])
@pytest.mark.usefixtures("impatient")
def test_a_reservation_of_a_wrong_clock_counts_for_nothing(ledger: Path, sandbox: Sandbox, by: dt.timedelta) -> None:
    """What was reserved while the clock was ahead takes no room, is shown nowhere, and is gone with the next call."""
    sandbox.script(ANSWER)
    made = allow(COST * Decimal("1.5"))
    with SqliteLedger(ledger) as opened:
        store = BudgetStore(opened)
        store.status([made])
        with opened.write_transaction(5) as connection:
            ahead = int((dt.datetime.now(UTC) + by).timestamp() * 1e6)
            connection.execute("INSERT INTO reservations VALUES ('r', 'test', ?, ?)", (made.limit, ahead))
        assert store.status([made])[0].reserved == 0
        litellm.completion(**CALL)
        assert reserved(ledger) == 0


def cli(*arguments: str) -> Result:
    """Run `litellm-maas budget`."""
    return CliRunner().invoke(command, arguments)


def test_the_command_line(ledger: Path, sandbox: Sandbox) -> None:
    """A budget set on the command line holds in running programs, is listed, shown with its figures, and removed."""
    sandbox.script(*[ANSWER] * 3)
    assert "No budgets" in cli("list").stdout
    assert "No budgets" in cli("status").stdout
    done = cli("set", "100", "--per", "day", "--model", "openai/gpt-4o", "--warn-at", "90")
    assert done.output == "Budget 'openai/gpt-4o/day': 100 VND per day, model openai/gpt-4o; block.\n"
    litellm.completion(**CALL)
    with pytest.raises(litellm.BudgetExceededError):
        litellm.completion(**CALL)
    (listed,) = json.loads(cli("list", "--json").stdout)
    assert listed["model"] == "openai/gpt-4o"
    assert "100 VND" in cli("list").stdout
    (status,) = json.loads(cli("status", "--json").stdout)
    assert status["spent_micro_credits"] == COST * 1_000_000
    assert status["limit_micro_credits"] == 100_000_000
    assert dt.datetime.fromisoformat(status["resets_at"]) > dt.datetime.now(UTC)
    shown = cli("status", "openai/gpt-4o/day")
    assert "57 %" in shown.stdout
    assert shown.exit_code == 0
    assert cli("set", "50", "--name", "tight").exit_code == 0
    assert cli("status", "tight").exit_code == 1
    assert cli("remove", "tight").stdout == "Budget 'tight' is removed.\n"
    assert "there is no budget 'tight' in the ledger; there is: 'openai/gpt-4o/day" in str(
        cli("remove", "tight").exception
    )
    assert "there is no budget 'tight'" in str(cli("status", "tight").exception)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("0",), "credits: '0' cannot be a limit; write credits"),
        (("200k",), "credits: '200k' is not an amount; write it like 1530000"),
        (("200.000", "--per", "day"), "write 200000 for the first, 200 for the second"),
        (("200,000",), "write 200000 for the first"),
        (("1", "--per", "year"), "per: 'year' is not a period"),
        (("1", "--action", "stop"), "action: 'stop' is not an action"),
        (("1", "--warn-at", "x"), "warn-at: ['x'] are not percentages; write a list of whole numbers"),
        (
            ("1", "--model", "a/b", "--action", "downgrade:maas/a/b"),
            "action: 'downgrade:maas/a/b' leads back to the model",
        ),
        (("1", "--timezone", "Mars"), "timezone: 'Mars' is not a time zone"),
    ],
)
def test_mistakes_on_the_command_line(ledger: Path, arguments: tuple[str, ...], problem: str) -> None:
    """A budget that is none is refused with what is wrong, and none is set."""
    assert problem in str(cli("set", *arguments).exception)
    assert json.loads(cli("list", "--json").stdout) == []


@pytest.mark.parametrize("arguments", [("list",), ("status",), ("remove", "a")])
def test_looking_makes_no_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """Only `set` makes a ledger; a file of budgets is shown without one, with nothing spent."""
    mistyped = tmp_path / "mistyped" / "ledger.db"
    done = cli(*arguments, "--ledger", str(mistyped))
    assert f"there is no ledger {mistyped}" in str(done.exception) or "there is no budget 'a'" in str(done.exception)
    file = tmp_path / "budgets.yaml"
    file.write_text("budgets:\n  - {name: a, credits: 5}")
    monkeypatch.setenv("MAAS_BUDGETS", str(file))
    done = cli(*arguments, "--ledger", str(mistyped))
    if arguments[0] == "remove":
        assert str(done.exception) == f"budget 'a' is not in the ledger, but in {file}; remove it there"
    else:
        assert "5 VND" in done.stdout
    assert not mistyped.parent.exists()


def test_a_file_outlives_what_is_removed(ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who removes a budget from the ledger is told of one of the same name that a file keeps in force."""
    file = tmp_path / "budgets.yaml"
    file.write_text("budgets:\n  - {name: a, credits: 5}")
    monkeypatch.setenv("MAAS_BUDGETS", str(file))
    assert cli("set", "7", "--name", "a").exit_code == 0
    done = cli("remove", "a")
    assert done.exit_code == 0
    assert f"The one of the same name in {file} is the current one now; remove it there too." in done.stderr


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_status_on_a_narrow_terminal(ledger: Path, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Amounts are never cut off nor folded, and a name keeps room to be read."""
    assert cli("set", "1530000", "--model", "openai/gpt-4o", "--per", "day").exit_code == 0
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = cli("status").stdout.splitlines()
    assert max(map(len, lines)) <= columns
    (line,) = [line for line in lines if line.startswith("openai/gpt-4")]
    assert "1,530,000 VND" in line
    assert line.startswith("openai/gpt-4o/day ")
    assert ("00:00" in line) == (columns >= 80)
    assert ("day" in line.split()) == (columns >= 80)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((), "month"),
        (("--model", "maas/openai/gpt-4o"), "openai/gpt-4o/month"),
        (("--tag", "a", "--user", "an", "--per", "rolling 24h"), "tag:a/user:an/rolling-24h"),
        (("--end-user", "khách", "--host", "https://maas.vn/v1"), "end-user:khách/host:https://maas.vn/v1/month"),
    ],
)
def test_a_budget_is_named_by_what_it_limits(ledger: Path, arguments: tuple[str, ...], name: str) -> None:
    """A name that nobody gave can be typed without quotes."""
    assert cli("set", "5", *arguments).exit_code == 0
    assert cli("remove", name).exit_code == 0


def test_an_id_may_have_its_prefix(
    ledger: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ids as LiteLLM writes them limit and lead to the same models, on the command line and in a file."""
    sandbox.script(ANSWER)
    done = cli("set", "20", "--model", "maas/openai/gpt-4o", "--action", "downgrade:maas/qwen/qwen3.6-flash")
    assert done.output == (
        "Budget 'openai/gpt-4o/month': 20 VND per month, model openai/gpt-4o; downgrade:qwen/qwen3.6-flash.\n"
    )
    litellm.completion(**CALL)
    assert events(ledger)[-1].model == "qwen/qwen3.6-flash"
    file = tmp_path / "budgets.yaml"
    file.write_text("budgets:\n  - {name: a, credits: 0.5, model: maas/qwen/qwen3.6-flash}")
    monkeypatch.setenv("MAAS_BUDGETS", str(file))
    with pytest.raises(litellm.BudgetExceededError, match="'a'"):
        litellm.completion(**CALL)


@pytest.mark.parametrize(
    ("arguments", "warning"),
    [
        (("--model", "gpt-4o-mini"), "no model gpt-4o-mini is known; did you mean openai/gpt-4o-mini?"),
        (("--action", "downgrade:qwen/qwen3.6-flsh"), "flsh is known; did you mean qwen/qwen3.6-flash?"),
        (("--model", "zzz"), "no model zzz is known; litellm-maas models lists those that are."),
    ],
)
def test_an_id_that_nobody_knows_is_said(ledger: Path, arguments: tuple[str, ...], warning: str) -> None:
    """A budget of a model that is in no catalogue is set, and what was probably meant is said."""
    done = cli("set", "20", *arguments)
    assert done.exit_code == 0
    assert warning in done.stderr
    assert len(json.loads(cli("list", "--json").stdout)) == 1


@pytest.mark.parametrize(
    ("arguments", "warning"),
    [
        (("--team", "Sales"), None),
        (("--team", "t-1"), None),
        (("--team", "sales"), "no call of team sales is recorded; there are: Sales, t-1."),
        (("--user", "bình"), "no call of user bình is recorded; there are: an."),
        (("--user", "an"), None),
        (("--end-user", "an"), "no call of end user an is recorded, nor of any other."),
        (("--key", "k2"), "no call of key k2 is recorded; there are: k1."),
        (("--tag", "b"), "no call of tag b is recorded; there are: a."),
        (("--host", "maas.vn"), "no call of host maas.vn is recorded; there are: maas.example."),
    ],
)
def test_a_name_that_no_call_has_is_said(ledger: Path, arguments: tuple[str, ...], warning: str | None) -> None:
    """A budget that no call so far would have counted for is set, and what calls have is said; not before any call."""
    assert cli("set", "5", *arguments).stderr == ""
    with SqliteLedger(ledger) as opened:
        names: dict[str, Any] = {"team": "Sales", "team_id": "t-1", "user": "an", "key_alias": "k1", "tags": ("a",)}
        opened.insert(event("e", **names, host="maas.example"))
    done = cli("set", "5", *arguments)
    assert done.exit_code == 0
    assert done.stderr == ("" if warning is None else f"Warning: {warning} The budget is set as written.\n")


@pytest.mark.parametrize("written", ["1530000", "1,530,000", "1.530.000", "1.530.000 ₫"])
def test_amounts_as_people_write_them(ledger: Path, tmp_path: Path, written: str) -> None:
    """Separators of either language are understood, on the command line and in a file."""
    assert "1,530,000 VND per month" in cli("set", written).stdout
    file = tmp_path / "budgets.yaml"
    file.write_text(f"budgets:\n  - {{name: a, credits: '{written}'}}", encoding="utf-8")
    assert budget.read(file)[0].limit == 1_530_000_000_000


def test_what_a_ledger_keeps_is_read_as_it_is_written(ledger: Path, sandbox: Sandbox) -> None:
    """A definition that would not be taken from a person today is still in force, with the amount that it had."""
    made = {"name": "old", "credits": "1.530", "model": "maas/openai/gpt-4o", "action": "downgrade:openai/gpt-4o"}
    assert cli("set", "1.53", "--name", "old").exit_code == 0
    with sqlite3.connect(ledger) as connection:
        connection.execute("UPDATE budgets SET definition = ?", (json.dumps(made),))
    connection.close()
    (status,) = json.loads(cli("status", "--json").stdout)
    assert status["limit_micro_credits"] == 1_530_000
    with pytest.raises(litellm.BudgetExceededError, match="'old'"):
        litellm.completion(**CALL)


def test_a_locked_ledger_is_waited_for(
    ledger: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who else writes for a moment is waited for; who does not end is said, and calls go on."""
    allow(COST * 100)
    litellm.completion(**CALL)
    other = sqlite3.connect(ledger, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
    timer.start()
    litellm.completion(**CALL)
    timer.join()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    until(lambda: reserved(ledger) == 0)
    monkeypatch.setattr(budgeting_module, "_LONGEST_LOCK", 0.1)
    monkeypatch.setattr("litellm_maas.ledger.recorder._WAIT", 0.1)
    other.execute("BEGIN IMMEDIATE")
    litellm.completion(**CALL)
    other.execute("ROLLBACK")
    other.close()
    assert "is locked" in caplog.text


def test_a_limit_is_shown_and_printed_exactly(ledger: Path) -> None:
    """A limit with a fraction is shown with it, and JSON has it as a number and in micro-credits."""
    assert "Budget 'a': 200.50 VND per day" in cli("set", "200,5", "--name", "a", "--per", "day").stdout
    assert cli("set", "1530000", "--name", "b").exit_code == 0
    for shows in ("list", "status"):
        found = json.loads(cli(shows, "--json").stdout)
        assert [(each["credits"], each["limit_micro_credits"]) for each in found] == [
            (200.5, 200_500_000),
            (1_530_000, 1_530_000_000_000),
        ]
        assert "200.50 VND" in cli(shows).stdout
