"""Real proxies: an admin's own config that includes our models, and the shipped one as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml
from click.testing import CliRunner

from litellm_maas.cli import config as command_line
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.router import templates
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import KEY, MESSAGES, until
from tests.proxy_process import MASTER_KEY, running_proxy

pytestmark = pytest.mark.proxy
FIRST, SECOND, THIRD = ("openai/gpt-4o", "gemini/gemini-2.5-flash", "qwen/qwen3-27b")
CURRENT = ("openai/gpt-4o", "qwen/qwen3.6-flash", "google/gemma-4-31b-it", "z-ai/glm-5.2")
ADMINS_MODULE = """
import json, os
import litellm
from litellm.integrations.custom_logger import CustomLogger


class Watch(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        from litellm.proxy.proxy_server import general_settings, llm_router

        routing = ("num_retries", "allowed_fails", "fallbacks")
        seen = {
            "drop_params": litellm.drop_params,
            "request_timeout": litellm.request_timeout,
            "providers": [entry["provider"] for entry in litellm.custom_provider_map],
            "router": {name: getattr(llm_router, name) for name in routing},
            "general": {name: general_settings.get(name) for name in ("max_parallel_requests", "health_check_details")},
        }
        with open(os.environ["SEEN"] + ".new", "w") as file:
            json.dump(seen, file)
        os.replace(os.environ["SEEN"] + ".new", os.environ["SEEN"])


watch = Watch()
handler = litellm.CustomLLM()
"""
ADMINS_CONFIG: dict[str, Any] = {
    "include": ["maas_models.yaml"],
    "model_list": [
        {
            "model_name": "house",
            "litellm_params": {"model": "openai/z-ai/glm-5.2", "api_base": "os.environ/HOUSE", "api_key": KEY},
        },
        {
            "model_name": FIRST,
            "litellm_params": {"model": "openai/minimax/minimax-m3", "api_base": "os.environ/HOUSE", "api_key": KEY},
        },
    ],
    "litellm_settings": {
        "callbacks": ["admins.watch", "litellm_maas.spend_logger"],
        "custom_provider_map": [
            {"provider": "acme", "custom_handler": "admins.handler"},
            {"provider": "maas", "custom_handler": "litellm_maas.maas"},
        ],
        "drop_params": True,
        "request_timeout": 77,
    },
    "router_settings": {"num_retries": 0, "allowed_fails": 9, "fallbacks": [{"house": ["maas"]}]},
    "general_settings": {
        "master_key": "os.environ/LITELLM_MASTER_KEY",
        "max_parallel_requests": 55,
        "health_check_details": False,
    },
}


class Proxy:
    """A proxy in a process of its own, the sandbox behind it, and the ledger that it writes.

    Attributes:
        seen: Where the admin's own callback writes what it finds.
    """

    def __init__(self, url: str, sandbox: Sandbox, folder: Path) -> None:
        own = openai.DefaultHttpxClient(trust_env=False)
        self.client = openai.OpenAI(api_key=MASTER_KEY, base_url=f"{url}/v1", max_retries=0, http_client=own)
        self.sandbox = sandbox
        self.folder = folder
        self.seen = folder / "seen.json"

    def ask(self, model: str) -> str:
        """The answer of a model, or of whoever answers in its place."""
        reply = self.client.chat.completions.create(model=model, messages=MESSAGES)
        return str(reply.choices[0].message.content)

    def asked(self) -> list[str]:
        """The models that the gateway was asked for since this was last asked."""
        models = [request.body["model"] for request in self.sandbox.requests if request.body]
        self.sandbox.requests.clear()
        return models

    def events(self) -> list[Event]:
        """What the ledger holds."""
        ledger = SqliteLedger(self.folder / "ledger.db")
        try:
            return list(ledger.events())
        finally:
            ledger.close()


def run(folder: Path, config: str) -> Iterator[Proxy]:
    """A proxy with a config in a folder."""
    with Sandbox(key=KEY) as sandbox:
        environment = {
            **sandbox.environment(),
            "LITELLM_MASTER_KEY": MASTER_KEY,
            "MAAS_LEDGER": str(folder / "ledger.db"),
            "HOUSE": sandbox.url,
            "SEEN": str(folder / "seen.json"),
        }
        with running_proxy(folder / config, environment) as url:
            proxy = Proxy(url, sandbox, folder)
            with proxy.client:
                yield proxy


@pytest.fixture(scope="module")
def admins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy of an admin who includes the shipped models."""
    folder = tmp_path_factory.mktemp("admin")
    (folder / "admins.py").write_text(ADMINS_MODULE)
    (folder / "maas_models.yaml").write_text(templates.config_file("maas_models.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(ADMINS_CONFIG))
    yield from run(folder, "config.yaml")


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy that `litellm-maas config init` writes a config for."""
    folder = tmp_path_factory.mktemp("starter")
    assert CliRunner().invoke(command_line.command, ["init", str(folder)]).exit_code == 0
    yield from run(folder, "proxy.current.yaml")


def test_an_include_leaves_everything_of_the_admins(admins: Proxy) -> None:
    """All settings, callbacks, providers and models of the admin's are in force, and our models are served beside."""
    assert admins.ask("house") == "z-ai/glm-5.2 heard: Xin chào"
    for model in (FIRST, SECOND, THIRD):
        assert admins.ask(f"maas/{model}") == f"{model} heard: Xin chào"
    # The admin's own group of the same id stays the admin's.
    assert {admins.ask(FIRST) for _ in range(8)} == {"minimax/minimax-m3 heard: Xin chào"}
    until(admins.seen.exists)  # LiteLLM calls callbacks when it likes
    assert json.loads(admins.seen.read_text()) == {
        "drop_params": True,
        "request_timeout": 77,
        "providers": ["acme", "maas"],
        "router": {"num_retries": 0, "allowed_fails": 9, "fallbacks": [{"house": ["maas"]}]},
        "general": {"max_parallel_requests": 55, "health_check_details": False},
    }
    listed = {model.id for model in admins.client.models.list()}
    assert listed == {"house", FIRST, "maas", *(f"maas/{model}" for model in (FIRST, SECOND, THIRD))}


def test_an_include_brings_fallbacks_of_its_own(admins: Proxy) -> None:
    """Within the included groups the next model answers, the admin's own fallbacks lead into them, and 400 stops."""
    admins.asked()
    admins.sandbox.faults.add(Fault(status=503, body="busy", model=FIRST))
    assert admins.ask("maas") == f"{SECOND} heard: Xin chào"
    assert admins.asked() == [FIRST, SECOND]
    admins.sandbox.faults.add(Fault(status=503, body="busy", model="z-ai/glm-5.2"))
    assert admins.ask("house") == f"{FIRST} heard: Xin chào"
    assert admins.asked() == ["z-ai/glm-5.2", FIRST]
    admins.sandbox.faults.add(Fault(status=400, body="no", model=FIRST))
    with pytest.raises(openai.BadRequestError):
        admins.ask("maas")
    assert admins.asked() == [FIRST]


def test_an_include_has_its_spend_recorded(admins: Proxy) -> None:
    """The calls of the included models are in the ledger, each attempt, and add up to the sandbox's bill."""
    before, charged = len(admins.events()), len(admins.sandbox.bill.charges)
    admins.sandbox.faults.add(Fault(status=503, body="busy", model=FIRST))
    admins.ask("maas")
    admins.ask(f"maas/{FIRST}")
    rows = admins.events()[before:]
    assert [(event.attempt, event.requested_model, event.model, event.status) for event in rows] == [
        (1, "maas", FIRST, "failed"),
        (2, "maas", SECOND, "ok"),
        (1, f"maas/{FIRST}", FIRST, "ok"),
    ]
    charges = admins.sandbox.bill.charges[charged:]
    assert [event.micro_credits for event in rows if event.status == "ok"] == [each.micro_credits for each in charges]


def test_the_starter_proxy_serves(starter: Proxy) -> None:
    """The shipped config starts as it is and serves its models, plain and streamed, with the cost in a header."""
    for model in ("maas", *(f"maas/{each}" for each in CURRENT)):
        assert starter.ask(model) == f"{CURRENT[0] if model == 'maas' else model[5:]} heard: Xin chào"
    stream = starter.client.chat.completions.create(model="maas", messages=MESSAGES, stream=True)
    text = "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
    assert text == f"{FIRST} heard: Xin chào"
    reply = starter.client.chat.completions.with_raw_response.create(model="maas", messages=MESSAGES)
    charge = starter.sandbox.bill.charges[-1]
    assert charge.micro_credits is not None
    assert float(reply.headers["x-maas-cost-vnd"]) * 1_000_000 == pytest.approx(charge.micro_credits)
    with pytest.raises(openai.APIStatusError):  # without a database LiteLLM cannot say that the key is wrong
        starter.client.with_options(api_key="sk-nobody").models.list()


def test_the_starter_proxy_rests_models(starter: Proxy) -> None:
    """A model that answers 403 is called once, said once in the proxy's log, and passed over after that."""
    starter.asked()
    starter.sandbox.faults.add(Fault(status=403, body="not enabled", model=CURRENT[2], times=None))
    for _ in range(3):
        assert starter.ask(f"maas/{CURRENT[2]}") == f"{CURRENT[1]} heard: Xin chào"
    assert starter.asked() == [CURRENT[2], *([CURRENT[1]] * 3)]
    log = (starter.folder / "proxy.current.log").read_text()
    assert log.count(f"maas/{CURRENT[2]} is cooling down for 60 s: not enabled. Enable {CURRENT[2]} for this key") == 1
    assert log.count(f"maas/{CURRENT[1]} is called instead.") == 1


def test_the_starter_proxys_probes_cost_nothing(starter: Proxy) -> None:
    """Liveliness and readiness are answered without a call to any model."""
    starter.asked()
    root = str(starter.client.base_url).removesuffix("/v1/")
    for probe in ("liveliness", "readiness"):
        assert httpx.get(f"{root}/health/{probe}", trust_env=False).status_code == httpx.codes.OK
    assert starter.asked() == []
