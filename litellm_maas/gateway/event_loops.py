"""Keep an asynchronous client for as long as its event loop, and close it with the loop.

A connection can be closed properly only on the loop that opened it, and no loop tells anybody that it is about to be
closed. What runners such as `asyncio.run` do before they close a loop is to close its suspended asynchronous
generators; so one is suspended there for each client. Who just closes a loop, as LiteLLM does with those that it runs
synchronous fallbacks on, closes no generators; a client on such a loop has to be closed with its call. Which of the two
runs a loop, only the stack tells.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from types import FrameType

import httpx


async def close_with_loop(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    """Return a generator that closes a client when it is closed itself; start it on the client's loop."""
    try:
        yield
    finally:
        await client.aclose()


_RUNNERS = frozenset({"asyncio.runners", "anyio._backends._asyncio", "aiohttp.web", "uvicorn._compat"})


def runner_closes_asyncgens() -> bool:
    """Return whether the running loop will close its asynchronous generators before it is closed itself.

    Who runs the loop decides that, and only the stack tells who it is. LiteLLM, for one, runs synchronous fallbacks on
    loops that it then just closes; a connection kept on such a loop could never be closed properly.
    """
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the one way to look at the stack
    while frame is not None:
        if frame.f_code is asyncio.BaseEventLoop.run_until_complete.__code__:
            return frame.f_back is not None and frame.f_back.f_globals.get("__name__") in _RUNNERS
        frame = frame.f_back
    return True
