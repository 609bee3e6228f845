from __future__ import annotations

import asyncio
import gc
import random
from typing import Any

import httpx
import litellm
import pytest
from litellm.integrations.custom_logger import CustomLogger

from litellm_maas.sandbox import Answer, Choice, Fault, Sandbox, ToolCall
from tests.helpers import MESSAGES, Assembled, assemble, astream, until

CALL: dict[str, Any] = {"model": "maas/openai/gpt-4o", "messages": MESSAGES}
WORDS = [
    "xin",
    " chào",
    "\n\n",
    "data: ",
    " [DONE]",
    " €",
    "🦆",
    ' "quoted"',
    "\\",
    " ",
    "Hà Nội",
    " \u2028",
    "a",
    "{}",
]


class Events(CustomLogger):
    """Collects LiteLLM's success events."""

    def __init__(self) -> None:
        super().__init__()
        self.usages: list[Any] = []
        self._changed = asyncio.Event()

    async def arrived(self, number: int) -> None:
        """Wait until so many events have come."""
        while len(self.usages) < number:
            self._changed.clear()
            await self._changed.wait()

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """LiteLLM calls this from a thread after a synchronous stream."""
        self.usages.append(response_obj.usage)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """LiteLLM calls this after an asynchronous stream."""
        self.usages.append(response_obj.usage)
        self._changed.set()


def random_answer(seed: int) -> Answer:
    """An answer that a seed decides: text, reasoning, tools, cached tokens, one or several choices."""
    pick = random.Random(seed)

    def text(longest: int) -> str:
        return "".join(pick.choices(WORDS, k=pick.randint(0, longest)))

    def choice() -> Choice:
        tools = tuple(
            ToolCall(f"tool_{i}", '{"a": "' + "é" * pick.randint(0, 9) + '"}') for i in range(pick.randint(0, 2))
        )
        return Choice(text(30), text(15) if pick.random() < 0.5 else "", tools)

    input_tokens = pick.randint(1, 5000)
    return Answer(
        tuple(choice() for _ in range(pick.choice([1, 1, 2, 3]))),
        input_tokens=input_tokens,
        cached_tokens=pick.randint(0, input_tokens),
        reasoning_field=pick.choice(["reasoning_content", "reasoning"]),
        chunk_size=pick.choice([1, 2, 3, 4, 7]),
    )


def sent_choices(answer: Answer) -> dict[int, Assembled]:
    """What the sandbox sends, as the caller should have it in the end."""
    return {
        index: Assembled(
            content=choice.content,
            reasoning=choice.reasoning,
            tools={i: [call.name, call.arguments] for i, call in enumerate(choice.tool_calls)},
            finish_reason=choice.ends_with,
        )
        for index, choice in enumerate(answer.choices)
    }


def counts(usage: Any) -> tuple[int, int, int, int]:
    """Input, cached, output and reasoning tokens of a usage object."""
    return (
        usage.prompt_tokens,
        usage.prompt_tokens_details.cached_tokens,
        usage.completion_tokens,
        usage.completion_tokens_details.reasoning_tokens,
    )


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_two_hundred_random_streams_arrive_whole_with_exact_usage(sandbox: Sandbox, mode: str) -> None:
    """What the caller assembles and the usage in the success event equal what the gateway sent, 200 times of 200."""
    events = Events()
    litellm.callbacks = [events]
    answers = [random_answer(seed) for seed in range(200)]
    sandbox.script(*answers)

    async def one_after_another() -> list[list[Any]]:
        streams = []
        for position in range(len(answers)):
            streams.append(await astream(**CALL))
            await events.arrived(position + 1)
        return streams

    if mode == "async":
        streams = asyncio.run(one_after_another())
    else:
        streams = [list(litellm.completion(stream=True, **CALL)) for _ in answers]
    for answer, chunks in zip(answers, streams, strict=True):
        assert assemble(*chunks).choices == sent_choices(answer)
        assert counts(chunks[-1]._hidden_params["usage"]) == _sent_counts(answer)
    # LiteLLM hands events of synchronous streams to a pool of threads; joining the pool would end it for good.
    until(lambda: len(events.usages) == len(answers))
    assert sorted(map(counts, events.usages)) == sorted(map(_sent_counts, answers))


def _sent_counts(answer: Answer) -> tuple[int, int, int, int]:
    return (answer.input_tokens or 0, answer.cached_tokens or 0, answer.output_tokens, answer.reasoning_tokens)


def test_usage_chunk_only_when_asked_for(sandbox: Sandbox) -> None:
    """The gateway is always asked for usage; the caller sees a usage chunk only if it asked for one itself."""
    silent = list(litellm.completion(stream=True, **CALL))
    asked = list(litellm.completion(stream=True, stream_options={"include_usage": True}, **CALL))
    assert all(request.body["stream_options"] == {"include_usage": True} for request in sandbox.requests)
    assert [getattr(chunk, "usage", None) for chunk in silent] == [None] * len(silent)
    assert counts(asked[-1].usage) == (
        sandbox.bill.charges[1].input_tokens,
        0,
        sandbox.bill.charges[1].output_tokens,
        0,
    )


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_stream_chunk_builder_keeps_the_gateways_usage(sandbox: Sandbox, mode: str) -> None:
    """`litellm.stream_chunk_builder` on the caller's chunks gives the gateway's exact usage and the whole text."""
    sandbox.script(Answer((Choice("Xin chào", "Nghĩ."),), input_tokens=1000, cached_tokens=900))
    call = {**CALL, "stream_options": {"include_usage": True}}
    chunks = asyncio.run(astream(**call)) if mode == "async" else list(litellm.completion(stream=True, **call))
    built: Any = litellm.stream_chunk_builder(chunks)
    assert counts(built.usage) == (1000, 900, 4, 2)
    assert built.choices[0].message.content == "Xin chào"
    assert built.choices[0].message.reasoning_content == "Nghĩ."


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(cut_after=4), litellm.APIConnectionError),
        (Fault(stop_after=4), litellm.APIConnectionError),
        (Fault(error_after=4), litellm.InternalServerError),
        (Fault(error_after=4, error={"message": "slow down", "type": "rate_limit_error"}), litellm.RateLimitError),
        (Fault(error_after=4, error="upstream failed"), litellm.InternalServerError),
        (Fault(garbage_after=4), litellm.InternalServerError),
        (Fault(hang_after=4), litellm.Timeout),
    ],
    ids=["cut", "ended early", "error event", "rate limit event", "error as text", "garbage", "stalled"],
)
def test_a_stream_that_fails_keeps_what_was_yielded(sandbox: Sandbox, fault: Fault, error: type, mode: str) -> None:
    """A stream that fails in the middle yields what had come, then raises an error that holds the right one."""
    sandbox.faults.add(fault)
    received: list[Any] = []

    async def consume() -> None:
        async for chunk in await litellm.acompletion(stream=True, timeout=1, **CALL):
            received.append(chunk)

    with pytest.raises((litellm.exceptions.MidStreamFallbackError, litellm.Timeout)) as caught:
        if mode == "async":
            asyncio.run(consume())
        else:
            received.extend(_until_error(litellm.completion(stream=True, timeout=1, **CALL), received))
    assert isinstance(getattr(caught.value, "original_exception", caught.value), error)
    assert assemble(*received).only.content == "openai/gpt-4"


def _until_error(stream: Any, received: list[Any]) -> list[Any]:
    for chunk in stream:
        received.append(chunk)
    return []


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (Fault(without_done=True), Answer((Choice("xong"),))),
        (Fault(), Answer((Choice("xong"),), usage=False)),
        (Fault(without_done=True), Answer((Choice("xong"),), usage=False)),
        (Fault(stop_after=3), Answer((Choice("xong"),))),
        (Fault(cut_after=3), Answer((Choice("xong"),))),
    ],
    ids=["no DONE", "no usage", "neither", "ends after the finish reason", "cut after the finish reason"],
)
def test_a_stream_whose_answer_is_complete_ends_well(sandbox: Sandbox, fault: Fault, answer: Answer, mode: str) -> None:
    """What is missing after the finish reason (usage, `[DONE]`, a clean end) costs the caller nothing."""
    sandbox.faults.add(fault)
    sandbox.script(answer)
    chunks = asyncio.run(astream(**CALL)) if mode == "async" else list(litellm.completion(stream=True, **CALL))
    assert assemble(*chunks).choices == sent_choices(answer)


def _serve(body: bytes, **headers: str) -> httpx.Client:
    """A client whose server answers this body: for streams that no sandbox would send."""
    return httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers=headers)))


def _event(content: str, finish: str | None = None) -> bytes:
    finish_json = "null" if finish is None else f'"{finish}"'
    return b'data: {"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":%s}]}' % (
        content.encode(),
        finish_json.encode(),
    )


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    "body",
    [
        _event("xin ") + b"\r\n\r\n" + _event("chào", "stop") + b"\r\n\r\n",
        _event("xin ") + b"\r\r" + _event("chào", "stop") + b"\r\r",
        b": keep-alive\n\nevent: message\nid: 7\n" + _event("xin ") + b"\n\n\n\n" + _event("chào", "stop"),
        b'data:{"choices":[{"index":0,\ndata:"delta":{"content":"xin ch\xc3\xa0o"},"finish_reason":"stop"}]}\n\n',
        b'{"choices": [{"index": 0, "message": {"content": "xin ch\xc3\xa0o"}, "finish_reason": "stop"}]}',
    ],
    ids=["CRLF", "CR", "comments and other fields", "data over two lines", "a plain reply instead of a stream"],
)
def test_every_spelling_of_an_event_stream_is_read(body: bytes) -> None:
    """Line ends, comments, split data and a plain reply in the place of a stream give the same text."""
    for cut in range(1, 6):
        pieces = httpx.Client(transport=_Pieces(body, cut))
        chunks = list(litellm.completion(stream=True, client=pieces, **CALL))
        assert assemble(*chunks).only.content == "xin chào"


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    "body",
    [
        _event("xin ", "") + b"\n\n" + _event("ch", ""),
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{"content":"ha"}}]}\n\n',
    ],
    ids=["an empty finish reason", "the other choice"],
)
def test_half_an_answer_is_no_answer(body: bytes) -> None:
    """A stream that ends before every choice has a finish reason is an error, also where upstreams write empty ones."""
    with pytest.raises(litellm.exceptions.MidStreamFallbackError):
        list(litellm.completion(stream=True, client=_serve(body), **CALL))


class _Pieces(httpx.BaseTransport):
    """Answers a body cut into pieces of a few bytes, so that every boundary is met once."""

    def __init__(self, body: bytes, size: int) -> None:
        self._pieces = [body[start : start + size] for start in range(0, len(body), size)]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        return httpx.Response(200, content=iter(self._pieces), request=request)


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><head><title>Welcome</title></head></html>",
        b'{"error": {"message": "no such thing", "code": 500}}',
        b'data: {"choices": [{"index": 0, "delta": {"content": 5}}]}\n\ndata: {"choices": "no"}\n\n',
        b'data: {"message": "upstream broke", "code": 500}\n\n',
        b"data: 17\n\n",
    ],
)
def test_a_reply_that_is_no_stream_is_an_error(body: bytes) -> None:
    """A body that is neither a stream nor a reply raises, and its text is not taken for an answer."""
    with pytest.raises(litellm.exceptions.MidStreamFallbackError):
        list(litellm.completion(stream=True, client=_serve(body), **CALL))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_abandoned_stream_closes_its_connection(sandbox: Sandbox, mode: str) -> None:
    """A stream that the caller drops is closed at once, and the gateway sees the connection end."""
    sandbox.faults.add(Fault(chunk_delay=0.05, times=None))
    sandbox.script(Answer((Choice("từ " * 200),)))

    async def drop() -> None:
        stream: Any = await litellm.acompletion(stream=True, **CALL)
        await stream.__anext__()
        await stream.aclose()

    if mode == "async":
        asyncio.run(drop())
    else:
        next(litellm.completion(stream=True, **CALL))
        gc.collect()
    until(lambda: sandbox.bill.charges)
    (charge,) = sandbox.bill.charges
    assert not charge.complete
    assert charge.output_tokens < 200
    sandbox.faults.clear()
    assert assemble(litellm.completion(**CALL)).only.content


@pytest.mark.parametrize(
    "bad",
    [
        {"prompt_tokens": -5},
        {"prompt_tokens": "many"},
        {"prompt_tokens": 10**12},
        [],
        "x",
        {
            "prompt_tokens": 5,
            "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": 9, "audio_tokens": "z"},
        },
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_nonsense_usage_breaks_no_call(sandbox: Sandbox, bad: Any, stream: bool) -> None:
    """A reply whose usage is nonsense is delivered all the same, with no negative or absurd count."""
    sandbox.script(Answer((Choice("xong"),), usage=bad))
    response = litellm.completion(stream=stream, **CALL)
    outcome = assemble(*response) if stream else assemble(response)
    assert outcome.only.content == "xong"
    if not stream:
        assert 0 <= response.usage.prompt_tokens < 10**9
