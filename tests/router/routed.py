"""Routers in tests: the ways to make a call, what the gateway was asked for, and routers' files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litellm
import pytest
import yaml

from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import MESSAGES, assemble

FIRST, SECOND, THIRD = TRIO = ("openai/gpt-4o", "gemini/gemini-2.5-flash", "qwen/qwen3-27b")
MISSING = {"error": {"message": "model not found", "code": "model_not_found"}}


def plain(router: litellm.Router, **call: Any) -> list[Any]:
    """A plain call."""
    return [router.completion(messages=MESSAGES, **call)]


def aplain(router: litellm.Router, **call: Any) -> list[Any]:
    """A plain asynchronous call."""
    return [asyncio.run(router.acompletion(messages=MESSAGES, **call))]


def stream(router: litellm.Router, **call: Any) -> list[Any]:
    """A stream."""
    return list(router.completion(messages=MESSAGES, stream=True, **call))


def astream(router: litellm.Router, **call: Any) -> list[Any]:
    """An asynchronous stream."""
    return asyncio.run(_astream(router, **call))


async def _astream(router: litellm.Router, **call: Any) -> list[Any]:
    chunks: Any = await router.acompletion(messages=MESSAGES, stream=True, **call)
    return [chunk async for chunk in chunks]


ConnectionReport = Callable[..., list[Any]]
WAYS = [plain, aplain, stream, astream]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def served(parts: list[Any]) -> str:
    """The model that answered: the sandbox's answers begin with it."""
    return assemble(*parts).only.content.split(" heard")[0]


def asked(sandbox: Sandbox) -> list[str]:
    """The models that the gateway was asked for since this was last asked."""
    models = [request.body["model"] for request in sandbox.requests]
    sandbox.requests.clear()
    return models


def broken(model: str, status: int = 404, body: Any = MISSING, times: int | None = None) -> Fault:
    """A model that answers with an error."""
    return Fault(status=status, body=body, model=model, times=times)


def ordered(folder: Path, *models: str, settings: dict[str, Any]) -> Path:
    """A router's file with one group of models, each with its order."""
    group = [
        {"model_name": "group", "litellm_params": {"model": f"maas/{model}", "order": order}}
        for order, model in enumerate(models, start=1)
    ]
    file = folder / "group.yaml"
    file.write_text(yaml.safe_dump({"model_list": group, "router_settings": settings}))
    return file


def chain(folder: Path, **settings: Any) -> Path:
    """A router's file with three groups, of which the first falls back on the others."""
    names = dict(zip("abc", TRIO, strict=True))
    models = [{"model_name": name, "litellm_params": {"model": f"maas/{model}"}} for name, model in names.items()]
    given = {"num_retries": 0, "disable_cooldowns": True, "fallbacks": [{"a": ["b", "c"]}], **settings}
    file = folder / "chain.yaml"
    file.write_text(yaml.safe_dump({"model_list": models, "router_settings": given}))
    return file
