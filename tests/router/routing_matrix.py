"""The routing matrix: what each way of falling back makes of each failure, from runs against the sandbox.

`tests/router/test_routing_matrix.py` checks it, `scripts/routing-matrix` prints it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import litellm
import yaml

import litellm_maas
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.router import templates
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import MESSAGES
from tests.proxy_process import MASTER_KEY, free_port, missing, running_proxy

FIRST, SECOND, THIRD = TRIO = ("openai/gpt-4o", "gemini/gemini-2.5-flash", "qwen/qwen3-27b")
SHORT = {FIRST: "gpt-4o", SECOND: "gemini", THIRD: "qwen"}
TIMEOUT = 0.5
"""Seconds for which a silent model is waited for."""
PATIENCE = 30
"""Seconds for every other one: on a busy machine the sandbox takes its time."""
WAYS = ("Router `fallbacks`", "`order` group", "SDK `fallbacks=`", "proxy")
MODES = ("plain", "stream")
NGINX = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body></body></html>"


@dataclasses.dataclass(frozen=True)
class Row:
    """A failure of the first model.

    Attributes:
        then: What is to become of the call.
        fault: What the sandbox does to the first model's requests.
        address: Where the first model is called instead of at the sandbox.
        modes: How the call is made: a fault inside a stream shows only in a stream.
        rests: Whether the same call, made again at once, leaves the first model alone.
    """

    name: str
    then: Literal["next", "error"]
    fault: Fault | None = None
    address: Callable[[], str] | None = None
    modes: tuple[str, ...] = MODES
    rests: bool = False


def _reply(status: int, body: Any = None, **headers: str) -> Fault:
    found = {"error": {"message": f"error {status}"}} if body is None else body
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, body=found, headers=given, model=FIRST, times=None)


def _coded(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "code": code}}


LIMITED = {"message": "API rate limit exceeded"}
IN_STREAM = ("stream",)
ROWS = (
    Row("connection refused", "next", address=lambda: f"http://127.0.0.1:{free_port()}/v1"),
    Row("host name unknown", "next", address=lambda: "https://no-such-host.invalid/v1"),
    Row("silence before the first byte", "next", Fault(hang=True, model=FIRST, times=None), rests=True),
    Row(
        "silence before the first content",
        "next",
        Fault(hang_after=1, model=FIRST, times=None),
        modes=IN_STREAM,
        rests=True,
    ),
    Row("silence after content", "error", Fault(hang_after=3, model=FIRST, times=None), modes=IN_STREAM, rests=True),
    Row("400", "error", _reply(400)),
    Row("401", "error", _reply(401)),
    Row("402", "next", _reply(402), rests=True),
    Row("403", "next", _reply(403), rests=True),
    Row("404", "next", _reply(404), rests=True),
    Row("408", "next", _reply(408), rests=True),
    Row("422", "error", _reply(422)),
    Row("429 with `Retry-After`", "next", _reply(429, LIMITED, retry_after="30"), rests=True),
    Row("429 without", "next", _reply(429, LIMITED), rests=True),
    Row("500", "next", _reply(500)),
    Row("502, nginx's HTML", "next", _reply(502, NGINX)),
    Row("503, Kong's text", "next", _reply(503, {"message": "Gateway Auth Unavailable"})),
    Row("error before the first content", "next", Fault(error_after=1, model=FIRST, times=None), modes=IN_STREAM),
    Row("error after content", "error", Fault(error_after=3, model=FIRST, times=None), modes=IN_STREAM),
    Row("context overflow", "error", _reply(400, _coded("maximum context length is 8", "context_length_exceeded"))),
    Row("content policy", "error", _reply(400, _coded("rejected by our safety system", "content_policy_violation"))),
    Row("credits exhausted", "error", Fault(status=503, body={"message": "insufficient balance"}, times=None)),
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """What a way made of a failure.

    Attributes:
        answer: The model that answered; None if none did.
        error: What the caller got, if it was an error, or an error after a part of an answer.
        requests: The models that the gateway was asked for.
        again: The same of the same call, made once more at once.
        recorded: The ledger's rows: model, status, HTTP status.
        seconds: How long the first call took.
    """

    answer: str | None
    error: str | None
    requests: tuple[str, ...]
    again: tuple[str, ...]
    recorded: tuple[str, ...]
    seconds: float

    @property
    def outcome(self) -> str:
        """Who answered, in a word or two."""
        if self.error is None:
            return str(self.answer)
        return self.error if self.answer is None else f"{self.answer}, then {self.error}"


@dataclasses.dataclass
class Bench:
    """What cells run on: a sandbox, a proxy in front of it, and a ledger for each of both.

    Attributes:
        proxy: Its URL; empty where none can be started, because there is none for this version of LiteLLM.
    """

    sandbox: Sandbox
    proxy: str
    ledgers: dict[str, Path]

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways of falling back that can be tried here."""
        return WAYS if self.proxy else WAYS[:-1]

    def run(self, row: Row, way: str, mode: str) -> Cell:
        """Run one cell."""
        call = self._call(row, way, mode)
        ledger = self.ledgers["proxy" if way == "proxy" else "here"]
        self.sandbox.faults.clear()
        self.sandbox.requests.clear()
        if row.fault is not None:
            self.sandbox.faults.add(row.fault)
        before = len(_events(ledger))
        started = time.perf_counter()
        answer, error = asyncio.run(call())
        seconds = time.perf_counter() - started
        requests, recorded = self._asked(), _events(ledger)[before:]
        self.sandbox.requests.clear()
        asyncio.run(call())
        return Cell(answer, error, requests, self._asked(), tuple(recorded), seconds)

    def _asked(self) -> tuple[str, ...]:
        return tuple(SHORT[request.body["model"]] for request in self.sandbox.requests)

    def _call(self, row: Row, way: str, mode: str) -> Callable[[], Any]:
        streamed, key = mode == "stream", key_of(row, way, mode)
        self.sandbox.account.keys[key] = "active"
        if way == "proxy":
            return lambda: _over_http(self.proxy, group_of(row, mode), streamed=streamed)
        models = _deployments(row, key, self.sandbox.url)
        if way == "SDK `fallbacks=`":
            first, *others = [each["litellm_params"] for each in models]
            call = {**first, "fallbacks": others, "messages": MESSAGES, "stream": streamed}
            call.pop("order")
            return lambda: _outcome(litellm.acompletion(**call))
        router = self._router(way, models)
        return lambda: _outcome(router.acompletion(model="a", messages=MESSAGES, stream=streamed))

    def _router(self, way: str, models: list[dict[str, Any]]) -> litellm.Router:
        names = ["a", "a", "a"] if way == "`order` group" else ["a", "b", "c"]
        content: dict[str, Any] = yaml.safe_load(templates.config_file("router.yaml").read_text())
        content["model_list"] = [{**each, "model_name": name} for each, name in zip(models, names, strict=True)]
        settings = content["router_settings"]
        settings |= {"timeout": PATIENCE, "stream_timeout": PATIENCE}
        settings |= {"context_window_fallbacks": [], "content_policy_fallbacks": []}
        if way != "`order` group":
            settings["fallbacks"] = [{"a": ["b", "c"]}]
        file = self.ledgers["here"].with_name("router.yaml")
        file.write_text(yaml.safe_dump(content))
        return litellm_maas.load_router(file)


def key_of(row: Row, way: str, mode: str) -> str:
    """A key of its own for each cell: a cooldown is of one account."""
    return f"vn-{ROWS.index(row)}-{WAYS.index(way)}-{mode}"


def group_of(row: Row, mode: str) -> str:
    """The proxy's group for a row."""
    return f"row-{ROWS.index(row)}-{mode}"


def _deployments(row: Row, key: str, url: str) -> list[dict[str, Any]]:
    addresses = [row.address() if row.address else url, url, url]
    timeouts = [TIMEOUT if row.name.startswith("silence") else PATIENCE, PATIENCE, PATIENCE]
    return [
        {
            "model_name": "a",
            "litellm_params": {
                "model": f"maas/{model}",
                "order": order,
                "api_key": key,
                "api_base": address,
                "timeout": timeout,
                "stream_timeout": timeout,
            },
        }
        for order, (model, address, timeout) in enumerate(zip(TRIO, addresses, timeouts, strict=True), start=1)
    ]


@contextlib.contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """A bench, for as long as the block lasts. The environment must lead nowhere else."""
    ledgers = {"here": folder / "here.db", "proxy": folder / "proxy.db"}
    with Sandbox() as sandbox:
        file = _proxy_config(folder, sandbox)
        environment = {
            **sandbox.environment(),
            "LITELLM_MASTER_KEY": MASTER_KEY,
            "MAAS_LEDGER": str(ledgers["proxy"]),
        }
        os.environ["MAAS_LEDGER"], os.environ["MAAS_TRACK_SPEND"] = str(ledgers["here"]), "1"
        try:
            # Without litellm[proxy] the other ways can be tried all the same.
            proxy = contextlib.nullcontext("") if missing() else running_proxy(file, environment)
            with proxy as url:
                yield Bench(sandbox, url, ledgers)
        finally:
            del os.environ["MAAS_LEDGER"], os.environ["MAAS_TRACK_SPEND"]


def _proxy_config(folder: Path, sandbox: Sandbox) -> Path:
    """The shipped proxy config with a group for each row that differs in key, address and timeouts only."""
    config: dict[str, Any] = yaml.safe_load(templates.config_file("proxy.yaml").read_text())
    config["router_settings"] |= {"timeout": PATIENCE, "stream_timeout": PATIENCE}
    config["include"] = ["rows.yaml"]
    config["router_settings"] |= {"context_window_fallbacks": [], "content_policy_fallbacks": []}
    shipped_models = yaml.safe_load(templates.config_file("maas_models.yaml").read_text())["model_list"][:3]
    rows = []
    for row in ROWS:
        for mode in row.modes:
            own = _deployments(row, key_of(row, "proxy", mode), sandbox.url)
            for ours, theirs in zip(own, shipped_models, strict=True):
                params = {**theirs["litellm_params"], **ours["litellm_params"]}
                rows.append({**theirs, "model_name": group_of(row, mode), "litellm_params": params})
    (folder / "rows.yaml").write_text(yaml.safe_dump({"model_list": rows}))
    file = folder / "proxy.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def _events(ledger: Path) -> list[str]:
    if not ledger.exists():
        return []
    found = SqliteLedger(ledger)
    try:
        return [
            f"{SHORT[event.model]} {event.status}"
            + ("" if event.http_status in (200, None) else f" {event.http_status}")
            for event in found.events()
        ]
    finally:
        found.close()


async def _outcome(pending: Any) -> tuple[str | None, str | None]:
    text = ""
    try:
        response = await pending
        if hasattr(response, "__aiter__"):
            async for chunk in response:
                text += "".join(choice.delta.content or "" for choice in chunk.choices)
        else:
            text = response.choices[0].message.content
    except Exception as error:  # noqa: BLE001 - which one it is, is the outcome
        original = getattr(error, "original_exception", None) or error
        return _model(text), type(original).__name__
    return _model(text), None


async def _over_http(url: str, group: str, *, streamed: bool) -> tuple[str | None, str | None]:
    body = {"model": group, "messages": MESSAGES, "stream": streamed}
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    text, error = "", None
    async with (
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
        client.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers) as reply,
    ):
        if reply.status_code != httpx.codes.OK:
            return None, str(reply.status_code)
        if not streamed:
            return _model(json.loads(await reply.aread())["choices"][0]["message"]["content"]), None
        async for event in _sse(reply):
            if "error" in event:
                error = str(event["error"].get("code"))
            else:
                text += (event["choices"] or [{"delta": {}}])[0]["delta"].get("content") or ""
    return _model(text), error


async def _sse(reply: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in reply.aiter_lines():
        if line.startswith("data:") and not line.endswith("[DONE]"):
            yield json.loads(line.removeprefix("data:"))


def _model(text: str) -> str | None:
    """The model that a sandbox's answer, or the beginning of one, tells to be from."""
    word = text.split(" ", maxsplit=1)[0]
    return next((short for model, short in SHORT.items() if word and model.startswith(word)), None)


Cells = dict[tuple[str, str, str], Cell]


def run_all(bench: Bench) -> Cells:
    """Every cell that can be run here, by the names of row, way and mode."""
    ways = bench.ways
    return {(row.name, way, mode): bench.run(row, way, mode) for row in ROWS for mode in row.modes for way in ways}


def summary(cells: Cells) -> str:
    """The matrix in short, as Markdown: who answered, and after how many requests."""
    ways = _ways(cells)
    lines = [_line(["the first model's failure", *ways]), _line(["---"] * (len(ways) + 1))]
    for row in ROWS:
        texts = []
        for way in ways:
            by_mode = {mode: _short(cells[row.name, way, mode]) for mode in row.modes}
            plain = by_mode[row.modes[0]]
            stream = by_mode[row.modes[-1]]
            texts.append(plain if plain == stream else f"{plain}; stream: {stream}")
        lines.append(_line([row.name, *texts]))
    return "\n".join(lines)


def details(cells: Cells, mode: str) -> str:
    """The matrix of one mode in full, as Markdown."""
    head = ["the first model's failure", "way", "outcome", "requests", "the same call again", "in the ledger", "time"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in ROWS:
        for way in _ways(cells) if mode in row.modes else ():
            cell = cells[row.name, way, mode]
            asked = [", ".join(models) or "none" for models in (cell.requests, cell.again)]
            lines.append(
                _line([row.name, way, cell.outcome, *asked, "; ".join(cell.recorded), f"{cell.seconds:.2f} s"])
            )
    return "\n".join(lines)


def _ways(cells: Cells) -> list[str]:
    run = {way for _, way, _ in cells}
    return [way for way in WAYS if way in run]


def _short(cell: Cell) -> str:
    return f"{cell.outcome} ({len(cell.requests)})"


def _line(texts: list[str]) -> str:
    return f"| {' | '.join(texts)} |"


def main() -> None:
    """Print the matrix: in short, then in full, plain and streamed."""
    litellm.suppress_debug_info = True
    logging.disable(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as running:
        cells = run_all(running)
    print("\n\n".join([summary(cells), *(details(cells, mode) for mode in MODES)]))  # noqa: T201 - that is its job


if __name__ == "__main__":
    main()
