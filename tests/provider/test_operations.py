from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import litellm
import pytest

from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import MESSAGES, TOOL

EMBEDDING = "maas/qwen/qwen3-embedding-8b"
CHAT = "maas/openai/gpt-4o"


def both(sync: Callable[..., Any], asynchronous: Callable[..., Any]) -> list[Any]:
    """A synchronous function and its asynchronous twin, as one list of plain callables."""
    return [
        pytest.param(sync, id="sync"),
        pytest.param(lambda **call: asyncio.run(asynchronous(**call)), id="async"),
    ]


@pytest.mark.parametrize("embed", both(litellm.embedding, litellm.aembedding))
def test_embeddings(sandbox: Sandbox, embed: Callable[..., Any]) -> None:
    """Embeddings come back in order, with the gateway's usage."""
    response = embed(model=EMBEDDING, input=["một", "hai ba"], extra_body={"truncate": True})
    assert [item["index"] for item in response.data] == [0, 1]
    assert math.isclose(sum(value * value for value in response.data[0]["embedding"]), 1)
    assert response.usage.prompt_tokens == response.usage.total_tokens == sandbox.bill.charges[0].input_tokens == 3
    body = sandbox.requests[0].body
    assert (body["model"], body["input"], body["truncate"]) == ("qwen/qwen3-embedding-8b", ["một", "hai ba"], True)


@pytest.mark.parametrize("embed", both(litellm.embedding, litellm.aembedding))
def test_embedding_dimensions(sandbox: Sandbox, embed: Callable[..., Any]) -> None:
    """`dimensions` and `user` reach the gateway once `drop_params` gets them past LiteLLM, or in `extra_body`."""
    response = embed(model=EMBEDDING, input=["một"], dimensions=8, user="minh", drop_params=True)
    assert len(response.data[0]["embedding"]) == sandbox.requests[0].body["dimensions"] == 8
    assert sandbox.requests[0].body["user"] == "minh"
    response = embed(model=EMBEDDING, input=["một"], extra_body={"dimensions": 4})
    assert len(response.data[0]["embedding"]) == 4


@pytest.mark.parametrize("embed", both(litellm.embedding, litellm.aembedding))
def test_failing_embeddings(sandbox: Sandbox, embed: Callable[..., Any]) -> None:
    """A failing embedding raises like a failing chat."""
    sandbox.faults.add(Fault(status=429, body="resets in 3s"))
    with pytest.raises(litellm.RateLimitError, match="Wait 3 s"):
        embed(model=EMBEDDING, input=["một"])
    sandbox.faults.add(Fault(status=200, body={"data": "none"}))
    with pytest.raises(litellm.InternalServerError):
        embed(model=EMBEDDING, input=["một"])


@pytest.mark.parametrize("draw", both(litellm.image_generation, litellm.aimage_generation))
def test_images(sandbox: Sandbox, draw: Callable[..., Any]) -> None:
    """Images come back, and size, quality and number reach the gateway."""
    response = draw(model=CHAT, prompt="a cat", n=2, size="1024x1024", quality="low")
    assert [bool(image.b64_json) for image in response.data] == [True, True]
    body = sandbox.requests[0].body
    assert (body["prompt"], body["n"], body["size"], body["quality"]) == ("a cat", 2, "1024x1024", "low")


@pytest.mark.parametrize("draw", both(litellm.image_generation, litellm.aimage_generation))
@pytest.mark.parametrize("usage", [{"prompt_tokens": 5, "completion_tokens": 7}, {"input_tokens": 5}, "none", 7])
def test_images_with_a_strange_report_of_tokens(sandbox: Sandbox, draw: Callable[..., Any], usage: Any) -> None:
    """Images that are there and billed come back, however the gateway counts tokens."""
    body = {"created": 1_730_000_000.5, "data": [{"b64_json": "AAAA"}], "usage": usage}
    sandbox.faults.add(Fault(status=200, body=body))
    response = draw(model=CHAT, prompt="a cat")
    assert [image.b64_json for image in response.data] == ["AAAA"]
    assert response.created == 1_730_000_000


@pytest.mark.parametrize("field", [{"created": 1_730_000_000.5}, {"system_fingerprint": 7}, {"id": None}])
def test_fields_of_another_type_cost_no_answer(sandbox: Sandbox, field: dict[str, Any]) -> None:
    """What says something about a reply may be of any type; the answer comes back."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Chào"}, "finish_reason": "stop"}
    sandbox.faults.add(Fault(status=200, body={"id": "x", "created": 1, "choices": [choice], **field}))
    assert litellm.completion(model=CHAT, messages=MESSAGES).choices[0].message.content == "Chào"


@pytest.mark.parametrize("complete", both(litellm.text_completion, litellm.atext_completion))
def test_text_completion(sandbox: Sandbox, complete: Callable[..., Any]) -> None:
    """Legacy completions work; LiteLLM carries them over chat."""
    response = complete(model=CHAT, prompt="Xin chào")
    assert response.choices[0].text == "openai/gpt-4o heard: Xin chào"
    assert response.usage.completion_tokens == sandbox.bill.charges[0].output_tokens


def test_text_completion_streams(sandbox: Sandbox) -> None:
    """A streamed legacy completion gives the text in pieces."""
    chunks = list(litellm.text_completion(model=CHAT, prompt="Xin chào", stream=True))
    assert "".join(choice.text or "" for chunk in chunks for choice in chunk.choices) == "openai/gpt-4o heard: Xin chào"
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("respond", both(litellm.responses, litellm.aresponses))
def test_responses(sandbox: Sandbox, respond: Callable[..., Any]) -> None:
    """The Responses API works through `maas/`, with reasoning and exact usage; LiteLLM carries it over chat."""
    response = respond(model="maas/openai/gpt-5", input="Xin chào", reasoning={"effort": "low"}, max_output_tokens=60)
    assert response.output[-1].content[0].text == "openai/gpt-5 heard: Xin chào"
    assert response.usage.output_tokens == sandbox.bill.charges[0].output_tokens
    assert sandbox.requests[0].path == "/v1/chat/completions"
    assert "reasoning_effort" in sandbox.requests[0].body


def test_responses_stream(sandbox: Sandbox) -> None:
    """A streamed response ends with the completed one, with its usage."""
    stream: Any = litellm.responses(model=CHAT, input="Xin chào", stream=True)
    events = list(stream)
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == "openai/gpt-4o heard: Xin chào"
    assert events[-1].response.usage.output_tokens == sandbox.bill.charges[0].output_tokens


async def test_anthropic_messages(sandbox: Sandbox) -> None:
    """The Anthropic API works through `maas/`, plain and with tools."""
    response: Any = await litellm.anthropic.messages.acreate(model=CHAT, messages=MESSAGES, max_tokens=100)
    assert response["content"][0]["text"] == "openai/gpt-4o heard: Xin chào"
    assert response["usage"]["output_tokens"] == sandbox.bill.charges[0].output_tokens
    tool = {"name": "get_weather", "input_schema": TOOL["function"]["parameters"]}
    response = await litellm.anthropic.messages.acreate(model=CHAT, messages=MESSAGES, max_tokens=100, tools=[tool])
    assert response["content"][0]["input"] == {"city": "Hà Nội"}


async def test_anthropic_messages_stream(sandbox: Sandbox) -> None:
    """A streamed Anthropic message brings the text and the output tokens."""
    stream: Any = await litellm.anthropic.messages.acreate(model=CHAT, messages=MESSAGES, max_tokens=100, stream=True)
    raw = b"".join([event if isinstance(event, bytes) else str(event).encode() async for event in stream]).decode()
    events = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith("data: ")]
    text = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    assert text == "openai/gpt-4o heard: Xin chào"
    (ending,) = [event for event in events if event["type"] == "message_delta"]
    assert ending["usage"]["output_tokens"] == sandbox.bill.charges[0].output_tokens
