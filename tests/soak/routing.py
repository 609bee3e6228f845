"""A router under load while a fifth of the gateway's replies are faults; started by `scripts/test-soak`."""

from __future__ import annotations

import asyncio
import collections
import os
import random
import time
from pathlib import Path
from typing import Any

import litellm
import openai
import pytest

import litellm_maas
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import MESSAGES

CALLS = int(os.environ.get("SOAK_CALLS", "2000"))
AT_ONCE = 32
FAULTY = 0.2
FIRST = "openai/gpt-4o"
GROUPS = ("maas", FIRST, "qwen/qwen3.6-flash", "google/gemma-4-31b-it")
LIMITED = {"message": "API rate limit exceeded"}
FAULTS = [
    *(Fault(status=status, body={"error": {"message": f"error {status}"}}) for status in (402, 403, 404, 408, 500)),
    Fault(status=429, body=LIMITED, headers={"retry-after": "7"}),
    Fault(status=429, body=LIMITED),
    Fault(status=502, body="<html><title>502 Bad Gateway</title></html>"),
    *[Fault(status=503, body={"message": "Gateway Auth Unavailable"})] * 5,
    *[Fault(disconnect=True)] * 3,
    Fault(hang=True),
    Fault(delay=0.5),
    Fault(error_after=1),
    Fault(error_after=3),
    Fault(status=400, body={"error": {"message": "bad value"}}),
]


async def call(router: litellm.Router, group: str, *, streamed: bool) -> str:
    """What became of a call: the model that answered, or the exception that says why none did."""
    try:
        response: Any = await router.acompletion(model=group, messages=MESSAGES, stream=streamed)
        if streamed:
            text = "".join([choice.delta.content or "" async for chunk in response for choice in chunk.choices])
        else:
            text = response.choices[0].message.content
    except openai.APIError as error:
        return f"{type(error).__name__}" if "MaaS: " in str(error) else f"without a reason: {error}"
    return text.split(" heard")[0]


async def under_load(sandbox: Sandbox, router: litellm.Router) -> collections.Counter[str]:
    """The outcomes of all calls, with a fault put in the way of every fifth request."""
    pick, places = random.Random(20261122), asyncio.Semaphore(AT_ONCE)

    async def one(group: str, *, streamed: bool) -> str:
        async with places:
            if pick.random() < FAULTY:
                sandbox.faults.add(pick.choice(FAULTS))
            return await call(router, group, streamed=streamed)

    calls = (one(pick.choice(GROUPS), streamed=pick.random() < 0.5) for _ in range(CALLS))
    return collections.Counter(await asyncio.gather(*calls))


async def until_it_answers(router: litellm.Router, group: str, model: str) -> int:
    """How many calls it takes until a group's own model answers again."""
    for number in range(1, 1000):
        if await call(router, group, streamed=False) == model:
            return number
        await asyncio.sleep(0.05)  # a rest ends with time alone
    pytest.fail(f"{model} never came back")


@pytest.mark.timeout(1800)
async def test_two_thousand_calls(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call is answered or says why not, the ledger is the gateway's bill, and each model is used again."""
    # A minute of rest takes a second, so that models rest and come back many times.
    monkeypatch.setattr(runtime.cooldowns, "clock", lambda: time.monotonic() * 60)
    litellm_maas.track_spend(tmp_path / "ledger.db")
    router = litellm_maas.load_router("router.current.yaml", timeout=5, stream_timeout=5)
    started = time.monotonic()
    outcomes = await under_load(sandbox, router)
    seconds, sent = time.monotonic() - started, len(sandbox.requests)
    answered = sum(number for outcome, number in outcomes.items() if "/" in outcome)
    assert sum(outcomes.values()) == CALLS
    assert not [outcome for outcome in outcomes if outcome.startswith("without a reason")]

    charges = sandbox.bill.charges
    complete, broken = (sum(c.micro_credits or 0 for c in charges if c.complete is done) for done in (True, False))
    ledger = SqliteLedger(tmp_path / "ledger.db")
    events = list(ledger.events())
    ledger.close()
    recorded = sum(event.micro_credits or 0 for event in events if event.status == "ok")
    estimated = sum(event.micro_credits or 0 for event in events if event.status != "ok")
    assert recorded == complete
    assert len(events) == sent

    sandbox.faults.clear()
    back = [await until_it_answers(router, group, FIRST if group == "maas" else group) for group in GROUPS]
    print(  # noqa: T201 - the run's report
        f"\n{CALLS} calls, {AT_ONCE} at once, {sent} requests in {seconds:.0f} s; "
        f"{answered} answered, {CALLS - answered} said why not\n{dict(outcomes.most_common())}\n"
        f"ledger: {recorded} micro-credits, the bill of all finished calls, in {len(events)} rows\n"
        f"streams that broke: {broken} micro-credits on the bill, {estimated} estimated, as no reply says\n"
        f"calls until each group's own model answered again: {back}"
    )
