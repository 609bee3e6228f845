from __future__ import annotations

import asyncio
import gc
import os
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import litellm
import pytest

from litellm_maas.gateway.request import Timeouts
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import MESSAGES, astream
from tests.warm_process import WarmProcess, run_warm

CALL: dict[str, Any] = {"model": "maas/openai/gpt-4o", "messages": MESSAGES}


def open_sockets(url: str) -> int:
    """The connections to a server on this machine that its client has not closed yet."""
    table = Path("/proc/net/tcp")
    if not table.is_file():
        pytest.skip("needs /proc")
    port = urlsplit(url).port
    lines = (line.split() for line in table.read_text().splitlines()[1:])
    return sum(int(remote[-4:], 16) == port and state in _OPEN for _, _, remote, state, *_ in lines)


_OPEN = ("01", "08")
"""Established, and closed by the other side alone."""


def test_connections_are_reused(sandbox: Sandbox) -> None:
    """Calls to the same base URL share a connection, whatever thread they come from."""
    litellm.completion(**CALL)
    before = open_sockets(sandbox.url)
    for _ in range(20):
        litellm.completion(**CALL)
        list(litellm.completion(stream=True, **CALL))
    assert open_sockets(sandbox.url) == before
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: litellm.completion(**CALL), range(40)))
    assert len(sandbox.requests) == 81


def test_nothing_leaks_when_loops_come_and_go(sandbox: Sandbox) -> None:
    """A hundred event loops, one after the other, leave no socket behind."""

    async def calls() -> None:
        await asyncio.gather(*(litellm.acompletion(**CALL) for _ in range(3)))
        await astream(**CALL)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what earlier tests left behind is not of this one
    asyncio.run(calls())
    gc.collect()
    before = open_sockets(sandbox.url)
    for _ in range(100):
        asyncio.run(calls())
    gc.collect()
    assert open_sockets(sandbox.url) <= before
    assert len(sandbox.requests) == 404


@pytest.mark.process
def test_nothing_leaks_on_loops_that_are_just_closed(sandbox: Sandbox) -> None:
    """Loops that are closed without ceremony, as LiteLLM closes those of synchronous fallbacks, leave no socket."""
    # In a process of its own, because LiteLLM leaves unfinished tasks behind on such loops.
    out = run_warm(
        """
        import asyncio, litellm, litellm_maas, os
        from tests.helpers import astream
        from tests.gateway.test_connections import CALL, open_sockets
        before = open_sockets(os.environ["MAAS_API_BASE"])
        for _ in range(20):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(litellm.acompletion(**CALL))
            loop.run_until_complete(astream(**CALL))
            loop.close()
            litellm.completion(fallbacks=["maas/openai/gpt-5"], **CALL)
        print(open_sockets(os.environ["MAAS_API_BASE"]) - before)
        """,
        **sandbox.environment(),
    )
    assert out == "0"
    assert len(sandbox.requests) == 60


def test_loops_in_threads_have_connections_of_their_own(sandbox: Sandbox) -> None:
    """Event loops in several threads call at the same time without sharing connections."""

    async def calls() -> None:
        await asyncio.gather(*(litellm.acompletion(**CALL) for _ in range(5)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: asyncio.run(calls()), range(8)))
    assert len(sandbox.requests) == 40


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_callers_timeout_bounds_every_stage(sandbox: Sandbox, mode: str) -> None:
    """A number of seconds given by the caller bounds the wait for the first byte and every silence after it."""
    for fault in (Fault(hang=True), Fault(hang_after=2)):
        sandbox.faults.add(fault)
        started = time.monotonic()
        with pytest.raises((litellm.Timeout, litellm.exceptions.MidStreamFallbackError)):
            if mode == "sync":
                list(litellm.completion(stream=True, timeout=0.3, **CALL))
            else:
                asyncio.run(astream(timeout=0.3, **CALL))
        assert time.monotonic() - started < 5


def test_a_slow_stream_is_no_stalled_stream(sandbox: Sandbox) -> None:
    """A stream that lasts longer than the timeout, but is never silent for so long, is read to its end."""
    sandbox.faults.add(Fault(chunk_delay=0.1))
    started = time.monotonic()
    chunks = list(litellm.completion(stream=True, timeout=0.6, **CALL))
    assert time.monotonic() - started > 0.6
    assert len(chunks) > 5


def test_the_stages_have_timeouts_of_their_own(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """The silence inside a reply is bounded apart from the wait for its first byte."""
    own = Timeouts(connect=1, first_byte=30, between_chunks=0.3)
    monkeypatch.setattr(Timeouts, "from_litellm", lambda *_, **__: own)
    sandbox.faults.add(Fault(delay=0.6))
    assert list(litellm.completion(stream=True, **CALL))
    sandbox.faults.add(Fault(hang_after=2))
    with pytest.raises(litellm.Timeout, match=r"longer than 0\.3 s"):
        list(litellm.completion(stream=True, **CALL))


@pytest.mark.parametrize(
    ("given", "set_by_caller", "expected"),
    [
        (None, False, Timeouts(10, 300, 120)),
        (600.0, False, Timeouts(10, 300, 120)),
        (6000.0, True, Timeouts(10, 300, 120)),
        (600.0, True, Timeouts(10, 600, 600)),
        (30.0, True, Timeouts(10, 30, 30)),
        (2.0, True, Timeouts(2, 2, 2)),
        (1800.0, True, Timeouts(10, 1800, 1800)),
    ],
)
def test_timeouts(given: float | None, set_by_caller: bool, expected: Timeouts) -> None:
    """LiteLLM's own defaults become ours; a number of the caller's is taken as it is."""
    assert Timeouts.from_litellm(given, set_by_caller=set_by_caller) == expected


def test_tls_verification_follows_litellms_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A CA bundle set on LiteLLM is used; one that is missing is an error about the file, not about the gateway."""
    monkeypatch.setattr(litellm, "ssl_verify", str(tmp_path / "missing.pem"))
    with pytest.raises(Exception, match=r"missing\.pem|No such file"):
        litellm.completion(api_base="https://gateway.example/v1", api_key="vn-x", **CALL)


@pytest.mark.process
def test_a_dropped_async_stream_makes_no_noise(sandbox: Sandbox) -> None:
    """Streams that are dropped half read as their loop ends leave no word on standard error."""
    code = """
        import asyncio, gc, litellm, litellm_maas
        from tests.gateway.test_connections import CALL
        async def main():
            chunks = await litellm.acompletion(stream=True, **CALL)
            await anext(aiter(chunks))
        for _ in range(3):
            asyncio.run(main())
            gc.collect()
    """
    with WarmProcess(code, {**os.environ, **sandbox.environment()}, Path.cwd()) as process:
        assert process.communicate() == ("", "")
    assert process.returncode == 0
    assert len(sandbox.requests) == 3
