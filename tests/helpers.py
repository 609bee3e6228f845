"""What several test files share: the keys, and the ways in which a call can reach the provider."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litellm

ROOT = Path(__file__).parent.parent
KEY = "vn-test-0123456789abcdef0123456789"
OTHER_KEYS = ("vn-other-fedcba9876543210fedcba98", "sk-openai-0123456789abcdef0123456789")
MESSAGES: list[Any] = [{"role": "user", "content": "Xin chào"}]
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@dataclasses.dataclass
class Outcome:
    """What a caller has in hand after a call, however it was made."""

    choices: dict[int, Assembled] = dataclasses.field(default_factory=dict)
    usage: Any = None
    model: str | None = None

    @property
    def only(self) -> Assembled:
        """The single choice."""
        (choice,) = self.choices.values()
        return choice


@dataclasses.dataclass
class Assembled:
    """One choice, put together from a message or from deltas."""

    content: str = ""
    reasoning: str = ""
    tools: dict[int, list[str]] = dataclasses.field(default_factory=dict)
    finish_reason: str | None = None
    logprobs: list[Any] = dataclasses.field(default_factory=list)

    def add(self, fields: dict[str, Any], finish_reason: str | None, logprobs: Any) -> None:
        """Add a message or a delta."""
        self.content += fields.get("content") or ""
        self.reasoning += fields.get("reasoning_content") or ""
        for position, call in enumerate(fields.get("tool_calls") or ()):
            index = call.get("index")
            tool = self.tools.setdefault(position if index is None else index, ["", ""])
            tool[0] += call["function"].get("name") or ""
            tool[1] += call["function"].get("arguments") or ""
        self.finish_reason = finish_reason or self.finish_reason
        self.logprobs += (logprobs or {}).get("content") or ()


def assemble(*parts: Any) -> Outcome:
    """The outcome of a plain response (one part) or of the chunks of a stream."""
    outcome = Outcome()
    for part in parts:
        content = part if isinstance(part, dict) else json.loads(part.model_dump_json(exclude_unset=False))
        outcome.model = content.get("model") or outcome.model
        usage = content.get("usage") if isinstance(part, dict) else getattr(part, "usage", None)
        outcome.usage = usage if usage is not None else outcome.usage
        for choice in content.get("choices") or ():
            fields = choice.get("delta") or choice.get("message") or {}
            assembled = outcome.choices.setdefault(choice["index"], Assembled())
            assembled.add(fields, choice.get("finish_reason"), choice.get("logprobs"))
    return outcome


async def astream(**call: Any) -> list[Any]:
    """All chunks of an asynchronous stream."""
    return [chunk async for chunk in await litellm.acompletion(stream=True, **call)]


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait for what happens in threads and processes that nobody can wait for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


async def auntil(condition: Callable[[], object]) -> None:
    """The same, on an event loop."""
    await asyncio.to_thread(until, condition)


def run(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAAS_")}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(code)],
        env={**inherited, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
