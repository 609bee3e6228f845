from __future__ import annotations

import logging
from typing import Any

import litellm
import pytest

from litellm_maas.catalogue import catalogue
from litellm_maas.provider.request_params import build_chat_body
from litellm_maas.sandbox import Sandbox
from tests.helpers import MESSAGES, TOOL, assemble


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("qwen/qwen3.7-plus", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("qwen/qwen3-27b", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("qwen/qwen3.6-flash", {"reasoning_effort": "none"}),
        ("z-ai/glm-5.2", {"thinking": {"type": "disabled"}}),
        ("openai/gpt-4o", {}),
        ("minimax/minimax-m3", {"reasoning_effort": "none"}),
        ("somebody/new-model", {"reasoning_effort": "none"}),
    ],
)
def test_no_thinking_is_spelled_for_each_family(model: str, sent: dict[str, Any]) -> None:
    """`reasoning_effort="none"` becomes the switch of the model's family, and disappears where nothing thinks."""
    with Sandbox(models=(model,)) as sandbox:
        litellm.completion(
            model=f"maas/{model}",
            messages=MESSAGES,
            reasoning_effort="none",
            api_base=sandbox.url,
            api_key=sandbox.key,
        )
        body = sandbox.requests[0].body
    switches = ("reasoning_effort", "thinking", "chat_template_kwargs")
    assert {name: body[name] for name in switches if name in body} == sent


def test_the_switch_does_not_overwrite_the_callers_own(sandbox: Sandbox) -> None:
    """A family's switch that the caller set itself is left as it is."""
    own = {"chat_template_kwargs": {"enable_thinking": True, "x": 1}}
    litellm.completion(model="maas/qwen/qwen3.7-plus", messages=MESSAGES, reasoning_effort="none", **own)
    litellm.completion(model="maas/qwen/qwen3.7-plus", messages=MESSAGES, reasoning_effort="none", extra_body=own)
    assert [request.body["chat_template_kwargs"] for request in sandbox.requests] == [own["chat_template_kwargs"]] * 2


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("deepseek/deepseek-v4-pro", {"reasoning_effort": "high"}),
        ("deepseek/deepseek-v4-pro", {"reasoning_effort": "none"}),
        ("qwen/qwen3.7-plus", {"tools": [TOOL], "tool_choice": "required"}),
        (
            "z-ai/glm-5.2",
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
        ),
    ],
)
def test_what_a_family_refuses_is_raised_or_dropped(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, model: str, params: dict[str, Any]
) -> None:
    """A parameter that a family refuses raises without a request, or is dropped with a debug line if so asked."""
    refused = "tool_choice" if "tool_choice" in params else "reasoning_effort"
    call: dict[str, Any] = {"model": f"maas/{model}", "messages": MESSAGES, **params}
    with pytest.raises(litellm.UnsupportedParamsError, match=f"refuses {refused}"):
        litellm.completion(**call)
    assert not sandbox.requests
    with caplog.at_level(logging.DEBUG, logger="litellm_maas"):
        litellm.completion(drop_params=True, **call)
    litellm.drop_params = True
    litellm.completion(**call)
    assert f"refuses {refused}" in caplog.text
    assert not any(refused in request.body for request in sandbox.requests)


def test_what_is_refused_can_be_sent_all_the_same(sandbox: Sandbox) -> None:
    """`extra_body` sends what the catalogue says is refused: the catalogue may be behind."""
    with pytest.raises(litellm.BadRequestError, match="not supported"):
        litellm.completion(
            model="maas/deepseek/deepseek-v4-pro", messages=MESSAGES, extra_body={"reasoning_effort": "low"}
        )
    assert sandbox.requests[0].body["reasoning_effort"] == "low"


@pytest.mark.parametrize("off", [{"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}])
def test_a_forced_tool_goes_through_without_thinking(sandbox: Sandbox, off: dict[str, Any]) -> None:
    """A forced tool choice is refused only while the model thinks."""
    response = litellm.completion(
        model="maas/z-ai/glm-5.2", messages=MESSAGES, tools=[TOOL], tool_choice="required", **off
    )
    assert assemble(response).only.tools[0][0] == "get_weather"


def test_fields_of_litellm_stay_at_home(sandbox: Sandbox) -> None:
    """A message of an earlier response can be sent back as it is, without LiteLLM's own fields on the wire."""
    first: Any = litellm.completion(model="maas/qwen/qwen3.6-plus", messages=MESSAGES, tools=[TOOL])
    message = first.choices[0].message
    text = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
    parameters = {"type": "object", "properties": {"cache_control": {"type": "string"}}}
    tool: Any = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": parameters},
        "cache_control": {"type": "ephemeral"},
    }
    history: list[Any] = [
        {"role": "user", "content": [text]},
        {**message.model_dump(), "thinking_blocks": [], "provider_specific_fields": {"a": 1}},
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "31 °C"},
    ]
    litellm.completion(model="maas/z-ai/glm-5.2", messages=history, tools=[tool])
    body = sandbox.requests[1].body
    assert body["messages"][0]["content"] == [{"type": "text", "text": "hi"}]
    assert not {"thinking_blocks", "provider_specific_fields"} & set(body["messages"][1])
    assert body["messages"][1]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert body["messages"][1]["reasoning_content"] == "Let me think about that."
    assert "cache_control" not in body["tools"][0]
    assert "cache_control" in body["tools"][0]["function"]["parameters"]["properties"]


def test_what_is_not_json_is_a_clear_error(sandbox: Sandbox) -> None:
    """Something in the request that JSON cannot hold is named, and nothing is sent."""
    with pytest.raises(litellm.BadRequestError, match="cannot be sent as JSON"):
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES, extra_body={"x": {1, 2}})
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("model", "off"),
    [
        ("qwen/qwen3.7-plus", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("qwen/qwen3.7-plus", {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}),
        ("qwen/qwen3.7-plus", {"thinking": {"type": "disabled"}}),
        ("qwen/qwen3.7-plus", {"reasoning_effort": "none", "chat_template_kwargs": {"x": 1}}),
        ("z-ai/glm-5.2", {"thinking": {"type": "disabled"}}),
        ("z-ai/glm-5.2", {"reasoning_effort": "none"}),
    ],
)
def test_a_tool_may_be_forced_where_nothing_thinks(sandbox: Sandbox, model: str, off: dict[str, Any]) -> None:
    """Thinking that is turned off, in whatever words, lets a forced choice through, with the family's switch."""
    litellm.completion(model=f"maas/{model}", messages=MESSAGES, tools=[TOOL], tool_choice="required", **off)
    (request,) = sandbox.requests
    assert request.body["tool_choice"] == "required"
    switches = [request.body.get("chat_template_kwargs", {}).get("enable_thinking"), request.body.get("thinking")]
    assert switches == ([False, None] if "qwen" in model else [None, {"type": "disabled"}])


CACHED: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("model", "role", "keeps_cache_control", "limit"),
    [
        ("openai/gpt-4o", "developer", False, "max_tokens"),
        ("openai/gpt-5", "developer", False, "max_completion_tokens"),
        ("qwen/qwen3.7-plus", "system", True, "max_tokens"),
        ("deepseek/deepseek-v4-pro", "system", True, "max_tokens"),
        ("anthropic/claude-next", "system", True, "max_tokens"),
        ("z-ai/glm-5.2", "system", False, "max_tokens"),
        ("somebody/new-9", "system", True, "max_tokens"),
    ],
)
def test_what_docs_say_is_changed_in_a_request(model: str, role: str, keeps_cache_control: bool, limit: str) -> None:
    """Roles, cache marks and limits go out as docs/calls.md says of each family, and of ids that nobody knows."""
    messages: list[Any] = [
        {"role": "developer", "content": [{"type": "text", "text": "a", **CACHED}]},
        {"role": "user", "content": "b"},
    ]
    known = catalogue().model(model)
    params = {"max_tokens": 5, "tools": [{**TOOL, **CACHED}]}
    body = build_chat_body(known, messages, params, {}, stream=True, drop_unsupported=True)
    assert body["messages"][0]["role"] == role
    assert ("cache_control" in body["messages"][0]["content"][0]) is keeps_cache_control
    assert ("cache_control" in body["tools"][0]) is keeps_cache_control
    assert {name: value for name, value in body.items() if name.startswith("max_")} == {limit: 5}
    assert body["stream_options"] == {"include_usage": True}


def test_a_limit_under_its_newer_name_goes_out_as_given(sandbox: Sandbox) -> None:
    """`max_completion_tokens` reaches the wire under its own name, for every family."""
    for model in ("openai/gpt-5", "openai/gpt-4o", "qwen/qwen3.7-plus"):
        litellm.completion(model=f"maas/{model}", messages=MESSAGES, max_completion_tokens=5)
        body = sandbox.requests[-1].body
        assert (body["max_completion_tokens"], "max_tokens" in body) == (5, False)


def test_two_limits_are_both_sent(sandbox: Sandbox) -> None:
    """With both limits given neither is lost, but for a family that takes one of them alone."""
    for model, sent in (
        ("qwen/qwen3.7-plus", {"max_tokens": 7, "max_completion_tokens": 5}),
        ("openai/gpt-5", {"max_completion_tokens": 5}),
    ):
        litellm.completion(model=f"maas/{model}", messages=MESSAGES, max_tokens=7, max_completion_tokens=5)
        body = sandbox.requests[-1].body
        assert {name: value for name, value in body.items() if name.startswith("max_")} == sent
