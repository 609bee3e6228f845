"""What LiteLLM answers when it is asked what one of our models can do."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import litellm
import pytest

from litellm_maas.catalogue import Model, catalogue

# Those with a cache price on the official list of 2026-08-03.
CACHE_PRICED: frozenset[str] = frozenset(
    {
        "openai/gpt-4o",
        "openai/gpt-4o-mini",
        "openai/gpt-5",
        "openai/gpt-5-mini",
        "openai/gpt-5-nano",
        "qwen/qwen3.6-plus",
        "qwen/qwen3.6-flash",
        "qwen/qwen3.7-plus",
        "z-ai/glm-5.2",
        "minimax/minimax-m2.5",
        "minimax/minimax-m3",
        "kimi/kimi-k2.6",
        "google/gemma-4-31b-it",
    }
)

# By the name of LiteLLM's function, what the catalogue knows of a chat model.
KNOWN: dict[str, Callable[[Model], bool]] = {
    "supports_function_calling": lambda model: model.tools,
    "supports_parallel_function_calling": lambda model: model.tools,
    "supports_tool_choice": lambda model: model.tools,
    "supports_response_schema": lambda model: model.json_schema,
    "supports_system_messages": lambda model: True,
    "supports_native_streaming": lambda model: True,
    "supports_vision": lambda model: "image" in model.input,
    "supports_video_input": lambda model: "video" in model.input,
    "supports_pdf_input": lambda model: "file" in model.input,
    "supports_reasoning": lambda model: model.reasoning,
    "supports_none_reasoning_effort": lambda model: model.reasoning and model.disable_reasoning is not None,
    "supports_prompt_caching": lambda model: model.id in CACHE_PRICED,
}


def _functions() -> dict[str, Callable[..., bool]]:
    """LiteLLM's functions that say what a model can do."""
    return {
        name: function
        for name, function in vars(litellm.utils).items()
        if name.startswith("supports_")
        and inspect.isfunction(function)
        and {"model", "key"} & inspect.signature(function).parameters.keys() == {"model"}
    }


@pytest.mark.parametrize("name", sorted(_functions()))
def test_every_question_is_answered_from_the_catalogue(name: str) -> None:
    """For every id LiteLLM says what the catalogue knows, and no where it knows nothing, whatever others can do."""
    ask, known = _functions()[name], KNOWN.get(name)
    for model_id in (*catalogue().ids(), "somebody/new-model", "gemini/gemini-2.5-pro", "z-ai/glm-9", "qwen/qwen3-9b"):
        model = catalogue().model(model_id)
        expected = known is not None and model.mode == "chat" and known(model)
        assert ask(f"maas/{model_id}", None) is expected, model_id
        assert ask(model_id, "maas") is expected, model_id


@pytest.mark.parametrize(
    ("name", "model", "expected"),
    [
        ("supports_vision", "openai/gpt-4o", True),
        ("supports_vision", "z-ai/glm-5.2", False),
        ("supports_vision", "kimi/kimi-k2.6", True),
        ("supports_reasoning", "qwen/qwen3.7-plus", True),
        ("supports_reasoning", "openai/gpt-4o", False),
        ("supports_function_calling", "gemini/gemini-2.5-flash", True),
        ("supports_function_calling", "qwen/qwen3-embedding-8b", False),
        ("supports_response_schema", "qwen/qwen3-27b", True),
        ("supports_pdf_input", "openai/gpt-4o", True),
        ("supports_prompt_caching", "kimi/kimi-k2.6", True),
        ("supports_prompt_caching", "openai/gpt-oss-120b", False),
        # LiteLLM knows a model of the same name elsewhere that can.
        ("supports_web_search", "gemini/gemini-2.5-flash", False),
        ("supports_audio_input", "gemini/gemini-2.5-flash", False),
        ("supports_prompt_caching", "deepseek/deepseek-v4-pro", False),
        ("supports_function_calling", "somebody/new-model", True),
        ("supports_vision", "somebody/new-model", False),
    ],
)
def test_what_models_can_do(name: str, model: str, expected: bool) -> None:
    """Some answers, one by one."""
    assert getattr(litellm.utils, name)(f"maas/{model}", None) is expected


def test_a_wildcard_deployment_is_looked_up() -> None:
    """A deployment of `maas/*` is a chat model with tools."""
    info: Any = litellm.get_model_info("maas/*")
    assert (info["mode"], info["supports_function_calling"], info["max_input_tokens"]) == ("chat", True, 129_024)
