"""What agent frameworks do to LiteLLM and to a call, and what holds all the same; `scripts/test-agents` runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger

import litellm_maas
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Answer, Choice, Fault, Sandbox, ToolCall
from tests.helpers import MESSAGES, astream

MODEL = "maas/openai/gpt-4o"
FALLBACK = "maas/google/gemma-4-31b-it"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which spend is recorded."""
    monkeypatch.setenv("MAAS_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("MAAS_TRACK_SPEND", "1")
    return tmp_path / "ledger.db"


def events(ledger: Path) -> list[Event]:
    """What was recorded."""
    with SqliteLedger(ledger, read_only=True) as opened:
        return list(opened.events())


@pytest.fixture
def router() -> Any:
    """A router of two models that fall back on each other."""
    runtime.cooldowns.reset()
    deployments = [
        {"model_name": "maas", "litellm_params": {"model": model, "order": order}}
        for order, model in enumerate((MODEL, FALLBACK), start=1)
    ]
    other = {"model_name": "other", "litellm_params": {"model": FALLBACK}}
    return litellm.Router(model_list=[*deployments, other], num_retries=0, disable_cooldowns=True)


def test_one_metadata_for_all_calls(sandbox: Sandbox, ledger: Path, router: Any) -> None:
    """Calls that share one dictionary of metadata have attempts of their own, and the group that each asked for."""
    sandbox.faults.add(Fault(status=503, times=None, model="openai/gpt-4o"))
    metadata = {"session_id": "shared"}
    for group in ("maas", "maas", "other", "maas"):
        router.completion(model=group, messages=MESSAGES, metadata=metadata)
    assert [(event.requested_model, event.status, event.attempt) for event in events(ledger)] == [
        ("maas", "failed", 1),
        ("maas", "ok", 2),
        ("maas", "failed", 1),
        ("maas", "ok", 2),
        ("other", "ok", 1),
        ("maas", "failed", 1),
        ("maas", "ok", 2),
    ]
    assert {event.session_id for event in events(ledger)} == {"shared"}


async def test_one_metadata_for_all_asynchronous_calls(sandbox: Sandbox, ledger: Path, router: Any) -> None:
    """The same holds for asynchronous calls and streams."""
    sandbox.faults.add(Fault(status=503, times=None, model="openai/gpt-4o"))
    metadata = {"session_id": "shared"}
    await router.acompletion(model="maas", messages=MESSAGES, metadata=metadata)
    stream = await router.acompletion(model="maas", messages=MESSAGES, metadata=metadata, stream=True)
    assert [chunk async for chunk in stream]
    assert [event.attempt for event in events(ledger)] == [1, 2, 1, 2]


def test_a_sessions_spend(sandbox: Sandbox, ledger: Path) -> None:
    """`session_spend` adds up what the calls of one session have cost, unknown prices said apart."""
    assert litellm_maas.session_spend("a").calls == 0
    for session, model in (("a", MODEL), ("b", MODEL), ("a", FALLBACK), ("a", "maas/qwen/qwen3-27b")):
        litellm.completion(model=model, messages=MESSAGES, metadata={"session_id": session})
    charges = sandbox.bill.charges
    spent = litellm_maas.session_spend("a")
    assert spent.micro_credits == sum(charges[index].micro_credits or 0 for index in (0, 2))
    assert spent.credits * 1_000_000 == spent.micro_credits
    assert (spent.calls, spent.unpriced_calls) == (3, 1)
    assert litellm_maas.session_spend("b").micro_credits == charges[1].micro_credits
    assert litellm_maas.session_spend("c").calls == 0


def test_an_object_for_a_user(sandbox: Sandbox, ledger: Path) -> None:
    """Claude Code sends device and session as JSON where a user belongs: it reaches the gateway, but names nobody."""
    for user in ("minh", '{"device_id": "d", "session_id": "s"}'):
        litellm.completion(model=MODEL, messages=MESSAGES, user=user)
        assert sandbox.requests[-1].body["user"] == user
    assert [event.user for event in events(ledger)] == ["minh", None]


async def test_a_stream_that_asks_for_no_usage(sandbox: Sandbox, ledger: Path) -> None:
    """A stream is recorded with the gateway's own usage, whether its caller asks for usage or not, and sees none."""
    for options in ({}, {"stream_options": None}, {"stream_options": {"include_usage": False}}):
        chunks = await astream(model=MODEL, messages=MESSAGES, **options)
        assert not any(getattr(chunk, "usage", None) for chunk in chunks)
    assert {event.usage_source for event in events(ledger)} == {"reported"}
    assert [event.micro_credits for event in events(ledger)] == [
        charge.micro_credits for charge in sandbox.bill.charges
    ]


def test_callbacks_that_are_assigned(sandbox: Sandbox, ledger: Path) -> None:
    """CrewAI assigns `litellm.callbacks` and sets `drop_params`: what `track_spend` switched on stays on."""
    litellm.callbacks = [litellm_maas.spend_logger]
    litellm.completion(model=MODEL, messages=MESSAGES)
    litellm.callbacks = [CustomLogger()]
    litellm.drop_params = True
    litellm.completion(model="maas/deepseek/deepseek-v4-pro", messages=MESSAGES, reasoning_effort="low")
    assert "reasoning_effort" not in sandbox.requests[-1].body
    assert len(events(ledger)) == 2


def test_a_reply_without_usage(sandbox: Sandbox, ledger: Path) -> None:
    """Frameworks read `response.usage.prompt_tokens` unasked: it is there, and what was billed is not recorded as 0."""
    tool = Choice("Chào", "Hmm.", (ToolCall("get_weather", '{"city": "Huế"}'),))
    sandbox.script(*[Answer((tool,), usage=False)] * 2)
    response: Any = litellm.completion(model=MODEL, messages=MESSAGES)
    assert response.usage.prompt_tokens == 0
    for chunk in litellm.completion(model=MODEL, messages=MESSAGES, stream=True):
        assert getattr(chunk, "usage", None) is None
    plain, streamed = events(ledger)
    assert plain.usage_source == streamed.usage_source == "estimated"
    # The text is 8 characters; "Hmm.Chàoget_weather{"city": "Huế"}" is 34 characters.
    assert (plain.input_tokens, plain.output_tokens) == (2, 9)
    assert plain.micro_credits == 2 * 70_888 + 9 * 283_550


def test_dollars_for_those_who_insist(sandbox: Sandbox) -> None:
    """mini-swe-agent aborts where `completion_cost` is not above 0: it is for priced models, and is not for others."""
    response: Any = litellm.completion(model=MODEL, messages=MESSAGES)
    assert 0 < litellm.completion_cost(response, model=MODEL) < 0.01
    response = litellm.completion(model="maas/qwen/qwen3-27b", messages=MESSAGES)
    assert litellm.completion_cost(response, model="maas/qwen/qwen3-27b") == 0
