"""The attempts of a routed request know of each other, whatever LiteLLM's router hands on from one to the next."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import litellm
import openai
import pytest
from pydantic import SecretStr

import litellm_maas
from litellm_maas.errors import GatewayError
from litellm_maas.gateway.endpoint import resolve_endpoint
from litellm_maas.gateway.errors import Failure
from litellm_maas.gateway.request import GatewayRequest, Timeouts
from litellm_maas.provider.attempt_history import RoutedAttempt
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import MESSAGES
from tests.router.routed import (
    FIRST,
    SECOND,
    THIRD,
    TRIO,
    ConnectionReport,
    asked,
    broken,
    chain,
    every_way,
    ordered,
    served,
)

FINAL = {
    "400": (400, {"error": {"message": "no"}}),
    "401": (401, {"error": {"message": "no"}}),
    "422": (422, {"error": {"message": "no"}}),
    "context": (400, {"error": {"message": "no", "code": "context_length_exceeded"}}),
    "content": (400, {"error": {"message": "no", "code": "content_policy_violation"}}),
}
SETTINGS = {"num_retries": 0, "disable_cooldowns": True}


def made(folder: Path, kind: str, **settings: Any) -> tuple[litellm.Router, str]:
    """A router over the trio, in a group with an order or in groups that fall back, and the group to call."""
    if kind == "order":
        return litellm_maas.load_router(ordered(folder, *TRIO, settings={**SETTINGS, **settings})), "group"
    return litellm_maas.load_router(chain(folder, **settings)), "a"


each_kind = pytest.mark.parametrize("kind", ["order", "groups"])


@every_way
@each_kind
@pytest.mark.parametrize("final", FINAL)
@pytest.mark.parametrize("first", [404, 503])
def test_a_final_error_ends_a_request_wherever_it_comes(
    sandbox: Sandbox, tmp_path: Path, way: ConnectionReport, kind: str, final: str, first: int
) -> None:
    """What every model refuses alike ends the request also where the second model says it: the third is not asked."""
    router, group = made(tmp_path, kind)
    status, body = FINAL[final]
    sandbox.faults.add(broken(FIRST, first, "away"))
    sandbox.faults.add(broken(SECOND, status, body))
    with pytest.raises(openai.APIError):
        way(router, model=group)
    assert asked(sandbox) == [FIRST, SECOND]


@every_way
def test_an_account_wide_limit_costs_one_request(sandbox: Sandbox, tmp_path: Path, way: ConnectionReport) -> None:
    """While all models of an account are limited, a call asks the one whose wait ends first, and no other."""
    router, group = made(tmp_path, "order")
    for seconds, model in zip((40, 20, 30), TRIO, strict=True):
        headers = {"retry-after": str(seconds)}
        sandbox.faults.add(Fault(status=429, headers=headers, model=model, times=None))
    for sent in ([*TRIO], [SECOND], [SECOND]):
        with pytest.raises(litellm.RateLimitError):
            way(router, model=group)
        assert asked(sandbox) == sent


@every_way
@pytest.mark.parametrize("with_rules", [True, False])
@pytest.mark.parametrize("cooldowns", [True, False])
def test_a_limit_is_not_run_into_again_at_once(
    sandbox: Sandbox, way: ConnectionReport, with_rules: bool, cooldowns: bool
) -> None:
    """Under LiteLLM's own number of retries, the limited first model of a group is asked once, whoever notices."""
    models = [
        {"model_name": "a", "litellm_params": {"model": f"maas/{model}", "order": order}}
        for order, model in enumerate((FIRST, SECOND), start=1)
    ]
    router = litellm.Router(model_list=models, disable_cooldowns=not cooldowns)
    if with_rules:
        litellm_maas.router_cooldowns.watch(router)
    sandbox.faults.add(Fault(status=429, model=FIRST, times=None))
    assert served(way(router, model="a")) == SECOND
    assert asked(sandbox) == [FIRST, SECOND]


LIMITED = Failure("rate_limit", 429, "slow down", "Wait.")


@pytest.mark.parametrize(
    ("failure", "size", "deployment", "is_made"),
    [
        (LIMITED, 2, "one", False),
        (LIMITED, 1, "one", True),  # LiteLLM has waited
        (LIMITED, None, "one", True),
        (LIMITED, 2, "other", True),
        (Failure("rate_limit", None, "limited", "Wait."), 2, "one", True),
        (Failure("unavailable", 503, "busy", "Wait."), 2, "one", True),
    ],
)
def test_which_retries_are_pointless(failure: Failure, size: int | None, deployment: str, is_made: bool) -> None:
    """A retry is not made where it comes at once to the very deployment that the gateway has just limited."""
    request = GatewayRequest(
        endpoint=resolve_endpoint("https://gateway.example/v1"),
        key=SecretStr("vn-none"),
        path="/chat/completions",
        model=FIRST,
        body={},
        timeouts=Timeouts(),
    )
    metadata: dict[str, Any] = {"model_group": "a", "model_group_size": size}

    def attempt(model_id: str, retries: int) -> RoutedAttempt:
        metadata.update(attempted_fallbacks=0, attempted_retries=retries, model_info={"id": model_id})
        return RoutedAttempt(request, {"litellm_params": {"metadata": metadata}})

    attempt("one", 0).mark_failed(failure)
    second = attempt(deployment, 1)
    if is_made:
        second.raise_if_not_retryable()
        return
    with pytest.raises(GatewayError, match="slow down"):
        second.raise_if_not_retryable()


async def test_requests_at_once_with_one_dictionary(sandbox: Sandbox, tmp_path: Path) -> None:
    """Requests that a program makes at once with one dictionary of metadata do not stop each other."""
    router, group = made(tmp_path, "groups")
    sandbox.faults.add(Fault(status=503, body="busy", model=FIRST, times=None, delay=0.05))
    sandbox.faults.add(broken(THIRD, 400, {"error": {"message": "no"}}))
    metadata: dict[str, Any] = {"tags": ["a"]}

    async def call(model: str) -> Any:
        try:
            return await router.acompletion(model=model, messages=MESSAGES, metadata=metadata)
        except openai.BadRequestError:
            return None

    responses = await asyncio.gather(*(call(model) for model in (group, "c") * 5))
    assert responses[1::2] == [None] * 5
    for response in responses[::2]:
        assert served([response]) == SECOND
        trail = response._hidden_params["maas_attempts"]
        assert {each["model"] for each in trail} <= {FIRST, SECOND}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("status", "sent"), [(503, [FIRST, SECOND]), (400, [FIRST])])
def test_images_know_of_each_other_too(
    sandbox: Sandbox, tmp_path: Path, is_async: bool, status: int, sent: list[str]
) -> None:
    """An image goes to the next group after an upstream failure, and nowhere after a refusal."""
    router, group = made(tmp_path, "groups")
    sandbox.faults.add(broken(FIRST, status, {"error": {"message": "no"}}))

    def call() -> Any:
        if is_async:
            return asyncio.run(router.aimage_generation(model=group, prompt="a cat"))
        return router.image_generation(model=group, prompt="a cat")

    if status == 400:
        with pytest.raises(litellm.BadRequestError):
            call()
    else:
        trail = call()._hidden_params["maas_attempts"]
        assert [(each["model"], each["http_status"]) for each in trail] == [(FIRST, 503), (SECOND, 200)]
    assert asked(sandbox) == sent


@every_way
@each_kind
def test_what_was_passed_over_is_told_once(sandbox: Sandbox, tmp_path: Path, way: ConnectionReport, kind: str) -> None:
    """A response tells of each model that was passed over, in the order in which it was, and of those that failed."""
    router, group = made(tmp_path, kind)
    sandbox.faults.add(broken(FIRST))
    sandbox.faults.add(broken(SECOND, 503, "busy", times=1))
    expected = [(FIRST, 404, False), (SECOND, 503, False), (THIRD, 200, False)]
    for _ in range(2):
        trail = way(router, model=group)[0]._hidden_params["maas_attempts"]
        assert [(each["model"], each["http_status"], each["skipped"]) for each in trail] == expected
        expected = [(FIRST, 404, True), (SECOND, 200, False)]
    asked(sandbox)
