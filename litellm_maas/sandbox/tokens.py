"""Count tokens for the sandbox: deterministically, and so that one streamed event carries one token.

A token is up to four characters of a word together with the white space before it. Real models count differently;
what matters is that the sandbox's bill and its replies agree to the token.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

TOKENS_PER_MESSAGE = 3
TOKENS_PER_IMAGE = 85
_PIECE = re.compile(r"\s*\S{1,4}|\s+$")


def pieces(text: str, size: int = 4) -> list[str]:
    """Cut a text into tokens; joined again they are the text."""
    if size == 4:
        return _PIECE.findall(text)
    return [text[start : start + size] for start in range(0, len(text), size)]


def count(text: str) -> int:
    """Count the tokens of a text."""
    return len(_PIECE.findall(text))


def count_message(message: Mapping[str, Any]) -> int:
    """Count the tokens of a chat message, its images and tool calls included."""
    content = message.get("content")
    total = TOKENS_PER_MESSAGE
    if isinstance(content, str):
        total += count(content)
    for part in content if isinstance(content, list) else ():
        total += TOKENS_PER_IMAGE if "image" in str(part.get("type")) else count(str(part.get("text") or ""))
    if message.get("tool_calls"):
        total += count(json.dumps(message["tool_calls"]))
    return total


def count_tools(tools: Iterable[Any] | None) -> int:
    """Count the tokens of the tool definitions of a request."""
    return count(json.dumps(list(tools))) if tools else 0


def embedding(text: str, dimensions: int) -> list[float]:
    """Make a unit vector that depends on the text alone."""
    seed = sum((index + 1) * ord(character) for index, character in enumerate(text)) or 1
    raw = [math.sin(seed * (index + 1)) for index in range(dimensions)]
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return [value / length for value in raw]
