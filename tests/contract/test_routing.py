"""What routing relies on in LiteLLM. Each test says what stops working when LiteLLM moves."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import warnings
from pathlib import Path
from typing import Any

import litellm
import pytest
from litellm.exceptions import MidStreamFallbackError
from litellm.integrations.custom_logger import CustomLogger

from litellm_maas import _litellm_compat
from litellm_maas.provider.attempt_history import router_metadata_of
from litellm_maas.provider.cooldown_rules import is_further
from litellm_maas.provider.known_routers import MARK, cooling, deployment_of, entries, group_names, members
from litellm_maas.router.lint.router_file import settings_model
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import MESSAGES, assemble
from tests.router.routed import TRIO

VERSION = importlib.metadata.version("litellm")


class Watch(CustomLogger):
    """Keeps what a router asks its callbacks: deployments, whether it says that it asks again, and earlier attempts."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[list[Any], bool, list[int]]] = []

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list[Any],
        messages: Any,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[Any]:
        """The question before an asynchronous attempt."""
        request = request_kwargs or {}
        bucket = router_metadata_of(request) or {}
        earlier = [each["http_status"] for each in bucket.get("maas_attempts", ())]
        self.asked.append((healthy_deployments, is_further(request, bucket), earlier))
        return healthy_deployments


@pytest.fixture
def watch() -> Watch:
    """A callback that watches."""
    found = Watch()
    litellm.callbacks = [found]
    return found


def router(kind: str = "order", **settings: Any) -> litellm.Router:
    """A router with a group of three in an order, or with three groups."""
    names = "aaa" if kind == "order" else "abc"
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": f"maas/{model}", **({"order": order} if kind == "order" else {})},
            "model_info": {MARK: "one of mine"},
        }
        for order, (name, model) in enumerate(zip(names, TRIO, strict=True), start=1)
    ]
    given = {"fallbacks": [{"a": ["b", "c"]}]} if kind == "groups" else {}
    return litellm.Router(model_list=models, **{"num_retries": 0, "disable_cooldowns": True, **given, **settings})


@pytest.mark.usefixtures("sandbox")
def test_callbacks_are_asked_for_deployments(watch: Watch) -> None:
    """`async_filter_deployments` is how an asynchronous router is kept from a model that cools down."""
    made = router()
    asyncio.run(made.acompletion(model="a", messages=MESSAGES))
    ((deployments, _, _),) = watch.asked
    assert len(deployments) == 3, "LiteLLM asks its callbacks differently; see litellm_maas/provider/cooldown_rules.py"
    for each in deployments:
        info = each["model_info"]
        assert info.get(MARK) == "one of mine", "routers with the same models are no longer told apart: see MARK"
        assert deployment_of(made, info["id"]) is not None


class Seen(litellm.CustomLLM):
    """A provider that keeps what it is called with, and always fails."""

    def __init__(self) -> None:
        super().__init__()
        self.params: list[dict[str, Any]] = []

    def completion(self, *args: Any, **call: Any) -> Any:
        """A synchronous call."""
        self.params.append(call["litellm_params"])
        raise litellm.ServiceUnavailableError(message="busy", llm_provider="seen", model="m")


@pytest.mark.parametrize("kind", ["order", "groups"])
def test_a_synchronous_attempt_says_whose_it_is(kind: str) -> None:
    """A provider is told the deployment and its mark, the group that was asked for, and how far the router has come."""
    seen = Seen()
    made = router(kind)
    registered = litellm.custom_provider_map
    litellm.custom_provider_map = [{"provider": "maas", "custom_handler": seen}]
    try:
        with pytest.raises(litellm.ServiceUnavailableError):
            made.completion(model="a", messages=MESSAGES)
    finally:
        litellm.custom_provider_map = registered
    assert len(seen.params) == 3
    for number, params in enumerate(seen.params):
        metadata = params["metadata"]
        message = "synchronous calls no longer pass over what cools down; see CooldownFilter.pass_over"
        assert params["model_info"][MARK] == "one of mine", message
        assert deployment_of(made, params["model_info"]["id"]) is not None, message
        assert metadata["original_model_group"] == "a", message
        assert metadata["attempted_fallbacks"] == number, message
        assert (metadata["max_retries"], metadata["attempted_retries"]) == (0, 0), message
        assert metadata["model_group_size"] == (3 if kind == "order" else 1), message


@pytest.mark.parametrize("settings", [{}, {"num_retries": 1}], ids=["fallbacks", "retries"])
@pytest.mark.parametrize("kind", ["order", "groups"])
def test_attempts_know_of_each_other(sandbox: Sandbox, watch: Watch, kind: str, settings: dict[str, Any]) -> None:
    """A further attempt says that it is one, and has the list into which all before it have written; a first has not.

    Also where a program passes one dictionary with all its requests.
    """
    made = router(kind, **settings)
    metadata: dict[str, Any] = {}
    for _ in range(2):
        watch.asked.clear()
        sandbox.faults.add(Fault(status=500, model=TRIO[0], times=None))
        sandbox.faults.add(Fault(status=404, model=TRIO[1]))
        asyncio.run(made.acompletion(model="a", messages=MESSAGES, metadata=metadata))
        sandbox.faults.clear()
        attempts = [earlier for _, _, earlier in watch.asked]
        message = "what an attempt notes no longer reaches the next one; see litellm_maas/provider/attempt_history.py"
        expected = [[500], [500, 404]] if not settings else [[500], [500, 500], [500, 500, 404]]
        assert attempts[1:] == expected, message
        said = [is_one for _, is_one, _ in watch.asked]
        assert said == [False, *[True] * len(expected)], "see is_further in litellm_maas/provider/cooldown_rules.py"


@pytest.mark.parametrize("status", [402, 403, 404, 408])
def test_a_routers_stream_falls_back_on_a_wrapped_error(sandbox: Sandbox, status: int) -> None:
    """A router falls back on `MidStreamFallbackError`, which makes 4xx inside a stream a reason to."""
    sandbox.faults.add(Fault(status=status, model="openai/gpt-4o"))

    async def consume() -> list[Any]:
        stream: Any = await router().acompletion(model="a", messages=MESSAGES, stream=True)
        return [chunk async for chunk in stream]

    assert assemble(*asyncio.run(consume())).only.content.startswith("gemini/"), (
        "asynchronous streams no longer fall back on 4xx; see litellm_maas/provider/exceptions.py"
    )
    assert "original_exception" in inspect.signature(MidStreamFallbackError.__init__).parameters


def test_a_router_tells_what_it_is_made_of() -> None:
    """Its groups, deployments, fallbacks and cooldowns are read without a warning, whatever LiteLLM calls them."""
    made = router("groups")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert group_names(made) == ["a", "b", "c"]
        assert [each["litellm_params"]["model"] for each in members(made, "b")] == [f"maas/{TRIO[1]}"]
        assert members(made, "nobody") == []
        model_id = members(made, "c")[0]["model_info"]["id"]
        assert (deployment_of(made, model_id) or {})["model_name"] == "c"
        assert deployment_of(made, "nobody") is None
        assert entries(made, "fallbacks") == [{"a": ["b", "c"]}]
        assert entries(made, "context_window_fallbacks") == []
        assert cooling(made, [model_id]) == set()


def test_the_settings_of_a_router_are_read_off_litellm() -> None:
    """`Router.__init__` names its settings; YAML is checked against them."""
    known = set(settings_model().model_fields)
    assert {"fallbacks", "num_retries", "timeout", "stream_timeout", "disable_cooldowns", "redis_host"} <= known
    assert "model_list" not in known


def test_litellm_resolves_dotted_names(tmp_path: Path) -> None:
    """`_litellm_compat.named_instance` finds attributes of installed modules and of modules beside the config."""
    (tmp_path / "own.py").write_text("thing = 5\n")
    assert _litellm_compat.named_instance("own.thing", tmp_path / "config.yaml") == 5
    assert isinstance(_litellm_compat.named_instance("litellm_maas.maas", tmp_path / "config.yaml"), litellm.CustomLLM)


def test_a_process_without_a_proxy_has_no_proxys_router() -> None:
    """`_litellm_compat.proxy_router` is None where no proxy runs; where one does, test_proxy_config.py sees it."""
    assert _litellm_compat.proxy_router() is None
