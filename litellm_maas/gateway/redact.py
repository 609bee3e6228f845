"""Keys, and what the caller wrote, out of the words of an error. Knows no LiteLLM.

Gateways and upstreams quote what they refuse, in whatever encoding they hold it. So an error's text is first decoded
as far as it can be, and then compared with the request letter by letter, whatever the case, accents, spaces and signs.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

_LONGEST_REASON = 300
_LONGEST_READ = 12 * _LONGEST_REASON
_GRAM, _STEP = 8, 3
"""Letters and digits that are compared at once, and how far apart in the request: whatever an error shares with it over
ten in a row is found, and a long request is read in a third of the steps."""

_LARGEST_REQUEST = 8_000_000
"""Characters. An error about a larger request is told by its kind and its codes alone."""

_CUT = "[…]"
_ROUNDS = 4


def redacted(text: str, key: str, body: Mapping[str, Any], codes: str = "") -> str:
    """Return an error's text on one line of bounded length, without the key, what looks like one, and quotes.

    Args:
        text: The gateway's words.
        key: The key of the call.
        body: The request's body; everything that the caller wrote in it is looked for.
        codes: What to say instead where the request is too large to be compared.
    """
    text = _decoded(text[:_LONGEST_READ])
    for secret in {key, key.lower()} - {""}:
        text = text.replace(secret, "***")
    text = re.sub(r"\b(vn|sk)-[\w-]{6,}", "***", text)
    text = re.sub(r"(?i)\bbearer\s+\S+", "Bearer ***", text)
    text = " ".join(text.split())[: 4 * _LONGEST_REASON]
    text = _strip_prompt_echo(text, list(_written(body)), codes)
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


def _strip_prompt_echo(text: str, written: list[str], codes: str) -> str:
    if sum(map(len, written)) > _LARGEST_REQUEST:
        return codes or "the gateway's words are left out, because the request is too large to be compared with them"
    plain, places = _plain_with_places(text)
    marked = bytearray(len(text))
    request = "\n".join(_plain(each) for each in written)
    # A text of eight or nine letters could fall between two steps.
    theirs = {request[start : start + _GRAM] for start in range(0, len(request) - _GRAM + 1, _STEP)}
    theirs |= {each[:_GRAM] for each in request.split("\n") if len(each) >= _GRAM}
    for start, end in _shared(plain, theirs, request):
        _mark(marked, places[start], places[end - 1])
    for start, end in (*_short_quotes(text, written), *_encoded_quotes(text, request)):
        _mark(marked, start, end - 1)
    return "".join(_kept(text, marked))


def _shared(plain: str, theirs: set[str], request: str) -> Iterator[tuple[int, int]]:
    """Yield where a text quotes the request, with the letters at their ends that fell between two steps."""
    for start in range(len(plain) - _GRAM + 1):
        end = start + _GRAM
        if plain[start:end] not in theirs:
            continue
        for more in range(1, _STEP):
            if plain[start : end + more] in request:
                yield start, min(end + more, len(plain))
            if start >= more and plain[start - more : end] in request:
                yield start - more, end
        yield start, end


def _mark(marked: bytearray, first: int, last: int) -> None:
    marked[first : last + 1] = b"\x01" * (last + 1 - first)


def _kept(text: str, marked: bytearray) -> Iterator[str]:
    for position, character in enumerate(text):
        if not marked[position]:
            yield character
        elif position == 0 or not marked[position - 1]:
            yield _CUT


def _short_quotes(text: str, written: list[str]) -> Iterator[tuple[int, int]]:
    """Yield where texts that are too short for a gram stand as words of their own."""
    words = [(_plain(found.group()), found.start(), found.end()) for found in re.finditer(r"\w+", text)]
    short = {tuple(map(_plain, re.findall(r"\w+", each))) for each in written if len(each) <= 4 * _GRAM}
    for quote in short:
        if not 2 <= sum(map(len, quote)) < _GRAM:
            continue
        for start in range(len(words) - len(quote) + 1):
            if tuple(word for word, _, _ in words[start : start + len(quote)]) == quote:
                yield words[start][1], words[start + len(quote) - 1][2]


def _encoded_quotes(text: str, request: str) -> Iterator[tuple[int, int]]:
    """Yield where base64 or hexadecimal digits decode to something of the request."""
    for found in re.finditer(r"[A-Za-z0-9+/_-]{12,}={0,2}", text):
        for decoded in _as_bytes(found.group()):
            plain = _plain(decoded.decode("utf-8", "ignore"))
            if len(plain) >= 4 and any(
                plain[start : start + _GRAM] in request for start in range(0, len(plain), _GRAM)
            ):
                yield found.start(), found.end()
                break


def _as_bytes(digits: str) -> Iterator[bytes]:
    bare = digits.rstrip("=").replace("-", "+").replace("_", "/")
    # Cut at the end, as a longer text is when an error quotes its beginning.
    bare = bare[: len(bare) - (len(bare) % 4 == 1)]
    with suppress(binascii.Error, ValueError):
        yield base64.b64decode(bare + "=" * (-len(bare) % 4))
    with suppress(ValueError):
        yield bytes.fromhex(digits)


def _decoded(text: str) -> str:
    """Return the text with escapes of JSON, URLs, HTML and Python read, as often as they were nested."""
    for _ in range(_ROUNDS):
        before = text
        text = re.sub(r"(?:\\+u[0-9a-fA-F]{4})+", _of_utf16, text)
        text = re.sub(r"(?:\\+x[0-9a-fA-F]{2})+", _of_utf8, text)
        text = re.sub(r"\\+([\"'/\\])", r"\1", re.sub(r"\\+[nrt]", " ", text))
        text = html.unescape(unquote(text, errors="ignore"))
        with suppress(UnicodeError):
            # What was UTF-8 and was read as Latin-1.
            text = text.encode("latin-1").decode("utf-8")
        if text == before:
            break
    return text


def _of_utf16(found: re.Match[str]) -> str:
    digits = "".join(re.findall(r"u([0-9a-fA-F]{4})", found.group()))
    return bytes.fromhex(digits).decode("utf-16-be", "replace")


def _of_utf8(found: re.Match[str]) -> str:
    return bytes.fromhex("".join(re.findall(r"x([0-9a-fA-F]{2})", found.group()))).decode("utf-8", "replace")


_ACCENTLESS = str.maketrans({"đ": "d", "Đ": "d"})


def _plain(text: str) -> str:
    """Letters and digits alone, in lower case and without accents."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).translate(_ACCENTLESS)
    return re.sub(r"[^\w]|_", "", text.casefold())


def _plain_with_places(text: str) -> tuple[str, list[int]]:
    plain: list[str] = []
    places: list[int] = []
    for position, character in enumerate(text):
        for each in _plain(character):
            plain.append(each)
            places.append(position)
    return "".join(plain), places


_NAMES = frozenset(
    {
        *("model", "type", "role", "name", "id", "tool_call_id", "format", "object", "detail", "tool_choice"),
        *("reasoning_effort", "verbosity", "encoding_format", "service_tier", "size", "quality", "response_format"),
    }
)
"""Fields whose values are words of the protocol, which errors need to name, and no text of the caller's."""


def _written(content: Any, field: str = "") -> Iterator[str]:
    """Yield every text that the caller wrote; what pictures are encoded in is none."""
    if isinstance(content, str):
        if field not in _NAMES and not content.startswith("data:"):
            yield content
    elif isinstance(content, Mapping):
        if field == "properties":
            yield from map(str, content)
        for name, inner in content.items():
            yield from _written(inner, str(name))
    elif isinstance(content, Iterable) and not isinstance(content, (bytes, bytearray)):
        for inner in content:
            yield from _written(inner, field)
