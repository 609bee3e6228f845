"""Wire traffic that a real model server answered, replayed without a network; `cassettes/README.md` says more.

`scripts/record` makes the recordings by running this very file against the server.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import litellm
import pytest
import yaml
from vcr.request import Request  # type: ignore[import-untyped]  # vcrpy ships no types

from tests.helpers import assemble, astream
from tests.provider.cassette_filter import PLACEHOLDER_BASE, PLACEHOLDER_HOST, REQUEST_HEADERS, RESPONSE_HEADERS, scrub
from tests.provider.cassette_recorder import CASSETTES, ENVIRONMENT, RECORDING, Exchange, cassette, cassette_of

# As in pyproject.toml, whose exceptions do not outlive a -W error on the command line.
pytestmark = pytest.mark.filterwarnings("ignore:Items? '.*' on TypedDict class:UserWarning")

TRIO = ("openai/gpt-4o", "gemini/gemini-2.5-flash", "qwen/qwen3-27b")
WAYS = ("sync", "async")
over_the_trio = pytest.mark.parametrize("model", TRIO)
both_ways = pytest.mark.parametrize("way", WAYS)
only_replayed = pytest.mark.skipif(bool(RECORDING), reason="is about replays")
only_local = pytest.mark.skipif(RECORDING == "gateway", reason="the gateway answers otherwise for these models")

SHORT: dict[str, Any] = {"max_tokens": 24, "temperature": 0, "seed": 7}
CHAT = {"messages": [{"role": "user", "content": "What is the capital of France?"}], **SHORT}
STREAM = {"messages": [{"role": "user", "content": "Say hello in Vietnamese."}], **SHORT}
TOOL_CALL = {
    "messages": [
        # The model is too small to call a tool unless it has just seen how that is done.
        {"role": "user", "content": "Weather in Hue?"},
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Hue"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "Weather in Hanoi?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Weather of a city",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            },
        }
    ],
    "tool_choice": "required",
    **SHORT,
}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Hanoi", "Paris"]}},
    "required": ["city"],
    "additionalProperties": False,
}
JSON_MODES = {
    "json-object": {
        "messages": [{"role": "user", "content": 'Reply with JSON only: {"city": "Hanoi"}'}],
        "response_format": {"type": "json_object"},
        **SHORT,
    },
    "json-schema": {
        "messages": [{"role": "user", "content": "Which city is the capital of Vietnam? Answer in JSON."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": CITY}},
        **SHORT,
    },
}
EMBEDDING = {"input": ["Xin chào"]}
SCENARIOS = ("chat", "stream", "tool-call", "tool-call-stream", *JSON_MODES, "embedding")

WRONG_KEY = "vn-wrong-0123456789"
TOO_LONG = {"messages": [{"role": "user", "content": "word " * 300}], **SHORT}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


@dataclasses.dataclass(frozen=True)
class Failure:
    """A call that is refused, and how the caller hears of it."""

    model: str
    call: dict[str, Any]
    status: int
    error: Any
    is_streamed: bool = False


FAILURES = {
    "wrong-key": Failure("openai/gpt-4o", CHAT, 401, litellm.AuthenticationError),
    "too-long": Failure("gemini/gemini-2.5-flash", TOO_LONG, 400, litellm.ContextWindowExceededError),
    "too-long-stream": Failure(
        "gemini/gemini-2.5-flash", TOO_LONG, 400, litellm.ContextWindowExceededError, is_streamed=True
    ),
    "image-to-text-model": Failure(
        "qwen/qwen3-27b",
        {"messages": [{"role": "user", "content": [IMAGE]}], **SHORT},
        500,
        litellm.InternalServerError,
    ),
}


@pytest.fixture(autouse=True)
def gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment leads to the placeholder, or to what is being recorded."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def attempts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What a replay tried on the network. None of it succeeds, and the test fails even if the error was hidden."""
    tried: list[Any] = []

    def refuse(*address: Any, **_: Any) -> NoReturn:
        tried.append(address)
        raise OSError("a replay must not use the network")

    if not RECORDING:
        for name in ("connect", "connect_ex", "sendto"):
            monkeypatch.setattr(socket.socket, name, refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield tried
    assert not tried


def _complete(way: str, **call: Any) -> Any:
    return litellm.completion(**call) if way == "sync" else asyncio.run(litellm.acompletion(**call))


def _stream(way: str, **call: Any) -> list[Any]:
    return list(litellm.completion(stream=True, **call)) if way == "sync" else asyncio.run(astream(**call))


def _embed(way: str, **call: Any) -> Any:
    return litellm.embedding(**call) if way == "sync" else asyncio.run(litellm.aembedding(**call))


def _streamed(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "stream": True, "stream_options": {"include_usage": True}}


def _tool_call(model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The call that forces a tool, and its body on the wire: Qwen refuses that while it thinks."""
    if not model.startswith("qwen/"):
        return TOOL_CALL, {"model": model, **TOOL_CALL}
    thinks_not = {"chat_template_kwargs": {"enable_thinking": False}}
    return {**TOOL_CALL, "reasoning_effort": "none"}, {"model": model, **TOOL_CALL, **thinks_not}


def _assert_asked(exchange: Exchange, operation: str, body: dict[str, Any]) -> None:
    accepted = "text/event-stream" if body.get("stream") else "application/json"
    assert exchange.request["method"] == "POST"
    assert exchange.request["uri"] == PLACEHOLDER_BASE + operation
    assert exchange.request["headers"] == {"accept": [accepted], "content-type": ["application/json"]}
    assert exchange.asked == body


def _assert_usage(usage: Any, recorded: dict[str, Any]) -> None:
    told = usage.model_dump()
    for name, count in recorded.items():
        assert told[name] == ({**told[name], **count} if isinstance(count, dict) else count)


@over_the_trio
@both_ways
def test_chat(model: str, way: str) -> None:
    """A chat completion carries the recorded content, finish reason and usage."""
    with cassette("chat", model, way) as file:
        response = _complete(way, model=f"maas/{model}", **CHAT)
    exchange = Exchange.of(file)
    _assert_asked(exchange, "/chat/completions", {"model": model, **CHAT})
    (choice,), (recorded,) = response.choices, exchange.reply["choices"]
    assert choice.message.content == recorded["message"]["content"] != ""
    assert choice.finish_reason == recorded["finish_reason"]
    _assert_usage(response.usage, exchange.reply["usage"])


@over_the_trio
@both_ways
def test_stream(model: str, way: str) -> None:
    """A stream yields the recorded deltas one by one, then the recorded finish reason and usage."""
    with cassette("stream", model, way) as file:
        chunks = _stream(way, model=f"maas/{model}", **STREAM)
    exchange = Exchange.of(file)
    _assert_asked(exchange, "/chat/completions", _streamed({"model": model, **STREAM}))
    recorded = [delta["content"] for delta in exchange.deltas if delta.get("content")]
    assert [text for chunk in chunks for choice in chunk.choices if (text := choice.delta.content)] == recorded != []
    assert assemble(*chunks).only.finish_reason == exchange.events[-2]["choices"][0]["finish_reason"]
    whole: Any = litellm.stream_chunk_builder(chunks)
    assert whole.choices[0].message.content == "".join(recorded)
    _assert_usage(whole.usage, exchange.events[-1]["usage"])


@over_the_trio
@both_ways
def test_tool_call(model: str, way: str) -> None:
    """A tool call arrives with the recorded id, name and arguments."""
    call, body = _tool_call(model)
    with cassette("tool-call", model, way) as file:
        response = _complete(way, model=f"maas/{model}", **call)
    exchange = Exchange.of(file)
    _assert_asked(exchange, "/chat/completions", body)
    (got,), (recorded,) = response.choices[0].message.tool_calls, exchange.reply["choices"][0]["message"]["tool_calls"]
    assert (got.id, got.function.name) == (recorded["id"], "get_weather")
    assert got.function.arguments == recorded["function"]["arguments"]
    assert json.loads(got.function.arguments) == {"city": "Hanoi"}
    assert response.choices[0].finish_reason == "tool_calls"
    _assert_usage(response.usage, exchange.reply["usage"])


@over_the_trio
@both_ways
def test_streamed_tool_call(model: str, way: str) -> None:
    """The recorded pieces of a tool call add up to the whole call, and the last chunk has the usage asked for."""
    call, body = _tool_call(model)
    with cassette("tool-call-stream", model, way) as file:
        chunks = _stream(way, model=f"maas/{model}", stream_options={"include_usage": True}, **call)
    exchange = Exchange.of(file)
    _assert_asked(exchange, "/chat/completions", _streamed(body))
    pieces = [piece["function"] for delta in exchange.deltas for piece in delta.get("tool_calls", ())]
    arguments = "".join(piece.get("arguments", "") for piece in pieces)
    assert assemble(*chunks).only.tools == {0: ["get_weather", arguments]}
    assert json.loads(arguments) == {"city": "Hanoi"}
    assert assemble(*chunks).only.finish_reason == "tool_calls"
    _assert_usage(chunks[-1].usage, exchange.events[-1]["usage"])


@pytest.mark.parametrize("mode", JSON_MODES)
@over_the_trio
@both_ways
def test_json_mode(mode: str, model: str, way: str) -> None:
    """A reply in JSON mode is the recorded JSON."""
    with cassette(mode, model, way) as file:
        response = _complete(way, model=f"maas/{model}", **JSON_MODES[mode])
    exchange = Exchange.of(file)
    _assert_asked(exchange, "/chat/completions", {"model": model, **JSON_MODES[mode]})
    assert response.choices[0].message.content == exchange.reply["choices"][0]["message"]["content"]
    assert json.loads(response.choices[0].message.content) == {"city": "Hanoi"}
    _assert_usage(response.usage, exchange.reply["usage"])


@only_local
@over_the_trio
@both_ways
def test_embedding(model: str, way: str) -> None:
    """An embedding carries the recorded vector and usage."""
    with cassette("embedding", model, way) as file:
        response = _embed(way, model=f"maas/{model}", **EMBEDDING)
    exchange = Exchange.of(file)
    _assert_asked(exchange, "/embeddings", {"model": model, **EMBEDDING})
    (got,), (recorded,) = response.data, exchange.reply["data"]
    assert got["embedding"] == recorded["embedding"] != []
    _assert_usage(response.usage, exchange.reply["usage"])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "wrong-key" else only_local) for name in FAILURES]
)
@both_ways
def test_failure(name: str, way: str) -> None:
    """A refused call raises LiteLLM's exception for its cause, in the server's own words and without the key."""
    failure = FAILURES[name]
    key = {"api_key": WRONG_KEY} if name == "wrong-key" else {}
    call = _stream if failure.is_streamed else _complete
    with cassette(name, failure.model, way) as file, pytest.raises(failure.error) as raised:
        call(way, model=f"maas/{failure.model}", **failure.call, **key)
    exchange = Exchange.of(file)
    body = {"model": failure.model, **failure.call}
    _assert_asked(exchange, "/chat/completions", _streamed(body) if failure.is_streamed else body)
    assert raised.type is failure.error
    assert raised.value.status_code == exchange.response["status"]["code"] == failure.status
    assert exchange.reply["error"]["message"] in str(raised.value)
    assert WRONG_KEY not in str(raised.value)


@only_replayed
@both_ways
def test_other_request(way: str) -> None:
    """A request whose body differs from the recorded one is not answered."""
    unanswered = pytest.raises(litellm.APIConnectionError, match="cassette")
    with unanswered, cassette("chat", "openai/gpt-4o", way):
        _complete(way, model="maas/openai/gpt-4o", **{**CHAT, "max_tokens": 23})


@only_replayed
def test_no_network(attempts: list[Any]) -> None:
    """A connection attempt is refused and remembered while cassettes are replayed."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        with pytest.raises(OSError, match="must not use the network"):
            client.connect(server.getsockname())
        with pytest.raises(OSError, match="must not use the network"):
            socket.create_connection(("localhost", 80))
    assert len(attempts) == 2
    attempts.clear()


@only_replayed
def test_no_cassette_is_left_over() -> None:
    """Every cassette in the folder is one that a test here replays."""
    used = {cassette_of(scenario, model, way) for scenario in SCENARIOS for model in TRIO for way in WAYS}
    used |= {cassette_of(name, failure.model, way) for name, failure in FAILURES.items() for way in WAYS}
    assert set(CASSETTES.glob("*.yaml")) == used


_LEAKS = {
    "a key": r"\b(?:vn|sk)-\w|\beyJ\w{8}",
    "an authorization": r"(?i)\b(?:bearer|basic) (?!REDACTED)\S|authorization",
    "a cookie": r"(?i)cookie",
    "an address": r"\b\d{1,3}(?:\.\d{1,3}){3}\b|localhost",
    "a URL of another host": rf"(?i)https?://(?!{re.escape(PLACEHOLDER_HOST)}/)",
    "another host": r"(?i)\b[a-z][a-z0-9-]*\.(?:ai|cloud|com|dev|internal|io|local|net|org|vn)\b",
    "a file": r"(?:^|[^\w.])/(?:home|opt|root|srv|tmp|usr|var|work|Users)/|\.gguf",
}


def _strings(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        content = [*content.keys(), *content.values()]
    if isinstance(content, list):
        for item in content:
            yield from _strings(item)
    else:
        yield str(content)


@pytest.mark.parametrize("file", sorted(CASSETTES.glob("*.yaml")), ids=lambda file: file.stem)
def test_cassette_is_clean(file: Path) -> None:
    """A cassette holds no key, cookie, host, address or path, and no header but the allowed ones."""
    raw = file.read_text(encoding="utf-8")
    # The parsed text as well: YAML may break a long line in the middle of what is looked for.
    text = "\n".join([raw, *_strings(yaml.safe_load(raw))])
    assert [what for what, pattern in _LEAKS.items() if re.search(pattern, text, re.MULTILINE)] == []
    exchange = Exchange.of(file)
    assert REQUEST_HEADERS.issuperset(exchange.request["headers"])
    assert RESPONSE_HEADERS.issuperset(exchange.response["headers"])


KEY = "vn-live-0123456789abcdef"
COOKIE = "c00kie-value-42"
HOST = "model-host.corp:8443"


def _leaky_exchange(body: bytes | None = None) -> tuple[Any, dict[str, Any]]:
    """An exchange with everything that must never be written; `body` stands in for the reply's."""
    asked = {
        "model": "openai/gpt-4o",
        "user": KEY,
        "api_key": "plain-secret",
        "metadata": {
            "Authorization": f"Bearer {KEY}",
            "note": "key=form-secret&x=1",
            "client_secret": 'quo"ted-secret',
        },
    }
    said = {
        "error": f"Incorrect API key provided: sk-abcd****wxyz for {HOST}, not other-secret-1 nor {COOKIE}",
        "upstream": ["http://127.0.0.1:8080/v1", "10.20.30.40:9000", "eu.api.vngcloud.vn", "localhost:11434"],
        "model": "/srv/models/tiny.gguf",
        "trace": 'File "/root/app/server.py", C:\\Users\\me\\model.bin',
        "nested": json.dumps({"api_key": "nested-secret", "url": f"https://{HOST}/v1/x?sig=abcdef123"}),
        "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    }
    request = Request(
        "POST",
        f"https://someone:letmein99@{HOST}/v1/chat/completions?api_key={KEY}#part",
        json.dumps(asked).encode(),
        {
            "Authorization": f"Bearer {KEY}",
            "Cookie": f"session={COOKIE}",
            "X-Api-Key": "other-secret-1",
            "Host": HOST,
            "User-Agent": "litellm-maas/0 (build on box.corp)",
            "Content-Type": "application/json",
        },
    )
    response = {
        "status": {"code": 307, "message": "Temporary Redirect"},
        "headers": {
            "Location": [f"https://{HOST}/v2?access_token={KEY}"],
            "Set-Cookie": [f"sid={COOKIE}; Path=/; HttpOnly"],
            "Server": ["kong/3.4 on node-7.corp"],
            "Via": ["1.1 proxy.corp"],
            "X-Request-Id": ["req-secret"],
            "Content-Type": ["application/json"],
            "Retry-After": ["2"],
        },
        "body": {"string": json.dumps(said).encode() if body is None else body},
    }
    return request, response


def test_filter_removes_secrets() -> None:
    """Keys, cookies, hosts, addresses and paths are gone from every part of an exchange."""
    request, response = scrub(*_leaky_exchange())
    written = json.dumps([request.uri, dict(request.headers), str(request.body), str(response)])
    secrets = f"""
        {KEY} {COOKIE} plain-secret form-secret ted-secret nested-secret other-secret letmein99 req-secret sk-abcd wxyz
        abcdef123 eyJ corp 8443 127.0.0.1 10.20.30.40 localhost 11434 vngcloud srv root Users tiny kong session sid
    """
    assert [secret for secret in secrets.split() if secret in written] == []


def test_filter_keeps_the_rest() -> None:
    """The address below the host, the allowed headers and the bodies' JSON are still there."""
    request, response = scrub(*_leaky_exchange())
    assert request.uri == PLACEHOLDER_BASE + "/chat/completions"
    assert dict(request.headers) == {"Content-Type": "application/json"}
    assert json.loads(request.body or b"")["model"] == "openai/gpt-4o"
    assert response["headers"] == {
        "Location": [f"https://{PLACEHOLDER_HOST}/v2"],
        "Content-Type": ["application/json"],
        "Retry-After": ["2"],
    }
    said = json.loads(response["body"]["string"])
    assert said["upstream"] == [PLACEHOLDER_BASE, PLACEHOLDER_HOST, PLACEHOLDER_HOST, PLACEHOLDER_HOST]
    assert json.loads(said["nested"]) == {"api_key": "REDACTED", "url": f"{PLACEHOLDER_BASE}/x"}


def test_filter_leaves_harmless_text_alone() -> None:
    """A reply without secrets comes out as it went in."""
    said = {
        "id": "chatcmpl-IttZpHXnqhN2CBo6ynPSLIuMscElWbsZ",
        "model": "gemini/gemini-2.5-flash",
        "usage": {"prompt_tokens": 16},
        "logprobs": {"content": [{"token": "Xin"}]},
        "content": "Xin chào! Q:\nA risk-free task, 3.14 and 1/2 of the work/life balance.",
    }
    body = json.dumps(said, ensure_ascii=False).encode()
    _, response = scrub(*_leaky_exchange(body))
    assert response["body"]["string"] == body


def test_filter_refuses_what_it_cannot_read() -> None:
    """A body that is not text is not written at all."""
    with pytest.raises(UnicodeDecodeError):
        scrub(*_leaky_exchange(gzip.compress(KEY.encode())))
