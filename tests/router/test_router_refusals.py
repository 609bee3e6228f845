"""No call is refused because of a cooldown: a model is passed over only for another one that can be called."""

from __future__ import annotations

import importlib.metadata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import litellm
import openai
import pytest
import yaml
from packaging.version import Version

import litellm_maas
from litellm_maas.provider.known_routers import cooling, members, order_of
from litellm_maas.router import templates
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import MESSAGES, auntil, until
from tests.router.routed import (
    FIRST,
    SECOND,
    THIRD,
    TRIO,
    ConnectionReport,
    aplain,
    asked,
    broken,
    chain,
    every_way,
    ordered,
    plain,
    served,
)

VERSION = Version(importlib.metadata.version("litellm"))


def deployment(group: str, model: str, **params: Any) -> dict[str, Any]:
    """A deployment of a router's list."""
    return {"model_name": group, "litellm_params": {"model": f"maas/{model}", **params}}


def own_router(*deployments: dict[str, Any], **settings: Any) -> litellm.Router:
    """A router that was not made by `load_router`, with the rules. The names of its groups are of one test only."""
    router = litellm.Router(model_list=list(deployments), **{"num_retries": 0, "disable_cooldowns": True, **settings})
    litellm_maas.router_cooldowns.watch(router)
    return router


def fails(sandbox: Sandbox, router: litellm.Router, group: str, *faults: Fault) -> None:
    """A call that ends in an error, and leaves models cooling down."""
    for fault in faults:
        sandbox.faults.add(fault)
    with pytest.raises(openai.APIError):
        aplain(router, model=group)
    sandbox.faults.clear()
    asked(sandbox)


@every_way
def test_a_stand_in_that_litellm_would_not_call_is_none(sandbox: Sandbox, way: ConnectionReport) -> None:
    """A model is not passed over for one that LiteLLM itself has cooled down."""
    router = own_router(
        {**deployment("stood-in-for", FIRST), "model_info": {"cooldown_time": 0}},
        deployment("standing-in", SECOND, order=1),
        deployment("standing-in", THIRD, order=2),
        fallbacks=[{"stood-in-for": ["standing-in"]}],
        disable_cooldowns=False,
        allowed_fails=0,
        cooldown_time=60,
    )
    busy = [broken(model, 503, "busy", times=1) for model in (SECOND, THIRD)]
    fails(sandbox, router, "stood-in-for", broken(FIRST, times=1), *busy)
    ids = [each["model_info"]["id"] for each in members(router, "standing-in")]
    until(lambda: len(cooling(router, ids)) >= 2)  # LiteLLM cools down in the background
    assert served(way(router, model="stood-in-for")) == FIRST
    assert asked(sandbox) == [FIRST]


@pytest.mark.skipif(Version("1.110") <= VERSION, reason="LiteLLM takes no deployment that it has not offered")
async def test_a_group_of_ones_own_that_cools_down(sandbox: Sandbox) -> None:
    """Where LiteLLM's seconds_by_order have taken every model of a group, its first one is called nevertheless."""
    settings = {"disable_cooldowns": False, "allowed_fails": 0, "cooldown_time": 60}
    router = own_router(deployment("cool", FIRST, order=1), deployment("cool", SECOND, order=2), **settings)
    for model in (FIRST, SECOND):
        sandbox.faults.add(broken(model, 503, "busy", times=1))
    with pytest.raises(litellm.ServiceUnavailableError):
        await router.acompletion(model="cool", messages=MESSAGES)
    ids = [each["model_info"]["id"] for each in members(router, "cool")]
    await auntil(lambda: len(cooling(router, ids)) >= 2)  # LiteLLM cools down in a task of its own
    asked(sandbox)
    response: Any = await router.acompletion(model="cool", messages=MESSAGES)
    assert served([response]) == FIRST
    assert asked(sandbox) == [FIRST]


def test_no_included_group_cools_down_as_a_whole() -> None:
    """Of each group for a proxy, LiteLLM never cools down the last model, and all others as long as it likes."""
    groups: dict[str, dict[int, Any]] = {}
    for each in yaml.safe_load(templates.config_file("maas_models.yaml").read_text())["model_list"]:
        groups.setdefault(each["model_name"], {})[order_of(each)] = each["model_info"].get("cooldown_time")
    assert len(groups) >= 4
    for seconds_by_order in groups.values():
        assert [seconds_by_order[order] for order in sorted(seconds_by_order)] == [None] * (
            len(seconds_by_order) - 1
        ) + [0]


@every_way
def test_a_group_without_an_order(sandbox: Sandbox, way: ConnectionReport) -> None:
    """Of models on one level, those that cool down are passed over, where LiteLLM may retry if need be."""
    router = own_router(deployment("level", FIRST), deployment("level", SECOND), num_retries=40)
    sandbox.faults.add(broken(FIRST))
    for _ in range(40):
        try:
            way(router, model="level")
        except litellm.NotFoundError:
            break
    asked(sandbox)
    assert [served(way(router, model="level")) for _ in range(8)] == [SECOND] * 8
    assert asked(sandbox) == [SECOND] * 8


def test_a_group_without_an_order_and_without_retries(sandbox: Sandbox) -> None:
    """A synchronous call, of which LiteLLM has chosen the model, is made: it has no other way to one that is well."""
    router = own_router(deployment("lone-level", FIRST), deployment("lone-level", SECOND))
    sandbox.faults.add(broken(FIRST, times=1))
    for _ in range(40):
        try:
            plain(router, model="lone-level")
        except litellm.NotFoundError:
            break
    assert {served(plain(router, model="lone-level")) for _ in range(40)} == {FIRST, SECOND}


@every_way
def test_routers_that_cannot_be_told_apart(sandbox: Sandbox, way: ConnectionReport) -> None:
    """Of routers of one's own with the same models, none passes a model over for what another one could call."""
    shared = deployment("shared", FIRST)
    router = own_router(shared)
    others = [own_router(shared, deployment("behind", SECOND), fallbacks=[{"shared": ["behind"]}]) for _ in range(2)]
    fails(sandbox, router, "shared", broken(FIRST, times=1))
    assert served(way(router, model="shared")) == FIRST
    assert asked(sandbox) == [FIRST]
    del others


@every_way
def test_a_chain_ends_with_the_one_that_is_well_first(sandbox: Sandbox, tmp_path: Path, way: ConnectionReport) -> None:
    """Where all groups cool down, the one whose cooldown ends first is called, even if it is the last."""
    router = litellm_maas.load_router(ordered(tmp_path, *TRIO, settings={"num_retries": 0, "disable_cooldowns": True}))
    limits = [
        Fault(status=429, headers={"retry-after": str(seconds)}, model=model, times=1)
        for seconds, model in zip((50, 40, 9), TRIO, strict=True)
    ]
    fails(sandbox, router, "group", *limits)
    parts = way(router, model="group")
    assert served(parts) == THIRD
    assert asked(sandbox) == [THIRD]
    trail = parts[0]._hidden_params["maas_attempts"]
    assert [(each["model"], each["skipped"]) for each in trail] == [(FIRST, True), (SECOND, True), (THIRD, False)]


def test_threads_try_once_whether_a_model_is_back(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of synchronous calls in many threads, one asks the model whose cooldown is over, and the others go elsewhere."""
    now = [1000.0]
    monkeypatch.setattr(runtime.cooldowns, "clock", lambda: now[0])
    router = litellm_maas.load_router(chain(tmp_path))
    sandbox.faults.add(broken(FIRST, times=1))
    plain(router, model="a")
    asked(sandbox)
    now[0] += 61
    sandbox.faults.add(Fault(delay=0.5, model=FIRST))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: plain(router, model="a"), range(8)))
    assert sorted(asked(sandbox)) == [SECOND] * 7 + [FIRST]
