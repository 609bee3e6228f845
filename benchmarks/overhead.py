"""What `maas/` adds to a call, beside what LiteLLM's own `openai/` route adds: CPU and wall time, and their ratio.

Both routes call the same server on this machine, in one run, turn and turn about, so that whatever else the machine
does hits both. The server answers canned bytes from a process of its own. CPU is that of the calling process, LiteLLM's
logging threads included.

    python benchmarks/overhead.py [--calls 300] [--streams 20]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Coroutine
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from aiohttp import web

CHUNKS = 500
MESSAGES = [{"role": "user", "content": "Xin chào"}]
ROUTES = {"maas/": "maas/openai/gpt-4o", "openai/": "openai/gpt-4o"}
TARGETS = {"call": 0.9, "stream": 0.8}


def serve(ready: Any) -> None:
    """The server: a canned completion, plain or in 500 chunks."""
    head = {"id": "chatcmpl-1", "created": 1, "model": "openai/gpt-4o"}
    usage = {"prompt_tokens": 8, "completion_tokens": CHUNKS, "total_tokens": CHUNKS + 8}
    message = {"index": 0, "message": {"role": "assistant", "content": "Xin chào"}, "finish_reason": "stop"}
    plain = json.dumps({**head, "object": "chat.completion", "choices": [message], "usage": usage}).encode()

    def event(choices: list[Any], **rest: Any) -> bytes:
        return (
            f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': choices, **rest})}\n\n".encode()
        )

    events = [event([{"index": 0, "delta": {"content": f" từ{i}"}, "finish_reason": None}]) for i in range(CHUNKS)]
    events += [event([{"index": 0, "delta": {}, "finish_reason": "stop"}]), event([], usage=usage), b"data: [DONE]\n\n"]

    async def answer(request: web.Request) -> web.StreamResponse:
        if not (await request.json()).get("stream"):
            return web.Response(body=plain, content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for start in range(0, len(events), 10):
            await response.write(b"".join(events[start : start + 10]))
        return response

    async def run() -> None:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.put(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


class Times:
    """The times of one route at one job."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def add(self, wall: float, cpu: float) -> None:
        """Add one measurement, in seconds."""
        self.wall.append(wall)
        self.cpu.append(cpu)

    @property
    def medians(self) -> tuple[float, float]:
        """Wall and CPU, in milliseconds."""
        return statistics.median(self.wall) * 1000, statistics.median(self.cpu) * 1000


def measure_sync(job: Callable[[str], object], rounds: int) -> dict[str, Times]:
    """Times of a synchronous job, the routes turn and turn about."""
    times = {route: Times() for route in ROUTES}
    for route in ROUTES:
        job(route)
    for _ in range(rounds):
        for route, found in times.items():
            _settle()
            wall, cpu = time.perf_counter(), time.process_time()
            job(route)
            found.add(time.perf_counter() - wall, _settle() - cpu)
    return times


async def measure_async(job: Callable[[str], Coroutine[Any, Any, object]], rounds: int) -> dict[str, Times]:
    """Times of an asynchronous job, the routes turn and turn about."""
    times = {route: Times() for route in ROUTES}
    for route in ROUTES:
        await job(route)
    for _ in range(rounds):
        for route, found in times.items():
            wall, cpu = time.perf_counter(), time.process_time()
            await job(route)
            found.add(time.perf_counter() - wall, time.process_time() - cpu)
    return times


def _settle() -> float:
    """Wait until LiteLLM's logging threads have nothing to do; the CPU time used so far."""
    before = time.process_time()
    while True:
        time.sleep(0.002)
        after = time.process_time()
        if after - before < 0.0005:
            return after
        before = after


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--streams", type=int, default=20)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ready = context.Queue()
    server = context.Process(target=serve, args=(ready,), daemon=True)
    server.start()

    import litellm

    import litellm_maas  # noqa: F401 - registers maas/

    base = f"http://127.0.0.1:{ready.get()}/v1"

    def call(route: str, **more: Any) -> dict[str, Any]:
        return {"model": ROUTES[route], "messages": MESSAGES, "api_base": base, "api_key": "vn-x", **more}

    async def astream(route: str) -> None:
        async for _ in await litellm.acompletion(**call(route, stream=True)):
            pass

    async def asynchronous() -> dict[tuple[str, str], dict[str, Times]]:
        return {
            ("call", "async"): await measure_async(lambda route: litellm.acompletion(**call(route)), options.calls),
            ("stream", "async"): await measure_async(astream, options.streams),
        }

    results = {
        ("call", "sync"): measure_sync(lambda route: litellm.completion(**call(route)), options.calls),
        ("stream", "sync"): measure_sync(
            lambda route: list(litellm.completion(**call(route, stream=True))), options.streams
        ),
        **asyncio.run(asynchronous()),
    }
    server.terminate()
    print(f"{'job':<14}{'':>6}{'maas/':>12}{'openai/':>12}{'ratio':>8}{'target':>8}")
    for (job, mode), times in sorted(results.items()):
        for position, kind in enumerate(("wall", "cpu")):
            ours, theirs = (times[route].medians[position] for route in ROUTES)
            name = f"{job} {mode}"
            print(f"{name:<14}{kind:>6}{ours:>9.2f} ms{theirs:>9.2f} ms{ours / theirs:>8.2f}{TARGETS[job]:>8}")


if __name__ == "__main__":
    main()
