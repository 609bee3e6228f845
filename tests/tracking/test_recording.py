"""What calls leave in the ledger, compared with what the sandbox has billed for them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litellm
import pytest

import litellm_maas
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Answer, Choice, Fault, Sandbox
from tests.call_modes import CALL, CHAT, EACH_WAY, WAYS, by_address, compare, drop, in_a_loop, who
from tests.helpers import KEY, MESSAGES, TOOL, astream, until
from tests.ledger_files import rows

EMBEDDING: dict[str, Any] = {"model": "maas/qwen/qwen3-embedding-8b", "input": ["một", "hai ba"]}


UNAVAILABLE = Fault(status=503, body={"message": "Gateway Auth Unavailable"})


@EACH_WAY
def test_a_call_is_in_the_ledger_when_it_returns(sandbox: Sandbox, ledger_path: Path, way: Callable[..., Any]) -> None:
    """Each way of calling leaves one row: what was billed, who asked, and all ids."""
    sandbox.script(Answer((Choice("Xin chào bạn", "Nghĩ."),), input_tokens=1000, cached_tokens=900))
    way(**CALL, **who())
    (event,) = compare(ledger_path, sandbox)
    (charge,) = sandbox.bill.charges
    assert (event.operation, event.route, event.status, event.http_status) == ("chat", "provider", "ok", 200)
    assert (event.user, event.tags, event.session_id) == ("minh", ("a", "b"), "s-1")
    assert (event.basis, event.reasoning_tokens) == ("official", 2)
    assert event.saved_micro_credits == 900 * (70_888 - 35_444)
    assert event.price_source == "official list of 2026-08-03 (vngcloud/docs, model-pricing-list, 2026-08-07)"
    assert event.started_at <= charge.at <= event.ended_at
    assert event.call_id
    assert event.trace_id
    assert (event.attempt, event.requested_model) == (1, "openai/gpt-4o")


@pytest.mark.parametrize("embed", [litellm.embedding, in_a_loop(litellm.aembedding)])
def test_an_embedding(sandbox: Sandbox, ledger_path: Path, embed: Callable[..., Any]) -> None:
    """An embedding leaves one row with its tokens and its price."""
    response = embed(**EMBEDDING, **who(), drop_params=True)
    (event,) = compare(ledger_path, sandbox)
    assert (event.operation, event.status, event.input_tokens, event.micro_credits) == ("embedding", "ok", 3, 3 * 1134)
    assert (event.user, event.tags) == ("minh", ("a", "b"))
    assert litellm_maas.cost_of(response).micro_credits == 3 * 1134  # type: ignore[union-attr]


@EACH_WAY
def test_tools(sandbox: Sandbox, ledger_path: Path, way: Callable[..., Any]) -> None:
    """Calls with tools, asked for and answered, are recorded like any others."""
    way(**CALL, tools=[TOOL])
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Huế"}'}}
    turn = [*MESSAGES, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "31"}]  # fmt: skip  # noqa: E501
    way(model=CHAT, messages=turn, tools=[TOOL])
    assert len(compare(ledger_path, sandbox)) == 2


@pytest.mark.parametrize("call", [litellm.text_completion, in_a_loop(litellm.atext_completion)])
def test_legacy_completions(sandbox: Sandbox, ledger_path: Path, call: Callable[..., Any]) -> None:
    """Legacy completions, which LiteLLM carries over chat, are one row each, and their cost is known."""
    response = call(model=CHAT, prompt="Xin chào", **who())
    (event,) = compare(ledger_path, sandbox)
    assert event.tags == ("a", "b")
    assert litellm_maas.cost_of(response).micro_credits == sandbox.bill.micro_credits  # type: ignore[union-attr]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("respond", [litellm.responses, in_a_loop(litellm.aresponses)])
def test_responses(sandbox: Sandbox, ledger_path: Path, respond: Callable[..., Any], streamed: bool) -> None:
    """The Responses API, which LiteLLM carries over chat, is one row for each call."""
    if streamed:
        list(litellm.responses(model=CHAT, input="Xin chào", stream=True))  # type: ignore[arg-type]
    else:
        response = respond(model=CHAT, input="Xin chào")
        assert litellm_maas.cost_of(response).micro_credits == sandbox.bill.micro_credits  # type: ignore[union-attr]
    assert len(compare(ledger_path, sandbox)) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropic_messages(sandbox: Sandbox, ledger_path: Path, streamed: bool) -> None:
    """The Anthropic API, which LiteLLM carries over chat, is one row for each call."""
    call: dict[str, Any] = {"model": CHAT, "messages": MESSAGES, "max_tokens": 50, "stream": streamed}
    response: Any = await litellm.anthropic.messages.acreate(**call)
    if streamed:
        async for _ in response:
            pass
    else:
        assert litellm_maas.cost_of(response).micro_credits == sandbox.bill.micro_credits  # type: ignore[union-attr]
    assert len(compare(ledger_path, sandbox)) == 1


@EACH_WAY
def test_retries(sandbox: Sandbox, ledger_path: Path, way: Callable[..., Any]) -> None:
    """Each attempt of `num_retries` is a row of its own: two that failed, and the one that was billed."""
    sandbox.faults.add(UNAVAILABLE)
    sandbox.faults.add(UNAVAILABLE)
    way(num_retries=2, **CALL, **who())
    events = compare(ledger_path, sandbox)
    assert [(event.status, event.attempt) for event in events] == [("failed", 1), ("failed", 2), ("ok", 3)]
    assert len({event.trace_id for event in events}) == 1
    assert {event.tags for event in events} == {("a", "b")}


@pytest.mark.parametrize("call", ["completion", "acompletion"])
def test_fallbacks_of_the_call(sandbox: Sandbox, ledger_path: Path, call: str) -> None:
    """Each attempt of `fallbacks=` is a row, priced at the model that served it."""
    sandbox.faults.add(Fault(status=503, times=None, model="openai/gpt-4o"))
    WAYS[call](fallbacks=["maas/openai/gpt-4o-mini"], **CALL, **who())
    failed, served = compare(ledger_path, sandbox)
    assert (failed.model, failed.status, failed.http_status) == ("openai/gpt-4o", "failed", 503)
    assert (served.model, served.status, served.attempt) == ("openai/gpt-4o-mini", "ok", 2)
    assert served.micro_credits == 5 * 4_253 + served.output_tokens * 17_013
    assert served.tags == ("a", "b")


def router(**options: Any) -> litellm.Router:
    """A router with two groups, and one whose two deployments stand in an order."""
    smart, cheap = {"model": CHAT}, {"model": "maas/openai/gpt-4o-mini"}
    groups = [
        ("smart", smart),
        ("cheap", cheap),
        ("ordered", {**smart, "order": 1}),
        ("ordered", {**cheap, "order": 2}),
    ]
    models: list[Any] = [{"model_name": name, "litellm_params": params} for name, params in groups]
    return litellm.Router(model_list=models, **options)


def routed(way: str, router: litellm.Router, model: str) -> None:
    """A call through a router."""

    async def arouted() -> None:
        response: Any = await router.acompletion(model, MESSAGES, stream=way == "astream", **who())
        if way == "astream":
            async for _ in response:
                pass

    if way.startswith("a"):
        asyncio.run(arouted())
    else:
        router.completion(model, MESSAGES, **who())


ROUTED = pytest.mark.parametrize("way", ["completion", "acompletion", "astream"])


@ROUTED
def test_fallbacks_of_a_router(sandbox: Sandbox, ledger_path: Path, way: str) -> None:
    """Each attempt of a router's fallback is a row with the group that was asked for and the model that served it."""
    sandbox.faults.add(Fault(status=503, times=None, model="openai/gpt-4o"))
    routed(way, router(fallbacks=[{"smart": ["cheap"]}], num_retries=0), "smart")
    failed, served = compare(ledger_path, sandbox)
    assert (failed.requested_model, failed.model, failed.attempt) == ("smart", "openai/gpt-4o", 1)
    assert (served.requested_model, served.model, served.attempt) == ("smart", "openai/gpt-4o-mini", 2)
    assert failed.trace_id == served.trace_id
    assert failed.tags == served.tags == ("a", "b")


# Before 1.108 a router does not retry an asynchronous stream: LiteLLM hands it out before anything is sent.
@pytest.mark.parametrize("way", ["completion", "acompletion"])
def test_retries_of_a_router(sandbox: Sandbox, ledger_path: Path, way: str) -> None:
    """Each attempt of a router's retries is a row, numbered, under one trace."""
    sandbox.faults.add(UNAVAILABLE)
    sandbox.faults.add(UNAVAILABLE)
    routed(way, router(num_retries=3), "smart")
    events = compare(ledger_path, sandbox)
    assert [(event.status, event.attempt) for event in events] == [("failed", 1), ("failed", 2), ("ok", 3)]
    assert len({event.trace_id for event in events}) == 1
    assert {event.requested_model for event in events} == {"smart"}


def test_metadata_that_a_router_has_written_into(sandbox: Sandbox, ledger_path: Path) -> None:
    """A caller who passes the same dictionary to each call gets each call's own group and attempt recorded."""
    sandbox.faults.add(Fault(status=503, model="openai/gpt-4o"))
    metadata: dict[str, Any] = {"tags": ["t"]}
    group = router(fallbacks=[{"smart": ["cheap"]}], num_retries=0)
    group.completion("smart", MESSAGES, metadata=metadata)
    group.completion("cheap", MESSAGES, metadata=metadata)
    assert "attempted_fallbacks" in metadata  # or this test shows nothing
    events = compare(ledger_path, sandbox)
    assert [event.requested_model for event in events] == ["smart", "smart", "cheap"]
    assert [event.attempt for event in events] == [1, 2, 1]
    assert {event.tags for event in events} == {("t",)}


@ROUTED
def test_an_order_within_a_group(sandbox: Sandbox, ledger_path: Path, way: str) -> None:
    """Where the second deployment of a group serves, its own model and price are recorded under the group's name."""
    sandbox.faults.add(Fault(status=429, times=None, model="openai/gpt-4o"))
    routed(way, router(), "ordered")
    failed, served = compare(ledger_path, sandbox)
    assert (failed.requested_model, failed.model, failed.http_status) == ("ordered", "openai/gpt-4o", 429)
    assert (served.requested_model, served.model) == ("ordered", "openai/gpt-4o-mini")


def test_many_calls_at_once(sandbox: Sandbox, ledger_path: Path) -> None:
    """A hundred calls at once, streamed or not, from threads and from a loop, are a hundred rows."""

    async def gather() -> None:
        await asyncio.gather(*(astream(**CALL) if number % 2 else litellm.acompletion(**CALL) for number in range(50)))

    threads = [threading.Thread(target=WAYS["stream" if number % 2 else "completion"], kwargs=CALL) for number in range(50)]  # fmt: skip  # noqa: E501
    for thread in threads:
        thread.start()
    asyncio.run(gather())
    for thread in threads:
        thread.join()
    assert len(compare(ledger_path, sandbox)) == 100


def test_texts_that_are_none(sandbox: Sandbox, ledger_path: Path) -> None:
    """Halves of characters and zero bytes in tags and names, which JSON can hold, break neither call nor recording."""
    broken = {"tags": ["a\ud800", "b\x00c", "d", 7, None, ["x"]], "session_id": "s\udfff"}
    litellm.completion(metadata=broken, user="minh\x00", **CALL)
    asyncio.run(litellm.acompletion(metadata=broken, user="minh\x00", **CALL))
    events = compare(ledger_path, sandbox)
    assert {event.tags for event in events} == {("a\ufffd", "b\ufffdc", "d", "7")}
    assert {(event.session_id, event.user) for event in events} == {("s\ufffd", "minh\ufffd")}


def test_nothing_secret_is_recorded(sandbox: Sandbox, ledger_path: Path) -> None:
    """After calls of every kind and end, no byte of a key, a prompt or an answer is in the ledger or beside it."""
    prompt, answer, reasoning = "BÍMẬT-prompt-7391", "BÍMẬT-answer-4826", "BÍMẬT-thought-1597"
    call: dict[str, Any] = {"model": CHAT, "messages": [{"role": "user", "content": prompt}], **who()}
    litellm.callbacks = [litellm_maas.spend_logger]
    faults = [
        None,
        Fault(status=500, body=f"{prompt} {KEY}"),
        Fault(status=401, body={"error": {"message": KEY}}),
        Fault(cut_after=9),
        Fault(error_after=9, error={"message": prompt, "code": prompt, "type": answer}),
    ]
    for fault in faults:
        for way in WAYS.values():
            if fault is None or fault.status is None:
                sandbox.script(Answer((Choice(answer, reasoning),), usage={"prompt_tokens": prompt}))
            if fault is not None:
                sandbox.faults.add(fault)
            with contextlib.suppress(Exception):
                way(**call)
            sandbox.faults.clear()
    litellm.embedding(model="maas/qwen/qwen3-embedding-8b", input=[prompt])
    litellm.image_generation(model=CHAT, prompt=prompt)
    sandbox.faults.add(Fault(chunk_delay=0.01, times=None))
    asyncio.run(drop("closed"))
    sandbox.faults.clear()
    # By address, and into side files.
    litellm.completion(**by_address(sandbox, messages=call["messages"]))
    until(lambda: any(event.route == "base_url" for event in rows(ledger_path)))
    recorder = runtime.tracker.recorder()
    ledger_path.rename(ledger_path.with_name("moved.db"))
    ledger_path.mkdir()
    for way in WAYS.values():
        way(**call)
    assert len(list(recorder.pending())) == 4
    files = [file for file in ledger_path.parent.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} >= {".db", ".json"}
    for file in files:
        content = file.read_bytes()
        for secret in (prompt, answer, reasoning, KEY, "BÍMẬT", "Xin chào", "heard"):
            assert secret.encode() not in content, file
            assert secret.encode("unicode_escape") not in content, file
    ledger_path.rmdir()


@pytest.mark.parametrize("name", ["litellm_call_id", "litellm_trace_id"])
@pytest.mark.parametrize("given", [uuid.UUID(int=7), 7, ("a",)], ids=lambda given: type(given).__name__)
def test_ids_of_any_type(sandbox: Sandbox, ledger_path: Path, name: str, given: Any) -> None:
    """LiteLLM passes on whatever a caller gives for an id; the call and its recording go well."""
    litellm.completion(**CALL, **{name: given})
    (event,) = compare(ledger_path, sandbox)
    assert str(given) in (event.call_id, event.trace_id)


def test_a_recording_that_cannot_be_breaks_no_call(
    sandbox: Sandbox, ledger_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in making an event is logged, and the caller gets the answer all the same."""
    monkeypatch.setattr("litellm_maas.tracking.event_builder.Event", None)
    assert litellm.completion(**CALL).choices[0].message.content
    assert "a call could not be recorded" in caplog.text


def test_names_that_no_database_takes(sandbox: Sandbox, ledger_path: Path) -> None:
    """A zero in a model's name, which PostgreSQL refuses, does not get as far as the ledger."""
    with contextlib.suppress(litellm.NotFoundError):
        litellm.completion(**{**CALL, "model": "maas/openai/gpt-4o\0"})
    (event,) = rows(ledger_path)
    assert "\0" not in event.requested_model + event.model


def test_pictures_are_no_text_in_an_estimate(sandbox: Sandbox, ledger_path: Path) -> None:
    """Without a usage report, a call with a picture is estimated alike plain and streamed, by its text."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "Xin chào"}, picture]}]
    sandbox.script(*[Answer((Choice("Chào"),), usage=False)] * 2)
    for way in (litellm.completion, WAYS["stream"]):
        way(model="maas/openai/gpt-4o", messages=messages)
    plain, streamed = rows(ledger_path)
    assert plain.input_tokens == streamed.input_tokens == 2
