"""LiteLLM's map of models is replaced, and ours are registered again by the next call."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import litellm
import pytest

import litellm_maas
from litellm_maas import _litellm_compat
from litellm_maas.catalogue import catalogue
from litellm_maas.provider import model_map
from litellm_maas.sandbox import Sandbox
from tests.call_modes import WAYS
from tests.helpers import MESSAGES

MODEL = "maas/openai/gpt-4o"
UNKNOWN = "maas/somebody/new-model"


def _load() -> None:
    litellm.model_cost = litellm.get_model_cost_map(url="")


def _empty() -> None:
    litellm.model_cost = {}


def _copy() -> None:
    litellm.model_cost = copy.deepcopy(litellm.model_cost)


def _overlay() -> None:
    # Our entries stay; the rule for unknown ids goes.
    litellm.model_cost.update(litellm.get_model_cost_map(url=""))


def _adopt() -> None:
    # What a proxy does on request and on a schedule.
    from litellm.litellm_core_utils.get_model_cost_map import adopt_model_cost_map

    adopt_model_cost_map(litellm.get_model_cost_map(url=""))


REPLACE = [
    pytest.param(_load, id="load"),
    pytest.param(_empty, id="empty"),
    pytest.param(_copy, id="copy"),
    pytest.param(_overlay, id="overlay"),
    pytest.param(_adopt, id="proxy"),
]


def dollars(way: str, **call: Any) -> Any:
    """What LiteLLM says that a call costs."""
    if "stream" not in way:
        return WAYS[way](**call)._hidden_params["response_cost"]
    chunks = WAYS[way](stream_options={"include_usage": True}, **call)
    return litellm.completion_cost(litellm.stream_chunk_builder(chunks), model=MODEL, custom_llm_provider="maas")


@pytest.fixture
def own_map() -> None:
    """A map of models that nobody but LiteLLM holds."""
    litellm.model_cost = copy.deepcopy(litellm.model_cost)
    litellm_maas.register()


def _everything_stands() -> bool:
    known = all(f"maas/{model_id}" in litellm.model_cost for model_id in catalogue().ids())
    return (
        known
        and litellm.supports_vision(MODEL)
        and litellm.supports_function_calling(UNKNOWN)
        and litellm.get_model_info(UNKNOWN)["max_input_tokens"] == 129_024
        and litellm.get_model_info(MODEL)["max_output_tokens"] == 32_768
    )


@pytest.mark.parametrize("replace", REPLACE)
def test_look_ups_right_after_the_map_was_replaced(replace: Callable[[], None]) -> None:
    """Nothing is missing in a new map when it is first asked, for known models and others, before any call."""
    asked: list[Callable[[], bool]] = [
        lambda: litellm.supports_vision(MODEL),
        lambda: litellm.supports_function_calling(UNKNOWN),
        lambda: litellm.get_model_info(MODEL)["max_output_tokens"] == 32_768,
        lambda: litellm.get_model_info(UNKNOWN)["max_input_tokens"] == 129_024,
    ]
    for ask in asked:
        replace()
        assert ask()


def test_the_name_in_litellms_lists_is_a_string() -> None:
    """What LiteLLM's lists hold of us acts as the plain prefix does, and its copies are plain."""
    (name,) = [entry["provider"] for entry in litellm.custom_provider_map if entry["provider"] == "maas"]
    assert {name: 1}["maas"] == 1
    assert json.dumps(name) == '"maas"'
    for copied in (copy.copy(name), copy.deepcopy(name), pickle.loads(pickle.dumps(name))):  # noqa: S301 - our own
        assert type(copied) is str
        assert copied == name == "maas"
    assert name != "openai"
    assert not any(other == name for other in (None, 5, b"maas", "openai", "MAAS", litellm.LlmProviders.OPENAI))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("replace", REPLACE)
def test_the_next_call_at_the_latest(sandbox: Sandbox, replace: Callable[[], None], way: str) -> None:
    """While somebody keeps the old map, the next call brings everything back, and has a cost itself."""
    kept = []
    for _ in range(2):
        kept.append(litellm.model_cost)
        replace()
        cost = dollars(way, model=MODEL, messages=MESSAGES)
        charge = sandbox.bill.charges[-1]
        assert cost == pytest.approx((charge.input_tokens * 70_888 + charge.output_tokens * 283_550) / 1e6 / 28_355)
        assert _everything_stands()


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: litellm.embedding(model="maas/qwen/qwen3-embedding-8b", input=["a"]), id="embedding"),
        pytest.param(lambda: litellm.image_generation(model=MODEL, prompt="a cat"), id="image"),
    ],
)
def test_any_operation_brings_everything_back(sandbox: Sandbox, call: Callable[[], Any]) -> None:
    """Embeddings and images register again as chat does."""
    litellm.model_cost = litellm.get_model_cost_map(url="")
    call()
    assert _everything_stands()


def test_a_refused_call_brings_everything_back(sandbox: Sandbox) -> None:
    """A call that fails registers again too."""
    _load()
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(model=MODEL, messages=MESSAGES, api_key="vn-wrong")
    assert _everything_stands()


def test_nothing_is_told_twice(sandbox: Sandbox) -> None:
    """As long as nothing was replaced, a call tells LiteLLM nothing."""

    def fail(*_: Any) -> None:
        raise AssertionError("declared again")

    litellm_maas.register()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(litellm, "register_model", fail)
        patch.setattr(_litellm_compat, "declare_rules", fail)
        patch.setattr(model_map, "_entries", fail)
        litellm.completion(model=MODEL, messages=MESSAGES)


@pytest.fixture
def own_price() -> Iterator[float]:
    """A price per token that the user registered for one of our models; ours again afterwards."""
    ours = dict(litellm.model_cost[MODEL])
    litellm.register_model({MODEL: {"input_cost_per_token": 0.5, "litellm_provider": "maas"}})
    yield 0.5
    litellm.register_model({MODEL: ours})


def test_a_users_own_price_stays(sandbox: Sandbox, own_map: None, own_price: float) -> None:
    """What the user registered for one of our models is not overwritten when the others are registered again."""
    litellm.model_cost.pop("maas/*", None)
    response: Any = litellm.completion(model=MODEL, messages=MESSAGES)
    assert litellm.model_cost[MODEL]["input_cost_per_token"] == own_price
    assert response._hidden_params["response_cost"] > 1
    assert litellm.supports_vision("maas/kimi/kimi-k2.6")


def test_a_users_own_price_survives_a_reload_of_a_proxy(own_map: None, own_price: float) -> None:
    """A proxy brings registered prices back itself: the user's is the one that counts after it."""
    _adopt()
    assert litellm.model_cost[MODEL]["input_cost_per_token"] == own_price
    model_map.ensure_declared()
    assert litellm.model_cost[MODEL]["input_cost_per_token"] == own_price


def test_other_rules_for_unknown_models_stay() -> None:
    """Rules that somebody else gave LiteLLM are kept, and ours is there once."""
    from litellm.litellm_core_utils import fallback_generalizations as rules

    _load()
    theirs = {"name": "acme", "pattern": "^acme/", "model_info": {"mode": "chat", "supports_vision": True}}
    rules.set_fallback_generalizations([*rules.get_fallback_generalization_rules(), theirs])
    counts = []
    for _ in range(3):
        litellm.model_cost.pop("maas/*", None)
        model_map.ensure_declared()
        names = [rule["name"] for rule in rules.get_fallback_generalization_rules()]
        counts.append((names.count("acme"), names.count("maas-defaults") == len(set(catalogue().patterns())) + 1))
    assert counts == [(1, True)] * 3


def test_threads_that_call_at_once(sandbox: Sandbox) -> None:
    """Calls from many threads after the map was replaced leave one complete map."""
    _load()
    threads = [
        threading.Thread(target=litellm.completion, kwargs={"model": MODEL, "messages": MESSAGES}) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sandbox.requests) == 8
    assert _everything_stands()


def test_a_reload_of_a_proxy_keeps_known_models_and_the_users_prices(own_map: None) -> None:
    """Before the next call already, a proxy that reloaded its prices knows what our models can do."""
    _adopt()
    assert litellm.supports_vision(MODEL)
    assert litellm.get_model_info(MODEL)["max_output_tokens"] == 32_768


def test_a_setting_that_is_wrong_is_said_by_the_next_call(own_map: None) -> None:
    """A wrong rate of dollars, set while a program runs, breaks no look-up; the call's error names it."""
    _load()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAAS_VND_PER_USD", "many")
        assert not litellm.supports_vision(MODEL)
        with pytest.raises(litellm.BadRequestError, match="MAAS_VND_PER_USD"):
            litellm.completion(model=MODEL, messages=MESSAGES, api_key="vn-some-key")
