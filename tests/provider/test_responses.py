"""Answers in every shape in which upstreams write them, plain and streamed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import litellm
import pytest

from litellm_maas.provider.thinking import ThinkSplitter
from tests.helpers import MESSAGES, Assembled, assemble, astream
from tests.raw_gateway import answering, async_answering, delta, event, reply, serving, usage

CALL: dict[str, Any] = {"model": "maas/openai/gpt-4o", "messages": MESSAGES}
DONE = b"data: [DONE]\n\n"

pytestmark = pytest.mark.usefixtures("sandbox")


def streamed(*events: bytes, **call: Any) -> Assembled:
    """What a caller gets of a stream of these events."""
    return assemble(*litellm.completion(stream=True, client=answering(b"".join(events) + DONE), **CALL, **call)).only


def plain(payload: object, **call: Any) -> Any:
    """The response to a plain call that is answered this."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return litellm.completion(client=answering(body), **CALL, **call)


async def aplain(body: bytes) -> Any:
    """The response to a plain asynchronous call that is answered this."""
    return await litellm.acompletion(client=async_answering(body), **CALL)


def call_of(name: str = "f", arguments: object = "{}", **rest: Any) -> dict[str, Any]:
    """A tool call."""
    return {"id": "a", "type": "function", "function": {"name": name, "arguments": arguments}, **rest}


# --- why an answer ended


@pytest.mark.parametrize(
    ("written", "read"),
    [("stop", "tool_calls"), ("length", "length"), ("tool_calls", "tool_calls"), (None, "tool_calls")],
)
def test_the_reason_beside_tool_calls(written: str | None, read: str) -> None:
    """`stop` beside tool calls is `tool_calls`, or an agent would end its loop; `length` stays."""
    if written is not None:
        response = plain(reply({"content": None, "tool_calls": [call_of()]}, written))
        assert response.choices[0].finish_reason == read
    reason = written or "stop"
    assert streamed(delta({"tool_calls": [call_of(index=0)]}), delta({}, reason)).finish_reason == read


@pytest.mark.parametrize(("first", "second"), [("tool_calls", "stop"), ("length", "stop"), ("stop", "length")])
def test_the_first_of_two_reasons_counts(first: str, second: str) -> None:
    """An event that comes after the finish reason with another one changes nothing."""
    events = [delta({"content": "a"}), delta({}, first), delta({"content": "b"}, second)]
    answer = streamed(*events)
    assert (answer.finish_reason, answer.content) == (first, "ab")


@pytest.mark.parametrize("reason", ["error", "abort", "network_error", "insufficient_system_resource"])
def test_a_plain_answer_that_broke_off(reason: str) -> None:
    """A plain reply whose finish reason means a failure is one."""
    with pytest.raises(litellm.InternalServerError, match=reason):
        plain(reply(None, reason))


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_an_empty_answer_is_a_success(reason: str) -> None:
    """An answer without any text is delivered with its usage; the finish reason says why it is empty."""
    response = plain(reply({"role": "assistant", "content": ""}, reason))
    assert (response.choices[0].message.content, response.choices[0].finish_reason) == ("", reason)
    assert response.usage.prompt_tokens == 10


# --- tool calls

FRAGMENTS: dict[str, list[dict[str, Any]]] = {
    "no index": [call_of("f", "", id="a"), {"function": {"arguments": "{1}"}}, call_of("g", "{2}", id="b")],
    "all 0": [
        call_of("f", "", id="a", index=0),
        {"index": 0, "function": {"arguments": "{1}"}},
        call_of("g", "{2}", id="b", index=0),
    ],
    "sound": [
        call_of("f", "", id="a", index=0),
        call_of("g", "", id="b", index=1),
        {"index": 0, "function": {"arguments": "{1}"}},
        {"index": 1, "function": {"arguments": "{2}"}},
    ],
    "from 1": [call_of("f", "{1}", id="a", index=1), call_of("g", "{2}", id="b", index=2)],
    "the id again": [
        call_of("f", "", id="a"),
        call_of("", "{1}", id="a"),
        call_of("g", "", id="b"),
        call_of("", "{2}", id="b"),
    ],
    "a new id in each fragment": [
        call_of("f", "{", id="a", index=0),
        call_of("", "1}", id="b", index=0),
        call_of("g", "{", id="c", index=1),
        call_of("", "2}", id="d", index=1),
    ],
    "neither": [{"function": {"name": "f", "arguments": "{1}"}}, {"function": {"name": "g", "arguments": "{2}"}}],
    "numbers as ids": [call_of("f", "{1}", id=1, index=0), call_of("g", "{2}", id=2, index=0)],
    "null and objects": [
        call_of("f", None, id="a", index=0),
        {"index": 0, "function": None},
        {"index": 0, "function": {"name": None, "arguments": "{1}"}},
        call_of("g", "{2}", id="b", index=1),
    ],
}


@pytest.mark.parametrize("fragments", FRAGMENTS.values(), ids=FRAGMENTS)
@pytest.mark.parametrize("together", [False, True])
def test_tool_calls_are_told_apart(fragments: list[dict[str, Any]], together: bool) -> None:
    """Parallel calls come out as two, each with its arguments, whatever an upstream does with index and id."""
    deltas = [fragments] if together else [[fragment] for fragment in fragments]
    answer = streamed(*(delta({"tool_calls": each}) for each in deltas), delta({}, "tool_calls"))
    assert answer.tools == {0: ["f", "{1}"], 1: ["g", "{2}"]}


def test_a_call_without_an_id_gets_one() -> None:
    """A caller can say which of two calls it answers, although the upstream named neither."""
    body = b"".join(delta({"tool_calls": [each]}) for each in FRAGMENTS["neither"]) + delta({}, "tool_calls") + DONE
    chunks = list(litellm.completion(stream=True, client=answering(body), **CALL))
    ids = [call.id for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert len(set(ids)) == 2
    assert all(ids)


def test_arguments_may_be_an_object() -> None:
    """Arguments that an upstream wrote as JSON and not as a text arrive as a text."""
    (found,) = plain(reply({"tool_calls": [call_of("f", {"a": "é"})]})).choices[0].message.tool_calls
    assert found.function.arguments == '{"a": "é"}'
    assert streamed(delta({"tool_calls": [call_of("f", {"a": 1}, index=0)]}, "stop")).tools == {0: ["f", '{"a": 1}']}


# --- where the text stands

TEXT = {"type": "text", "text": "chào"}


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": "xin chào"}},
        {"delta": {"content": "xin chào"}},
        {"text": "xin chào"},
        {"message": {"content": ["xin ", "chào"]}},
        {"message": {"content": [{"type": "text", "text": "xin "}, TEXT]}},
        {"message": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, "xin ", TEXT]}},
        {"message": "xin chào"},
    ],
)
def test_wherever_the_text_stands(choice: dict[str, Any]) -> None:
    """A text in the wrong field, or in parts, is read as one, plain and in an event."""
    payload = {"id": "c", "choices": [{"index": 0, **choice, "finish_reason": "stop"}], "usage": usage(1, 1)}
    assert plain(payload).choices[0].message.content == "xin chào"
    assert streamed(event(payload)).content == "xin chào"


@pytest.mark.parametrize(
    "content",
    [
        ["xin ", "chào"],
        [{"type": "text", "text": "xin "}, TEXT],
        [{"text": "xin chào"}],
        [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "xin chào"}],
    ],
)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_parts_in_a_delta_are_a_text(content: Any, mode: str) -> None:
    """Whoever adds up the deltas of a stream has texts to add, where the upstream sends parts."""
    body = delta({"role": "assistant", "content": content}) + delta({"content": ["!"]}, "stop") + DONE
    if mode == "async":
        chunks = asyncio.run(astream(client=async_answering(body), **CALL))
    else:
        chunks = list(litellm.completion(stream=True, client=answering(body), **CALL))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "xin chào!"


@pytest.mark.parametrize("choice", [{}, {"message": None}, {"message": 5}, {"message": {"content": 5}}, {"delta": []}])
def test_an_answer_that_stands_nowhere_is_an_error(choice: dict[str, Any]) -> None:
    """What holds no answer is never an empty success."""
    with pytest.raises(litellm.InternalServerError):
        plain({"id": "c", "choices": [{"index": 0, **choice, "finish_reason": "stop"}], "usage": usage(1, 1)})


def test_a_last_event_that_repeats_the_whole_answer() -> None:
    """A final event with the complete message adds nothing to what was streamed."""
    last = {"id": "c", "choices": [{"index": 0, "message": {"content": "xin chào"}, "finish_reason": "stop"}]}
    assert streamed(delta({"content": "xin "}), delta({"content": "chào"}), event(last)).content == "xin chào"


# --- thinking

THOUGHTS = {
    '<think>hm</think>{"a": 1}': ("hm", '{"a": 1}'),
    "\n <think>\nhm\n</think>\n\nchào": ("\nhm\n", "chào"),
    "<thinking>hm</thinking>chào": ("hm", "chào"),
    "<think></think>chào": ("", "chào"),
    "<think>a</thi</think>b": ("a</thi", "b"),
    "chào <think>hm</think>": ("", "chào <think>hm</think>"),
    "<b>chào</b>": ("", "<b>chào</b>"),
    "<thin": ("", "<thin"),
    "<think>never closed": ("never closed", ""),
    "  chào": ("", "  chào"),
    "<think>a</think><think>b</think>": ("a", "<think>b</think>"),
    "": ("", ""),
}


@pytest.mark.parametrize("text", THOUGHTS)
def test_leading_thinking_is_told_apart(text: str) -> None:
    """A leading tag's content is reasoning, plain and streamed, and nothing is lost, wherever the text is cut."""
    message = plain(reply({"content": text})).choices[0].message
    assert (getattr(message, "reasoning_content", None) or "", message.content) == THOUGHTS[text]
    for size in (1, 2, 5, len(text) + 1):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        answer = streamed(*(delta({"content": piece}) for piece in pieces), delta({}, "stop"))
        assert (answer.reasoning, answer.content) == THOUGHTS[text]
    for cut in range(len(text) + 1):
        splitter = ThinkSplitter()
        found = [splitter.feed(text[:cut]), splitter.feed(text[cut:]), splitter.end()]
        assert tuple(map("".join, zip(*found, strict=True))) == THOUGHTS[text]


def test_thinking_in_its_own_field_leaves_the_text_alone() -> None:
    """Where an upstream gives the reasoning in a field, a tag in the text is the model's own text."""
    text = "<think> is a tag"
    message = plain(reply({"content": text, "reasoning_content": "hm"})).choices[0].message
    assert (message.reasoning_content, message.content) == ("hm", text)
    answer = streamed(delta({"reasoning": "hm"}), delta({"content": text}), delta({}, "stop"))
    assert (answer.reasoning, answer.content) == ("hm", text)


# --- a stream in the place of a reply, numbers of choices, other fields


@pytest.mark.parametrize("begins", [b"", b": hello\n\n", b"event: x\n", b"\n\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_stream_in_the_place_of_a_plain_reply(begins: bytes, mode: str) -> None:
    """An event stream that nobody asked for is read as the reply that it comes to."""
    body = (
        begins
        + delta({"role": "assistant", "content": "<think>hm</think>xin "})
        + delta({"content": "chào", "tool_calls": [call_of("f", "", index=0)]})
        + delta({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, "stop", citations=["https://a"])
        + event({"choices": [], "usage": usage(10, 5)})
        + DONE
    )
    response: Any = plain(body) if mode == "sync" else asyncio.run(aplain(body))
    message = response.choices[0].message
    assert (message.content, message.reasoning_content) == ("xin chào", "hm")
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls] == [("a", "f", "{}")]
    assert (response.choices[0].finish_reason, response.usage.total_tokens, response.id) == ("tool_calls", 15, "c")
    assert response.citations == ["https://a"]


@pytest.mark.parametrize("ending", [b"", event({"error": {"message": "slow down", "code": 429}})])
def test_half_a_stream_in_the_place_of_a_plain_reply(ending: bytes) -> None:
    """A stream that breaks off is an error there too."""
    with pytest.raises(litellm.RateLimitError if ending else litellm.APIConnectionError):
        plain(delta({"content": "xin "}) + ending)


@pytest.mark.parametrize("index", [1, 7, "0", None, 2.0])
def test_a_single_choice_is_number_0(index: Any) -> None:
    """Whatever an upstream begins to count with, a caller of one choice finds it where it looks."""
    choice = {"index": index, "message": {"content": "xin chào"}, "finish_reason": "stop"}
    assert plain({"choices": [choice], "usage": usage(1, 1)}).choices[0].index == 0
    assert streamed(event({"choices": [choice]})).content == "xin chào"


def test_several_choices_that_begin_with_1() -> None:
    """Choices numbered from 1 are numbered by their places."""
    choices = [{"index": number, "message": {"content": str(number)}, "finish_reason": "stop"} for number in (1, 2)]
    found = plain({"choices": choices, "usage": usage(1, 1)}, n=2).choices
    assert [(choice.index, choice.message.content) for choice in found] == [(0, "1"), (1, "2")]


OTHERS: dict[str, Any] = {"citations": ["https://a"], "search_results": [{"title": "a"}], "web_search": [{"link": "b"}]}


def test_other_fields_are_kept() -> None:
    """What the protocol does not know reaches the caller, of a reply, a choice, a message and a delta."""
    payload = {**reply({"content": "a", "own": 1}), **OTHERS}
    payload["choices"][0] |= {"stop_reason": "eos", "content_filter_results": {"hate": {"filtered": False}}}
    response = plain(payload)
    for name, value in OTHERS.items():
        assert getattr(response, name) == value
    assert response.choices[0].stop_reason == "eos"
    assert response.choices[0].content_filter_results == {"hate": {"filtered": False}}
    assert response.choices[0].message.own == 1
    body = delta({"content": "a"}) + delta({}, "stop", **OTHERS) + DONE
    chunks = list(litellm.completion(stream=True, client=answering(body), **CALL))
    for name, value in OTHERS.items():
        assert [getattr(chunk, name) for chunk in chunks if hasattr(chunk, name)] == [value]


def test_other_fields_of_a_streams_choices_are_kept() -> None:
    """What the protocol does not know of a choice and of a delta reaches the caller in the chunk that has it."""
    filtered = {"hate": {"filtered": False}}
    choices = [
        {"index": 0, "delta": {"content": "a", "own": 1}, "content_filter_results": filtered},
        {"index": 0, "delta": {"content": "b"}, "stop_reason": "eos", "finish_reason": "stop"},
    ]
    body = b"".join(event({"id": "c", "choices": [choice]}) for choice in choices) + DONE
    chunks = list(litellm.completion(stream=True, client=answering(body), **CALL))
    found = [choice for chunk in chunks for choice in chunk.choices]
    assert [each.content_filter_results for each in found if hasattr(each, "content_filter_results")] == [filtered]
    assert [each.stop_reason for each in found if hasattr(each, "stop_reason")] == ["eos"]
    assert [each.delta.own for each in found if hasattr(each.delta, "own")] == [1]


@pytest.mark.parametrize(
    "beside", [{"annotations": [{"type": "x"}]}, {"audio": 5}, {"images": [7]}, {"thinking_blocks": 1}]
)
def test_an_odd_field_beside_the_answer_costs_no_answer(beside: dict[str, Any]) -> None:
    """A field of a shape that LiteLLM does not know loses at most itself."""
    message = plain(reply({"content": "a", "reasoning_content": "hm", **beside})).choices[0].message
    assert (message.content, message.reasoning_content) == ("a", "hm")
    assert streamed(delta({"content": "a", **beside}), delta({}, "stop")).content == "a"


@pytest.mark.parametrize("name", ["stream", "response_ms", "hidden_params", "_private", "cost"])
def test_fields_that_mean_something_to_litellm_stay_out(name: str) -> None:
    """A field of the gateway's that LiteLLM would take for its own changes nothing."""
    response = plain({**reply(), name: 7})
    assert response.choices[0].message.content == "xin chào"
    assert getattr(response, name, None) != 7


@pytest.mark.parametrize(("written", "read"), [("1700000000", 1_700_000_000), (1.7e9, 1_700_000_000), (17, 17)])
def test_the_time_of_a_reply(written: Any, read: int) -> None:
    """`created` is read as a number, also where it is written as a text."""
    assert plain(reply(created=written)).created == read


@pytest.mark.parametrize("written", ["soon", None, [], 1e999, True])
def test_a_time_that_is_none(written: Any) -> None:
    """A `created` that is no time is left to LiteLLM."""
    assert plain(reply(created=written)).created > 1_700_000_000


def test_images_keep_what_the_reply_says_of_them() -> None:
    """Size, quality and the usage of an image reply reach the caller."""
    said = {"size": "1024x1024", "quality": "high", "background": "opaque", "output_format": "png"}
    used = {"input_tokens": 10, "output_tokens": 4160, "total_tokens": 4170}
    details = {"input_tokens_details": {"text_tokens": 10, "image_tokens": 0}}
    body = json.dumps({"created": 1, "data": [{"b64_json": "AA"}], **said, "usage": {**used, **details}}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    with serving(head + body) as server:
        response: Any = litellm.image_generation(model="maas/openai/gpt-image-2", prompt="x", api_base=server.url)
    assert {name: getattr(response, name) for name in said} == said
    assert (response.usage.input_tokens, response.usage.output_tokens) == (10, 4160)
