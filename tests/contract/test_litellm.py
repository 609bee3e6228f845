"""What this package relies on in LiteLLM. Each test says what stops working when LiteLLM moves.

`scripts/test-matrix` runs this folder on several versions of LiteLLM: the lowest one on which all of it passes is the
floor in `pyproject.toml`.
"""

from __future__ import annotations

from typing import Any

import litellm
import pytest
from litellm import CustomLLM

import litellm_maas
from litellm_maas import _litellm_compat
from litellm_maas.sandbox import Sandbox
from tests.helpers import KEY, MESSAGES, OTHER_KEYS, TOOL, assemble, astream


@pytest.fixture(autouse=True)
def registered() -> None:
    """The provider is registered, whatever ran before."""
    litellm_maas.register()


def test_the_public_registry_takes_our_handler() -> None:
    """`litellm.custom_provider_map` and `CustomLLM` are how a provider is registered."""
    assert isinstance(litellm_maas.maas, CustomLLM)
    entries = [(item["provider"], item["custom_handler"]) for item in litellm.custom_provider_map]
    assert ("maas", litellm_maas.maas) in entries
    assert litellm.get_llm_provider("maas/openai/gpt-4o")[:2] == ("openai/gpt-4o", "maas"), (
        "LiteLLM no longer resolves custom prefixes: `maas/` models are unknown to it"
    )


def test_the_table_of_provider_configurations_is_where_it_was() -> None:
    """`_litellm_compat.declare_reasoning_params` needs LiteLLM's table of provider configurations."""
    assert _litellm_compat.declare_reasoning_params("maas"), (
        "LiteLLM moved ProviderConfigManager._PROVIDER_CONFIG_MAP: reasoning_effort, thinking and verbosity are "
        "refused for maas/ models unless a call carries allowed_openai_params; mend litellm_maas/_litellm_compat.py"
    )
    supported: Any = litellm.get_supported_openai_params(model="maas/openai/gpt-4o")
    assert {"reasoning_effort", "thinking", "verbosity", "user", "tools", "response_format"} <= set(supported)


def test_other_custom_providers_keep_litellms_answer() -> None:
    """Declaring our parameters changes nothing for the unknown models of another custom provider."""
    litellm.custom_provider_map.append({"provider": "acme", "custom_handler": CustomLLM()})
    litellm.utils.custom_llm_setup()  # type: ignore[no-untyped-call]  # LiteLLM leaves it untyped
    supported: Any = litellm.get_supported_openai_params(model="acme/some-model")
    assert "reasoning_effort" not in supported


def test_unknown_models_have_rules() -> None:
    """`_litellm_compat.declare_rules` needs LiteLLM's rules for models that its map does not name."""
    assert _litellm_compat.declare_rules("maas", {"": {"mode": "chat", "supports_function_calling": True}}), (
        "LiteLLM has no fallback generalizations: unknown maas/ ids count as able to do nothing; "
        "mend litellm_maas/_litellm_compat.py"
    )
    litellm_maas.register()
    assert litellm.supports_function_calling("maas/somebody/new-model")


@pytest.mark.parametrize("name", ["reasoning_effort", "thinking", "verbosity", "user"])
def test_the_logging_object_tells_the_parameters_as_called(sandbox: Sandbox, name: str) -> None:
    """`logging_obj.optional_params` holds what LiteLLM withholds from a custom provider's own parameters."""
    value: Any = {"type": "disabled"} if name == "thinking" else "low"
    litellm.completion(model="maas/openai/gpt-5", messages=MESSAGES, **{name: value})
    assert sandbox.requests[0].body[name] == value, (
        f"{name} no longer stands in logging_obj.optional_params: find where LiteLLM keeps it; "
        "mend litellm_maas/gateway/request.py"
    )


def test_the_caching_handler_tells_the_arguments_as_called(sandbox: Sandbox) -> None:
    """`logging_obj.llm_caching_handler.request_kwargs` holds what LiteLLM withholds from images and embeddings."""
    litellm.image_generation(model="maas/openai/gpt-4o", prompt="a cat", n=3)
    assert sandbox.requests[0].body.get("n") == 3, (
        "LiteLLM's caching handler no longer knows the arguments: size, quality and number of images are lost; "
        "mend litellm_maas/_litellm_compat.py"
    )


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-3.5-turbo", "o1", "gpt-5"])
def test_names_of_openai_models_stay_with_us(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """LiteLLM dispatches by the prefix, not by the name: `maas/gpt-4o` goes to the gateway alone."""
    with Sandbox(key=OTHER_KEYS[1]) as not_ours:
        monkeypatch.setenv("OPENAI_API_KEY", OTHER_KEYS[1])
        monkeypatch.setenv("OPENAI_BASE_URL", not_ours.url)
        with pytest.raises(litellm.NotFoundError):
            litellm.completion(model=f"maas/{model}", messages=MESSAGES)
        assert not not_ours.requests, "LiteLLM sent a maas/ model to OpenAI: do not use this version"
    assert sandbox.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_streams_of_model_responses_with_a_last_generic_chunk(sandbox: Sandbox) -> None:
    """The stream wrapper takes `ModelResponseStream` chunks and a last generic chunk that carries the usage."""
    call: dict[str, Any] = {"model": "maas/qwen/qwen3.6-plus", "messages": MESSAGES, "tools": [TOOL]}
    for chunks in (list(litellm.completion(stream=True, **call)), await astream(**call)):
        outcome = assemble(*chunks).only
        assert outcome.tools == {0: ["get_weather", '{"city": "Hà Nội"}']}
        assert outcome.reasoning == "Let me think about that."
        assert outcome.finish_reason == "tool_calls"
    charge = sandbox.bill.charges[0]
    usage = chunks[-1]._hidden_params["usage"]
    assert (usage.prompt_tokens, usage.completion_tokens) == (charge.input_tokens, charge.output_tokens), (
        "LiteLLM lost the usage of a custom provider's stream; mend litellm_maas/provider/streaming.py"
    )


def test_a_tool_call_needs_nothing_that_is_not_installed(sandbox: Sandbox) -> None:
    """LiteLLM imports an MCP library on any call with tools; the dependency `litellm[mcp]` must bring it."""
    response = litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES, tools=[TOOL])
    assert assemble(response).only.tools[0][0] == "get_weather"


@pytest.mark.parametrize(
    "name",
    [
        "APIConnectionError",
        "APIError",
        "AuthenticationError",
        "BadGatewayError",
        "BadRequestError",
        "ContentPolicyViolationError",
        "ContextWindowExceededError",
        "InternalServerError",
        "NotFoundError",
        "PermissionDeniedError",
        "RateLimitError",
        "ServiceUnavailableError",
        "Timeout",
        "UnprocessableEntityError",
        "UnsupportedParamsError",
    ],
)
def test_the_exceptions_are_there(name: str) -> None:
    """Every exception class that a failure becomes exists."""
    assert issubclass(getattr(litellm, name), Exception)


def test_embeddings_and_images_reach_the_handler(sandbox: Sandbox) -> None:
    """LiteLLM dispatches embeddings and images of a custom provider to its handler."""
    litellm.embedding(model="maas/qwen/qwen3-embedding-8b", input=["a"])
    litellm.image_generation(model="maas/openai/gpt-4o", prompt="a cat")
    assert [request.path for request in sandbox.requests] == ["/v1/embeddings", "/v1/images/generations"]


@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
def test_a_stream_keeps_its_chunks(sandbox: Sandbox) -> None:
    """`came_with_usage` sees in a stream that was read whether its chunks carried usage."""
    call = {"model": "openai/openai/gpt-4o", "api_base": sandbox.url, "api_key": sandbox.key, "messages": MESSAGES}
    for asked in (False, True):
        stream: Any = litellm.completion(stream=True, stream_options={"include_usage": asked}, **call)
        list(stream)
        assert _litellm_compat.came_with_usage(stream) is asked, "mend litellm_maas/_litellm_compat.py"


def test_a_look_up_of_parameters_shows_fewer_than_a_call_sends(sandbox: Sandbox) -> None:
    """`get_optional_params` leaves out what a call sends, as docs/calls.md says."""
    asked: Any = {"reasoning_effort": "low", "user": "u-1"}
    shown = litellm.utils.get_optional_params(model="openai/gpt-5", custom_llm_provider="maas", **asked)
    assert not asked.keys() & shown.keys()
    litellm.completion(model="maas/openai/gpt-5", messages=MESSAGES, **asked)
    assert asked.items() <= sandbox.requests[-1].body.items()
