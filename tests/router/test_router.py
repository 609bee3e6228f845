"""Routers with fallbacks: what `load_router` makes, what rests and comes back, and what is seen of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import litellm
import openai
import pytest
import yaml

import litellm_maas
from litellm_maas.errors import ConfigFileError, SettingsError
from litellm_maas.gateway.errors import Failure
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.provider.known_routers import cooling, group_names, members
from litellm_maas.resilience.cooldowns import CooldownRegistry, DeploymentKey
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import MESSAGES, until
from tests.router.routed import (
    FIRST,
    SECOND,
    THIRD,
    TRIO,
    ConnectionReport,
    aplain,
    asked,
    astream,
    broken,
    chain,
    every_way,
    ordered,
    plain,
    served,
    stream,
)
from tests.warm_process import run_warm


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that rests are measured by."""
    found = Clock()
    monkeypatch.setattr(runtime.cooldowns, "clock", found)
    return found


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What this package has logged since this was last asked."""

    def messages() -> list[str]:
        found = [record.getMessage() for record in caplog.records if record.name == "litellm_maas"]
        caplog.clear()
        return found

    with caplog.at_level(logging.INFO, logger="litellm_maas"):
        yield messages


@pytest.mark.usefixtures("sandbox")
@every_way
@pytest.mark.parametrize("name", [None, "router.current.yaml"])
def test_each_model_by_its_own_name_and_all_by_one(way: ConnectionReport, name: str | None) -> None:
    """The shipped routers serve each model by its own name, and the first one as `maas`."""
    router = litellm_maas.load_router(name)
    groups = dict.fromkeys(group_names(router))
    assert len(groups) in (4, 5)
    for group in groups:
        assert served(way(router, model=group)) == (FIRST if group == "maas" else group)


@every_way
@pytest.mark.parametrize("group", TRIO)
def test_each_model_has_the_others_behind_it(sandbox: Sandbox, way: ConnectionReport, group: str) -> None:
    """Whichever of the trio is asked for by name, another one answers when it fails, and the third when both do."""
    router = litellm_maas.load_router()
    sandbox.faults.add(broken(group, 503, "busy"))
    second = served(way(router, model=group))
    assert second in TRIO
    assert second != group
    sandbox.faults.add(broken(second, 503, "busy"))
    third = served(way(router, model=group))
    assert {group, second, third} == set(TRIO)
    assert asked(sandbox) == [group, second, group, second, third]


def test_a_file_of_ones_own(sandbox: Sandbox, tmp_path: Path) -> None:
    """A router comes from any file, by path; overrides win over it, and the file is left as it is."""
    file = tmp_path / "mine.yaml"
    model = {"model_name": "mine", "litellm_params": {"model": "maas/z-ai/glm-5.2", "temperature": 0.5}}
    file.write_text(yaml.safe_dump({"model_list": [model], "router_settings": {"timeout": 7, "num_retries": 2}}))
    before = file.read_bytes()
    router = litellm_maas.load_router(str(file), num_retries=1)
    assert (router.timeout, router.num_retries) == (7, 1)
    assert served(plain(router, model="mine")) == "z-ai/glm-5.2"
    assert sandbox.requests[0].body["temperature"] == 0.5
    assert file.read_bytes() == before


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("override", "says"),
    [
        ({"num_retrys": 1}, "num_retrys: unknown key.*did you mean num_retries"),
        ({"timeout": -1}, "timeout: .*greater than 0"),
        ({"fallbacks": [{"maas": ["qwen"]}]}, "no group is called 'qwen'"),
    ],
)
def test_an_override_that_cannot_be(override: dict[str, Any], says: str) -> None:
    """An override is checked as the file is."""
    with pytest.raises(SettingsError, match=says):
        litellm_maas.load_router(**override)


def test_no_such_file() -> None:
    """A path that leads nowhere is said, and a name that is none of the shipped ones is a path."""
    with pytest.raises(ConfigFileError, match=r"nothing.yaml: cannot be read"):
        litellm_maas.load_router("nothing.yaml")


@pytest.mark.usefixtures("sandbox")
def test_what_is_doubtful_is_only_logged(tmp_path: Path, said: Callable[[], list[str]]) -> None:
    """A model that the catalogue lacks, and that is no slip of the pen, is loaded with a warning."""
    file = tmp_path / "new.yaml"
    model = {"model_name": "new", "litellm_params": {"model": "maas/somebody/brand-new-9"}}
    file.write_text(yaml.safe_dump({"model_list": [model]}))
    assert group_names(litellm_maas.load_router(file)) == ["new"]
    (message,) = said()
    assert "'somebody/brand-new-9' is not in the catalogue" in message


@every_way
@pytest.mark.parametrize("status", [402, 403, 404])
def test_a_model_that_is_not_there_rests_and_comes_back(
    sandbox: Sandbox, clock: Clock, said: Callable[[], list[str]], way: ConnectionReport, status: int
) -> None:
    """It is called once, said once with what to do, passed over for a minute, tried once, and used when it answers."""
    router = litellm_maas.load_router()
    sandbox.faults.add(broken(FIRST, status, times=2))
    assert [served(way(router, model="maas")) for _ in range(4)] == [SECOND] * 4
    assert asked(sandbox) == [FIRST, SECOND, SECOND, SECOND, SECOND]
    warning, fallback = said()
    assert f"maas/{FIRST} is cooling down for 60 s: model not found. " in warning
    assert fallback.endswith(f"maas/{SECOND} is called instead.")
    clock.now += 61
    assert [served(way(router, model="maas")) for _ in range(2)] == [SECOND] * 2
    assert asked(sandbox) == [FIRST, SECOND, SECOND]
    assert len(said()) == 1  # the fallback; the model was named before
    clock.now += 61
    assert served(way(router, model="maas")) == SECOND
    assert asked(sandbox) == [SECOND]  # the second rest is twice as long
    clock.now += 60
    assert [served(way(router, model="maas")) for _ in range(2)] == [FIRST] * 2
    assert asked(sandbox) == [FIRST, FIRST]
    assert said() == [f"maas/{FIRST} has recovered."]


@pytest.mark.parametrize("status", [402, 403, 404])
def test_a_call_without_a_router_tells_of_no_rest(sandbox: Sandbox, said: Callable[[], list[str]], status: int) -> None:
    """Nothing is passed over there, so its exception says all, and the next call goes out."""
    sandbox.faults.add(broken(FIRST, status))
    for _ in range(2):
        with pytest.raises(openai.APIStatusError):
            litellm.completion(f"maas/{FIRST}", MESSAGES)
    assert asked(sandbox) == [FIRST, FIRST]
    assert said() == []


@every_way
def test_a_rest_holds_in_every_group(sandbox: Sandbox, way: ConnectionReport) -> None:
    """What rests is the model and not a deployment of it: other groups pass it over too."""
    router = litellm_maas.load_router()
    sandbox.faults.add(broken(FIRST))
    way(router, model="maas")
    asked(sandbox)
    assert served(way(router, model=FIRST)) == SECOND
    assert asked(sandbox) == [SECOND]


async def test_one_call_tries_whether_a_model_is_back(sandbox: Sandbox, clock: Clock) -> None:
    """Of many calls at the end of a rest, one goes to the model that rested, and the others elsewhere."""
    router = litellm_maas.load_router()
    sandbox.faults.add(broken(FIRST, times=1))
    await router.acompletion(model="maas", messages=MESSAGES)
    asked(sandbox)
    clock.now += 61
    sandbox.faults.add(Fault(delay=0.3, model=FIRST))
    await asyncio.gather(*(router.acompletion(model="maas", messages=MESSAGES) for _ in range(20)))
    assert sorted(asked(sandbox)) == [SECOND] * 19 + [FIRST]
    await router.acompletion(model="maas", messages=MESSAGES)
    assert asked(sandbox) == [FIRST]


@every_way
def test_where_all_rest_the_least_rested_is_called(sandbox: Sandbox, clock: Clock, way: ConnectionReport) -> None:
    """No call is refused because of a rest: where all models rest, the one that wakes first is called, and it alone."""
    router = litellm_maas.load_router()
    sandbox.faults.add(Fault(status=402, times=None))
    for _ in range(2):
        with pytest.raises(openai.APIError):
            way(router, model="maas")
        clock.now += 1
    assert asked(sandbox) == [*TRIO, FIRST]
    sandbox.faults.clear()
    assert served(way(router, model="maas")) == FIRST
    assert served(way(router, model="maas")) == FIRST
    assert asked(sandbox) == [FIRST, FIRST]


@every_way
def test_where_all_groups_rest_the_least_rested_is_called(
    sandbox: Sandbox, clock: Clock, tmp_path: Path, way: ConnectionReport
) -> None:
    """The same with groups that fall back on each other."""
    router = litellm_maas.load_router(chain(tmp_path))
    sandbox.faults.add(broken(FIRST, times=1))
    sandbox.faults.add(broken(SECOND, 429, {"message": "slow down"}, times=1))
    sandbox.faults.add(broken(THIRD, times=1))
    with pytest.raises(openai.APIError):
        way(router, model="a")
    asked(sandbox)
    assert served(way(router, model="a")) == SECOND  # a limit without a word of how long is the shortest rest
    assert asked(sandbox) == [SECOND]


@every_way
def test_routers_with_the_same_models_are_told_apart(sandbox: Sandbox, way: ConnectionReport) -> None:
    """What another router could call instead keeps no model of this one from being called."""
    others = [litellm_maas.load_router("router.current.yaml") for _ in range(3)]
    router = litellm_maas.load_router()
    sandbox.account.missing_models |= set(TRIO)
    for _ in range(2):
        with pytest.raises(litellm.NotFoundError):
            way(router, model="maas")
    assert asked(sandbox) == [*TRIO, FIRST]
    assert served(way(others[0], model="maas")) == "qwen/qwen3.6-flash"


@every_way
def test_a_group_that_cools_down_is_called_all_the_same(
    sandbox: Sandbox, tmp_path: Path, way: ConnectionReport
) -> None:
    """Where LiteLLM's cooldowns are on and have taken every other model of a group, its last one is called."""
    router = litellm_maas.load_router(
        ordered(tmp_path, *TRIO, settings={"num_retries": 0, "allowed_fails": 0, "cooldown_time": 60})
    )
    for model in TRIO:
        sandbox.faults.add(broken(model, 503, "busy", times=1))
    with pytest.raises(litellm.ServiceUnavailableError):
        aplain(router, model="group")
    ids = [each["model_info"]["id"] for each in members(router, "group")]
    until(lambda: len(cooling(router, ids)) >= 2)  # LiteLLM cools down in the background
    asked(sandbox)
    assert served(way(router, model="group")) == THIRD
    assert asked(sandbox) == [THIRD]


@pytest.mark.usefixtures("sandbox")
def test_what_a_deployment_says_of_its_cooldown_stays(tmp_path: Path) -> None:
    """The last model of a group never cools down, unless the file says how long it does; nor where none does."""
    params = {"model": f"maas/{FIRST}"}
    models: list[dict[str, Any]] = [
        {"model_name": "0", "litellm_params": {**params, "cooldown_time": 7}},
        {"model_name": "1", "litellm_params": params, "model_info": {"cooldown_time": 8}},
        {"model_name": "2", "litellm_params": params},
    ]
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"model_list": models}))
    for switched_off, last in ((False, 0), (True, None)):
        router = litellm_maas.load_router(file, disable_cooldowns=switched_off)
        infos = [members(router, group)[0]["model_info"] for group in "012"]
        assert [info.get("cooldown_time") for info in infos] == [None, 8, last]


@every_way
def test_groups_pass_resting_models_over(sandbox: Sandbox, tmp_path: Path, way: ConnectionReport) -> None:
    """A group whose model rests is passed over for the groups that it falls back on, and so are those."""
    router = litellm_maas.load_router(chain(tmp_path))
    sandbox.faults.add(broken(FIRST))
    sandbox.faults.add(broken(SECOND, 403))
    assert [served(way(router, model="a")) for _ in range(3)] == [THIRD] * 3
    assert asked(sandbox) == [FIRST, SECOND, THIRD, THIRD, THIRD]


@every_way
def test_a_model_without_a_stand_in_is_never_refused(sandbox: Sandbox, tmp_path: Path, way: ConnectionReport) -> None:
    """A group with nothing behind it is called although it rests: nobody else could answer."""
    router = litellm_maas.load_router(chain(tmp_path))
    sandbox.faults.add(broken(THIRD, times=2))
    for _ in range(2):
        with pytest.raises(litellm.NotFoundError):
            way(router, model="c")
    assert served(way(router, model="c")) == THIRD


@pytest.mark.parametrize("way", [aplain, astream], ids=lambda way: way.__name__)
def test_a_stand_in_that_fails_is_called_once(sandbox: Sandbox, way: ConnectionReport) -> None:
    """When the first model rests and the second fails, the third answers; LiteLLM would call the second twice."""
    router = litellm_maas.load_router()
    sandbox.faults.add(broken(FIRST))
    way(router, model="maas")
    asked(sandbox)
    sandbox.faults.add(broken(SECOND, 503, "busy"))
    assert served(way(router, model="maas")) == THIRD
    assert asked(sandbox) == [SECOND, THIRD]


@every_way
def test_when_others_rest_the_caller_hears_of_the_one_that_failed(sandbox: Sandbox, way: ConnectionReport) -> None:
    """The error is that of the model that was called, not of those that were passed over."""
    router = litellm_maas.load_router()
    sandbox.faults.add(broken(SECOND))
    sandbox.faults.add(broken(THIRD))
    sandbox.faults.add(broken(FIRST, 503, "busy"))
    with pytest.raises(openai.APIError):
        way(router, model="maas")
    assert asked(sandbox) == list(TRIO)
    with pytest.raises(litellm.ServiceUnavailableError, match="busy"):
        way(router, model="maas")
    assert asked(sandbox) == [FIRST]


@every_way
def test_a_wrong_key_stays_a_wrong_key(sandbox: Sandbox, way: ConnectionReport) -> None:
    """401 is not fallen back from and makes nothing rest: each call asks once and says so."""
    router = litellm_maas.load_router()
    sandbox.account.keys.clear()
    for _ in range(3):
        with pytest.raises(litellm.AuthenticationError, match="ACTIVE"):
            way(router, model="maas")
        assert asked(sandbox) == [FIRST]


@every_way
def test_another_account_has_another_key(sandbox: Sandbox, way: ConnectionReport) -> None:
    """A key that one account refuses says nothing of another account: its deployment answers."""
    with Sandbox() as other:
        accounts = {"a": (sandbox.url, "vn-revoked-0123456789"), "b": (other.url, other.key)}
        deployments = [
            {"model_name": name, "litellm_params": {"model": f"maas/{FIRST}", "api_base": url, "api_key": key}}
            for name, (url, key) in accounts.items()
        ]
        router = litellm.Router(model_list=deployments, fallbacks=[{"a": ["b"]}], num_retries=0)
        assert served(way(router, model="a")) == FIRST
        assert (asked(sandbox), asked(other)) == ([FIRST], [FIRST])


@every_way
def test_a_stream_that_broke_leaves_nothing_behind(sandbox: Sandbox, way: ConnectionReport) -> None:
    """A stream that fails while the caller reads it does not decide about the caller's next calls."""
    router = litellm_maas.load_router()
    sandbox.faults.add(Fault(error_after=3, model=FIRST))
    with pytest.raises(litellm.InternalServerError):
        stream(router, model="maas")
    for model in TRIO:
        sandbox.faults.add(broken(model, times=1))
    with pytest.raises(litellm.NotFoundError):
        way(router, model="maas")
    assert served(way(router, model="maas")) in TRIO


@every_way
@pytest.mark.parametrize(
    ("code", "instead"), [("context_length_exceeded", SECOND), ("content_policy_violation", THIRD)]
)
def test_what_one_model_refuses_another_may_take(
    sandbox: Sandbox, way: ConnectionReport, code: str, instead: str
) -> None:
    """An overflowing context and refused content go to the models that the config names for them, streams included."""
    router = litellm_maas.load_router()
    sandbox.faults.add(broken(FIRST, 400, {"error": {"message": "no", "code": code}}))
    assert served(way(router, model="maas")) == instead
    assert asked(sandbox) == [FIRST, instead]


@every_way
@pytest.mark.parametrize("code", ["context_length_exceeded", "content_policy_violation"])
def test_what_one_model_refuses_goes_nowhere_unasked(
    sandbox: Sandbox, tmp_path: Path, way: ConnectionReport, code: str
) -> None:
    """Without a model named for them, an overflowing context and refused content do not take the ordinary fallbacks."""
    router = litellm_maas.load_router(chain(tmp_path))
    sandbox.faults.add(broken(FIRST, 400, {"error": {"message": "no", "code": code}}))
    with pytest.raises(litellm.BadRequestError):
        way(router, model="a")
    assert asked(sandbox) == [FIRST]


@every_way
def test_three_in_a_row_are_no_accident(sandbox: Sandbox, clock: Clock, way: ConnectionReport) -> None:
    """A model rests after three upstream failures in a row, for five seconds at first."""
    router = litellm_maas.load_router()
    sandbox.faults.add(broken(FIRST, 503, "busy", times=3))
    for _ in range(4):
        assert served(way(router, model="maas")) == SECOND
    assert asked(sandbox) == [FIRST, SECOND] * 3 + [SECOND]
    clock.now += 5
    assert served(way(router, model="maas")) == FIRST


@every_way
def test_a_limit_is_waited_for_as_long_as_the_gateway_says(
    sandbox: Sandbox, clock: Clock, way: ConnectionReport
) -> None:
    """After a 429 a model rests for as long as `Retry-After` says."""
    router = litellm_maas.load_router()
    sandbox.faults.add(Fault(status=429, headers={"retry-after": "17"}, model=FIRST))
    assert served(way(router, model="maas")) == SECOND
    clock.now += 16
    assert served(way(router, model="maas")) == SECOND
    clock.now += 2
    assert served(way(router, model="maas")) == FIRST


@every_way
def test_a_limit_that_reaches_the_caller_says_how_long(sandbox: Sandbox, way: ConnectionReport) -> None:
    """The 429 of a model whose stand-ins rest is raised with the gateway's `Retry-After`."""
    router = litellm_maas.load_router()
    for model in (SECOND, THIRD):
        sandbox.faults.add(broken(model))
    sandbox.faults.add(Fault(status=429, headers={"retry-after": "17"}, model=FIRST, times=None))
    with pytest.raises(openai.APIError):
        way(router, model="maas")
    with pytest.raises(litellm.RateLimitError) as caught:
        way(router, model="maas")
    assert caught.value.response.headers["retry-after"] == "17"


def attempts_of(parts: list[Any]) -> list[dict[str, Any]]:
    """The attempts that a response, or the first chunk of a stream, tells of."""
    found: list[dict[str, Any]] = parts[0]._hidden_params["maas_attempts"]
    return found


@every_way
def test_every_attempt_is_seen(
    sandbox: Sandbox, said: Callable[[], list[str]], way: ConnectionReport, tmp_path: Path
) -> None:
    """Response, log and ledger tell what was asked, who answered, why each attempt failed and how long it took."""
    litellm_maas.track_spend(tmp_path / "ledger.db")
    router = litellm_maas.load_router()
    sandbox.faults.add(broken(FIRST))
    sandbox.faults.add(Fault(status=503, body="busy", model=SECOND, delay=0.2))
    attempts = attempts_of(way(router, model="maas"))
    assert [(each["model"], each["error"], each["http_status"]) for each in attempts] == [
        (FIRST, "NotFoundError", 404),
        (SECOND, "ServiceUnavailableError", 503),
        (THIRD, None, 200),
    ]
    assert attempts[0]["reason"] == "model not found"
    # How long the sandbox takes is known for the one that it delays.
    assert 0 <= attempts[0]["seconds"] < 60 > attempts[1]["seconds"] >= 0.2
    _, first, second = said()
    assert f"maas/{FIRST} failed after" in first
    assert f"with ServiceUnavailableError (503); maas/{THIRD} is called instead." in second
    ledger = SqliteLedger(tmp_path / "ledger.db")
    assert [
        (event.attempt, event.requested_model, event.model, event.status, event.http_status, event.error_class)
        for event in ledger.events()
    ] == [
        (1, "maas", FIRST, "failed", 404, "NotFoundError"),
        (2, "maas", SECOND, "failed", 503, "ServiceUnavailableError"),
        (3, "maas", THIRD, "ok", 200, None),
    ]
    ledger.close()
    again = attempts_of(way(router, model="maas"))
    assert [(each["model"], each["skipped"]) for each in again] == [(FIRST, True), (SECOND, False)]
    assert said() == []


@every_way
def test_a_callers_own_metadata_is_not_read_twice(sandbox: Sandbox, way: ConnectionReport) -> None:
    """A caller who passes the same dictionary with every call is not told of earlier calls, nor stopped by them."""
    router = litellm_maas.load_router()
    metadata: dict[str, Any] = {"tags": ["a"]}
    sandbox.faults.add(broken(FIRST, 400, "no", times=1))
    with pytest.raises(litellm.BadRequestError):
        way(router, model="maas", metadata=metadata)
    sandbox.faults.add(broken(FIRST, 503, "busy", times=1))
    parts = way(router, model="maas", metadata=metadata)
    assert [each["http_status"] for each in attempts_of(parts)] == [503, 200]
    assert len(attempts_of(way(router, model="maas", metadata=metadata))) == 1


def test_retries_are_attempts_too(sandbox: Sandbox, said: Callable[[], list[str]]) -> None:
    """With `num_retries` the same model is called again, and that is said as such."""
    router = litellm_maas.load_router(num_retries=1)
    sandbox.faults.add(broken(FIRST, 503, "busy", times=1))
    parts = aplain(router, model="maas")
    assert [each["model"] for each in attempts_of(parts)] == [FIRST, FIRST]
    (message,) = said()
    assert message.endswith(f"maas/{FIRST} is called again.")


def test_embeddings_fall_back_too(sandbox: Sandbox, tmp_path: Path) -> None:
    """An embedding goes to the next deployment of its group."""
    models = ("qwen/qwen3-embedding-0.6b", "qwen/qwen3-embedding-8b")
    file = ordered(tmp_path, *models, settings={"num_retries": 0})
    response: Any = litellm_maas.load_router(file).embedding(model="group", input=["a"])
    assert asked(sandbox) == list(models)
    assert [each["error"] for each in attempts_of([response])] == ["NotFoundError", None]


@every_way
def test_other_providers_are_left_alone(sandbox: Sandbox, tmp_path: Path, way: ConnectionReport) -> None:
    """A deployment of another provider is always awake, and what LiteLLM does about its errors stays LiteLLM's."""
    other = {"model": "openai/z-ai/glm-5.2", "api_base": sandbox.url, "api_key": sandbox.key}
    models = [
        {"model_name": "a", "litellm_params": {"model": f"maas/{FIRST}"}},
        {"model_name": "b", "litellm_params": other},
    ]
    settings = {"num_retries": 0, "disable_cooldowns": True, "fallbacks": [{"a": ["b"]}]}
    file = tmp_path / "mixed.yaml"
    file.write_text(yaml.safe_dump({"model_list": models, "router_settings": settings}))
    router = litellm_maas.load_router(file)
    sandbox.faults.add(broken(FIRST))
    for _ in range(2):
        assert served(way(router, model="a")) == "z-ai/glm-5.2"
    assert asked(sandbox) == [FIRST, "z-ai/glm-5.2", "z-ai/glm-5.2"]


@every_way
def test_without_the_callback_nothing_rests(sandbox: Sandbox, way: ConnectionReport) -> None:
    """Frameworks that overwrite `litellm.callbacks` lose the rests, and keep the fallbacks and where they stop."""
    router = litellm_maas.load_router()
    litellm.callbacks = []
    sandbox.faults.add(broken(FIRST, times=2))
    assert [served(way(router, model="maas")) for _ in range(2)] == [SECOND] * 2
    assert asked(sandbox) == [FIRST, SECOND] * 2
    sandbox.faults.add(broken(FIRST, 400, "no"))
    with pytest.raises(litellm.BadRequestError):
        way(router, model="maas")
    assert asked(sandbox) == [FIRST]


@every_way
def test_a_router_of_ones_own_with_the_callback(sandbox: Sandbox, way: ConnectionReport) -> None:
    """`router_cooldowns` in `litellm.callbacks` lets the groups of any router pass over what rests."""
    litellm.callbacks = [litellm_maas.router_cooldowns]
    models = [
        {"model_name": "a", "litellm_params": {"model": f"maas/{model}", "order": order}}
        for order, model in enumerate(TRIO, start=1)
    ]
    router = litellm.Router(model_list=models, num_retries=0, disable_cooldowns=True)
    sandbox.faults.add(broken(FIRST, 403))
    assert [served(way(router, model="a")) for _ in range(2)] == [SECOND] * 2
    assert asked(sandbox) in ([FIRST, SECOND, SECOND], [FIRST, SECOND, FIRST, SECOND])


async def test_a_group_that_nobody_knows_stays_empty() -> None:
    """Where LiteLLM has nothing to call, and no known router has either, nothing is made up."""
    litellm_maas.router_cooldowns.watch(litellm.Router(model_list=[]))
    assert await litellm_maas.router_cooldowns.async_filter_deployments("nobody", [], None, {}) == []


@pytest.mark.usefixtures("sandbox")
def test_a_deployment_that_cannot_be_called_is_left_to_the_provider() -> None:
    """A base URL that is no use makes nothing rest: the provider says what is wrong with it."""
    litellm.callbacks = [litellm_maas.router_cooldowns]
    params = {"model": f"maas/{FIRST}", "api_base": "http://gateway.example"}
    router = litellm.Router(model_list=[{"model_name": "a", "litellm_params": params}], num_retries=0)
    with pytest.raises(litellm.BadRequestError, match="plain http"):
        aplain(router, model="a")


TARGET = DeploymentKey("m", 1)
BUSY = Failure("unavailable", 503, "busy", "Try again.")
GONE = Failure("not_found", 404, "gone", "Look again.")


def test_rests_grow_to_ten_minutes() -> None:
    """Each rest of a model that is not there is twice as long as the one before it, up to ten minutes."""
    clock = Clock()
    rests = CooldownRegistry(clock)
    lengths = []
    for _ in range(6):
        rests.failed(TARGET, GONE)
        lengths.append(rests.seconds_remaining(TARGET))
        clock.now += rests.seconds_remaining(TARGET)
        assert rests.try_acquire_probe(TARGET)
    assert lengths == [60, 120, 240, 480, 600, 600]
    rests.succeeded(TARGET)
    rests.failed(TARGET, GONE)
    assert rests.seconds_remaining(TARGET) == 60


def test_a_trial_that_nobody_reports_does_not_last() -> None:
    """A call that was let through to try and never came to an end keeps others from trying for a minute only."""
    clock = Clock()
    rests = CooldownRegistry(clock)
    rests.failed(TARGET, GONE)
    clock.now += 60
    assert [rests.try_acquire_probe(TARGET), rests.try_acquire_probe(TARGET), rests.is_available(TARGET)] == [
        True,
        False,
        False,
    ]
    clock.now += 60
    assert rests.is_available(TARGET)
    assert rests.try_acquire_probe(TARGET)


@pytest.mark.parametrize("failure", [Failure("bad_request", 400, "no", ""), Failure("rate_limit", None, "limited", "")])
def test_a_trial_that_tells_nothing_is_over(failure: Failure) -> None:
    """Where a trial fails for the request's own fault, the next call may try at once."""
    clock = Clock()
    rests = CooldownRegistry(clock)
    rests.failed(TARGET, GONE)
    clock.now += 60
    assert rests.try_acquire_probe(TARGET)
    rests.failed(TARGET, failure)
    assert rests.try_acquire_probe(TARGET)


async def test_one_of_a_level_is_tried_at_a_time(sandbox: Sandbox, clock: Clock) -> None:
    """Of two deployments of one level whose rests are over, one is tried and the other keeps its trial."""
    models = (FIRST, SECOND)
    router = litellm.Router(
        model_list=[{"model_name": "a", "litellm_params": {"model": f"maas/{model}"}} for model in models],
        num_retries=0,
    )
    litellm_maas.router_cooldowns.watch(router)
    for model in models:
        sandbox.faults.add(broken(model))
    for _ in range(2):
        with contextlib.suppress(litellm.NotFoundError):
            await router.acompletion(model="a", messages=MESSAGES)
    assert sorted(asked(sandbox)) == sorted(models)
    clock.now += 60
    deployments = [dict(each) for each in members(router, "a")]
    offered = await litellm_maas.router_cooldowns.async_filter_deployments("a", deployments, [])
    assert len(offered) == 1


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_fork_amid_a_failure() -> None:
    """The child of a fork at the moment in which another thread notes a failure can note its own."""
    code = """
        import os, threading
        from tests.router.test_router import GONE, TARGET
        from litellm_maas.runtime import runtime
        forked = threading.Event()
        class Slow(dict):
            def setdefault(self, *args):
                inside.set()
                forked.wait()
                return super().setdefault(*args)
        inside, rests = threading.Event(), runtime.cooldowns
        rests._states = Slow()
        threading.Thread(target=rests.failed, args=(TARGET, GONE)).start()
        inside.wait()
        if (child := os.fork()) == 0:
            forked.set()
            rests.failed(TARGET, GONE)
            os._exit(7 if rests.seconds_remaining(TARGET) else 1)
        forked.set()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run_warm(code) == "7"


def test_calls_that_were_under_way_count_once() -> None:
    """Failures that come in while a model rests make the rest no longer."""
    rests = CooldownRegistry(Clock())
    for _ in range(50):
        rests.failed(TARGET, GONE)
    assert rests.seconds_remaining(TARGET) == 60


@pytest.mark.parametrize(
    "failure",
    [
        Failure("bad_request", 400, "no", ""),
        Failure("authentication", 401, "no", ""),
        Failure("context_window", 400, "too long", ""),
        Failure("rate_limit", None, "limited", "", retry_after=30.0),
    ],
    ids=lambda failure: failure.kind,
)
def test_what_makes_nothing_rest(failure: Failure) -> None:
    """What is the request's fault, the key's, or this side's own rate limit says nothing of the model."""
    rests = CooldownRegistry(Clock())
    for _ in range(5):
        rests.failed(TARGET, failure)
    assert rests.try_acquire_probe(TARGET)
    assert rests.failure(TARGET) is None


def test_an_answer_in_between_starts_the_count_again() -> None:
    """Three failures make a rest only in a row."""
    rests = CooldownRegistry(Clock())
    for _ in range(2):
        rests.failed(TARGET, BUSY)
        rests.failed(TARGET, BUSY)
        assert rests.is_available(TARGET)
        rests.succeeded(TARGET)
    assert rests.try_acquire_probe(TARGET)
