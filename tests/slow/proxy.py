"""Sixty clients at once on a real proxy with two workers: who pays, what is billed, and whether a budget holds.

They use eight endpoints with the keys of four owners, one of which has a budget that does not pay for all of its calls.
Each calls itself somebody else wherever a request has room for that, and a quarter of the calls are given up.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from litellm_maas.budgets.budget import Budget
from litellm_maas.budgets.reservations import BudgetStore
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.ledger.verify import verify
from litellm_maas.sandbox import Charge, Fault, Sandbox
from tests.ledger_files import rows
from tests.proxy_process import free_port

CLIENTS, CREDITS = 60, 120
CHAT, EMBEDDING = "openai/gpt-4o", "qwen/qwen3-embedding-8b"
OWNERS = {
    "sk-chatbot": {"key_alias": "chatbot", "user_id": "lan", "team_id": "t-1", "team_alias": "Kinh doanh"},
    "sk-batch": {"key_alias": "batch", "user_id": "minh", "team_id": "t-2", "team_alias": "R&D"},
    "sk-support": {"key_alias": "support", "user_id": "hoa", "team_id": "t-3", "team_alias": "Hỗ trợ"},
    "sk-small": {"key_alias": "small", "user_id": "bao", "team_id": "t-1", "team_alias": "Kinh doanh"},
}
SMALL, SMALLS_KEY = "sk-small", "vn-the-small-one-0123456789"
AUTHENTICATION = f"""
from fastapi import HTTPException
from litellm.proxy._types import UserAPIKeyAuth
OWNERS = {OWNERS!r}

async def authenticate(request, api_key):
    if api_key not in OWNERS:
        raise HTTPException(401)
    return UserAPIKeyAuth(api_key=api_key, user_role="internal_user", **OWNERS[api_key])
"""
SOMEBODY_ELSE = {
    "user_api_key_user_id": "nobody",
    "user_api_key_team_id": "t-9",
    "user_api_key_team_alias": "Nobody",
    "user_api_key_alias": "nobodys",
    "user_api_key": "forged",
}
MESSAGES = [{"role": "user", "content": "Xin chào, bạn khoẻ không?"}]


def endpoints(prefix: str) -> dict[str, dict[str, Any]]:
    """What is posted where; two ways with and without a stream are two endpoints."""
    chat = {"model": f"{prefix}{CHAT}", "messages": MESSAGES, "max_tokens": 60}
    response = {"model": f"{prefix}{CHAT}", "input": "Xin chào", "max_output_tokens": 60}
    return {
        "/v1/chat/completions": chat,
        "/v1/chat/completions (stream)": {**chat, "stream": True},
        "/v1/messages": chat,
        "/v1/messages (stream)": {**chat, "stream": True},
        "/v1/responses": response,
        "/v1/responses (stream)": {**response, "stream": True},
        "/v1/embeddings": {"model": f"{prefix}{EMBEDDING}", "input": ["một", "hai"]},
        "/v1/completions": {"model": f"{prefix}{CHAT}", "prompt": "Xin chào", "max_tokens": 60},
    }


@dataclass(frozen=True)
class Sent:
    """A call: whose it was, where it went, and what came of it: a status, or that it was given up."""

    key: str
    where: str
    outcome: int | str


def config(folder: Path) -> Path:
    """The proxy's config, and the module that knows its keys."""
    (folder / "proxy_keys.py").write_text(AUTHENTICATION)
    models = [
        {
            "model_name": f"{prefix}{model}",
            "litellm_params": {"model": f"maas/{model}", "drop_params": True, **key},
        }
        for prefix, key in (("", {}), ("small/", {"api_key": SMALLS_KEY}))
        for model in (CHAT, EMBEDDING)
    ]
    file = folder / "config.yaml"
    settings = {
        "model_list": models,
        "litellm_settings": {
            "custom_provider_map": [{"provider": "maas", "custom_handler": "litellm_maas.maas"}],
            "callbacks": ["litellm_maas.spend_logger"],
        },
        "router_settings": {"num_retries": 0},
        "general_settings": {"master_key": "sk-master-of-this-test", "custom_auth": "proxy_keys.authenticate"},
    }
    file.write_text(yaml.safe_dump(settings))
    return file


@contextlib.contextmanager
def proxy(sandbox: Sandbox, folder: Path, ledger: Path) -> Iterator[str]:
    """The URL of a proxy with two workers, which ends as it is told to, with all that it still records then."""
    port = free_port()
    environment = {
        **os.environ,
        **sandbox.environment(),
        "MAAS_LEDGER": str(ledger),
        "MAAS_HOME": str(folder / "home"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command = [str(Path(sys.executable).with_name("litellm")), "--config", str(config(folder)), "--port", str(port)]
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--num_workers", "2"],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


async def all_clients(url: str) -> list[Sent]:
    """What all clients together have sent."""
    async with httpx.AsyncClient(base_url=url, timeout=180, trust_env=False) as http:
        for _ in range(1200):
            with contextlib.suppress(httpx.HTTPError):
                if (await http.get("/health/liveliness")).status_code == httpx.codes.OK:
                    break
            await asyncio.sleep(0.2)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)  # so that both workers are called
    async with httpx.AsyncClient(base_url=url, timeout=180, trust_env=False, limits=limits) as http:
        keys = list(OWNERS)
        found = await asyncio.gather(*(client(http, keys[number % 4], number) for number in range(CLIENTS)))
    return [each for some in found for each in some]


async def client(http: httpx.AsyncClient, key: str, seed: int) -> list[Sent]:
    """One client: each endpoint once, in an order of its own."""
    pick = random.Random(seed)
    calls = list(endpoints("small/" if key == SMALL else "").items())
    pick.shuffle(calls)
    sent = []
    for where, body in calls:
        alias = OWNERS[key]["key_alias"]
        # The tag is the only honest word, and who is really asking; the rest is what a client might try.
        headers = {"authorization": f"Bearer {key}", "x-litellm-tags": f"really-{alias}"}
        forged = pick.choice([{}, {"metadata": SOMEBODY_ELSE}, {"litellm_metadata": SOMEBODY_ELSE}])
        names = pick.choice([{}, {"user": "lan"}, {"user": "bao"}])
        outcome = await call(http, where.partition(" ")[0], {**body, **forged, **names}, headers, pick)
        sent.append(Sent(key, where, outcome))
    return sent


async def call(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], headers: dict[str, str], pick: random.Random
) -> int | str:
    """One call, of which a quarter are given up: a stream after its first piece, others while they are waited for."""
    gives_up = pick.random() < 0.25
    if gives_up and not body.get("stream"):
        try:
            return (await asyncio.wait_for(http.post(path, json=body, headers=headers), 0.3)).status_code
        except asyncio.TimeoutError:
            return "given up"
    async with http.stream("POST", path, json=body, headers=headers) as reply:
        async for _ in reply.aiter_bytes():
            if gives_up and reply.status_code == httpx.codes.OK:
                return "given up"
        return reply.status_code


def unmatched(events: list[Event], charges: tuple[Charge, ...]) -> tuple[list[Event], list[Charge]]:
    """Events and charges that have no equal among the others."""

    def of_event(each: Event) -> tuple[object, ...]:
        return each.model, each.input_tokens, each.cached_tokens, each.output_tokens, each.micro_credits

    def of_charge(each: Charge) -> tuple[object, ...]:
        return each.model, each.input_tokens, each.cached_tokens, each.output_tokens, each.micro_credits

    left = collections.Counter(map(of_charge, charges))
    odd = [each for each in events if not _take(left, of_event(each))]
    return odd, [each for each in charges if _take(left, of_charge(each))]


def _take(left: collections.Counter[tuple[object, ...]], what: tuple[object, ...]) -> bool:
    left[what] -= 1
    if left[what] < 0:
        left[what] += 1
        return False
    return True


def misattributed(events: list[Event]) -> list[str]:
    """The rows that are under another name than that of the key's owner."""
    owners = {f"really-{owner['key_alias']}": owner for owner in OWNERS.values()}
    found = []
    for each in events:
        owner = next((owners[tag] for tag in each.tags if tag in owners), {})
        paid = {"key_alias": each.key_alias, "user_id": each.user, "team_id": each.team_id, "team_alias": each.team}
        if paid != owner:
            found.append(f"{each.tags}: {paid}")
    return found


def main() -> None:
    """Run, print, and exit with 0 only if every figure is right."""
    with tempfile.TemporaryDirectory() as name, Sandbox() as sandbox:
        folder = Path(name)
        ledger = folder / "ledger.db"
        budget = Budget(name="small", credits=CREDITS, per="month", key="small")
        with SqliteLedger(ledger) as opened:
            BudgetStore(opened).set(budget)
        sandbox.account.keys[SMALLS_KEY] = "active"
        sandbox.faults.add(Fault(delay=0.2, chunk_delay=0.02, times=None))
        with proxy(sandbox, folder, ledger) as url:
            sent = asyncio.run(all_clients(url))
        events, charges = rows(ledger), sandbox.bill.charges
        with SqliteLedger(ledger) as opened:
            complaints = verify(opened)
        if os.environ.get("KEEP_LOG"):
            Path(os.environ["KEEP_LOG"]).write_bytes((folder / "proxy.log").read_bytes())
    ok = [each for each in events if each.status == "ok"]
    aborted = [each for each in events if each.status == "cancelled"]
    odd, others = unmatched(ok, charges)
    small = [each for each in events if each.key_alias == "small"]
    small_spent = sum(each.micro_credits or 0 for each in small)
    small_bill = sum(each.micro_credits or 0 for each in charges if each.key == SMALLS_KEY)
    wrong = misattributed(events)
    outcomes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for each in sent:
        outcomes[each.where][str(each.outcome)] += 1
    for where, counts in sorted(outcomes.items()):
        print(f"{where:<32}{json.dumps(dict(sorted(counts.items())))}")
    print(f"{len(sent)} calls, {len(events)} rows: {dict(collections.Counter(each.status for each in events))}")
    print(
        f"answered: {len(ok)} rows and as many charges, {_vnd(ok)} VND; {len(odd)} rows differ\n"
        f"given up: {len(aborted)} rows, estimated {_vnd(aborted)} VND; {len(others)} charges, {_vnd(others)} VND\n"
        f"key small: {small_spent / 1e6:.2f} VND in the ledger, {small_bill / 1e6:.2f} VND on the bill, of {CREDITS}\n"
        f"rows under another name than the owner's: {len(wrong)} {wrong[:3]}\n"
        f"verify: {complaints or 'nothing is wrong'}"
    )
    unexpected = [each for each in sent if each.outcome not in (200, 422, "given up")]
    refused = [each for each in sent if each.outcome == httpx.codes.UNPROCESSABLE_ENTITY]
    is_right = (
        not (odd or wrong or complaints or unexpected)
        and len(others) <= len(aborted)
        and {each.key for each in refused} == {SMALL}
        and 0.5 * CREDITS * 1e6 < small_spent <= CREDITS * 1e6
        and small_bill <= CREDITS * 1e6
    )
    print("all is right" if is_right else f"SOMETHING IS WRONG {unexpected[:5]}")
    sys.exit(not is_right)


def _vnd(priced: list[Event] | list[Charge]) -> str:
    return f"{sum(each.micro_credits or 0 for each in priced) / 1e6:.2f}"


if __name__ == "__main__":
    main()
