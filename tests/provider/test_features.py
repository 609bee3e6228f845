"""Every chat feature, by every way in which LiteLLM offers it. `scripts/feature-table` prints the outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import litellm
import pydantic
import pytest

from litellm_maas.sandbox import Answer, Choice, ToolCall
from tests.call_modes import PARTS
from tests.helpers import MESSAGES, TOOL, Outcome, assemble
from tests.proxy_process import MASTER_KEY

WAYS = (*PARTS, "Router")
IMAGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
Wire = Mapping[str, Any]


class City(pydantic.BaseModel):
    """A response format as users write it."""

    name: str
    people: int


@dataclasses.dataclass
class Feature:
    """Parameters of a call, and what must be true of the request on the wire and of what the caller gets."""

    name: str
    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    on_wire: Callable[[Wire], bool] = lambda _: True
    result: Callable[[Outcome], bool] = lambda _: True
    model: str = "openai/gpt-4o"
    answer: Answer | None = None
    # A feature of the client library, which means nothing to a proxy's HTTP interface.
    http: bool = True


def passes(**fields: Any) -> Callable[[Wire], bool]:
    """Whether these fields reach the wire as they are."""
    return lambda wire: {name: wire.get(name) for name in fields} == fields


FEATURES = [
    Feature("plain chat", {}, lambda wire: wire["model"] == "openai/gpt-4o", lambda got: "Xin chào" in got.only.content),
    Feature("sampling", {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 1, "seed": 7, "max_tokens": 50}, passes(temperature=0.5, top_p=0.9, presence_penalty=1, seed=7, max_tokens=50)),
    Feature("stop", {"stop": ["heard"]}, passes(stop=["heard"]), lambda got: got.only.content == "openai/gpt-4o "),
    Feature("n", {"n": 3}, passes(n=3), lambda got: [got.choices[i].content for i in range(3)] == ["openai/gpt-4o heard: Xin chào"] * 3),
    Feature("user", {"user": "minh"}, passes(user="minh")),
    Feature("logprobs", {"logprobs": True, "top_logprobs": 2}, passes(logprobs=True, top_logprobs=2), lambda got: "".join(p["token"] for p in got.only.logprobs) == got.only.content != ""),
    Feature("tools", {"tools": [TOOL]}, passes(tools=[TOOL]), lambda got: got.only.tools == {0: ["get_weather", '{"city": "Hà Nội"}']} and got.only.finish_reason == "tool_calls"),
    Feature("parallel tools", {"tools": [TOOL], "parallel_tool_calls": True}, passes(parallel_tool_calls=True), lambda got: got.only.tools == {0: ["a", '{"x": 1}'], 1: ["b", '{"y": "Huế"}']}, answer=Answer((Choice(tool_calls=(ToolCall("a", '{"x": 1}'), ToolCall("b", '{"y": "Huế"}'))),))),
    Feature("tool_choice", {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}}, passes(tool_choice={"type": "function", "function": {"name": "get_weather"}}), lambda got: got.only.tools[0][0] == "get_weather"),
    Feature("tool_choice none", {"tools": [TOOL], "tool_choice": "none"}, passes(tool_choice="none"), lambda got: not got.only.tools),
    Feature("vision", {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": IMAGE}}]}]}, lambda wire: wire["messages"][0]["content"][1]["image_url"]["url"] == IMAGE, lambda got: "What is this?" in got.only.content),
    Feature("response_format json_object", {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "As JSON"}]}, passes(response_format={"type": "json_object"}), lambda got: got.only.content == '{"answer": "As JSON"}'),
    Feature("response_format json_schema", {"response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": City.model_json_schema()}}}, lambda wire: wire["response_format"]["json_schema"]["name"] == "city", lambda got: got.only.content == '{"name": "Hà Nội", "people": 1}'),
    Feature("response_format pydantic", {"response_format": City}, lambda wire: wire["response_format"]["json_schema"]["name"] == "City", lambda got: City.model_validate_json(got.only.content).people == 1, http=False),
    Feature("reasoning_effort", {"reasoning_effort": "low"}, passes(reasoning_effort="low"), model="openai/gpt-5"),
    Feature("thinking", {"thinking": {"type": "disabled"}}, passes(thinking={"type": "disabled"}), lambda got: not got.only.reasoning, model="z-ai/glm-5.2"),
    Feature("verbosity", {"verbosity": "low"}, passes(verbosity="low"), model="openai/gpt-5"),
    Feature("reasoning_content back", {}, result=lambda got: got.only.reasoning == "Let me think about that.", model="qwen/qwen3.6-plus"),
    Feature("reasoning back under its other name", {}, result=lambda got: got.only.reasoning == "Hmm, 42." and got.only.content == "42", answer=Answer((Choice("42", "Hmm, 42."),), reasoning_field="reasoning")),
    Feature("extra_headers", {"extra_headers": {"x-team": "data"}}, http=False),
    Feature("extra_body", {"extra_body": {"top_k": 5}}, passes(top_k=5), http=False),
    Feature("unknown parameter", {"top_k": 5}, passes(top_k=5)),
    Feature("usage with cached and reasoning tokens", {"stream_options": {"include_usage": True}}, result=lambda got: _usage(got) == (100, 40, 11, 8), model="qwen/qwen3.6-plus", answer=Answer((Choice("Bốn mươi hai.", "Let me think about that."),), input_tokens=100, cached_tokens=40)),
    Feature("api_key and base_url of the call", http=False),
    Feature("drop_params", {"drop_params": True, "reasoning_effort": "low"}, lambda wire: "reasoning_effort" not in wire, model="deepseek/deepseek-v4-pro"),
    Feature("no thinking, portably", {"reasoning_effort": "none"}, lambda wire: wire.get("chat_template_kwargs") == {"enable_thinking": False} and "reasoning_effort" not in wire, lambda got: got.only.reasoning == "", model="qwen/qwen3.6-plus"),
    Feature("mock_response", {"mock_response": "made up"}, result=lambda got: got.only.content == "made up", http=False),
]  # fmt: skip


def _usage(got: Outcome) -> tuple[int, int, int, int]:
    usage = got.usage if isinstance(got.usage, dict) else got.usage.model_dump()
    return (
        usage["prompt_tokens"],
        usage["prompt_tokens_details"]["cached_tokens"],
        usage["completion_tokens"],
        usage["completion_tokens_details"]["reasoning_tokens"],
    )


@pytest.mark.parametrize("way", [*WAYS, pytest.param("proxy", marks=pytest.mark.proxy)])
@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_feature(feature: Feature, way: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat feature works by a way of calling: the wire carries it and the caller gets its result."""
    if way == "proxy":
        if not feature.http:
            pytest.skip("a feature of the Python library")
        url, sandbox = request.getfixturevalue("proxy")
        sandbox.requests.clear()
    else:
        sandbox = request.getfixturevalue("sandbox")
        url = ""
    call = {"model": f"maas/{feature.model}", "messages": MESSAGES, **feature.params}
    if feature.name == "api_key and base_url of the call":
        monkeypatch.delenv("MAAS_API_KEY")
        monkeypatch.setenv("MAAS_API_BASE", "https://elsewhere.example/v1")
        call |= {"api_key": sandbox.key, "base_url": sandbox.url}
    if feature.answer is not None:
        sandbox.script(feature.answer)
    outcome = _call(way, call, url)
    assert feature.result(outcome), outcome
    if "mock_response" in call:
        assert not sandbox.requests
        return
    (sent,) = sandbox.requests
    assert sent.path == "/v1/chat/completions"
    assert feature.on_wire(sent.body), sent.body
    for name, value in feature.params.get("extra_headers", {}).items():
        assert sent.headers[name] == value
    if sent.body.get("stream"):
        assert sent.body["stream_options"]["include_usage"] is True


def _call(way: str, call: dict[str, Any], proxy_url: str) -> Outcome:
    if way in PARTS:
        return assemble(*PARTS[way](**call))
    if way == "Router":
        own = {"model": "model", "api_key": "api_key", "base_url": "api_base"}
        deployment = {own[name]: call.pop(name) for name in own if name in call}
        router = litellm.Router(model_list=[{"model_name": "any", "litellm_params": deployment}])
        return assemble(router.completion(model="any", **call))
    call["model"] = call["model"].removeprefix("maas/")
    reply = httpx.post(
        f"{proxy_url}/v1/chat/completions",
        json=call,
        headers={"authorization": f"Bearer {MASTER_KEY}"},
        timeout=30,
        trust_env=False,
    )
    assert reply.status_code == httpx.codes.OK, reply.text
    return assemble(reply.json())
