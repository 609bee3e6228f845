"""Run work that has to wait or to block, by one driver for threads and one for event loops.

What it takes is written once, as a generator that yields steps; whoever calls it chooses the driver.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Call a function that may block; what it returns is sent back, and what it raises is thrown."""

    do: Callable[[], Any]


Step = Wait | Work
Steps = Generator[Step, Any, _Result]


def run(steps: Steps[_Result]) -> _Result:
    """Run steps in this thread, and return what they return."""
    move: Callable[[], Step] = steps.__next__
    while True:
        try:
            step = move()
        except StopIteration as end:
            result: _Result = end.value
            return result
        if isinstance(step, Wait):
            time.sleep(step.seconds)
            move = steps.__next__
        else:
            move = _after(steps, step)


async def arun(steps: Steps[_Result]) -> _Result:
    """Run steps from an event loop, which never blocks: work is done in a thread.

    Where the task is cancelled amid work, the steps get its result, because it may be theirs to give back, and are
    closed then.
    """
    move: Callable[[], Step] = steps.__next__
    try:
        while True:
            try:
                step = move()
            except StopIteration as end:
                result: _Result = end.value
                return result
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                move = steps.__next__
            else:
                move = await _in_thread(steps, step)
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.to_thread(steps.close))
        raise


async def _in_thread(steps: Steps[Any], work: Work) -> Callable[[], Step]:
    thread = asyncio.ensure_future(asyncio.to_thread(_after, steps, work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        move = await thread
        await asyncio.shield(asyncio.to_thread(_move_and_close, steps, move))
        raise


def _after(steps: Steps[Any], work: Work) -> Callable[[], Step]:
    """Return how the steps go on after their work."""
    try:
        result = work.do()
    except Exception as error:  # noqa: BLE001 - the steps decide what becomes of it
        thrown = error
        return lambda: steps.throw(thrown)
    return lambda: steps.send(result)


def _move_and_close(steps: Steps[Any], move: Callable[[], Step]) -> None:
    try:
        move()
    except StopIteration:
        return
    steps.close()
