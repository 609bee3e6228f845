"""What only LiteLLM's callback sees, and when recording is on."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import litellm
import pytest
from litellm.caching.caching import Cache
from litellm.integrations.custom_logger import CustomLogger

import litellm_maas
from litellm_maas.ledger.event import Event
from litellm_maas.provider.spend_logger import SpendLogger
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Answer, Choice, Fault, Sandbox
from tests.call_modes import CALL, EACH_WAY, WAYS, by_address, compare, recorded, who
from tests.helpers import KEY, MESSAGES, astream, auntil, until
from tests.ledger_files import rows, total
from tests.raw_gateway import reply, usage
from tests.warm_process import run_warm


@EACH_WAY
def test_provider_and_callback_together(sandbox: Sandbox, ledger_path: Path, way: Callable[..., Any]) -> None:
    """With the callback registered as well, a call is still one row."""
    seen: list[Any] = []

    class Watch(CustomLogger):
        def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            seen.append(kwargs)

        async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            seen.append(kwargs)

    # LiteLLM calls them in this order: when the second has been called, so has the first.
    litellm.callbacks = [litellm_maas.spend_logger, Watch()]
    way(**CALL)
    if way in (WAYS["completion"], WAYS["stream"]):
        until(lambda: seen)
    assert len(compare(ledger_path, sandbox)) == 1


CACHED = pytest.mark.parametrize("way", ["completion", "acompletion", "stream", "astream"])


@CACHED
def test_an_answer_out_of_litellms_cache_costs_nothing(sandbox: Sandbox, ledger_path: Path, way: str) -> None:
    """A cache hit is one row at no cost, with the id of the answer that it repeats; nothing is billed for it."""
    litellm.callbacks = [litellm_maas.spend_logger]
    litellm.cache = Cache()

    async def ask() -> Any:
        response: Any = await litellm.acompletion(caching=True, stream=way == "astream", **CALL, **who())
        return [chunk async for chunk in response][-1] if way == "astream" else response

    async def calls() -> Any:
        first = await ask()
        # LiteLLM fills its cache, and calls back, in the background.
        await auntil(lambda: litellm.cache.cache.cache_dict)  # type: ignore[union-attr]
        second = await ask()
        await auntil(lambda: len(recorded(ledger_path)) == 2)
        return first, second

    if way.startswith("a"):
        first, second = asyncio.run(calls())
    else:
        first, second = (WAYS[way](caching=True, **CALL, **who()) for _ in range(2))
        until(lambda: len(recorded(ledger_path)) == 2)
        if way == "stream":
            first, second = first[-1], second[-1]
    billed, hit = compare(ledger_path, sandbox)
    assert (hit.status, hit.micro_credits, hit.usage_source) == ("cache_hit", 0, "none")
    assert (hit.response_id, hit.tags, hit.user) == (billed.response_id, ("a", "b"), "minh")
    assert len(sandbox.requests) == 1
    assert litellm_maas.cost_of(first).micro_credits == sandbox.bill.micro_credits  # type: ignore[union-attr]
    assert litellm_maas.cost_of(second).micro_credits == 0  # type: ignore[union-attr]


async def acall_by_address(sandbox: Sandbox, ledger_path: Path, calls: list[dict[str, Any]]) -> None:
    """Asynchronous calls by address, whose callbacks have come when it returns."""
    for call in calls:
        if call.get("stream"):
            await astream(**{name: value for name, value in call.items() if name != "stream"})
        else:
            await litellm.acompletion(**call)
    await auntil(lambda: len(recorded(ledger_path)) == len(calls))
    await litellm.close_litellm_async_clients()  # type: ignore[no-untyped-call]  # LiteLLM leaves it untyped


# LiteLLM's own chunks, under a newer pydantic.
OLD_PYDANTIC = pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")


@OLD_PYDANTIC
@pytest.mark.parametrize("is_async", [False, True])
def test_calls_by_address(sandbox: Sandbox, ledger_path: Path, is_async: bool) -> None:
    """`openai/` calls to a MaaS address are recorded by the callback, one row each, with route `base_url`."""
    litellm.callbacks = [litellm_maas.spend_logger]
    asked = {"include_usage": True}
    calls = [
        by_address(sandbox, **who()),
        by_address(sandbox, model="openai/openai/gpt-4o-mini"),
        by_address(sandbox, stream=True, stream_options=asked),
    ]
    if is_async:
        asyncio.run(acall_by_address(sandbox, ledger_path, calls))
    else:
        for number, call in enumerate(calls, 1):
            response = litellm.completion(**call)
            if call.get("stream"):
                list(response)
            until(lambda: len(recorded(ledger_path)) == number)  # noqa: B023 - it is over before the number changes
    events = compare(ledger_path, sandbox)
    assert {event.route for event in events} == {"base_url"}
    assert [event.model for event in events] == ["openai/gpt-4o", "openai/gpt-4o-mini", "openai/gpt-4o"]
    assert (events[0].user, events[0].tags, events[0].session_id) == ("minh", ("a", "b"), "s-1")


@OLD_PYDANTIC
def test_a_stream_by_address_that_asked_for_no_usage_is_estimated(sandbox: Sandbox, ledger_path: Path) -> None:
    """Without the gateway's usage, which only the caller could have asked for, the tokens are called an estimate."""
    litellm.callbacks = [litellm_maas.spend_logger]
    # A word is a token to the sandbox, and to tiktoken, with which LiteLLM counts from 1.109 on.
    sandbox.script(Answer((Choice("city road " * 100),)))
    list(litellm.completion(stream=True, **by_address(sandbox)))
    until(lambda: recorded(ledger_path))
    (event,) = rows(ledger_path)
    assert (event.usage_source, event.basis) == ("estimated", "official")
    # LiteLLM's own count, where it makes one, is of a tokenizer's pieces; the sandbox counts words.
    assert 0.5 < event.output_tokens / sandbox.bill.charges[0].output_tokens < 4
    assert event.input_tokens > 0


@pytest.mark.parametrize("is_async", [False, True])
def test_other_operations_by_address(sandbox: Sandbox, ledger_path: Path, is_async: bool) -> None:
    """Embeddings and images by address are one row each, though LiteLLM gives them no id."""
    litellm.callbacks = [litellm_maas.spend_logger]
    address = {"api_base": sandbox.url, "api_key": KEY}
    embedding: dict[str, Any] = {"model": "openai/qwen/qwen3-embedding-8b", "input": ["một"], **address}
    image: dict[str, Any] = {"model": "openai/openai/gpt-4o", "prompt": "a cat", "n": 2, **address}

    async def calls() -> None:
        await litellm.aembedding(**embedding)
        await litellm.aimage_generation(**image)
        await auntil(lambda: len(recorded(ledger_path)) == 2)
        await asyncio.sleep(0.1)  # for rows that should not come
        await litellm.close_litellm_async_clients()  # type: ignore[no-untyped-call]  # LiteLLM leaves it untyped

    if is_async:
        asyncio.run(calls())
    else:
        litellm.embedding(**embedding)
        litellm.image_generation(**image)
        until(lambda: len(recorded(ledger_path)) == 2)
    first, second = sorted(rows(ledger_path), key=lambda event: event.operation)
    assert (first.operation, first.input_tokens, first.micro_credits) == ("embedding", 1, 1134)
    assert (second.operation, second.images, second.basis) == ("image", 2, "unpriced")
    assert {first.route, second.route} == {"base_url"}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_failure_by_address(sandbox: Sandbox, ledger_path: Path, is_async: bool) -> None:
    """A failing call by address is one row with its status, also where LiteLLM reports it twice."""
    litellm.callbacks = [litellm_maas.spend_logger]
    sandbox.faults.add(Fault(status=403))

    async def fail() -> None:
        with pytest.raises(litellm.APIError):
            await litellm.acompletion(max_retries=0, **by_address(sandbox))
        await auntil(lambda: recorded(ledger_path))
        await litellm.close_litellm_async_clients()  # type: ignore[no-untyped-call]  # LiteLLM leaves it untyped

    if is_async:
        asyncio.run(fail())
    else:
        with pytest.raises(litellm.APIError):
            litellm.completion(max_retries=0, **by_address(sandbox))
        until(lambda: recorded(ledger_path))
    (event,) = rows(ledger_path)
    assert (event.status, event.http_status, event.micro_credits) == ("failed", 403, 0)


def test_a_count_of_litellms_own_is_called_an_estimate(sandbox: Sandbox, ledger_path: Path) -> None:
    """Where LiteLLM has counted the tokens of a stream by itself, its count is taken, and called an estimate."""
    params = {"api_base": sandbox.url, "custom_llm_provider": "openai"}
    kwargs = {"model": "openai/gpt-4o", "litellm_params": params, "stream": True, "litellm_call_id": "c"}
    response = litellm.ModelResponse(usage=litellm.Usage(prompt_tokens=7, completion_tokens=3))
    now = dt.datetime.now()  # noqa: DTZ005 - as LiteLLM passes it
    for _ in range(2):
        litellm_maas.spend_logger.log_success_event(kwargs, response, now, now)
    (event,) = rows(ledger_path)
    assert (event.input_tokens, event.output_tokens, event.usage_source) == (7, 3, "estimated")
    assert event.micro_credits == 7 * 70_888 + 3 * 283_550
    assert abs(event.started_at - dt.datetime.now(dt.timezone.utc)) < dt.timedelta(minutes=1)


def test_calls_of_others_are_not_ours(sandbox: Sandbox, ledger_path: Path) -> None:
    """A call to any other host, or of another provider, is not recorded."""
    litellm.callbacks = [litellm_maas.spend_logger]
    with Sandbox(key=KEY) as elsewhere:
        litellm.completion(**{**by_address(elsewhere), "api_base": elsewhere.url.replace("127.0.0.1", "localhost")})
        litellm.completion(model="openai/gpt-4o", messages=MESSAGES, mock_response="a mock", api_key=KEY)
        litellm.completion(**CALL)
        until(lambda: recorded(ledger_path))
    assert [event.route for event in rows(ledger_path)] == ["provider"]


def test_a_base_url_without_a_host_is_nobodys(
    sandbox: Sandbox, ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a base URL that lacks its scheme, calls of other providers are not taken for MaaS calls."""
    litellm.callbacks = [litellm_maas.spend_logger]
    litellm.completion(**CALL)
    monkeypatch.setenv("MAAS_API_BASE", "gateway.example/v1")
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, mock_response="a mock", api_key=KEY)
    until(lambda: recorded(ledger_path))
    assert [event.route for event in rows(ledger_path)] == ["provider"]


def test_a_mock_costs_nothing(sandbox: Sandbox, ledger_path: Path) -> None:
    """A mocked answer of LiteLLM's reaches no gateway and is no event."""
    litellm.callbacks = [litellm_maas.spend_logger]
    assert litellm_maas.cost_of(litellm.completion(mock_response="a mock", **CALL)) is None
    litellm.completion(**CALL)
    assert len(compare(ledger_path, sandbox)) == 1


def test_off_by_default(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recorded, and no file made, unless somebody asks for it; the cost is known all the same."""
    monkeypatch.setenv("MAAS_LEDGER", str(tmp_path / "ledger.db"))
    response = litellm.completion(**CALL)
    assert list(tmp_path.iterdir()) == []
    assert litellm_maas.cost_of(response).micro_credits == sandbox.bill.micro_credits  # type: ignore[union-attr]


def test_registering_the_callback_switches_recording_on(sandbox: Sandbox, ledger_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip  # noqa: E501
    """`litellm.callbacks = [spend_logger]` alone is enough, and it takes an instance of one's own."""
    monkeypatch.delenv("MAAS_TRACK_SPEND")
    litellm.callbacks = [litellm_maas.spend_logger]
    litellm.completion(**CALL)
    litellm.logging_callback_manager._reset_all_callbacks()  # type: ignore[no-untyped-call]  # noqa: SLF001 - nothing public does it
    litellm.completion(**CALL)
    assert len(rows(ledger_path)) == 1
    litellm.success_callback = [SpendLogger()]
    litellm.completion(**CALL)
    assert len(rows(ledger_path)) == 2


@EACH_WAY
def test_track_spend_survives_a_replaced_callback_list(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[..., Any]
) -> None:
    """`track_spend()` goes on recording when somebody assigns `litellm.callbacks`, into the file that it was given."""
    monkeypatch.setattr(runtime.tracker, "_enabled", False)
    monkeypatch.setattr(runtime.tracker, "_ledger", None)
    path = tmp_path / "my.db"
    litellm_maas.track_spend(path)
    litellm.callbacks = []
    litellm.success_callback = []
    way(**CALL)
    assert len(compare(path, sandbox)) == 1
    runtime.close()


@pytest.mark.process
def test_switching_on_by_the_environment_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    """`MAAS_TRACK_SPEND` records without a line of code, into the user's data folder unless something else is said."""
    code = """
        import litellm, litellm_maas
        litellm.completion(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": "Xin chào"}])
    """
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    run_warm(code, **sandbox.environment(), **home, MAAS_TRACK_SPEND="true")
    assert total(tmp_path / "data" / "litellm-maas" / "ledger.db") == sandbox.bill.micro_credits


@pytest.mark.parametrize(("value", "number"), [("full", 2), ("NORMAL", 1), ("banana", 1)])
def test_the_durability_that_the_environment_asks_for(
    sandbox: Sandbox,
    ledger_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    value: str,
    number: int,
) -> None:
    """`MAAS_LEDGER_SYNC` decides whether each row waits for the disk; what it cannot be is said, and breaks no call."""
    monkeypatch.setenv("MAAS_LEDGER_SYNC", value)
    litellm.completion(**CALL)
    ledger = runtime.tracker.recorder()._ledger  # noqa: SLF001 - the connection that rows are written by
    assert ledger is not None
    assert list(ledger.query("PRAGMA synchronous")) == [(number,)]
    said = [record.getMessage() for record in caplog.records if record.name == "litellm_maas"]
    assert said == (
        ["MAAS_LEDGER_SYNC is 'banana'; set it to normal or full, or unset it"] if value == "banana" else []
    )


def _event_of(call_type: str, response: Any, sandbox: Sandbox, **kwargs: Any) -> None:
    """What LiteLLM tells its callbacks of a call by address."""
    params = {"api_base": sandbox.url, "custom_llm_provider": "openai"}
    about = {"model": "openai/gpt-4o", "litellm_params": params, "litellm_call_id": "c", "call_type": call_type}
    now = dt.datetime.now()  # noqa: DTZ005 - as LiteLLM passes it
    litellm_maas.spend_logger.log_success_event({**about, **kwargs}, response, now, now)


@pytest.mark.parametrize(
    "call_type",
    [
        "aget_responses",
        "adelete_responses",
        "list_input_items",
        "retrieve_batch",
        "acreate_batch",
        "afile_list",
        "search",
    ],
)
def test_what_runs_no_model_is_no_event(sandbox: Sandbox, ledger_path: Path, call_type: str) -> None:
    """Reading, listing and deleting by address is billed by nobody, whatever usage the object that is read repeats."""
    response = litellm.ModelResponse(usage=litellm.Usage(prompt_tokens=1000, completion_tokens=200))
    _event_of(call_type, response, sandbox)
    _event_of("acompletion", response, sandbox)
    assert len(rows(ledger_path)) == 1


@pytest.mark.parametrize(
    ("body", "micro_credits", "source"),
    [
        ({"usage": {"prompt_tokens": 1000, "completion_tokens": 200}}, 1000 * 70_888 + 200 * 283_550, "reported"),
        ({"usage": {"input_tokens": 1000, "output_tokens": 200}}, 1000 * 70_888 + 200 * 283_550, "reported"),
        ({"usage": {}}, None, "none"),
        (None, None, "none"),
    ],
)
def test_a_pass_through_endpoint_is_never_free(
    sandbox: Sandbox, ledger_path: Path, body: Any, micro_credits: int | None, source: str
) -> None:
    """A reply that the proxy passed through costs what its body says, or is unpriced; it is not 0."""
    _event_of("pass_through_endpoint", None, sandbox, passthrough_logging_payload={"response_body": body})
    (event,) = rows(ledger_path)
    assert (event.status, event.micro_credits, event.usage_source) == ("ok", micro_credits, source)
    assert event.basis == ("unpriced" if micro_credits is None else "official")


def test_a_call_by_address_that_nobody_counted_is_estimated(sandbox: Sandbox, ledger_path: Path) -> None:
    """Where the gateway reported nothing, LiteLLM fills in zeros; they are no report."""
    response = litellm.ModelResponse(choices=[{"message": {"content": "a" * 400}}], usage=litellm.Usage())
    _event_of("completion", response, sandbox, messages=[{"role": "user", "content": "b" * 4000}])
    (event,) = rows(ledger_path)
    assert (event.input_tokens, event.output_tokens, event.usage_source) == (1000, 100, "estimated")
    assert event.micro_credits == 1000 * 70_888 + 100 * 283_550


@pytest.mark.parametrize("prompt", ["messages", "input", "both"])
def test_a_prompt_is_counted_once(sandbox: Sandbox, ledger_path: Path, prompt: str) -> None:
    """LiteLLM hands on what was read under one name or under two."""
    said = {
        name: [{"role": "user", "content": "b" * 4000}] for name in ("messages", "input") if prompt in (name, "both")
    }
    _event_of("completion", litellm.ModelResponse(usage=litellm.Usage()), sandbox, **said)
    (event,) = rows(ledger_path)
    assert event.input_tokens == 1000


NO_COUNTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "null": {"usage": None},
    "no fields": {"usage": {}},
    "zeros": {"usage": usage(0, 0)},
    "a total alone": {"usage": {"total_tokens": 150}},
}


@pytest.mark.parametrize("name", NO_COUNTS)
@pytest.mark.parametrize("is_async", [True, False])
def test_a_reply_by_address_without_counts_is_estimated(
    sandbox: Sandbox, ledger_path: Path, name: str, is_async: bool
) -> None:
    """A gateway that answers by address and counts nothing has made no free call: the row is an estimate."""
    body = reply({"role": "assistant", "content": "a" * 400})
    del body["usage"]
    sandbox.faults.add(Fault(status=200, body={**body, **NO_COUNTS[name]}))
    event = recorded_by_address(sandbox, ledger_path, is_async=is_async)
    assert (event.status, event.usage_source, event.basis) == ("ok", "estimated", "official")
    assert (event.input_tokens, event.output_tokens) == (1000, 100)
    assert event.micro_credits == 1000 * 70_888 + 100 * 283_550


def recorded_by_address(sandbox: Sandbox, ledger_path: Path, *, is_async: bool) -> Event:
    """The row of a call by address with a prompt of 4,000 characters."""
    litellm.callbacks = [litellm_maas.spend_logger]
    call = by_address(sandbox, messages=[{"role": "user", "content": "b" * 4000}])

    async def made() -> None:
        await litellm.acompletion(**call)
        await auntil(lambda: recorded(ledger_path))
        await litellm.close_litellm_async_clients()  # type: ignore[no-untyped-call]  # LiteLLM leaves it untyped

    if is_async:
        asyncio.run(made())
    else:
        litellm.completion(**call)
        until(lambda: recorded(ledger_path))
    (event,) = rows(ledger_path)
    return event


@pytest.mark.parametrize(
    ("said", "counts", "is_priced"),
    [
        (usage(1000, 200), (1000, 200), True),
        ({"input_tokens": 1000, "output_tokens": 200}, (1000, 200), True),
        ({**usage(100, 10), "total_tokens": 5000}, (100, 10), False),
        (usage(0, 10), (0, 10), False),
        (usage(1000, 0), (1000, 0), False),
    ],
)
def test_what_a_reply_by_address_counts(
    sandbox: Sandbox, ledger_path: Path, said: dict[str, Any], counts: tuple[int, int], is_priced: bool
) -> None:
    """What is counted by address is the row's, and has a price unless it contradicts itself or what was sent."""
    sandbox.faults.add(Fault(status=200, body=reply({"role": "assistant", "content": "a" * 400}, usage=said)))
    event = recorded_by_address(sandbox, ledger_path, is_async=False)
    assert (event.usage_source, (event.input_tokens, event.output_tokens)) == ("reported", counts)
    assert (event.basis == "official", bool(event.micro_credits), len(event.anomalies)) == (
        (True, True, 0) if is_priced else (False, False, 1)
    )


@pytest.mark.parametrize("name", NO_COUNTS)
def test_an_embedding_by_address_without_counts(sandbox: Sandbox, ledger_path: Path, name: str) -> None:
    """An embedding that nobody counted is estimated; where there is a total, that is what was read."""
    litellm.callbacks = [litellm_maas.spend_logger]
    body = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
    sandbox.faults.add(Fault(status=200, body={**body, **NO_COUNTS[name]}))
    call: dict[str, Any] = {"model": "openai/qwen/qwen3-embedding-8b", "input": ["b" * 4000]}
    litellm.embedding(api_base=sandbox.url, api_key=KEY, encoding_format="float", **call)
    until(lambda: recorded(ledger_path))
    (event,) = rows(ledger_path)
    has_total = name == "a total alone"
    assert (event.operation, event.usage_source) == ("embedding", "reported" if has_total else "estimated")
    assert event.input_tokens == (150 if has_total else 1000)
    assert event.micro_credits == event.input_tokens * 1_134


@pytest.mark.parametrize("zeros", ["prompt_tokens", "completion_tokens", "both"])
def test_counts_beside_zeros_are_the_gateways(sandbox: Sandbox, ledger_path: Path, zeros: str) -> None:
    """A gateway that counts `input_tokens` and `output_tokens` is believed, though LiteLLM puts zeros beside them."""
    names = ("prompt_tokens", "completion_tokens") if zeros == "both" else (zeros,)
    usage: Any = {"input_tokens": 1000, "output_tokens": 200, **dict.fromkeys(names, 0)}
    _event_of("completion", litellm.ModelResponse(usage=litellm.Usage(**usage)), sandbox, messages=MESSAGES)
    (event,) = rows(ledger_path)
    assert (event.input_tokens, event.output_tokens, event.usage_source) == (1000, 200, "reported")


@OLD_PYDANTIC
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@pytest.mark.parametrize("stream", [False, True])
def test_a_response_by_address_costs_what_is_billed(sandbox: Sandbox, ledger_path: Path, stream: bool) -> None:
    """What the gateway counts for the Responses protocol is what is recorded, not an estimate."""
    litellm.callbacks = [litellm_maas.spend_logger]
    found: Any = litellm.responses(
        model="openai/openai/gpt-4o", input="Xin chào", api_base=sandbox.url, api_key=KEY, stream=stream
    )
    if stream:
        list(found)
    until(lambda: recorded(ledger_path))
    (event,), (charge,) = rows(ledger_path), sandbox.bill.charges
    assert (event.input_tokens, event.output_tokens) == (charge.input_tokens, charge.output_tokens)
    assert (event.micro_credits, event.usage_source) == (charge.micro_credits, "reported")


@pytest.mark.parametrize(("usages", "source"), [((None, None), "estimated"), ((None, 1), "reported")])
def test_a_count_of_litellms_own_is_an_estimate(
    sandbox: Sandbox, ledger_path: Path, usages: tuple[Any, ...], source: str
) -> None:
    """Where the gateway was asked for its usage and no chunk of the stream has it, LiteLLM has counted."""
    response = litellm.ModelResponse(usage=litellm.Usage(prompt_tokens=1000, completion_tokens=200))
    read = SimpleNamespace(chunks=[SimpleNamespace(usage=usage) for usage in usages])
    asked = {"stream": True, "optional_params": {"stream_options": {"include_usage": True}}}
    _event_of("completion", response, sandbox, original_response=read, messages=MESSAGES, **asked)
    (event,) = rows(ledger_path)
    assert (event.input_tokens, event.output_tokens, event.usage_source) == (1000, 200, source)


def test_the_usage_of_a_streamed_response_is_the_gateways(sandbox: Sandbox, ledger_path: Path) -> None:
    """The Responses protocol reports usage unasked, streamed or not."""
    response = {"usage": {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}}
    _event_of("aresponses", response, sandbox, stream=True, input="x")
    (event,) = rows(ledger_path)
    assert (event.input_tokens, event.output_tokens, event.usage_source) == (1000, 200, "reported")
