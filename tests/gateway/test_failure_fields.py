"""What is decided by a failure's fields, which the gateway's words are read into in one place."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from litellm_maas.gateway import error_response
from litellm_maas.gateway.endpoint import resolve_endpoint
from litellm_maas.gateway.errors import Failure
from litellm_maas.gateway.request import GatewayRequest, Timeouts
from litellm_maas.resilience.cooldowns import CooldownRegistry, DeploymentKey


def failure(status: int, message: str) -> Failure:
    """Return the failure that an answer of the gateway stands for."""
    request = GatewayRequest(
        resolve_endpoint(None), SecretStr("vn-key"), "/chat/completions", "openai/gpt-4o", {}, Timeouts(1.0)
    )
    return error_response.from_response(request, status, {}, json.dumps({"message": message}).encode())


@pytest.mark.parametrize(
    ("status", "message", "is_exhausted"),
    [
        (402, "anything", True),
        (403, "Insufficient balance", True),
        (429, "insufficient_quota", True),
        (503, "prepaid credits are used up", True),
        (503, "model not responding", False),
        (503, "Gateway Auth Unavailable", False),
        (400, "insufficient balance", False),
    ],
)
def test_exhausted_accounts(status: int, message: str, is_exhausted: bool) -> None:
    """An account is used up where status or body say so; "not responding" alone says nothing of credits."""
    found = failure(status, message)
    assert found.is_account_exhausted is is_exhausted
    assert ("Top up" in found.hint) is is_exhausted


def test_not_responding_is_upstream_trouble() -> None:
    """One 503 "not responding" is no cooldown: three in a row are."""
    cooldowns, target = CooldownRegistry(), DeploymentKey("openai/gpt-4o", 1)
    for _ in range(2):
        cooldowns.failed(target, failure(503, "model not responding"))
        assert cooldowns.is_available(target)
    cooldowns.failed(target, failure(503, "model not responding"))
    assert not cooldowns.is_available(target)


@pytest.mark.parametrize(
    ("status", "message", "scope"),
    [
        (429, "API rate limit exceeded", "account"),
        (429, "model rpm limit exceeded (5/5), resets in 2s", "model"),
        (503, "the model is away", "account"),
    ],
)
def test_scope_of_a_limit(status: int, message: str, scope: str) -> None:
    """A rate limit is the model's where the gateway says so."""
    assert failure(status, message).scope == scope


@pytest.mark.parametrize(
    ("status", "message", "state"),
    [
        (401, "key is pending activation", "pending"),
        (401, "this key was revoked", "revoked"),
        (401, "use the Token Plan endpoint", "other_host"),
        (401, "Unauthorized", None),
        (403, "this model was disabled", None),
    ],
)
def test_state_of_a_key(status: int, message: str, state: str | None) -> None:
    """Why a key is not accepted is known where the gateway says it."""
    assert failure(status, message).key_state == state
