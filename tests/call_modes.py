"""What the tests of recording share: the ways to make a call, and the comparison with what the sandbox has billed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litellm
import pytest

from litellm_maas.errors import LedgerError
from litellm_maas.ledger.event import Event
from litellm_maas.sandbox import Sandbox
from tests.helpers import KEY, MESSAGES, astream
from tests.ledger_files import rows, total

CHAT = "maas/openai/gpt-4o"


CALL: dict[str, Any] = {"model": CHAT, "messages": MESSAGES}


LONG = " ".join(map(str, range(1000, 1200)))


def who() -> dict[str, Any]:
    """Who a call is for. Always a new one: a router writes into it."""
    return {"user": "minh", "metadata": {"tags": ["a", "b", "a"], "session_id": "s-1"}}


def stream(**call: Any) -> list[Any]:
    """All chunks of a synchronous stream."""
    return list(litellm.completion(stream=True, **call))


def in_a_loop(asynchronous: Callable[..., Any]) -> Callable[..., Any]:
    """An asynchronous function as a synchronous one."""
    return lambda **call: asyncio.run(asynchronous(**call))


WAYS: dict[str, Callable[..., Any]] = {
    "completion": litellm.completion,
    "acompletion": in_a_loop(litellm.acompletion),
    "stream": stream,
    "astream": in_a_loop(astream),
}


PARTS: dict[str, Callable[..., list[Any]]] = {
    "completion": lambda **call: [litellm.completion(**call)],
    "acompletion": lambda **call: [asyncio.run(litellm.acompletion(**call))],
    "stream": stream,
    "astream": in_a_loop(astream),
}
"""The same, each with its answer as a list of parts: one, or the chunks of a stream."""


EACH_WAY = pytest.mark.parametrize("way", [pytest.param(function, id=name) for name, function in WAYS.items()])


def compare(path: Path, sandbox: Sandbox) -> list[Event]:
    """The events, once it is certain that they are what was billed: one for each response, with its model and price."""
    events = rows(path)
    charges = {charge.response_id: charge for charge in sandbox.bill.charges}
    billed = [event for event in events if event.status == "ok" and event.operation == "chat"]
    assert sorted(str(event.response_id) for event in billed) == sorted(
        response_id for response_id in charges if response_id.startswith("chatcmpl")
    )
    for event in billed:
        charge = charges[str(event.response_id)]
        assert (event.model, event.micro_credits) == (charge.model, charge.micro_credits)
        assert (event.input_tokens, event.cached_tokens) == (charge.input_tokens, charge.cached_tokens)
        assert (event.output_tokens, event.usage_source) == (charge.output_tokens, "reported")
    assert total(path) == sandbox.bill.micro_credits
    return events


def recorded(path: Path) -> list[Event]:
    """The events so far; none where there is no ledger yet, or only the beginning of one."""
    try:
        return rows(path)
    except LedgerError:
        return []


def by_address(sandbox: Sandbox, **call: Any) -> dict[str, Any]:
    """A call without the prefix, that reaches the sandbox by its address."""
    return {"model": "openai/openai/gpt-4o", "api_base": sandbox.url, "api_key": KEY, "messages": MESSAGES, **call}


async def drop(way: str) -> None:
    """Begin an asynchronous stream, and give it up in one of the ways there are."""
    response: Any = await litellm.acompletion(stream=True, **CALL)

    async def read() -> None:
        async for _ in response:
            pass

    if way == "cancelled":
        task = asyncio.ensure_future(read())
        await asyncio.sleep(0.3)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return
    for _ in range(5):
        await response.__anext__()
    if way == "closed":
        await response.aclose()
    elif way == "dropped":
        del response
        gc.collect()
        await asyncio.sleep(0.05)
