"""What routing relies on in LiteLLM. Each test says what stops working when LiteLLM moves."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import inspect
from pathlib import Path
from typing import Any

import litellm
import pytest
from litellm.exceptions import MidStreamFallbackError
from litellm.integrations.custom_logger import CustomLogger
from packaging.version import Version

from litellm_maas import _litellm
from litellm_maas.routing.router_file import settings_model
from litellm_maas.sandbox import Fault, Sandbox
from tests.support import MESSAGES, assemble

VERSION = importlib.metadata.version("litellm")


class Watch(CustomLogger):
    """Keeps what a router asks its callbacks."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list[Any],
        messages: Any,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[Any]:
        """The asynchronous question."""
        self.asked.append((healthy_deployments, dict(request_kwargs or {})))
        return healthy_deployments

    def pre_call_check(self, deployment: dict[str, Any]) -> None:
        """The synchronous question."""
        self.asked.append(([deployment], {}))


@pytest.fixture
def watch() -> Watch:
    """A callback that watches."""
    found = Watch()
    litellm.callbacks = [found]
    return found


def router() -> litellm.Router:
    """A router with a group of two."""
    models = [("openai/gpt-4o", 1), ("gemini/gemini-2.5-flash", 2)]
    return litellm.Router(
        model_list=[
            {"model_name": "a", "litellm_params": {"model": f"maas/{model}", "order": order}} for model, order in models
        ],
        num_retries=0,
        disable_cooldowns=True,
    )


@pytest.mark.usefixtures("sandbox")
def test_callbacks_are_asked_for_deployments(watch: Watch) -> None:
    """`async_filter_deployments` and `pre_call_check` are how a router is kept from a resting model."""
    made = router()
    made.completion(model="a", messages=MESSAGES)
    asyncio.run(made.acompletion(model="a", messages=MESSAGES))
    assert len(watch.asked) == 2, (
        "LiteLLM no longer asks its callbacks: nothing rests; see litellm_maas/routing/rules.py"
    )
    for deployments, _ in watch.asked:
        assert all(any(each is known for known in made.model_list) for each in deployments), (
            "LiteLLM hands out copies of deployments: routers with the same models are no longer told apart"
        )


def test_a_fallback_says_that_it_is_one(sandbox: Sandbox, watch: Watch) -> None:
    """Fallbacks inherit a request's metadata, with `attempted_fallbacks` in it and `fallback_depth` beside it."""
    sandbox.faults.add(Fault(status=503, model="openai/gpt-4o"))
    asyncio.run(router().acompletion(model="a", messages=MESSAGES))
    first, second = (request for _, request in watch.asked)
    assert "fallback_depth" not in first
    assert (second["fallback_depth"], second["_target_order"]) == (1, 2)
    if Version(VERSION) >= Version("1.100"):
        assert second["metadata"]["attempted_fallbacks"] == 1
        assert second["metadata"]["original_model_group"] == "a"
    assert [each["http_status"] for each in second["metadata"]["maas_attempts"]] == [503], (
        "what an attempt writes into its metadata no longer reaches the next one; see litellm_maas/attempts.py"
    )


@pytest.mark.parametrize("status", [402, 403, 404, 408])
def test_a_routers_stream_falls_back_on_a_wrapped_error(sandbox: Sandbox, status: int) -> None:
    """A router falls back on `MidStreamFallbackError`, which makes 4xx inside a stream a reason to."""
    sandbox.faults.add(Fault(status=status, model="openai/gpt-4o"))

    async def consume() -> list[Any]:
        stream: Any = await router().acompletion(model="a", messages=MESSAGES, stream=True)
        return [chunk async for chunk in stream]

    assert assemble(*asyncio.run(consume())).only.content.startswith("gemini/"), (
        "asynchronous streams no longer fall back on 4xx; see litellm_maas/wire/exceptions.py"
    )
    assert "original_exception" in inspect.signature(MidStreamFallbackError.__init__).parameters


def test_the_settings_of_a_router_are_read_off_litellm() -> None:
    """`Router.__init__` names its settings; YAML is checked against them."""
    known = set(settings_model().model_fields)
    assert {"fallbacks", "num_retries", "timeout", "stream_timeout", "disable_cooldowns", "redis_host"} <= known
    assert "model_list" not in known


def test_litellm_merges_includes(tmp_path: Path) -> None:
    """`_litellm.effective_config` joins lists and replaces everything else, as the proxy does."""
    (tmp_path / "a.yaml").write_text("include: [b.yaml]\nmodel_list: [1]\ngeneral_settings: {x: 1}\n")
    (tmp_path / "b.yaml").write_text("model_list: [2]\ngeneral_settings: {y: 2}\n")
    merged = _litellm.effective_config(tmp_path / "a.yaml")
    assert merged == {"model_list": [1, 2], "general_settings": {"y": 2}}


def test_litellm_resolves_dotted_names(tmp_path: Path) -> None:
    """`_litellm.named_instance` finds attributes of installed modules and of modules beside the config."""
    (tmp_path / "own.py").write_text("thing = 5\n")
    assert _litellm.named_instance("own.thing", tmp_path / "config.yaml") == 5
    assert isinstance(_litellm.named_instance("litellm_maas.maas", tmp_path / "config.yaml"), litellm.CustomLLM)


def test_litellm_refuses_a_well_known_master_key() -> None:
    """`_litellm.well_known_master_keys` is LiteLLM's own list, since it has one."""
    if Version(VERSION) < Version("1.106"):
        assert _litellm.well_known_master_keys() == frozenset()
        return
    assert hashlib.sha256(b"sk-1234").hexdigest() in _litellm.well_known_master_keys()


def test_a_process_without_a_proxy_has_no_proxys_router() -> None:
    """`_litellm.proxy_router` is None where no proxy runs; where one does, tests/test_proxy_config.py sees it."""
    assert _litellm.proxy_router() is None
