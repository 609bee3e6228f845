"""Two hundred calls at once under a budget that pays for 37 of them, in threads, tasks and processes, over and over.

Streams, streams that are given up and failures are among them; in every fifth round a process is killed in the middle.
Then the same through a proxy with two workers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from litellm_maas.budgets.budget import Budget
from litellm_maas.budgets.reservations import BudgetStore
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.sandbox import Answer, Choice, Fault, Sandbox

CALLS, PROCESSES, AFFORDABLE = 200, 4, 37
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Xin chào"}], "max_tokens": 200}
CALL: dict[str, Any] = {"model": "maas/openai/gpt-4o", **BODY}
ANSWER = Answer((Choice("Xin" + " chào" * 199),), input_tokens=10)
COST = (10 * 70_888 + 200 * 283_550) / 1_000_000
KEY = "sk-budgets-of-this-test"


def _one(kind: str) -> None:
    import litellm

    with contextlib.suppress(litellm.BudgetExceededError, litellm.InternalServerError):
        if kind == "plain":
            litellm.completion(**CALL)
            return
        chunks = litellm.completion(stream=True, **CALL)
        for number, _ in enumerate(chunks):
            if kind == "given up" and number == 3:
                chunks.completion_stream.close()
                return


async def _aone(kind: str) -> None:
    import litellm

    failures = (litellm.BudgetExceededError, litellm.InternalServerError, litellm.exceptions.MidStreamFallbackError)
    with contextlib.suppress(*failures):
        if kind == "plain":
            await litellm.acompletion(**CALL)
            return
        chunks = await litellm.acompletion(stream=True, **CALL)
        number = 0
        async for _ in chunks:
            number += 1
            if kind == "given up" and number == 3:
                await chunks.completion_stream.aclose()
                return


def worker() -> None:
    """One process: for each line of input, its share of the calls, half in threads and half in tasks."""
    import litellm_maas

    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        litellm_maas.track_spend(order["ledger"])
        share, pick = CALLS // PROCESSES, random.Random(order["seed"])
        kinds = [pick.choice(order["kinds"]) for _ in range(share)]

        async def together(mine: list[str]) -> None:
            await asyncio.gather(*map(_aone, mine))

        tasks = threading.Thread(target=lambda mine=kinds[: share // 2]: asyncio.run(together(mine)))
        tasks.start()
        with ThreadPoolExecutor(share) as pool:
            list(pool.map(_one, kinds[share // 2 :]))
        tasks.join()
        print("done", flush=True)


def start(sandbox: Sandbox) -> subprocess.Popen[str]:
    """A process that waits for its orders."""
    command = [sys.executable, "-m", "tests.slow.budgets", "--worker"]
    environment = {**os.environ, **sandbox.environment()}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def budgeted(ledger: Path) -> Budget:
    """The budget, set in a new ledger."""
    made = Budget(name="test", credits=round(COST * AFFORDABLE, 6), per="month")
    with SqliteLedger(ledger) as opened:
        BudgetStore(opened).set(made)
    return made


def spent(ledger: Path) -> int:
    """Micro-credits in the ledger."""
    with SqliteLedger(ledger) as opened:
        return sum(event.micro_credits or 0 for event in opened.events())


def rounds(folder: Path, count: int) -> bool:
    """The rounds; whether the budget held in all of them, and was used in those in which nobody was killed."""
    held = True
    with Sandbox() as sandbox:
        workers = [start(sandbox) for _ in range(PROCESSES)]
        print(f"{'round':<7}{'killed':<8}{'billed':>8}{'ledger':>12}{'bill':>12}{'limit':>12}{'used':>8}")
        for number in range(count):
            kill, ledger = number % 5 == 1, folder / f"{number}.db"
            limit = budgeted(ledger).limit
            calls_before, bill_before = len(sandbox.bill.charges), sandbox.bill.micro_credits
            sandbox.faults.clear()
            sandbox.script(*[ANSWER] * CALLS)
            # What a stream cost that was given up is estimated, so only some rounds have them.
            is_exact = bool(number % 2)
            kinds = ["plain", "stream"] if is_exact else ["plain", "plain", "stream", "given up"]
            # As fast as models write: what is on its way when a stream is given up is on the bill, and nobody sees it.
            pause = 0.0 if is_exact else 0.02
            sandbox.faults.add(Fault(status=500, times=10))
            sandbox.faults.add(Fault(delay=0.2, chunk_delay=pause, times=20))
            sandbox.faults.add(Fault(chunk_delay=pause, times=None))
            for seed, process in enumerate(workers):
                assert process.stdin
                order = {"ledger": str(ledger), "seed": number * 100 + seed, "kinds": kinds}
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()
            if kill:
                while len(sandbox.bill.charges) - calls_before < AFFORDABLE // 3:
                    time.sleep(0.001)
                workers[0].send_signal(signal.SIGKILL)
                workers[0].wait()
                workers[0] = start(sandbox)
            for process in workers[kill:]:
                assert process.stdout
                assert process.stdout.readline() == "done\n"
            total, bill = spent(ledger), sandbox.bill.micro_credits - bill_before
            used = total / limit
            calls = len(sandbox.bill.charges) - calls_before
            amounts = "".join(f"{each / 1e6:>12.2f}" for each in (total, bill, limit))
            print(f"{number:<7}{'yes' if kill else '':<8}{calls:>8}{amounts}{used:>8.1%}")
            held &= total <= limit and (kill or used >= 0.95)
            # What a killed process had been answered without recording it is at most what it had reserved.
            held &= bill <= limit
        for process in workers:
            process.kill()
            process.communicate()
    return held


def proxy(folder: Path) -> bool:
    """The same through a proxy with two workers; whether the budget held and was used."""
    from tests.proxy_process import free_port

    ledger, config, port = folder / "proxy.db", folder / "config.yaml", free_port()
    limit = budgeted(ledger).limit
    config.write_text(
        "model_list:\n  - {model_name: gpt-4o, litellm_params: {model: maas/openai/gpt-4o}}\n"
        "litellm_settings:\n  custom_provider_map: [{provider: maas, custom_handler: litellm_maas.maas}]\n"
        "  callbacks: [litellm_maas.spend_logger]\n  num_retries: 0\n"
    )
    with Sandbox() as sandbox, (folder / "proxy.log").open("wb") as log:
        sandbox.script(*[ANSWER] * CALLS)
        environment = {**os.environ, **sandbox.environment(), "MAAS_LEDGER": str(ledger), "LITELLM_MASTER_KEY": KEY}
        command = [str(Path(sys.executable).with_name("litellm")), "--config", str(config), "--port", str(port)]
        process = subprocess.Popen([*command, "--num_workers", "2"], env=environment, stdout=log, stderr=log)
        try:
            statuses = asyncio.run(_ask_proxy(f"http://127.0.0.1:{port}"))
        finally:
            process.terminate()
            process.wait(30)
        total, bill = spent(ledger), sandbox.bill.micro_credits
    refused = {status for status in statuses if status != 200}
    print(
        f"proxy with two workers: {statuses.count(200)} of {CALLS} answered, the others {sorted(refused)}; "
        f"{total / 1e6:.2f} of {limit / 1e6:.2f} VND ({total / limit:.1%}), the bill says {bill / 1e6:.2f}"
    )
    return total == bill and 0.95 * limit <= total <= limit


async def _ask_proxy(url: str) -> list[int]:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}, timeout=120, trust_env=False) as http:
        for _ in range(1200):
            with contextlib.suppress(httpx.HTTPError):
                if (await http.get(f"{url}/health/liveliness")).status_code == 200:
                    break
            await asyncio.sleep(0.1)
        body = {"model": "gpt-4o", **BODY}
        replies = await asyncio.gather(*(http.post(f"{url}/v1/chat/completions", json=body) for _ in range(CALLS)))
        return [reply.status_code for reply in replies]


def main() -> None:
    """Run, print, and exit with 0 only if the budget held everywhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    if options.worker:
        worker()
        return
    with tempfile.TemporaryDirectory() as folder:
        held = rounds(Path(folder), options.rounds)
        held &= proxy(Path(folder))
    print("the budget held" if held else "THE BUDGET DID NOT HOLD")
    sys.exit(not held)


if __name__ == "__main__":
    main()
