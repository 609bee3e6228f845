"""The rate limit. Compared are the slots as they were handed out, which no busy machine moves, not when calls ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import litellm
import pytest
import redis
from pydantic import SecretStr

from litellm_maas import settings
from litellm_maas.resilience import rate_limiter
from litellm_maas.resilience.limiter_stores import RateLimitStore, RedisRateLimitStore, Slot, SqliteRateLimitStore
from litellm_maas.sandbox import Fault, Sandbox
from litellm_maas.sandbox.accounts import Limit as AccountLimit
from litellm_maas.settings import RateLimit
from tests.helpers import MESSAGES, astream
from tests.proxy_process import free_port
from tests.resilience.workers import run_together

CALL: dict[str, Any] = {"model": "maas/openai/gpt-4o", "messages": MESSAGES}
OTHER: dict[str, Any] = {**CALL, "model": "maas/qwen/qwen3.6-flash"}
Set = Callable[[RateLimit], None]


@pytest.fixture(autouse=True)
def own_slots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Turns of the test's own, and warnings that were not said yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for remembered in ("_say_once", "_redis"):
        getattr(rate_limiter, remembered).cache_clear()


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Set:
    """Sets the rate limit. Windows are shorter than a minute."""
    unlimited(sandbox)

    def set_limit(wanted: RateLimit) -> None:
        monkeypatch.setattr(settings, "rate_limit", lambda _: wanted)

    return set_limit


def unlimited(sandbox: Sandbox) -> None:
    """Let the sandbox refuse nobody: on a busy machine requests come late. It notes when, by the clock of the slots."""
    sandbox.account.per_minute = AccountLimit(0, 0.0)
    sandbox.account.clock = time.time


def slots_given() -> list[float]:
    """The slots in the file of this test, in their order."""
    with contextlib.closing(sqlite3.connect(settings.data_folder() / "rate_limit.db")) as file:
        return [at for (at,) in file.execute("SELECT at FROM slots ORDER BY at")]


def assert_spread(sandbox: Sandbox, given: list[float], limit: RateLimit) -> None:
    """No window got more slots than it may, each slot led to an answer, and none was taken before its time."""
    apart = limit.seconds + limit.margin
    gaps = [second - first for first, second in zip(given, given[limit.requests :], strict=False)]
    assert min(gaps) >= apart - 1e-5  # Redis rounds to microseconds
    assert len(sandbox.requests) == len(sandbox.bill.charges) == len(given)
    came = sorted(request.at for request in sandbox.requests)
    assert all(at >= slot - 1e-3 for at, slot in zip(came, given, strict=True))


@pytest.mark.parametrize("mode", ["tasks", "streams", "threads"])
def test_a_burst_is_spread(limited: Set, sandbox: Sandbox, mode: str) -> None:
    """Thirty calls at once under a limit of ten in a window all succeed, and no window gets more than ten."""
    limit = RateLimit(10, 0.8, 0.2)
    limited(limit)

    async def burst() -> None:
        if mode == "streams":
            await asyncio.gather(*(astream(**CALL) for _ in range(30)))
        else:
            await asyncio.gather(*(litellm.acompletion(**CALL) for _ in range(30)))

    if mode == "threads":
        with ThreadPoolExecutor(30) as pool:
            list(pool.map(lambda _: litellm.completion(**CALL), range(30)))
    else:
        asyncio.run(burst())
    assert len(sandbox.requests) == 30
    assert_spread(sandbox, slots_given(), limit)


_WORKER = """
    import _litellm_maas_cli, sys
    from litellm_maas import settings
    from litellm_maas.gateway import client
    from litellm_maas.gateway.pools import ClientPools
    from litellm_maas.gateway.endpoint import resolve_endpoint, resolve_key
    from litellm_maas.resilience.rate_limiter import RateLimited
    from litellm_maas.gateway.request import Timeouts, GatewayRequest

    body = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Xin chào"}]}
    request = GatewayRequest(
        resolve_endpoint(None), resolve_key(None), "/chat/completions", body["model"], body, Timeouts()
    )
    pools = ClientPools()
    settings.rate_limit = lambda _: settings.RateLimit(60, 1.0, 0.5)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(45):
        with RateLimited(request):
            client.send(request, pools)
"""


@pytest.mark.process
def test_four_processes_share_a_limit(sandbox: Sandbox, tmp_path: Path) -> None:
    """Four processes that call as fast as they may never exceed the limit together."""
    unlimited(sandbox)
    environment = {**os.environ, **sandbox.environment()}
    command = [sys.executable, "-c", textwrap.dedent(_WORKER)]
    assert run_together(command, environment, 4) == [0, 0, 0, 0]
    assert len(sandbox.requests) == 180
    assert_spread(sandbox, slots_given(), RateLimit(60, 1.0, 0.5))


@pytest.mark.parametrize(
    ("fault", "waits", "other_waits"),
    [
        (Fault(status=429, headers={"Retry-After": "900"}, body="API rate limit exceeded"), True, True),
        (Fault(status=429, body={"message": "model rpm limit exceeded (5/5), resets in 900s"}), True, False),
        (Fault(status=429, body="API rate limit exceeded"), False, False),
    ],
    ids=["account, by header", "model, by text", "without a time"],
)
def test_a_refusal_is_heeded(limited: Set, sandbox: Sandbox, fault: Fault, *, waits: bool, other_waits: bool) -> None:
    """After a 429 that says how long, nobody calls before that: no model of the account, or not that model."""
    limited(RateLimit(1000, 60.0))  # a call that would have to wait that long is refused here
    sandbox.faults.add(fault)
    with pytest.raises(litellm.RateLimitError):
        litellm.completion(**CALL)
    for call, held in ((OTHER, other_waits), (CALL, waits)):
        before = len(sandbox.requests)
        with pytest.raises(litellm.RateLimitError, match="request not sent") if held else contextlib.nullcontext():
            litellm.completion(**call)
        assert len(sandbox.requests) - before == (not held)


@pytest.mark.parametrize("seconds", ["1", "0.5"])
def test_a_refusal_is_waited_for(limited: Set, sandbox: Sandbox, seconds: str) -> None:
    """The next call goes out when the time that the gateway asked for is over, and not before."""
    limited(RateLimit(1000, 60.0))
    sandbox.faults.add(Fault(status=429, headers={"Retry-After": seconds}, body="API rate limit exceeded"))
    with pytest.raises(litellm.RateLimitError):
        litellm.completion(**CALL)
    litellm.completion(**OTHER)
    refused, answered = (request.at for request in sandbox.requests)
    assert answered - refused >= float(seconds)


@pytest.mark.parametrize("mode", ["call", "async stream"])
def test_too_long_a_wait_is_an_error(limited: Set, sandbox: Sandbox, mode: str) -> None:
    """A slot further away than the maximum wait is a RateLimitError with the time to wait, and nothing is sent."""
    limited(RateLimit(1, 60.0, max_wait=5.0))
    litellm.completion(**CALL)
    with pytest.raises(Exception, match="request not sent") as refused:
        if mode == "call":
            litellm.completion(**CALL)
        else:
            asyncio.run(astream(**CALL))
    error = getattr(refused.value, "original_exception", refused.value)
    assert isinstance(error, litellm.RateLimitError)
    assert 55 <= float(error.response.headers["retry-after"]) <= 63
    assert "MAAS_RPM_MAX_WAIT" in str(error)
    assert len(sandbox.requests) == 1


def test_a_block_that_is_too_long_is_an_error(limited: Set, sandbox: Sandbox) -> None:
    """A model that the gateway closed for an hour is not waited for."""
    limited(RateLimit(1000, 60.0))
    sandbox.faults.add(Fault(status=429, body={"message": "model rpm limit exceeded (5/5), resets in 3600s"}))
    for _ in range(2):
        with pytest.raises(litellm.RateLimitError):
            litellm.completion(**CALL)
    assert len(sandbox.requests) == 1


async def test_waiting_can_be_cancelled(limited: Set, sandbox: Sandbox) -> None:
    """Who is cancelled while waiting gives the slot to the next."""
    limit = RateLimit(2, 1.0, 0.2)
    limited(limit)
    await asyncio.gather(*(litellm.acompletion(**CALL) for _ in range(2)))
    gone = [asyncio.create_task(litellm.acompletion(**CALL)) for _ in range(2)]
    while len(slots_given()) < 4:  # noqa: ASYNC110 - a thread asks for the slots, and tells nobody
        await asyncio.sleep(0.01)
    for task in gone:
        task.cancel()
    assert [type(each) for each in await asyncio.gather(*gone, return_exceptions=True)] == [asyncio.CancelledError] * 2
    assert len(slots_given()) == 2
    await asyncio.gather(*(litellm.acompletion(**CALL) for _ in range(2)))
    assert len(sandbox.requests) == 4
    assert_spread(sandbox, slots_given(), limit)


async def test_waiting_blocks_no_loop(limited: Set, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """An asynchronous call asks for its slot in another thread than the loop's, and sleeps on the loop."""
    asked: list[int] = []
    ask = SqliteRateLimitStore.try_acquire

    def noted(slots: SqliteRateLimitStore, name: str, limit: RateLimit, max_wait: float) -> Slot:
        asked.append(threading.get_ident())
        return ask(slots, name, limit, max_wait)

    def no_sleep(seconds: float) -> None:
        pytest.fail("somebody slept who is not a task")

    monkeypatch.setattr(SqliteRateLimitStore, "try_acquire", noted)
    limited(RateLimit(1, 0.1, 0.1))
    await litellm.acompletion(**CALL)
    with monkeypatch.context() as awake:
        awake.setattr(time, "sleep", no_sleep)
        await asyncio.gather(litellm.acompletion(**CALL), astream(**CALL))
    assert len(asked) == 3
    assert threading.get_ident() not in asked


def test_an_interrupted_wait_gives_the_slot_back(
    limited: Set, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C during a synchronous wait leaves the slot to the next call."""
    limited(RateLimit(1, 0.5, 0.1))
    litellm.completion(**CALL)
    real = time.sleep

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        litellm.completion(**CALL)
    monkeypatch.setattr(time, "sleep", real)
    assert len(slots_given()) == 1
    litellm.completion(**CALL)
    assert len(slots_given()) == len(sandbox.requests) == 2


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.process)])
def slots(request: pytest.FixtureRequest, tmp_path: Path) -> RateLimitStore:
    """Both ways of sharing slots."""
    if request.param == "file":
        return SqliteRateLimitStore(tmp_path / "slots.db")
    return RedisRateLimitStore(SecretStr(request.getfixturevalue("redis_url")))


def test_slots_are_given_in_order(slots: RateLimitStore) -> None:
    """Turns come in the order in which they are asked for, never more than the limit in any window."""
    limit = RateLimit(3, 10.0, 1.0)
    waits = [slots.try_acquire("a", limit, 100.0).delay for _ in range(9)]
    assert waits == pytest.approx([0, 0, 0, 11, 11, 11, 22, 22, 22], abs=4)
    assert slots.try_acquire("b", limit, 100.0).delay == 0


def test_a_slot_given_back_is_the_next_ones(slots: RateLimitStore) -> None:
    """A slot that is not used goes to whoever asks next; one that was refused takes no room."""
    limit = RateLimit(1, 10.0, 0.0)
    slots.try_acquire("a", limit, 0.0)
    assert not slots.try_acquire("a", limit, 5.0).acquired
    second = slots.try_acquire("a", limit, 50.0)
    assert second.acquired
    slots.release("a", second)
    assert slots.try_acquire("a", limit, 50.0).delay == pytest.approx(10, abs=4)


def test_a_block_moves_slots(slots: RateLimitStore) -> None:
    """A block puts slots off, a shorter one does not shorten it, and other names know nothing of it."""
    slots.block_for("a", 20.0)
    slots.block_for("a", 1.0)
    assert slots.blocked_for("a") == pytest.approx(20, abs=4)
    assert slots.blocked_for("b") == 0
    assert slots.try_acquire("a", RateLimit(5, 10.0), 100.0).delay == pytest.approx(20, abs=4)


def test_redis_shares_slots_between_machines(
    limited: Set, sandbox: Sandbox, redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With MAAS_REDIS_URL two machines, with a folder each, share a limit."""
    limit = RateLimit(5, 0.8, 0.2, redis=SecretStr(redis_url))
    limited(limit)
    for machine in ("one", "two", "one", "two"):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / machine))
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda _: litellm.completion(**CALL), range(5)))
    assert len(sandbox.requests) == 20
    with redis.Redis.from_url(redis_url) as client:
        (name,) = [key for key in client.scan_iter() if client.type(key) == b"zset"]
        assert_spread(sandbox, [at for _, at in client.zrange(name, 0, -1, withscores=True)], limit)
    assert not list(tmp_path.rglob("rate_limit.db"))


def test_without_redis_the_file_is_used(limited: Set, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """When Redis is away calls are limited by the file, and one warning says so without the password."""
    limited(RateLimit(1000, 60.0, redis=SecretStr(f"redis://:s3cret@127.0.0.1:{free_port()}/0")))
    litellm.completion(**CALL)
    litellm.completion(**CALL)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "rate-limit store unavailable" in warning
    assert "s3cret" not in warning


def test_without_any_store_of_slots_calls_go_on(
    limited: Set, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pacing that cannot be kept stops no call."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    limited(RateLimit(1000, 60.0))
    litellm.completion(**CALL)
    litellm.completion(**CALL)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MAAS_RPM", "ten", "MAAS_RPM is 'ten'; set it to a whole number of requests a minute, such as 10"),
        ("MAAS_RPM", "1.5", "MAAS_RPM is '1.5'"),
        ("MAAS_RPM", "-1", "MAAS_RPM is '-1'"),
        ("MAAS_RPM_MAX_WAIT", "long", "MAAS_RPM_MAX_WAIT is 'long'; set it to seconds, such as 300"),
    ],
)
def test_wrong_settings_are_named(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    """A setting that is no number is said with the variable and what to set it to, and nothing is sent."""
    monkeypatch.setenv("MAAS_RPM", "10")
    monkeypatch.setenv(name, value)
    with pytest.raises(litellm.BadRequestError, match=message):
        litellm.completion(**CALL)
    assert not sandbox.requests


def test_the_environment_goes_before_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A router's file sets the limit where the environment says nothing else; MAAS_RPM=0 switches it off."""
    file = settings.RateLimit(10, max_wait=100.0)
    assert settings.rate_limit(file) == file
    monkeypatch.setenv("MAAS_RPM_MAX_WAIT", "7")
    monkeypatch.setenv("MAAS_REDIS_URL", "redis://127.0.0.1:1/0")
    found = settings.rate_limit(file)
    assert found is not None
    assert (found.requests, found.max_wait, found.redis is not None) == (10, 7.0, True)
    monkeypatch.setenv("MAAS_RPM", "0")
    assert settings.rate_limit(file) is None


def test_the_environment_switches_it_on(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, redis_url: str, tmp_path: Path
) -> None:
    """Nothing is limited unless MAAS_RPM says so; then its number holds for a minute, as MAAS_RPM_MAX_WAIT allows."""
    for off in (None, "", "0"):
        if off is not None:
            monkeypatch.setenv("MAAS_RPM", off)
        assert settings.rate_limit() is None
    litellm.completion(**CALL)
    assert not list(tmp_path.rglob("rate_limit.db"))
    monkeypatch.setenv("MAAS_RPM", "7")
    monkeypatch.setenv("MAAS_RPM_MAX_WAIT", "0.5")
    monkeypatch.setenv("MAAS_REDIS_URL", redis_url)
    found = settings.rate_limit()
    assert found is not None
    assert (found.requests, found.seconds, found.max_wait) == (7, 60.0, 0.5)
    assert "redis://" not in repr(found)
    for _ in range(7):
        litellm.completion(**CALL)
    with pytest.raises(litellm.RateLimitError, match="7 per 60 s"):
        litellm.completion(**CALL)


def test_redis_is_an_extra(monkeypatch: pytest.MonkeyPatch, limited: Set, caplog: pytest.LogCaptureFixture) -> None:
    """Without the package redis, or with a wrong address, the warning says what to do."""
    limited(RateLimit(1000, 60.0, redis=SecretStr("http://127.0.0.1")))
    litellm.completion(**CALL)
    assert "write it like redis://host:6379/0" in caplog.text
    monkeypatch.setitem(sys.modules, "redis", None)
    limited(RateLimit(1000, 60.0, redis=SecretStr("redis://127.0.0.1")))
    litellm.completion(**CALL)
    assert "pip install redis" in caplog.text
