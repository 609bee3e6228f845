"""What each client is made to do. A case returns the answer in the pieces in which it came."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import litellm
import openai

from litellm_maas.sandbox import Answer, Choice, ToolCall
from tests.helpers import ROOT, TOOL

EMBEDDING = "maas/qwen/qwen3-embedding-8b"
QUESTION = "How is the weather in Hà Nội?"
MESSAGES: list[Any] = [{"role": "user", "content": QUESTION}]
INSIDE = ROOT / "tests" / "slow" / "in_environment"


@dataclass(frozen=True)
class Setting:
    """Where a case runs.

    Attributes:
        url: The proxy's, without a version.
        key: A key of the proxy's.
        folder: A folder of its own.
        node: The folder with `node_modules`.
        model: What the proxy calls the model.
    """

    url: str
    key: str
    folder: Path
    node: Path = Path()
    model: str = "maas"


@dataclass(frozen=True)
class Case:
    """What a client does, and what the sandbox is to answer where it would not know."""

    run: Callable[[Setting], list[str]]
    script: Sequence[Answer] = ()


@dataclass(frozen=True)
class Client:
    """A client.

    Attributes:
        needs: Files under `node_modules` without which it cannot run.
    """

    title: str
    cases: Mapping[str, Case] = field(default_factory=dict)
    needs: str | None = None


def _run(command: list[str], folder: Path, **environment: str) -> str:
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        command,
        env={**inherited, "HOME": str(folder), "NO_PROXY": "*", **environment},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError((done.stderr or done.stdout).strip()[-300:].replace("\n", " "))
    return done.stdout


# curl, as a person types it.


def _curl(setting: Setting, path: str, body: Mapping[str, Any] | None = None) -> str:
    command = [
        "curl",
        "-sS",
        "--fail-with-body",
        "-N",
        f"{setting.url}{path}",
        "-H",
        f"Authorization: Bearer {setting.key}",
    ]
    if body is not None:
        command += ["-H", "Content-Type: application/json", "-d", json.dumps(body, ensure_ascii=False)]
    return _run(command, setting.folder)


def _curl_chat(setting: Setting) -> list[str]:
    listed = [each["id"] for each in json.loads(_curl(setting, "/v1/models"))["data"]]
    if setting.model not in listed:
        raise LookupError(f"/v1/models lists {listed}")
    reply = json.loads(_curl(setting, "/v1/chat/completions", {"model": setting.model, "messages": MESSAGES}))
    return [reply["choices"][0]["message"]["content"]]


def _curl_stream(setting: Setting) -> list[str]:
    text = _curl(setting, "/v1/chat/completions", {"model": setting.model, "messages": MESSAGES, "stream": True})
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    if events.pop() != "[DONE]":
        raise ValueError("the stream does not end in [DONE]")
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]


def _curl_tools(setting: Setting) -> list[str]:
    body = {"model": setting.model, "messages": MESSAGES, "tools": [TOOL]}
    asked = json.loads(_curl(setting, "/v1/chat/completions", body))["choices"][0]["message"]
    body["messages"] = [*MESSAGES, asked, _result(asked["tool_calls"][0]["id"])]
    return [json.loads(_curl(setting, "/v1/chat/completions", body))["choices"][0]["message"]["content"]]


def _curl_embeddings(setting: Setting) -> list[str]:
    reply = json.loads(_curl(setting, "/v1/embeddings", {"model": EMBEDDING, "input": "xin chào"}))
    return [str(len(reply["data"][0]["embedding"]))]


def _curl_responses(setting: Setting) -> list[str]:
    reply = json.loads(_curl(setting, "/v1/responses", {"model": setting.model, "input": QUESTION}))
    return [part["text"] for item in reply["output"] for part in item["content"]]


def _result(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "sunny in Hà Nội"}


# OpenAI's SDK for Python.


def _openai(setting: Setting) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{setting.url}/v1", api_key=setting.key, max_retries=0)


def _openai_chat(setting: Setting) -> list[str]:
    with _openai(setting) as client:
        reply = client.chat.completions.create(model=setting.model, messages=MESSAGES)
    return [reply.choices[0].message.content or ""]


def _openai_stream(setting: Setting) -> list[str]:
    with _openai(setting) as client:
        chunks = client.chat.completions.create(model=setting.model, messages=MESSAGES, stream=True)
        return [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]


def _openai_tools(setting: Setting) -> list[str]:
    tools: list[Any] = [TOOL]
    with _openai(setting) as client:
        asked: Any = client.chat.completions.create(model=setting.model, messages=MESSAGES, tools=tools)
        message = asked.choices[0].message
        history: list[Any] = [*MESSAGES, message, _result(message.tool_calls[0].id)]
        reply = client.chat.completions.create(model=setting.model, messages=history, tools=tools)
    return [reply.choices[0].message.content or ""]


def _openai_embeddings(setting: Setting) -> list[str]:
    with _openai(setting) as client:
        reply = client.embeddings.create(model=EMBEDDING, input=["xin", "chào"])
    return [str(len(each.embedding)) for each in reply.data]


def _openai_responses(setting: Setting) -> list[str]:
    with _openai(setting) as client:
        plain = client.responses.create(model=setting.model, input=QUESTION).output_text
        events = client.responses.create(model=setting.model, input=QUESTION, stream=True)
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    return pieces if "".join(pieces) == plain else []


# Anthropic's SDK for Python.


def _anthropic(setting: Setting) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=setting.url, auth_token=setting.key, api_key=None, max_retries=0)


def _anthropic_chat(setting: Setting) -> list[str]:
    with _anthropic(setting) as client:
        return _texts(client.messages.create(model=setting.model, max_tokens=100, messages=MESSAGES))


def _texts(reply: anthropic.types.Message) -> list[str]:
    return [block.text for block in reply.content if block.type == "text"]  # some models send what they think before


def _anthropic_stream(setting: Setting) -> list[str]:
    with (
        _anthropic(setting) as client,
        client.messages.stream(model=setting.model, max_tokens=100, messages=MESSAGES) as stream,
    ):
        return list(stream.text_stream)


def _anthropic_tools(setting: Setting) -> list[str]:
    tools: list[Any] = [{"name": "get_weather", "input_schema": TOOL["function"]["parameters"]}]
    with _anthropic(setting) as client:
        asked = client.messages.create(model=setting.model, max_tokens=100, messages=MESSAGES, tools=tools)
        (use,) = [block for block in asked.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny in Hà Nội"}
        history: list[Any] = [
            *MESSAGES,
            {"role": "assistant", "content": asked.content},
            {"role": "user", "content": [result]},
        ]
        return _texts(client.messages.create(model=setting.model, max_tokens=100, messages=history, tools=tools))


# OpenAI's SDK for Node.


def _node(case: str) -> Case:
    def run(setting: Setting) -> list[str]:
        found = json.loads(
            _run(
                ["node", str(INSIDE / "openai_client.mjs"), case],
                setting.folder,
                NODE_MODULES=str(setting.node),
                MODEL=setting.model,
                OPENAI_BASE_URL=f"{setting.url}/v1",
                OPENAI_API_KEY=setting.key,
            )
        )
        pieces: list[str] = found.get("pieces", [found.get("answer")])
        return pieces if found.get("answer", "".join(pieces)) == "".join(pieces) else []

    return Case(run)


# Claude Code.


def _claude(setting: Setting, question: str, *options: str) -> str:
    home = setting.folder / "claude"
    (home / "work").mkdir(parents=True, exist_ok=True)
    (home / "work" / "weather.txt").write_text("sunny in Hà Nội\n", encoding="utf-8")
    command = str(setting.node / "node_modules" / ".bin" / "claude")
    return _run(
        [command, "-p", question, "--max-turns", "4", *options],
        home / "work",
        ANTHROPIC_BASE_URL=setting.url,
        ANTHROPIC_AUTH_TOKEN=setting.key,
        ANTHROPIC_MODEL=setting.model,
        ANTHROPIC_DEFAULT_HAIKU_MODEL=setting.model,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )


def _claude_chat(setting: Setting) -> list[str]:
    return [str(json.loads(_claude(setting, QUESTION, "--output-format", "json", "--tools", ""))["result"])]


def _claude_stream(setting: Setting) -> list[str]:
    options = ("--output-format", "stream-json", "--include-partial-messages", "--verbose", "--tools", "")
    lines = [json.loads(line) for line in _claude(setting, QUESTION, *options).splitlines()]
    events = [line["event"] for line in lines if line["type"] == "stream_event"]
    return [event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta"]


def _claude_tools(setting: Setting) -> list[str]:
    return [str(json.loads(_claude(setting, "Read weather.txt", "--output-format", "json"))["result"])]


READ = Answer((Choice(tool_calls=(ToolCall("Read", '{"file_path": "weather.txt"}'),)),))


# LiteLLM itself: frameworks that call it reach the proxy's fallbacks, in streams too, by this prefix.


def _litellm(setting: Setting, messages: list[Any] = MESSAGES, **more: Any) -> Any:
    model = f"litellm_proxy/{setting.model}"
    return litellm.completion(model=model, messages=messages, api_base=setting.url, api_key=setting.key, **more)


def _litellm_chat(setting: Setting) -> list[str]:
    return [_litellm(setting).choices[0].message.content]


def _litellm_stream(setting: Setting) -> list[str]:
    return [
        text for chunk in _litellm(setting, stream=True) for choice in chunk.choices if (text := choice.delta.content)
    ]


def _litellm_tools(setting: Setting) -> list[str]:
    asked = _litellm(setting, tools=[TOOL]).choices[0].message
    history = [*MESSAGES, asked, _result(asked.tool_calls[0].id)]
    return [_litellm(setting, history, tools=[TOOL]).choices[0].message.content]


def _litellm_embeddings(setting: Setting) -> list[str]:
    model = f"litellm_proxy/{EMBEDDING}"
    reply: Any = litellm.embedding(model=model, input=["xin", "chào"], api_base=setting.url, api_key=setting.key)
    return [str(len(each["embedding"])) for each in reply.data]


def _litellm_responses(setting: Setting) -> list[str]:
    model = f"litellm_proxy/{setting.model}"
    reply: Any = litellm.responses(model=model, input=QUESTION, api_base=setting.url, api_key=setting.key)
    return [part.text for item in reply.output if item.type == "message" for part in item.content]


CLIENTS = (
    Client(
        "curl",
        {
            "chat": Case(_curl_chat),
            "stream": Case(_curl_stream),
            "tools": Case(_curl_tools),
            "embeddings": Case(_curl_embeddings),
            "responses": Case(_curl_responses),
        },
    ),
    Client(
        f"OpenAI SDK for Python {openai.__version__}",
        {
            "chat": Case(_openai_chat),
            "stream": Case(_openai_stream),
            "tools": Case(_openai_tools),
            "embeddings": Case(_openai_embeddings),
            "responses": Case(_openai_responses),
        },
    ),
    Client(
        f"Anthropic SDK for Python {anthropic.__version__}",
        {"chat": Case(_anthropic_chat), "stream": Case(_anthropic_stream), "tools": Case(_anthropic_tools)},
    ),
    Client(
        "OpenAI SDK for Node",
        {name: _node(name) for name in ("chat", "stream", "tools", "embeddings", "responses")},
        needs="openai",
    ),
    Client(
        "Claude Code",
        {"chat": Case(_claude_chat), "stream": Case(_claude_stream), "tools": Case(_claude_tools, (READ,))},
        needs="@anthropic-ai/claude-code",
    ),
    Client(
        "LiteLLM SDK (`litellm_proxy/`)",
        {
            "chat": Case(_litellm_chat),
            "stream": Case(_litellm_stream),
            "tools": Case(_litellm_tools),
            "embeddings": Case(_litellm_embeddings),
            "responses": Case(_litellm_responses),
        },
    ),
)
