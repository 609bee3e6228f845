"""Calls that fail, are cancelled or abandoned, and what the ledger says of them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import litellm
import pytest

from litellm_maas.sandbox import Answer, Choice, Fault, Sandbox
from tests.call_modes import CALL, CHAT, EACH_WAY, LONG, WAYS, drop, recorded, who
from tests.helpers import TOOL, astream, auntil, until
from tests.ledger_files import rows


@EACH_WAY
@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        (Fault(status=400, body="no"), 400, "BadRequestError"),
        (Fault(status=401), 401, "AuthenticationError"),
        (Fault(status=402), 402, "PaymentRequiredError"),
        (Fault(status=403), 403, "PermissionDeniedError"),
        (Fault(status=404), 404, "NotFoundError"),
        (Fault(status=429), 429, "RateLimitError"),
        (Fault(status=500), 500, "InternalServerError"),
        (Fault(status=503), 503, "ServiceUnavailableError"),
        (Fault(status=200, body="<html>"), 200, "InternalServerError"),
        (Fault(disconnect=True), None, "APIConnectionError"),
        (Fault(hang=True), None, "Timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failure_is_a_row_with_its_status(
    sandbox: Sandbox,
    ledger_path: Path,
    way: Callable[..., Any],
    fault: Fault,
    status: int | None,
    error: str,
) -> None:
    """A call that fails leaves a row with its status and its error, at no cost, and with who asked."""
    if fault.status == 200 and way in (WAYS["stream"], WAYS["astream"]):
        error = "InternalServerError"
    sandbox.faults.add(fault)
    with pytest.raises(Exception, match="MaaS"):
        way(timeout=0.3 if fault.hang else 60, **CALL, **who())
    (event,) = rows(ledger_path)
    assert (event.status, event.http_status, event.error_class) == ("failed", status, error)
    assert (event.micro_credits, event.usage_source) == (0, "none")
    assert (event.user, event.tags, event.session_id) == ("minh", ("a", "b"), "s-1")
    assert (event.response_id, sandbox.bill.charges) == (None, ())


def test_a_call_that_never_goes_out_leaves_nothing(sandbox: Sandbox, ledger_path: Path) -> None:
    """What is refused before anything is sent is no event: there was no attempt that reached the gateway."""
    for wrong in ({"client": object()}, {"api_base": "http://example.com/v1"}, {"api_key": "two words"}):
        with pytest.raises(litellm.BadRequestError):
            litellm.completion(**CALL, **wrong)
        with pytest.raises(litellm.BadRequestError):
            asyncio.run(litellm.acompletion(**CALL, **wrong))
    assert recorded(ledger_path) == []
    assert not sandbox.requests


@pytest.mark.parametrize("way", ["sync", "closed", "dropped", "cancelled"])
def test_an_abandoned_stream_is_estimated(sandbox: Sandbox, ledger_path: Path, way: str) -> None:
    """A stream that the caller gives up is one row, `aborted`, estimated from what had come; the bill is near it."""
    sandbox.faults.add(Fault(chunk_delay=0.02, times=None))
    sandbox.script(Answer((Choice(LONG),)))
    if way == "sync":
        response: Any = litellm.completion(stream=True, **CALL)
        for _ in range(5):
            next(response)
        del response
        gc.collect()
    else:
        asyncio.run(drop(way))
    until(lambda: recorded(ledger_path))
    (event,) = rows(ledger_path)
    assert (event.status, event.usage_source, event.basis) == ("cancelled", "estimated", "official")
    assert event.response_id
    until(lambda: sandbox.bill.charges)
    (charge,) = sandbox.bill.charges
    assert event.response_id == charge.response_id
    assert abs(event.output_tokens - charge.output_tokens) <= 3
    assert abs(event.input_tokens - charge.input_tokens) <= 3


async def _cancel(call: Callable[..., Coroutine[Any, Any, Any]], moment: Coroutine[Any, Any, object]) -> None:
    """Make a call, and cancel it when the moment has come."""
    task = asyncio.ensure_future(call(**CALL))
    await moment
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_call_cancelled_before_its_answer(sandbox: Sandbox, ledger_path: Path, is_streamed: bool) -> None:
    """A call that is cancelled while the gateway works is one row: its input is estimated, no output came."""
    sandbox.faults.add(Fault(delay=30))

    call = astream if is_streamed else litellm.acompletion
    asyncio.run(_cancel(call, auntil(lambda: sandbox.requests)))
    until(lambda: recorded(ledger_path))
    (event,) = rows(ledger_path)
    assert (event.status, event.error_class, event.usage_source) == ("cancelled", "CancelledError", "estimated")
    assert (event.input_tokens, event.output_tokens) == (2, 0)


class TaskTimeoutError(Exception):
    """What a task queue raises in the midst of a task that takes too long, as Celery does."""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no such signal")
@pytest.mark.parametrize("raised", [TaskTimeoutError, KeyboardInterrupt, SystemExit, LookupError])
@pytest.mark.parametrize("way", ["completion", "stream before its answer", "stream amid its answer"])
def test_a_signal_in_the_midst_of_a_call(
    sandbox: Sandbox, ledger_path: Path, way: str, raised: type[BaseException]
) -> None:
    """A call that a signal's handler interrupts is the caller giving up: its prompt, and what came, are estimated."""
    sandbox.script(Answer((Choice(LONG),)))
    sandbox.faults.add(Fault(chunk_delay=0.02) if "amid" in way else Fault(delay=30))

    def interrupt(*_: object) -> None:
        raise raised

    before = signal.signal(signal.SIGUSR1, interrupt)
    under_way = threading.Event()
    other = threading.Thread(target=_interrupt, args=(sandbox, under_way if "amid" in way else None))
    other.start()
    try:
        # LiteLLM wraps whatever is an Exception into one of its own.
        with pytest.raises(Exception if issubclass(raised, Exception) else raised):
            if way == "completion":
                litellm.completion(**CALL)
            else:
                for number, _ in enumerate(litellm.completion(stream=True, **CALL)):
                    if number == 5:
                        under_way.set()
    finally:
        under_way.set()
        other.join()
        signal.signal(signal.SIGUSR1, before)
    gc.collect()
    until(lambda: recorded(ledger_path))
    (event,) = rows(ledger_path)
    assert (event.status, event.usage_source, event.basis) == ("cancelled", "estimated", "official")
    assert event.error_class in (raised.__name__, None)
    assert event.input_tokens == 2
    assert (event.output_tokens > 0) == ("amid" in way)
    assert event.micro_credits == 2 * 70_888 + event.output_tokens * 283_550


def _interrupt(sandbox: Sandbox, under_way: threading.Event | None) -> None:
    """Send this process the signal once the call has been sent, or once its answer is under way."""
    until(lambda: sandbox.requests)
    if under_way is not None:
        under_way.wait()
    os.kill(os.getpid(), signal.SIGUSR1)


def test_the_input_of_an_aborted_call_is_estimated_from_its_texts(sandbox: Sandbox, ledger_path: Path) -> None:
    """An estimate counts texts and tools, and not the letters in which a picture is encoded."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    content = [{"type": "text", "text": "x" * 400}, picture]
    messages: list[Any] = [{"role": "user", "content": content}]
    sandbox.faults.add(Fault(chunk_delay=0.02, times=None))
    for tools in (None, [TOOL]):
        response: Any = litellm.completion(model=CHAT, messages=messages, tools=tools, stream=True)
        next(response)
        del response
        gc.collect()
    until(lambda: len(recorded(ledger_path)) == 2)
    without, with_tools = rows(ledger_path)
    assert without.input_tokens == 100
    assert 120 < with_tools.input_tokens < 200


@pytest.mark.parametrize(
    "fault", [Fault(cut_after=4), Fault(stop_after=4), Fault(error_after=4), Fault(garbage_after=4)]
)
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_that_breaks_off(sandbox: Sandbox, ledger_path: Path, way: str, fault: Fault) -> None:
    """A stream that fails in the middle is one row, `failed`, with an estimate of what had come."""
    sandbox.faults.add(fault)
    with pytest.raises(Exception, match="MaaS"):
        WAYS[way](**CALL)
    (event,) = rows(ledger_path)
    assert (event.status, event.usage_source, event.output_tokens) == ("failed", "estimated", 3)
    assert event.error_class in ("APIConnectionError", "InternalServerError")


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_without_usage(sandbox: Sandbox, ledger_path: Path, way: str) -> None:
    """A stream that ends well without its usage report is recorded with an estimate, and says so."""
    sandbox.script(Answer((Choice("từ " * 50),), usage=False))
    WAYS[way](**CALL)
    (event,) = rows(ledger_path)
    assert (event.status, event.usage_source) == ("ok", "estimated")
    assert event.output_tokens == pytest.approx(sandbox.bill.charges[0].output_tokens, rel=0.1)


def test_a_reply_that_was_billed_and_cannot_be_read(sandbox: Sandbox, ledger_path: Path) -> None:
    """A reply with a usage and no answer in it fails, and what it cost is recorded."""
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    sandbox.faults.add(Fault(status=200, body={"id": "chatcmpl-x", "choices": [], "usage": usage}))
    with pytest.raises(litellm.InternalServerError):
        litellm.completion(**CALL)
    (event,) = rows(ledger_path)
    assert (event.status, event.usage_source, event.micro_credits) == ("failed", "reported", 5 * 70_888 + 283_550)


def test_a_stream_that_is_cancelled_when_its_usage_has_come(sandbox: Sandbox, ledger_path: Path) -> None:
    """A stream that is given up after its usage report is recorded as aborted, at its exact cost."""
    sandbox.script(Answer((Choice("xong"),)))
    sandbox.faults.add(Fault(hang_after=4))

    async def charged() -> None:
        await auntil(lambda: sandbox.bill.charges)
        await asyncio.sleep(0.1)

    asyncio.run(_cancel(astream, charged()))
    until(lambda: recorded(ledger_path))
    (event,) = rows(ledger_path)
    assert (event.status, event.usage_source) == ("cancelled", "reported")
    assert event.micro_credits == sandbox.bill.micro_credits
