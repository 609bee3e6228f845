"""Clients that others wrote, through a real proxy with the shipped config, against the sandbox; as a Markdown table.

`scripts/test-clients` installs those of Node; the only argument is the folder that they are in.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing.credits import format_credits
from litellm_maas.sandbox import Charge, Fault, Request, Sandbox
from tests.provider.client_cases import CLIENTS, Case, Client, Setting
from tests.proxy_process import MASTER_KEY, running_proxy

CONFIGS = Path(__file__).parent.parent.parent / "configs"
FIRST = "openai/gpt-4o"
COLUMNS = ("chat", "stream", "tools", "embeddings", "responses", "fallback", "fallback of a stream")
KEYS = {"sk-for-the-shop": "shop", "sk-for-the-app": "app"}
AUTH = f"""
from litellm.proxy._types import UserAPIKeyAuth

KEYS = {KEYS!r}


async def known(request, api_key):
    if api_key not in KEYS:
        raise PermissionError("unknown key")
    return UserAPIKeyAuth(api_key=api_key, key_alias=KEYS[api_key], team_id="sales", user_id="minh")
"""


@dataclasses.dataclass
class Bench:
    """A proxy, the sandbox behind it, and the ledger that it writes.

    Attributes:
        seen: How many requests, charges and events there were before the case at hand.
    """

    setting: Setting
    sandbox: Sandbox
    ledger: Path
    seen: tuple[int, int, int] = (0, 0, 0)

    def news(self) -> tuple[list[Request], list[Charge], list[Event]]:
        """What came since the last time."""
        events: list[Event] = []
        if self.ledger.exists():
            with SqliteLedger(self.ledger, read_only=True) as opened:
                events = list(opened.events())
        everything = (list(self.sandbox.requests), list(self.sandbox.bill.charges), events)
        requests, charges, recorded = self.seen
        self.seen = (len(everything[0]), len(everything[1]), len(everything[2]))
        return everything[0][requests:], everything[1][charges:], everything[2][recorded:]

    @contextlib.contextmanager
    def first_model_down(self) -> Iterator[None]:
        """The first model answers 503 to everything."""
        self.sandbox.faults.add(Fault(status=503, body={"message": "upstream is down"}, times=None, model=FIRST))
        try:
            yield
        finally:
            self.sandbox.faults.clear()


def spend_problem(requests: list[Request], charges: list[Charge], events: list[Event]) -> str | None:
    """What is wrong with what was recorded."""
    if len(events) != len(requests):
        return f"{len(events)} events for {len(requests)} requests"
    answered = sorted((event.response_id or "", event.micro_credits) for event in events if event.status == "ok")
    billed = sorted((charge.response_id, charge.micro_credits) for charge in charges)
    named = [pair for pair in answered if pair[0]]
    if [pair for pair in billed if pair in named] != named or len(answered) != len(billed):
        return "the replies recorded are not those of the bill"
    if sum(event.micro_credits or 0 for event in events) != sum(charge.micro_credits or 0 for charge in charges):
        return "the total is not that of the bill"
    if any(event.status == "ok" and event.usage_source != "reported" for event in events):
        return "usage that the gateway reported is recorded as estimated"
    return None


def outcome(bench: Bench, name: str, case: Case, *, down: bool) -> tuple[str, str | None, list[Charge], int]:
    """What came of a case: its cell, what is wrong with what was recorded, what was billed, and how many requests."""
    bench.news()
    if case.script:
        bench.sandbox.script(*case.script)
    with bench.first_model_down() if down else contextlib.nullcontext():
        try:
            found = case.run(bench.setting)
        except Exception as error:  # noqa: BLE001 - whatever a client raises is what the table is about
            bench.news()
            return f"NO: {type(error).__name__}: {str(error).splitlines()[0][:120]}", None, [], 0
    requests, charges, events = bench.news()
    served = {charge.model for charge in charges}
    cell = "works"
    if not requests or (down and (FIRST in served or requests[0].body["model"] != FIRST)):
        cell = f"NO: answered by {', '.join(sorted(served)) or 'nobody'}"
    elif name == "stream" and len(found) < 2:
        cell = f"NO: a stream in {len(found)} pieces"
    elif name == "tools" and "sunny" not in "".join(found):
        cell = "NO: the tool's result was not heard"
    elif not "".join(found).strip():
        cell = "NO: no answer"
    return cell, spend_problem(requests, charges, events), charges, len(requests)


def row(bench: Bench, client: Client) -> tuple[list[str], bool]:
    """The row of a client, and whether all of it is as it should be."""
    cells, problems, charges, requests = [], [], [], 0
    for column in COLUMNS:
        name = {"fallback": "chat", "fallback of a stream": "stream"}.get(column, column)
        case = client.cases.get(name)
        if case is None:
            cells.append("not its protocol")
            continue
        down = column.startswith("fallback")
        cell, problem, billed, sent = outcome(bench, name, case, down=down)
        cells.append(cell)
        problems += [problem] if problem else []
        charges += billed
        requests += sent
        if down:
            client.cases["chat"].run(bench.setting)  # or the first model would rest after three failures in a row
    if client.needs is not None:
        package = bench.setting.node / "node_modules" / client.needs / "package.json"
        title = f"{client.title} {json.loads(package.read_text(encoding='utf-8'))['version']}"
    else:
        title = client.title
    total = format_credits(sum(charge.micro_credits or 0 for charge in charges))
    unpriced = sum(charge.micro_credits is None for charge in charges)
    said = f", {unpriced} unpriced" if unpriced else ""
    spent = f"NO: {problems[0]}" if problems else f"works: {requests} calls, {total}{said}"
    sound = not problems and not any(cell.startswith("NO") for cell in cells)
    return [title, *cells, spent], sound


@contextlib.contextmanager
def bench(node: Path, change: Callable[[dict[str, Any], Path], None] | None = None) -> Iterator[Bench]:
    """A proxy with the shipped config, copied because its log is put beside it; `change` may add to it."""
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("proxy.yaml", "maas_models.yaml"):
            shutil.copy(CONFIGS / name, folder)
        if change is not None:
            config = yaml.safe_load((folder / "proxy.yaml").read_text(encoding="utf-8"))
            change(config, folder)
            (folder / "proxy.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        ledger = folder / "ledger.db"
        environment = {**sandbox.environment(), "LITELLM_MASTER_KEY": MASTER_KEY, "MAAS_LEDGER": str(ledger)}
        with running_proxy(folder / "proxy.yaml", environment) as url:
            yield Bench(Setting(url, MASTER_KEY, folder, node), sandbox, ledger)


def _own_keys(config: dict[str, Any], folder: Path) -> None:
    (folder / "own_keys.py").write_text(AUTH, encoding="utf-8")
    config["general_settings"]["custom_auth"] = "own_keys.known"


def keys(node: Path) -> bool:
    """Spend by the proxy's keys; whether it is what each of them was billed."""
    print("\n| key | team | user | calls | spend |\n|---|---|---|---|---|")
    sound = True
    with bench(node, _own_keys) as bench_:
        for key, alias in KEYS.items():
            setting = dataclasses.replace(bench_.setting, key=key)
            bench_.news()
            for client in CLIENTS[:3]:
                client.cases["chat"].run(setting)
            _, charges, events = bench_.news()
            total = sum(event.micro_credits or 0 for event in events)
            (who,) = {(str(event.key_alias), str(event.team), str(event.user)) for event in events}
            sound = sound and who[0] == alias and total == sum(charge.micro_credits or 0 for charge in charges)
            print(f"| {' | '.join(who)} | {len(events)} | {format_credits(total)} |")
    return sound


def main(node: Path) -> None:
    """Run, print the tables, and exit with 0 only if every cell is as it should be."""
    os.environ["NO_PROXY"] = "*"
    print(f"| client | {' | '.join(COLUMNS)} | spend recorded |\n{'|---' * (len(COLUMNS) + 2)}|", flush=True)
    all_sound = True
    with bench(node) as bench_:
        for client in CLIENTS:
            package = node / "node_modules" / (client.needs or "") / "package.json"
            if client.needs is not None and not package.is_file():
                print(f"| {client.title} | not run: npm could not install {client.needs} |", flush=True)
                continue
            cells, sound = row(bench_, client)
            all_sound = all_sound and sound
            print(f"| {' | '.join(cells)} |", flush=True)
    all_sound = keys(node) and all_sound
    sys.exit(not all_sound)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
