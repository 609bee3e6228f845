"""Usage reports in every shape in which upstreams write them: what is recorded, priced and handed on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import litellm
import pytest

import litellm_maas
from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing.usage import Usage, has_counts, of_embeddings
from litellm_maas.runtime import runtime
from tests.helpers import MESSAGES, astream
from tests.raw_gateway import answering, async_answering, delta, event, reply, serving, usage

GPT, KIMI, MINIMAX = "maas/openai/gpt-4o", "maas/kimi/kimi-k2.6", "maas/minimax/minimax-m3"
DONE = b"data: [DONE]\n\n"
ZERO = {"total_tokens": 0, "total_characters": 0}

pytestmark = pytest.mark.usefixtures("sandbox")


def rows(path: Path) -> list[Event]:
    """What the ledger holds, oldest first."""
    runtime.close()
    ledger = SqliteLedger(path)
    try:
        return list(ledger.events())
    finally:
        ledger.close()


def plain(payload: dict[str, Any], model: str = GPT) -> Any:
    """A plain call that is answered this."""
    return litellm.completion(model=model, messages=MESSAGES, client=answering(json.dumps(payload).encode()))


def stream(*events: bytes, model: str = GPT) -> list[Any]:
    """A stream of these events, read to its end."""
    client = answering(b"".join(events) + DONE)
    return list(litellm.completion(model=model, messages=MESSAGES, stream=True, client=client))


# --- what a report says


@pytest.mark.parametrize(
    ("raw", "counts"),
    [
        (usage(2989, 10, cached_tokens=2989), (2989, 2989, 10, 0)),
        (usage(100, 10, prompt_cache_hit_tokens=60, prompt_cache_miss_tokens=40), (100, 60, 10, 0)),
        (usage(100, 10, prompt_tokens_details={"cached_tokens": 60}), (100, 60, 10, 0)),
        ({"input_tokens": 100, "output_tokens": 10, "input_tokens_details": {"cached_tokens": 60}}, (100, 60, 10, 0)),
        ({"input_tokens": 40, "output_tokens": 10, "cache_read_input_tokens": 60}, (100, 60, 10, 0)),
        (
            {"input_tokens": 30, "output_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10},
            (100, 60, 10, 0),
        ),
        (usage(100, 10, completion_tokens_details={"reasoning_tokens": 7}), (100, 0, 10, 7)),
        (usage(100, 10, reasoning_tokens=7), (100, 0, 10, 7)),
        ({"prompt_tokens": 100.0, "completion_tokens": 10}, (100, 0, 10, 0)),
        # Where the total says that a part stands beside its whole, it is added.
        ({**usage(21, 100, reasoning_tokens=60), "total_tokens": 181}, (21, 0, 160, 60)),
        ({**usage(21, 0, reasoning_tokens=60), "total_tokens": 81}, (21, 0, 60, 60)),
        ({**usage(10, 5, cached_tokens=1000), "total_tokens": 1015}, (1010, 1000, 5, 0)),
        ({**usage(10, 5, cached_tokens=20, reasoning_tokens=30), "total_tokens": 65}, (30, 20, 35, 30)),
        ({**usage(10, 5, reasoning_tokens=9), "total_tokens": 15}, (10, 0, 5, 5)),
    ],
)
def test_a_report_is_read(raw: dict[str, Any], counts: tuple[int, int, int, int]) -> None:
    """Every spelling of a count is read, and a total decides what belongs to what."""
    found = Usage.from_response(raw)
    assert (found.input_tokens, found.cached_tokens, found.output_tokens, found.reasoning_tokens) == counts
    assert found.anomalies == ()
    assert found.is_priceable


@pytest.mark.parametrize(
    "raw",
    [
        {**usage(100, 10), "total_tokens": 5000},
        {**usage(100, 10), "total_tokens": 7},
        {**usage(21, 100, reasoning_tokens=60), "total_tokens": 170},
        {"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 99},
        {"prompt_tokens": 9, "completion_tokens": 1, "reasoning_tokens": 99},
        usage(9, 1, cached_tokens=99),
    ],
)
def test_a_report_that_contradicts_itself_has_no_price(raw: dict[str, Any]) -> None:
    """Counts that cannot all be true are an anomaly, and nothing is priced by them."""
    found = Usage.from_response(raw)
    assert len(found.anomalies) == 1
    assert not found.is_priceable


@pytest.mark.parametrize("raw", [None, {}, ZERO, {"total_tokens": 150}, {"prompt_tokens": None}, usage(0, 0)])
def test_a_report_without_a_count_is_none(raw: object) -> None:
    """An object without any count of input or output says nothing."""
    assert not has_counts(raw)


def test_a_total_alone_is_what_embeddings_read() -> None:
    """Of embeddings there is nothing but input; a total beside it stays what it is."""
    assert Usage.from_response(of_embeddings({"total_tokens": 700})).input_tokens == 700
    assert of_embeddings(usage(700, 0)) == usage(700, 0)


# --- what is recorded


def test_cached_tokens_that_stand_alone(ledger_path: Path) -> None:
    """Kimi's cached tokens cost the cache price: 2,989 at 4,537 and 10 at 113,420 credits per million."""
    plain(reply(usage=usage(2989, 10, cached_tokens=2989)), KIMI)
    (row,) = rows(ledger_path)
    assert (row.cached_tokens, row.micro_credits, row.basis) == (2989, 2989 * 4_537 + 10 * 113_420, "official")


@pytest.mark.parametrize("where", ["finish", "between"])
def test_usage_inside_a_choice(ledger_path: Path, where: str) -> None:
    """Kimi's streams report usage inside the first choice."""
    choice = {"index": 0, "delta": {"content": "hi"}, "usage": usage(1000, 200)}
    choice["finish_reason"] = "stop" if where == "finish" else None
    stream(event({"id": "c", "choices": [choice]}), delta({}, "stop"), model=KIMI)
    (row,) = rows(ledger_path)
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (1000, 200, "reported")


@pytest.mark.parametrize("raw", [{}, ZERO, usage(0, 0), {"prompt_tokens": None}, {"total_tokens": 150}])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_nobody_counted_is_estimated(ledger_path: Path, raw: dict[str, Any], streamed: bool) -> None:
    """A report without a count is no free call: the row is an estimate, and says so."""
    if streamed:
        stream(delta({"content": "xin chào"}), delta({}, "stop"), event({"choices": [], "usage": raw}))
    else:
        plain(reply(usage=raw))
    (row,) = rows(ledger_path)
    assert (row.status, row.usage_source) == ("ok", "estimated")
    assert row.micro_credits == row.input_tokens * 70_888 + row.output_tokens * 283_550 > 0


def test_a_later_placeholder_replaces_no_report(ledger_path: Path) -> None:
    """The last report that has counts is the one that counts."""
    body = [delta({"content": "a"}, usage=usage(1000, 1)), delta({"content": "b"}, usage=usage(1000, 2))]
    stream(*body, delta({}, "stop", usage=ZERO), model=MINIMAX)
    (row,) = rows(ledger_path)
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (1000, 2, "reported")


@pytest.mark.parametrize("how", ["abandoned", "broken off"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_placeholder_makes_no_half_answer_free(ledger_path: Path, how: str, mode: str) -> None:
    """A stream that comes to no end costs what had come by then, although every event says 0."""
    pieces = [delta({"content": "a long piece of text " * 4}, usage=ZERO)] * 30

    def half() -> None:
        done: Any = litellm.completion(model=MINIMAX, messages=MESSAGES, stream=True, client=answering(*pieces))
        for count, _ in enumerate(done):
            if how == "abandoned" and count == 10:
                done.completion_stream.close()
                return

    async def ahalf() -> None:
        call: dict[str, Any] = {"model": MINIMAX, "messages": MESSAGES, "stream": True}
        done: Any = await litellm.acompletion(client=async_answering(*pieces), **call)
        count = 0
        async for _ in done:
            count += 1
            if how == "abandoned" and count == 10:
                await done.completion_stream.aclose()
                return

    try:
        half() if mode == "sync" else asyncio.run(ahalf())
    except litellm.exceptions.MidStreamFallbackError:
        assert how == "broken off"
    (row,) = rows(ledger_path)
    assert (row.status, row.usage_source) == ("cancelled" if how == "abandoned" else "failed", "estimated")
    assert row.micro_credits


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 5}, "no input tokens"),
        ({"prompt_tokens": 5, "completion_tokens": 0}, "no output tokens"),
        ({**usage(100, 10), "total_tokens": 5000}, "total_tokens is 5000"),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 1000}, "1000 cached"),
    ],
)
def test_a_report_that_cannot_be_true_is_not_priced(ledger_path: Path, raw: dict[str, Any], words: str) -> None:
    """A report that contradicts itself, or what was sent and received, is kept, counted and never priced."""
    response = plain(reply(usage=raw))
    (row,) = rows(ledger_path)
    assert (row.status, row.micro_credits, row.basis) == ("ok", None, "unpriced")
    assert [words in anomaly for anomaly in row.anomalies] == [True]
    assert response.choices[0].message.content == "xin chào"


def test_an_answer_without_a_word_may_have_no_output(ledger_path: Path) -> None:
    """A report of 0 output tokens is true where nothing was written."""
    plain(reply({"role": "assistant", "content": ""}, usage=usage(10, 0)))
    (row,) = rows(ledger_path)
    assert (row.micro_credits, row.anomalies) == (10 * 70_888, ())


def test_an_embedding_with_a_total_alone(ledger_path: Path) -> None:
    """The total of embeddings is what they cost, and what the caller sees."""
    body = json.dumps({"data": [{"index": 0, "embedding": [0.1]}], "usage": {"total_tokens": 700}}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    with serving(head + body) as server:
        call: dict[str, Any] = {"model": "maas/qwen/qwen3-embedding-8b", "input": ["a"], "api_base": server.url}
        response = litellm.embedding(**call)
    (row,) = rows(ledger_path)
    assert (row.input_tokens, row.micro_credits, row.usage_source) == (700, 700 * 1_134, "reported")
    assert response.usage.prompt_tokens == 700


@pytest.mark.parametrize("shape", ["event", "plain", "event beside content"])
def test_an_error_is_charged_by_its_own_report(ledger_path: Path, shape: str) -> None:
    """A failed call that brings a usage report costs what that says."""
    broken = {"error": {"message": "boom", "code": 500}, "usage": usage(1000, 500)}
    with pytest.raises((litellm.InternalServerError, litellm.exceptions.MidStreamFallbackError)):
        if shape == "plain":
            plain({**reply(), **broken})
        else:
            stream(*([delta({"content": "xin chào"})] if shape == "event beside content" else []), event(broken))
    (row,) = rows(ledger_path)
    assert (row.status, row.input_tokens, row.output_tokens) == ("failed", 1000, 500)
    assert row.micro_credits == 1000 * 70_888 + 500 * 283_550


@pytest.mark.parametrize(
    "body", [{"detail": "Model is loading"}, {"error": "no"}, {"base_resp": {"status_code": 1008}}]
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_that_failed_before_its_answer_is_free(ledger_path: Path, body: dict[str, Any], streamed: bool) -> None:
    """An error with status 200 and without a report costs nothing."""
    client = answering(json.dumps(body).encode())
    with pytest.raises((litellm.InternalServerError, litellm.exceptions.MidStreamFallbackError)):
        list(litellm.completion(model=GPT, messages=MESSAGES, stream=streamed, client=client))
    (row,) = rows(ledger_path)
    assert (row.status, row.micro_credits) == ("failed", 0)


def test_rows_of_two_calls_are_two(ledger_path: Path) -> None:
    """Two calls are two rows, although the gateway repeats its ids and the caller its own."""
    for read in (10, 20):
        client = answering(json.dumps(reply(usage=usage(read, 5))).encode())
        litellm.completion(model=GPT, messages=MESSAGES, litellm_call_id="mine", client=client)
    assert [row.input_tokens for row in rows(ledger_path)] == [10, 20]


def test_the_cost_of_each_of_two_replies_with_one_id() -> None:
    """`cost_of` reads what stands on a response before it looks an id up."""
    one, two = plain(reply(usage=usage(10, 5))), plain(reply(usage=usage(20, 5)))
    costs = [litellm_maas.cost_of(response) for response in (one, two)]
    assert [cost.micro_credits for cost in costs if cost] == [10 * 70_888 + 5 * 283_550, 20 * 70_888 + 5 * 283_550]


@pytest.mark.parametrize("way", ["stream", "async", "async stream"])
def test_the_cost_of_each_of_two_calls_with_one_id(ledger_path: Path, way: str) -> None:
    """However two calls are made that the gateway gives one id, each has its own cost and its own row."""
    costs = []
    for read in (10, 20):
        last = event({"choices": [], "usage": usage(read, 5)})
        body = delta({"content": "a"}) + delta({}, "stop") + last + DONE
        call: dict[str, Any] = {"model": GPT, "messages": MESSAGES, "litellm_call_id": "mine"}
        if way == "stream":
            found: Any = list(litellm.completion(stream=True, client=answering(body), **call))
        elif way == "async stream":
            found = asyncio.run(astream(client=async_answering(body), **call))
        else:
            plainly = json.dumps(reply(usage=usage(read, 5))).encode()
            found = [asyncio.run(_asynchronously(plainly, call))]
        built = litellm.stream_chunk_builder(found) if "stream" in way else found[0]
        costs.append([cost and cost.micro_credits for cost in map(litellm_maas.cost_of, (found[-1], built))])
    expected = [read * 70_888 + 5 * 283_550 for read in (10, 20)]
    assert costs == [[cost, cost] for cost in expected]
    assert [row.micro_credits for row in rows(ledger_path)] == expected


async def _asynchronously(body: bytes, call: dict[str, Any]) -> Any:
    return await litellm.acompletion(client=async_answering(body), **call)


# --- what the caller sees


@pytest.mark.parametrize("cost", [0.0123, 1.9, 350.7, 12, "3", {"total": 1}])
def test_a_cost_of_the_gateways_is_no_dollar(cost: Any) -> None:
    """What the gateway calls a cost is not taken for LiteLLM's own, in whatever currency it is."""
    response = plain(reply(usage=usage(10, 5, cost=cost)))
    last = event({"choices": [], "usage": usage(10, 5, cost=cost)})
    chunks = stream(delta({"content": "a"}), delta({}, "stop"), last)
    assert 0 < response._hidden_params["response_cost"] < 0.01
    for found in (response.usage, chunks[-1]._hidden_params["usage"]):
        assert (getattr(found, "cost", None) or 0.001) < 0.01  # LiteLLM's own, where it writes one


def test_counts_stay_as_they_came() -> None:
    """The caller's own usage is the gateway's, and fractions that are no counts stay fractions."""
    raw = {**usage(21, 0, queue_time=0.5, completion_tokens_details={"reasoning_tokens": 60}), "total_tokens": 81}
    found = plain(reply(usage=raw)).usage
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens, found.queue_time) == (21, 0, 81, 0.5)
    assert found.completion_tokens_details.reasoning_tokens == 60


def test_cached_tokens_reach_the_caller() -> None:
    """Cached tokens that stand alone are where LiteLLM's callers look for them."""
    assert plain(reply(usage=usage(100, 5, cached_tokens=40))).usage.prompt_tokens_details.cached_tokens == 40


# --- estimates and images

TOOL_ONLY = {"tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "a" * 400}}]}


@pytest.mark.parametrize(
    "message",
    [
        {"content": "a" * 400},
        {"content": None, **TOOL_ONLY},
        {"content": "", "reasoning_content": "a" * 400},
        {"content": None, "refusal": "a" * 400},
        {"content": None, "function_call": {"name": "f", "arguments": "a" * 400}},
        {"content": [{"type": "text", "text": "a" * 400}]},
    ],
)
def test_whatever_was_written_counts_in_an_estimate(ledger_path: Path, message: dict[str, Any]) -> None:
    """An answer of tool calls, reasoning or a refusal is estimated by its length like any other."""
    plain({**reply(message), "usage": None})
    if "tool_calls" in message:
        message["tool_calls"][0]["index"] = 0
    stream(delta(message), delta({}, "stop"))
    for row in rows(ledger_path):
        assert row.usage_source == "estimated"
        assert 100 <= row.output_tokens <= 102


def test_a_schema_counts_in_an_estimate(ledger_path: Path) -> None:
    """Tools and schemas that a model was given to read count in an estimate."""
    schema = {"name": "a", "schema": {"description": "d" * 4000}}
    body = json.dumps({**reply(), "usage": None}).encode()
    wanted: list[dict[str, Any]] = [{}, {"response_format": {"type": "json_schema", "json_schema": schema}}]
    for more in wanted:
        litellm.completion(model=GPT, messages=MESSAGES, client=answering(body), **more)
    without, with_schema = rows(ledger_path)
    assert with_schema.input_tokens - without.input_tokens >= 1000


@pytest.mark.parametrize("asked", [{}, {"size": "auto", "quality": "auto"}, {"size": "1024x1536"}])
def test_an_image_is_recorded_as_it_was_made(ledger_path: Path, asked: dict[str, str]) -> None:
    """Size and quality that stand in an image reply are recorded, whatever was asked for."""
    body = json.dumps({"created": 1, "data": [{"b64_json": "AA"}], "size": "1024x1024", "quality": "high"}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    call: dict[str, Any] = {"model": "maas/openai/gpt-image-2", "prompt": "x", **asked}
    with serving(head + body) as server:
        litellm.image_generation(api_base=server.url, **call)
    (row,) = rows(ledger_path)
    assert (row.images, row.image_size, row.image_quality) == (1, "1024x1024", "high")


@pytest.mark.parametrize(
    ("asked", "said", "cost"),
    [
        ({}, {"size": "1024x1024", "quality": "high"}, 170),
        ({"size": "auto", "quality": "auto"}, {"size": "1536x1024", "quality": "low"}, 30),
        ({"size": "1024x1024", "quality": "high"}, {"size": "1536x1024", "quality": "low"}, 30),
        ({"quality": "low"}, {"size": "1536x1024"}, 30),
        ({"size": "1024x1024", "quality": "high"}, {}, 170),
        ({"size": "1024x1024", "quality": "high"}, {"size": None, "quality": 7}, 170),
    ],
)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_image_costs_what_was_made(
    ledger_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, str],
    said: dict[str, Any],
    cost: int,
    mode: str,
) -> None:
    """An image is priced by the size and quality that its reply says, and by what was asked for where it says none."""
    (tmp_path / "prices.yaml").write_text(
        "format: 1\nlists:\n  - {name: own, from: null, to: null, source: s, models: {openai/gpt-image-2:"
        " {images: {1024x1024: {high: 170}, 1536x1024: {low: 30}}}}}\n"
    )
    monkeypatch.setenv("MAAS_PRICES", str(tmp_path / "prices.yaml"))
    body = json.dumps({"created": 1, "data": [{"b64_json": "AA"}], **said}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    with serving(head + body) as server:
        call: dict[str, Any] = {"model": "maas/openai/gpt-image-2", "prompt": "x", "api_base": server.url, **asked}
        response: Any = (
            litellm.image_generation(**call) if mode == "sync" else asyncio.run(litellm.aimage_generation(**call))
        )
    (row,) = rows(ledger_path)
    assert (row.micro_credits, row.basis) == (cost * 1_000_000, "custom")
    found = litellm_maas.cost_of(response)
    assert found is not None
    assert found.credits == cost


class InterruptedByCallerError(Exception):
    """What a signal handler of the caller's raises, as Celery's does."""


def test_a_call_that_the_caller_interrupts_is_no_free_call(ledger_path: Path) -> None:
    """An exception of the caller's in the midst of a call is the caller giving up: the prompt was sent, and is paid."""

    def body() -> Any:
        yield b'{"id": "c", '
        raise InterruptedByCallerError

    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body())))
    with pytest.raises(Exception):  # noqa: B017, PT011 - LiteLLM wraps it
        litellm.completion(model=GPT, messages=[{"role": "user", "content": "x" * 4000}], client=client)
    (row,) = rows(ledger_path)
    assert (row.status, row.input_tokens, row.usage_source) == ("cancelled", 1000, "estimated")
    assert row.error_class == "InterruptedByCallerError"
    assert row.micro_credits == 1000 * 70_888


UNBUILDABLE: list[dict[str, Any]] = [
    {"extra_headers": {"x-naïve": "a"}},
    {"extra_headers": {"x-a": "chào"}},
    {"extra_body": {"a": object()}},
]


@pytest.mark.parametrize("call", UNBUILDABLE)
def test_a_request_that_cannot_be_built_costs_nothing(ledger_path: Path, call: dict[str, Any]) -> None:
    """What was never sent is no event."""
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(model=GPT, messages=MESSAGES, **call)
    runtime.tracker.recorder().open_in_background()
    assert rows(ledger_path) == []
