"""The offline MaaS behaves as the gateway is known to, seen by plain HTTP clients."""

from __future__ import annotations

import json
import time
from typing import Any

import anthropic
import httpx
import openai
import pytest

from litellm_maas.pricing import price_book
from litellm_maas.sandbox import Answer, Choice, Fault, Limit, Sandbox, ToolCall
from litellm_maas.testing import maas_sandbox
from tests.helpers import KEY, MESSAGES, TOOL

__all__ = ["maas_sandbox"]


def post(sandbox: Sandbox, body: dict[str, Any], path: str = "/chat/completions", key: str = KEY) -> httpx.Response:
    """A plain request."""
    return httpx.post(
        f"{sandbox.url}{path}",
        json={"model": "openai/gpt-4o", "messages": MESSAGES, **body},
        headers={"authorization": f"Bearer {key}"},
        trust_env=False,
    )


def message(reply: httpx.Response) -> str:
    """The error message of a reply, in any of the shapes."""
    body = reply.json()
    return str(body["error"]["message"] if "error" in body else body["message"])


def test_models_are_listed_with_their_status(sandbox: Sandbox) -> None:
    """`/v1/models` lists ids with owner, type and status, to an active key only."""
    sandbox.account.disabled_models.add("openai/gpt-5")
    reply = httpx.get(f"{sandbox.url}/models", headers={"authorization": f"Bearer {KEY}"}, trust_env=False)
    listed = {entry["id"]: entry for entry in reply.json()["data"]}
    assert listed["openai/gpt-4o"]["owned_by"] == "openai"
    assert listed["openai/gpt-4o"]["status"] == "ENABLED"
    assert listed["openai/gpt-5"]["status"] == "DISABLED"
    assert listed["qwen/qwen3-embedding-8b"]["model_type"] == "embedding"
    assert httpx.get(f"{sandbox.url}/models", trust_env=False).status_code == 401


@pytest.mark.parametrize("status", ["pending", "revoked", None])
def test_only_an_active_key_opens(sandbox: Sandbox, status: Any) -> None:
    """Pending, revoked and unknown keys get the same 401."""
    if status is not None:
        sandbox.account.keys["vn-another-key"] = status
    reply = post(sandbox, {}, key="vn-another-key")
    assert (reply.status_code, message(reply)) == (401, "Invalid API key")
    assert not sandbox.bill.charges


@pytest.mark.parametrize(
    ("path", "model", "status"),
    [
        ("/chat/completions", "gpt-4o", 404),
        ("/chat/completions", "openai/gpt-99", 404),
        ("/chat/completions", "openai/gpt-5", 403),
        ("/chat/completions", "openai/gpt-5-mini", 404),
        ("/embeddings", "openai/gpt-4o", 404),
        ("/no/such/path", "openai/gpt-4o", 404),
        ("/v1/chat/completions", "openai/gpt-4o", 404),
    ],
)
def test_what_cannot_be_called(sandbox: Sandbox, path: str, model: str, status: int) -> None:
    """Bare and unknown ids, models that are listed and not callable, wrong protocols and paths are refused."""
    sandbox.account.disabled_models.add("openai/gpt-5")
    sandbox.account.missing_models.add("openai/gpt-5-mini")
    assert post(sandbox, {"model": model, "input": "x"}, path).status_code == status


def test_the_account_limit_is_shared(sandbox: Sandbox) -> None:
    """Eleven requests in a minute, over all models, get one 429 that says when to come back."""
    now = 1000.0
    sandbox.account.clock = lambda: now
    sandbox.account.per_minute = Limit(10, 60.0)
    models = ["openai/gpt-4o", "openai/gpt-5"] * 5
    assert [post(sandbox, {"model": model}).status_code for model in models] == [200] * 10
    refused = post(sandbox, {"model": "qwen/qwen3.7-plus"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert refused.headers["x-ratelimit-limit-minute"] == "10"
    now += 61
    assert post(sandbox, {}).status_code == 200


def test_limits_without_a_header(sandbox: Sandbox) -> None:
    """A model's own limit can say only in words when it resets; the daily limit is the account's."""
    sandbox.account.per_model["openai/gpt-4o"] = Limit(1, 60.0, retry_after=False)
    sandbox.account.per_day = Limit(3, 86_400.0)
    assert post(sandbox, {}).status_code == 200
    refused = post(sandbox, {})
    assert "retry-after" not in refused.headers
    assert "model rpm limit exceeded (1/1)" in message(refused)
    assert "resets in 60s" in message(refused)
    assert post(sandbox, {"model": "openai/gpt-5"}).status_code == 200
    assert message(post(sandbox, {"model": "openai/gpt-5"})) == "API rate limit exceeded"


def test_prepaid_credits_run_out(sandbox: Sandbox) -> None:
    """Credits are taken in cycles of five minutes; at zero every model is switched off."""
    now = 0.0
    sandbox.account.clock = lambda: now
    sandbox.account.balance = 1_000_000
    assert post(sandbox, {}).status_code == 200
    assert sandbox.account.balance == 1_000_000
    spent = sandbox.bill.micro_credits
    assert sandbox.account.uncollected == spent > 1_000_000
    now += 299
    assert post(sandbox, {}).status_code == 200
    now += 2
    refused = post(sandbox, {"model": "qwen/qwen3.7-plus"})
    assert (refused.status_code, message(refused)) == (503, "model not responding")
    assert (sandbox.account.balance, sandbox.account.uncollected) == (0, 0)


@pytest.mark.parametrize(
    ("model", "body", "says"),
    [
        ("openai/gpt-4o", {"max_tokens": 40_000}, "max_tokens must be at most 32768"),
        ("minimax/minimax-m2.5", {"max_tokens": 17_000}, "max_tokens must be at most 16400"),
        ("openai/gpt-4o", {"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
        ("z-ai/glm-5.2", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "image input"),
        ("deepseek/deepseek-v4-pro", {"reasoning_effort": "low"}, "reasoning_effort is not supported"),
        ("qwen/qwen3.7-plus", {"tools": [TOOL], "tool_choice": "required"}, "cannot be forced"),
        ("openai/gpt-4o", {"messages": [{"role": "user", "content": "a " * 130_000}]}, "maximum context length"),
        ("openai/gpt-4o", {"messages": []}, "messages is required"),
        ("", {"model": None}, "model is required"),
    ],
)
def test_bad_requests(sandbox: Sandbox, model: str, body: dict[str, Any], says: str) -> None:
    """What users report as refused with 400 is refused with 400."""
    reply = post(sandbox, {"model": model, **body})
    assert (reply.status_code, says in message(reply)) == (400, True), reply.text


def test_the_bill_is_the_official_price(sandbox: Sandbox) -> None:
    """A call costs what the official list says, cached tokens at their own price; without a price nothing is known."""
    sandbox.script(Answer((Choice("một hai ba"),), input_tokens=1000, cached_tokens=400))
    post(sandbox, {})
    post(sandbox, {"model": "gemini/gemini-2.5-flash"})
    priced, unpriced = sandbox.bill.charges
    assert priced.micro_credits == 600 * 70_888 + 400 * 35_444 + 3 * 283_550 == sandbox.bill.micro_credits
    assert unpriced.micro_credits is None
    assert price_book.official_prices().price("gemini/gemini-2.5-flash", unpriced.at) is None


def test_a_conversation_is_cached(sandbox: Sandbox) -> None:
    """The part of a conversation that came before is reported as cached tokens."""
    first = post(sandbox, {}).json()
    longer = [*MESSAGES, first["choices"][0]["message"], {"role": "user", "content": "Và nữa?"}]
    post(sandbox, {"messages": longer[:-1]})
    usage = post(sandbox, {"messages": longer}).json()["usage"]
    assert 0 < usage["prompt_tokens_details"]["cached_tokens"] < usage["prompt_tokens"]


def test_openais_own_client(sandbox: Sandbox) -> None:
    """OpenAI's SDK works against it: chat, streams, tools, completions, embeddings, responses, images."""
    with openai.OpenAI(base_url=sandbox.url, api_key=KEY) as client:
        chat = client.chat.completions.create(model="openai/gpt-4o", messages=MESSAGES)
        assert chat.choices[0].message.content == "openai/gpt-4o heard: Xin chào"
        weather: Any = TOOL
        tools: Any = client.chat.completions.create(model="openai/gpt-4o", messages=MESSAGES, tools=[weather])
        assert tools.choices[0].message.tool_calls[0].function.name == "get_weather"
        stream = client.chat.completions.create(model="openai/gpt-4o", messages=MESSAGES, stream=True)
        text = "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
        assert text == "openai/gpt-4o heard: Xin chào"
        legacy = client.completions.create(model="openai/gpt-4o", prompt="Xin chào")
        assert legacy.choices[0].text == "openai/gpt-4o heard: Xin chào"
        pieces = client.completions.create(model="openai/gpt-4o", prompt="Xin chào", stream=True)
        assert "".join(choice.text for piece in pieces for choice in piece.choices) == "openai/gpt-4o heard: Xin chào"
        vectors = client.embeddings.create(model="qwen/qwen3-embedding-8b", input=["a"], encoding_format="float")
        assert len(vectors.data[0].embedding) == 64
        response = client.responses.create(model="openai/gpt-4o", input="Xin chào")
        assert response.output_text == "openai/gpt-4o heard: Xin chào"
        with client.responses.stream(model="openai/gpt-4o", input="Xin chào") as events:
            assert events.get_final_response().output_text == "openai/gpt-4o heard: Xin chào"
        images = client.images.generate(model="openai/gpt-4o", prompt="a cat", n=2)
        assert [bool(image.b64_json) for image in images.data or ()] == [True, True]


def test_anthropics_own_client(sandbox: Sandbox) -> None:
    """Anthropic's SDK works against it: messages, streams, tools and their results."""
    base = sandbox.url.removesuffix("/v1")
    with anthropic.Anthropic(base_url=base, auth_token=KEY) as client:
        answer = client.messages.create(model="openai/gpt-4o", messages=MESSAGES, max_tokens=100, system="Be brief")
        assert answer.content[0].to_dict()["text"] == "openai/gpt-4o heard: Xin chào"
        with client.messages.stream(model="openai/gpt-4o", messages=MESSAGES, max_tokens=100) as stream:
            assert stream.get_final_text() == "openai/gpt-4o heard: Xin chào"
            assert stream.get_final_message().usage.output_tokens == sandbox.bill.charges[-1].output_tokens
        tool: Any = {"name": "get_weather", "input_schema": TOOL["function"]["parameters"]}
        with client.messages.stream(model="openai/gpt-4o", messages=MESSAGES, max_tokens=100, tools=[tool]) as stream:
            (call,) = stream.get_final_message().content
        assert call.to_dict()["input"] == {"city": "Hà Nội"}
        result: Any = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "31 °C"}
        history: Any = [*MESSAGES, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
        answer = client.messages.create(model="openai/gpt-4o", messages=history, max_tokens=100, tools=[tool])
        assert answer.content[0].to_dict()["text"] == "openai/gpt-4o heard: 31 °C"


def test_tools_of_responses(sandbox: Sandbox) -> None:
    """A function call over the Responses protocol, plain and streamed, and its result."""
    function = {"type": "function", "name": "get_weather", "parameters": TOOL["function"]["parameters"]}
    body: dict[str, Any] = {"model": "openai/gpt-4o", "input": "Xin chào", "tools": [function], "instructions": "Brief"}
    call = post(sandbox, body, "/responses").json()["output"][0]
    assert (call["type"], call["name"]) == ("function_call", "get_weather")
    streamed = post(sandbox, {**body, "stream": True}, "/responses").text
    assert "response.function_call_arguments.done" in streamed
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "31 °C"}
    said = [{"role": "user", "content": [{"type": "input_text", "text": "Xin chào"}]}, call, result]
    answer = post(sandbox, {**body, "input": said}, "/responses").json()
    assert answer["output"][0]["content"][0]["text"] == "openai/gpt-4o heard: 31 °C"


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}}}, {"a": 1, "b": "x"}),
        ({"type": "array", "items": {"type": "number"}}, [1.5]),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"type": ["null", "string"]}, None),
        ({"const": 7}, 7),
        ({"properties": {"s": {"type": "string", "default": "d"}}, "required": ["s"]}, {"s": "d"}),
    ],
)
def test_json_schema_answers_fit(sandbox: Sandbox, schema: dict[str, Any], instance: Any) -> None:
    """An answer to a JSON Schema is a value that fits it."""
    body = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    assert json.loads(post(sandbox, body).json()["choices"][0]["message"]["content"]) == instance


def test_scripted_answers_and_limits(sandbox: Sandbox) -> None:
    """Answers can be scripted, are cut at `max_tokens` with reasoning first, and forced tools are called."""
    sandbox.script(Answer((Choice("một hai ba", "nghĩ ngợi"),)), Answer((Choice(tool_calls=(ToolCall("t"),)),)))
    cut = post(sandbox, {"max_tokens": 3}).json()["choices"][0]
    assert (cut["message"]["reasoning_content"], cut["message"]["content"]) == ("nghĩ ngợi", "một")
    assert cut["finish_reason"] == "length"
    assert post(sandbox, {}).json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "t"
    forced = {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "no_such_tool"}}}
    assert post(sandbox, forced).json()["choices"][0]["message"]["content"]


def test_a_result_is_answered_whatever_follows_it(sandbox: Sandbox) -> None:
    """A tool is called for each question once: a result is answered, also where a reminder of the user's follows it."""
    call: Any = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}
    result, reminder = {"role": "tool", "content": "31 °C"}, {"role": "user", "content": "Be brief."}
    answered = [*MESSAGES, call, result, reminder]

    def calls_a_tool(messages: list[Any]) -> bool:
        reply = post(sandbox, {"tools": [TOOL], "messages": messages}).json()
        return bool(reply["choices"][0]["message"].get("tool_calls"))

    assert calls_a_tool(MESSAGES)
    assert not calls_a_tool([*MESSAGES, call, result])
    assert not calls_a_tool(answered)
    assert calls_a_tool([*answered, {"role": "assistant", "content": "Hot."}, *MESSAGES])


def test_faults_hit_in_order_and_only_what_they_match(sandbox: Sandbox) -> None:
    """Faults wait for the requests that they are meant for, as often as they say."""
    sandbox.faults.add(Fault(status=500, times=2, model="openai/gpt-5"))
    sandbox.faults.add(Fault(status=502, operation="/embeddings"))
    sandbox.faults.add(Fault(delay=0.05, times=1))
    started = time.monotonic()
    assert post(sandbox, {}).status_code == 200
    assert time.monotonic() - started >= 0.05
    assert [post(sandbox, {"model": "openai/gpt-5"}).status_code for _ in range(3)] == [500, 500, 200]
    assert post(sandbox, {"input": "x"}, "/embeddings").status_code == 502


def test_the_pytest_fixture(maas_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fixture for users gives a running sandbox to which the environment leads."""
    import litellm

    response: Any = litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)
    assert response.choices[0].message.content == "openai/gpt-4o heard: Xin chào"
    assert maas_sandbox.bill.charges[0].key == maas_sandbox.key


def test_a_port_in_use_is_an_error(sandbox: Sandbox) -> None:
    """Starting on a port that is taken raises at once."""
    port = int(sandbox.url.split(":")[2].split("/")[0])
    with pytest.raises(OSError, match="address already in use"):
        Sandbox(port=port).start()


def test_a_port_that_cannot_be_is_an_error() -> None:
    """Whatever keeps it from starting is raised, and nobody waits for a server that never comes."""
    with pytest.raises(OverflowError):
        Sandbox(port=99_999).start()
