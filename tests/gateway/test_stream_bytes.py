"""Event streams as gateways really send them, cut at every place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import litellm
import pytest
from pydantic import SecretStr

from litellm_maas.gateway import client
from litellm_maas.gateway.endpoint import resolve_endpoint
from litellm_maas.gateway.request import GatewayRequest, Timeouts
from litellm_maas.gateway.sse import SSEDecoder
from litellm_maas.provider.streaming import StreamDecoder
from litellm_maas.sandbox import Answer, Choice, Sandbox, ToolCall
from tests.helpers import KEY, MESSAGES, Assembled, assemble
from tests.raw_gateway import answering, async_answering, chunked, delta, event, serving, usage

CALL: dict[str, Any] = {"model": "maas/openai/gpt-4o", "messages": MESSAGES, "stream": True}
DONE = b"data: [DONE]\n\n"
WHOLE = delta({"content": "xin "}) + delta({"content": "chào"}) + delta({}, "stop")
BROKEN = event({"error": {"message": "boom", "code": 500}})

pytestmark = pytest.mark.usefixtures("sandbox")


def received(*pieces: bytes) -> tuple[str, type[BaseException] | None]:
    """The text that a caller gets of a stream, and the class of the error that it then gets."""
    chunks: list[Any] = []
    try:
        for chunk in litellm.completion(client=answering(*pieces), **CALL):
            chunks.append(chunk)
    except Exception as error:  # noqa: BLE001 - which one is the question
        return _text(chunks), type(getattr(error, "original_exception", None) or error)
    return _text(chunks), None


def received_async(*pieces: bytes) -> tuple[str, type[BaseException] | None]:
    """The same of an asynchronous stream."""
    chunks: list[Any] = []

    async def consume() -> None:
        async for chunk in await litellm.acompletion(client=async_answering(*pieces), **CALL):
            chunks.append(chunk)

    try:
        asyncio.run(consume())
    except Exception as error:  # noqa: BLE001 - which one is the question
        return _text(chunks), type(getattr(error, "original_exception", None) or error)
    return _text(chunks), None


def _text(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def cuts(body: bytes, step: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """A body cut in two at every place."""
    return ((body[:place], body[place:]) for place in range(0, len(body) + 1, step))


def real_stream(sandbox: Sandbox) -> tuple[bytes, Assembled]:
    """What a real server sends for an answer with reasoning and a tool call, and what it comes to."""
    sandbox.script(Answer((Choice("Chào 🦆", "Nghĩ.", (ToolCall("f", '{"a": "é"}'),)),), input_tokens=9, chunk_size=4))
    response = httpx.post(
        f"{sandbox.url}/chat/completions",
        json={
            "model": "openai/gpt-4o",
            "messages": MESSAGES,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        headers={"authorization": f"Bearer {KEY}"},
        trust_env=False,
    )
    return response.content, Assembled("Chào 🦆", "Nghĩ.", {0: ["f", '{"a": "é"}']}, "tool_calls")


def test_a_real_stream_cut_at_every_place(sandbox: Sandbox) -> None:
    """Wherever the network cuts a real server's bytes, the caller gets the same answer."""
    body, sent = real_stream(sandbox)
    request = GatewayRequest(
        resolve_endpoint(None), SecretStr(KEY), "/chat/completions", "openai/gpt-4o", {}, Timeouts()
    )
    for pieces in cuts(body):
        decoder = StreamDecoder(request)
        chunks = [*(chunk for piece in pieces for chunk in decoder.feed(piece)), *decoder.finish()]
        assert assemble(*chunks, {"choices": [{"index": 0, "finish_reason": sent.finish_reason}]}).only == sent
        assert decoder.last()["finish_reason"] == sent.finish_reason
    for pieces in cuts(body, 97):
        assert assemble(*litellm.completion(client=answering(*pieces), **CALL)).only == sent
        assert assemble(*asyncio.run(_all({**CALL, "client": async_answering(*pieces)}))).only == sent


@pytest.mark.parametrize("get", [received, received_async], ids=["sync", "async"])
def test_an_error_costs_nothing_of_what_came_before_it(get: Any) -> None:
    """However the bytes are cut, the content before an error event is handed out first."""
    body = delta({"content": "xin "}) + delta({"content": "chào"}) + BROKEN
    for first, second in cuts(body, 1 if get is received else 11):
        assert get(first, second) == ("xin chào", litellm.InternalServerError)


@pytest.mark.parametrize("get", [received, received_async], ids=["sync", "async"])
@pytest.mark.parametrize(
    "tail",
    [
        b"data: [DONE] \n\n",
        b"data: [DONE]\r\n\r\n",
        b"data:[DONE]",
        b"data: [DON",
        b'data: {"choices',
        b"data: {this is no JSON\n\n",
        b"data: 17\n\n",
        b"data: <html>\n\n",
        b"",
        BROKEN,
        event({"choices": "no"}),
        event({"message": "upstream broke"}),
        event({"choices": [{"index": 0, "delta": {"content": 5}}]}),
        BROKEN + DONE,
    ],
)
def test_nothing_after_a_complete_answer_is_an_error(get: Any, tail: bytes) -> None:
    """What follows the finish reason, in the same read or in the next one, costs the caller nothing."""
    assert get(WHOLE + tail) == ("xin chào", None)
    assert get(WHOLE, tail) == ("xin chào", None)


HEARTBEATS = [b"data: null", b"data:", b"data", b": ping", b"event: ping", b'data: ""', b"data: {}", b""]


@pytest.mark.parametrize("heartbeat", [line + b"\n\n" for line in HEARTBEATS])
def test_heartbeats_hold_nothing(heartbeat: bytes) -> None:
    """Whatever an upstream sends to keep a connection open is passed over, before, in and after an answer."""
    body = heartbeat + delta({"content": "xin "}) + heartbeat + delta({"content": "chào"}, "stop") + heartbeat + DONE
    for first, second in cuts(body, 7):
        assert received(first, second) == ("xin chào", None)


def test_a_byte_order_mark_is_no_part_of_an_event() -> None:
    """A stream may begin with a byte order mark."""
    assert received(b"\xef\xbb\xbf" + WHOLE + DONE) == ("xin chào", None)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_line_ends_cut_in_two(end: bytes) -> None:
    """Every line end that the standard knows, cut in two, ends a line once."""
    body = b"data: a" + end + b"data: b" + end + end + b"data: c" + end + end
    for first, second in cuts(body):
        decoder = SSEDecoder()
        assert [*decoder.feed(first), *decoder.feed(second), *decoder.end()] == [b"a\nb", b"c"]


@pytest.mark.parametrize("reason", ["error", "abort", "network_error", "insufficient_system_resource"])
@pytest.mark.parametrize("get", [received, received_async], ids=["sync", "async"])
def test_an_answer_that_broke_off_is_an_error(get: Any, reason: str) -> None:
    """A finish reason that means a failure is one, after the content that came."""
    body = delta({"content": "half an ans"}) + delta({"content": "wer"}, reason) + DONE
    assert get(body) == ("half an answer", litellm.InternalServerError)


def test_a_choice_may_hold_the_error() -> None:
    """An error that stands in a choice is read as one that stands beside them."""
    choice = {"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "slow down", "code": 429}}
    assert received(delta({"content": "a"}) + event({"choices": [choice]})) == ("a", litellm.RateLimitError)


HELD = chunked(WHOLE + DONE).removesuffix(b"0\r\n\r\n")


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_stream_ends_with_done(mode: str) -> None:
    """A server that keeps the connection open after `[DONE]` keeps nobody waiting."""
    with serving(HELD, keeps_open=True) as server:
        call = {**CALL, "api_base": server.url}
        chunks = asyncio.run(_all(call)) if mode == "async" else list(litellm.completion(**call))
        assert _text(chunks) == "xin chào"
        assert not server.release.is_set()


async def _all(call: dict[str, Any]) -> list[Any]:
    return [chunk async for chunk in await litellm.acompletion(**call)]


def test_usage_after_done_counts() -> None:
    """A usage report that came together with `[DONE]`, behind it, is read."""
    chunks = list(
        litellm.completion(client=answering(WHOLE + DONE + event({"choices": [], "usage": usage(7, 3)})), **CALL)
    )
    assert chunks[-1]._hidden_params["usage"].prompt_tokens == 7


@pytest.mark.parametrize("pieces", [(chunked(WHOLE, DONE),), (HELD, b"0\r\n\r\n")], ids=["at once", "in two"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_stream_gives_its_connection_back(
    monkeypatch: pytest.MonkeyPatch, mode: str, pieces: tuple[bytes, ...]
) -> None:
    """Streams that end in good order use one connection, one after the other."""
    monkeypatch.setattr(client, "_GRACE", 60.0)  # a busy machine may be slow to bring the end

    async def three() -> None:
        for _ in range(3):
            assert _text(await _all({**CALL, "api_base": server.url})) == "xin chào"

    with serving(*pieces) as server:
        if mode == "async":
            asyncio.run(three())
        else:
            assert [_text(list(litellm.completion(**CALL, api_base=server.url))) for _ in range(3)] == ["xin chào"] * 3
        assert server.connections == 1


def test_a_large_event_takes_linear_time() -> None:
    """64 million characters in small pieces are joined once; joined for each piece, they would outlast any patience."""
    big = delta({"content": "A" * 64_000_000})
    decoder, found = SSEDecoder(), list[bytes]()
    for start in range(0, len(big), 1_400):
        found += decoder.feed(big[start : start + 1_400])
    assert [len(data) for data in found] == [len(big) - len(b"data: \n\n")]


SIZE = 64_000_000
LARGE: dict[str, tuple[bytes, int, int]] = {
    "an event that no line ends": (b"data: " + b"A" * SIZE, 1, SIZE),
    "many lines of one event": (b"data: " + b"A" * 999 + b"\n", SIZE // 1_000, SIZE - 1),
    "lines that end with a return": (b"data: " + b"A" * 999 + b"\r", SIZE // 1_000, SIZE - 1),
    "a comment": (b": " + b"A" * SIZE + b"\n\ndata: a\n\n", 1, 1),
    "no event": (b'{"choices": "' + b"A" * SIZE, 1, 0),
}


@pytest.mark.parametrize("name", LARGE)
def test_whatever_is_large_takes_linear_time(name: str) -> None:
    """Whatever 64 million characters in small pieces are, each is copied a few times, and not once for each piece."""
    part, times, length = LARGE[name]
    body = part * times
    decoder, found = SSEDecoder(), list[bytes]()
    for start in range(0, len(body), 1_400):
        found += decoder.feed(body[start : start + 1_400])
    found += decoder.end()
    assert sum(map(len, found)) == length


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_large_event_reaches_the_caller_in_linear_time(mode: str) -> None:
    """A caller has what came in small pieces whole, long before joining it for each piece would end."""
    body = delta({"content": "A" * SIZE}) + delta({}, "stop") + DONE
    pieces = [body[start : start + 1_400] for start in range(0, len(body), 1_400)]
    if mode == "async":
        chunks = asyncio.run(_all({**CALL, "client": async_answering(*pieces)}))
    else:
        chunks = list(litellm.completion(client=answering(*pieces), **CALL))
    assert len(_text(chunks)) == SIZE


@pytest.mark.parametrize("where", ["first", "all"])
def test_all_chunks_of_a_stream_have_one_time(where: str) -> None:
    """`created` is the same in every chunk, whatever the gateway wrote."""
    events = [
        event({"id": "c", "created": 1_700_000_000 + number, "choices": [{"index": 0, "delta": {"content": "a"}}]})
        for number in range(3 if where == "all" else 1)
    ]
    call = {**CALL, "stream_options": {"include_usage": True}}
    body = b"".join(events) + delta({}, "stop") + event({"choices": [], "usage": usage(7, 3)}) + DONE
    chunks = list(litellm.completion(client=answering(body), **call))
    assert len({chunk.created for chunk in chunks}) == 1


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"choices": 5}', b'{"choices": [{"index": 0, "delta": 5}]}', b'{"choices": [{"index": 1e999}]}'],
)
@pytest.mark.parametrize("get", [received, received_async], ids=["sync", "async"])
def test_what_cannot_be_read_is_an_error_of_the_gateways(get: Any, body: bytes) -> None:
    """Nesting, types and numbers that break a reader become LiteLLM's error for a faulty server, and nothing else."""
    assert get(body)[1] in (litellm.InternalServerError, litellm.APIConnectionError)
    assert get(b"data: " + body + b"\n\n")[1] in (litellm.InternalServerError, litellm.APIConnectionError)


UNREADABLE = {
    "deep": b"[" * 200_000,
    "deep choices": b'{"choices": ' + b"[" * 200_000,
    "deep error": b'{"error": ' + b"[" * 200_000,
    "a number of choices": b'{"choices": 5}',
    "an object of choices": b'{"choices": {"a": 1}}',
    "numbers without an end": b'{"choices": [{"index": 1e999, "message": 5}]}',
    "a number of calls": b'{"choices": [{"message": {"content": "a", "tool_calls": 5}}]}',
    "a list in the place of a call": b'{"choices": [{"message": {"content": "a", "tool_calls": [[]]}}]}',
    "a number of many digits": b"9" * 5_000,
    "no UTF-8": b"\xff\xfe{}",
}


async def acompletion(body: bytes, status: int) -> Any:
    """A plain asynchronous call that is answered this."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    return await litellm.acompletion(**{**CALL, "stream": False}, client=httpx.AsyncClient(transport=transport))


def completion(body: bytes, status: int) -> Any:
    """A plain call that is answered this."""
    return litellm.completion(**{**CALL, "stream": False}, client=answering(body, status=status))


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_plain_reply_that_cannot_be_read(mode: str, status: int, name: str) -> None:
    """A plain reply, or the body of an error, that breaks a reader becomes LiteLLM's error for a faulty server."""
    with pytest.raises(litellm.InternalServerError) as caught:
        asyncio.run(acompletion(UNREADABLE[name], status)) if mode == "async" else completion(UNREADABLE[name], status)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    "beside", [{"created": "1e999", "usage": [[]]}, {"usage": 5, "id": []}, {"model": {}, "object": 7}]
)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_what_cannot_be_read_beside_an_answer_costs_no_answer(mode: str, beside: dict[str, Any]) -> None:
    """What stands beside an answer, and cannot be what it is called, loses at most itself."""
    choice = {"message": {"content": "a", **beside}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice], **beside}).encode()
    found = asyncio.run(acompletion(body, 200)) if mode == "async" else completion(body, 200)
    assert found.choices[0].message.content == "a"


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"data": 5}', b'{"data": {"a": 1}}', b"null", b"7", b"\xff{}"])
@pytest.mark.parametrize("operation", ["embedding", "image"])
def test_other_replies_that_cannot_be_read(operation: str, body: bytes) -> None:
    """Embeddings and images whose reply breaks a reader fail as LiteLLM's error for a faulty server."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    with serving(head + body) as server, pytest.raises(litellm.InternalServerError) as caught:
        if operation == "image":
            litellm.image_generation(model="maas/openai/gpt-image-2", prompt="x", api_base=server.url)
        else:
            litellm.embedding(model="maas/qwen/qwen3-embedding-8b", input=["a"], api_base=server.url)
    assert "Traceback" not in str(caught.value)


def test_json_of_an_event_may_stand_on_several_lines() -> None:
    """The lines of an event's data are joined before they are read."""
    content = {"choices": [{"index": 0, "delta": {"content": "xin chào"}, "finish_reason": "stop"}]}
    lines = json.dumps(content, indent=1).splitlines()
    assert received(b"".join(b"data: %s\n" % line.encode() for line in lines) + b"\n") == ("xin chào", None)
