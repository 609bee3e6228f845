"""What LiteLLM does around a call keeps working: retries, fallbacks, cache, clients, callbacks, routers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler, HTTPHandler

from litellm_maas.sandbox import Fault, Sandbox
from tests.call_modes import PARTS
from tests.helpers import KEY, MESSAGES, Outcome, assemble, astream

CALL: dict[str, Any] = {"model": "maas/openai/gpt-4o", "messages": MESSAGES}
UNAVAILABLE = Fault(status=503, body={"message": "Gateway Auth Unavailable"})


WAYS = [pytest.param(function, id=name) for name, function in PARTS.items()]
ConnectionReport = Callable[..., list[Any]]


@pytest.mark.parametrize("way", WAYS)
def test_num_retries(sandbox: Sandbox, way: ConnectionReport) -> None:
    """`num_retries` tries a failed call again, streamed or not."""
    sandbox.faults.add(UNAVAILABLE)
    sandbox.faults.add(UNAVAILABLE)
    assert "heard" in assemble(*way(num_retries=2, **CALL)).only.content
    assert len(sandbox.requests) == 3


@pytest.mark.parametrize("way", WAYS)
def test_num_retries_runs_out(sandbox: Sandbox, way: ConnectionReport) -> None:
    """A call that keeps failing fails in the end with the gateway's error."""
    sandbox.faults.add(Fault(status=503, body="busy", times=None))
    with pytest.raises(litellm.ServiceUnavailableError, match="busy"):
        way(num_retries=1, **CALL)
    assert len(sandbox.requests) == 2


def test_a_stream_is_not_retried_for_what_no_retry_mends(sandbox: Sandbox) -> None:
    """An asynchronous stream that is refused for good, or asked to wait for long, is sent once."""
    for fault in (Fault(status=401), Fault(status=429, headers={"retry-after": "3600"})):
        sandbox.faults.add(fault)
        sandbox.requests.clear()
        with pytest.raises(Exception, match="MaaS"):
            PARTS["astream"](num_retries=3, **CALL)
        assert len(sandbox.requests) == 1


# LiteLLM answers a synchronous stream with fallbacks by an asynchronous one, whatever the provider.
@pytest.mark.parametrize("way", WAYS[:2])
def test_fallbacks_of_the_call(sandbox: Sandbox, way: ConnectionReport) -> None:
    """`fallbacks=` goes on to the next model when the first one fails."""
    sandbox.faults.add(Fault(status=503, times=None, model="openai/gpt-4o"))
    outcome = assemble(*way(fallbacks=["maas/gemini/gemini-2.5-flash"], **CALL))
    assert outcome.only.content == "gemini/gemini-2.5-flash heard: Xin chào"


def test_fallbacks_of_an_asynchronous_stream(sandbox: Sandbox) -> None:
    """LiteLLM hands out an asynchronous stream before it is sent: `fallbacks=` come too late, a router's do not."""
    sandbox.faults.add(Fault(status=503, body="busy", times=None, model="openai/gpt-4o"))
    with pytest.raises(litellm.exceptions.MidStreamFallbackError, match="busy"):
        PARTS["astream"](fallbacks=["maas/gemini/gemini-2.5-flash"], **CALL)
    router = litellm.Router(
        model_list=[
            {"model_name": "a", "litellm_params": {"model": "maas/openai/gpt-4o"}},
            {"model_name": "b", "litellm_params": {"model": "maas/gemini/gemini-2.5-flash"}},
        ],
        fallbacks=[{"a": ["b"]}],
        num_retries=0,
    )

    async def consume() -> list[Any]:
        stream: Any = await router.acompletion(model="a", messages=MESSAGES, stream=True)
        return [chunk async for chunk in stream]

    assert assemble(*asyncio.run(consume())).only.content == "gemini/gemini-2.5-flash heard: Xin chào"


def test_router_retries_and_fallbacks(sandbox: Sandbox) -> None:
    """LiteLLM's router tries again and falls back over `maas/` models."""
    router = litellm.Router(
        model_list=[
            {"model_name": "a", "litellm_params": {"model": "maas/openai/gpt-4o"}},
            {"model_name": "b", "litellm_params": {"model": "maas/gemini/gemini-2.5-flash"}},
        ],
        fallbacks=[{"a": ["b"]}],
        num_retries=1,
        retry_after=0,
    )
    sandbox.faults.add(UNAVAILABLE)
    assert "gpt-4o heard" in assemble(router.completion(model="a", messages=MESSAGES)).only.content
    sandbox.faults.add(Fault(status=503, times=None, model="openai/gpt-4o"))
    assert "gemini-2.5-flash heard" in assemble(router.completion(model="a", messages=MESSAGES)).only.content


@pytest.mark.parametrize("way", WAYS)
def test_the_cache(sandbox: Sandbox, way: ConnectionReport) -> None:
    """LiteLLM's cache answers the second call without a request."""
    litellm.cache = litellm.Cache()
    call = {**CALL, "caching": True}
    if way is PARTS["astream"]:
        first, second = asyncio.run(_twice(call))
    else:
        first, second = assemble(*way(**call)), assemble(*way(**call))
    assert first.only.content == second.only.content == "openai/gpt-4o heard: Xin chào"
    assert len(sandbox.requests) == 1


async def _twice(call: dict[str, Any]) -> list[Outcome]:
    first = assemble(*await astream(**call))
    # LiteLLM fills the cache in a task of its own.
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    return [first, assemble(*await astream(**call))]


@pytest.mark.parametrize("wrap", [lambda client: client, lambda client: HTTPHandler(client=client)])
def test_a_client_of_the_callers(sandbox: Sandbox, wrap: Callable[[httpx.Client], Any]) -> None:
    """`client=` takes an httpx client or LiteLLM's handler around one, and uses it."""
    with httpx.Client(headers={"x-from": "own-client"}) as client:
        litellm.completion(client=wrap(client), **CALL)
        list(litellm.completion(client=wrap(client), stream=True, **CALL))
    assert [request.headers["x-from"] for request in sandbox.requests] == ["own-client"] * 2
    assert {request.headers["authorization"] for request in sandbox.requests} == {f"Bearer {KEY}"}


async def test_an_asynchronous_client_of_the_callers(sandbox: Sandbox) -> None:
    """The same holds for asynchronous clients."""
    async with httpx.AsyncClient(headers={"x-from": "own-client"}) as client:
        handler = AsyncHTTPHandler()
        await handler.close()  # type: ignore[no-untyped-call]  # LiteLLM leaves it untyped
        handler.client = client
        for own in (client, handler):
            await litellm.acompletion(client=own, **CALL)
            await astream(client=own, **CALL)
    assert [request.headers["x-from"] for request in sandbox.requests] == ["own-client"] * 4


def test_a_client_of_another_kind_is_refused(sandbox: Sandbox) -> None:
    """A client that the provider cannot use is refused, not silently ignored."""
    with pytest.raises(litellm.BadRequestError, match=r"client= is a .*pass an httpx\.Client"):
        litellm.completion(client=object(), **CALL)
    assert not sandbox.requests


def test_callbacks_see_the_call_without_the_key(sandbox: Sandbox) -> None:
    """LiteLLM's callbacks get the request and the success with its tokens, and never our key from us."""
    seen: list[Any] = []

    class Watch(CustomLogger):
        def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
            seen.append((kwargs["additional_args"]["complete_input_dict"]["model"], kwargs["additional_args"]))

    litellm.callbacks = [Watch()]
    litellm.completion(**CALL)
    ((model, additional),) = seen
    assert model == "openai/gpt-4o"
    assert additional["api_base"].startswith(sandbox.url)
    assert KEY not in repr(additional)


def test_costs_are_dollars(sandbox: Sandbox) -> None:
    """LiteLLM's own cost of a call is the dollar price of its tokens."""
    response: Any = litellm.completion(**CALL)
    charge = sandbox.bill.charges[0]
    dollars = (charge.input_tokens * 70_888 + charge.output_tokens * 283_550) / 1e6 / 28_355
    assert litellm.completion_cost(response) == pytest.approx(dollars)
    assert response._hidden_params["response_cost"] == pytest.approx(dollars)


def test_model_and_provider_apart(sandbox: Sandbox) -> None:
    """Frameworks that pass the provider beside the model reach the same place."""
    litellm.completion(model="openai/gpt-4o", custom_llm_provider="maas", messages=MESSAGES)
    assert sandbox.requests[0].body["model"] == "openai/gpt-4o"


def test_many_explicit_nones(sandbox: Sandbox) -> None:
    """Frameworks that pass every parameter, most of them None, send only what is set."""
    litellm.completion(
        temperature=None, tools=None, tool_choice=None, user=None, reasoning_effort=None, extra_body=None,
        extra_headers=None, stream=None, stream_options=None, max_tokens=None, metadata=None, **CALL
    )  # fmt: skip
    assert set(sandbox.requests[0].body) == {"model", "messages"}


def test_litellms_own_parameters_stay_at_home(sandbox: Sandbox) -> None:
    """What a call says to LiteLLM itself does not go out."""
    litellm.completion(
        metadata={"tags": ["a"]}, num_retries=0, timeout=30, caching=False, drop_params=True, fallbacks=None, **CALL
    )
    assert set(sandbox.requests[0].body) == {"model", "messages"}
