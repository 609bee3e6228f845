"""Read an error body, in whatever shape it comes. Knows no LiteLLM.

The gateway is Kong with the vendor's policy plugin before many upstreams, so the same error comes as JSON of OpenAI's,
Kong's, FastAPI's, Google's, Alibaba's or MiniMax's shape, as Kong's text, as nginx's HTML page or as nothing (users'
reports, read 2026-10 and 2026-11).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error says.

    Attributes:
        text: Its messages.
        status: The HTTP status that it names; None where it names none.
        codes: Its codes and types, as they are written.
        wait: What it says in a field about when to try again, as it is written.
        is_html: Whether it is a page.
    """

    text: str
    status: int | None = None
    codes: str = ""
    wait: str | None = None
    is_html: bool = False

    @property
    def words(self) -> str:
        """Everything in it that can be looked for."""
        return f"{self.text} {self.codes}"


def matches(words: str, patterns: Iterable[str]) -> bool:
    """Return whether one of the patterns is found in the words."""
    # Compiled on the first failure and not on import, which every program pays for.
    return any(re.search(pattern, words, re.IGNORECASE) for pattern in patterns)


def read(body: bytes) -> ErrorBody:
    """Return what the body of an error reply says."""
    text = body.decode("utf-8", "replace").strip()
    if text[:1] in ("{", "[", '"'):
        try:
            return of_json(json.loads(text))
        except (ValueError, RecursionError):
            pass
    if "<html" in text[:500].lower() or text[:9].lower() == "<!doctype":
        title = re.search(r"<(title|h1)[^>]*>(.*?)</\1>", text, re.IGNORECASE | re.DOTALL)
        plain = title.group(2) if title else re.sub(r"<[^>]*>", " ", text)
        return ErrorBody(html.unescape(plain).strip(), is_html=True)
    return ErrorBody(text)


def of_json(content: Any) -> ErrorBody:
    """Return what an error in JSON says."""
    texts = list(dict.fromkeys(text for text in _texts(content) if text))
    holders = list(_holders(content))
    codes = [str(each[name]) for each in holders for name in _CODES if isinstance(each.get(name), (str, int))]
    statuses = [int(code) for code in codes if re.fullmatch(r"[45]\d\d", code)]
    statuses += [_STATUS_OF_CODE[code.lower()] for code in codes if code.lower() in _STATUS_OF_CODE]
    waits = [str(each[name]) for each in holders for name in _WAITS if isinstance(each.get(name), (str, int, float))]
    codes = list(dict.fromkeys(codes))
    return ErrorBody(
        "; ".join(texts) or ", ".join(codes),
        statuses[0] if statuses else None,
        " ".join(codes),
        _with_unit(holders, waits[0]) if waits else None,
    )


def error_in(payload: object) -> object | None:
    """Return the error in a reply with status 200, or in an event of a stream; None where it is none.

    A reply that has choices or data is one, whatever else stands beside them, unless it has an `error` too.
    """
    if isinstance(payload, list):
        return (
            payload
            if any(_says_something(each.get("error")) for each in payload if isinstance(each, Mapping))
            else None
        )
    if not isinstance(payload, Mapping):
        return None
    if _says_something(payload.get("error")):
        return payload
    if payload.get("choices") or payload.get("data"):
        return None
    status = payload["base_resp"].get("status_code") if isinstance(payload.get("base_resp"), Mapping) else None
    if status not in (None, 0, "0"):  # MiniMax's: 0 stands in every good reply
        return payload
    is_event = isinstance(payload.get("choices"), list) or payload.get("usage") is not None
    return payload if not is_event and any(_says_something(payload.get(name)) for name in _MESSAGES) else None


def _says_something(error: object) -> bool:
    """Return whether an error is one: some upstreams write an empty object, or one of nulls, in good replies."""
    return any(error.values()) if isinstance(error, Mapping) else bool(error)


_MESSAGES = ("message", "detail", "msg", "error_msg", "error_description", "errors", "title")
_CODES = ("code", "type", "status", "status_code", "http_status", "http_code", "error_code")
_WAITS = ("retry_after", "retry_after_seconds", "retry_after_ms", "retryAfter", "retryDelay")
_STATUS_OF_CODE = {
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "invalidparameter": 400,
    "failed_precondition": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "invalidapikey": 401,
    "unauthenticated": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "accessdenied": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_reached_error": 429,
    "insufficient_quota": 429,
    "exceeded_current_quota_error": 429,
    "resource_exhausted": 429,
    "throttling": 429,
    "deadline_exceeded": 504,
    "overloaded_error": 503,
    "engine_overloaded_error": 503,
    "service_unavailable": 503,
    "unavailable": 503,
}
"""Codes and types that stand for a status: OpenAI's, Anthropic's, Google's, Alibaba's and Moonshot's. From
memory and users' reports (read 2026-11), not from a document."""


def _holders(content: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of an error in which codes stand: the innermost first, as it is the nearest to the cause."""
    if isinstance(content, list):
        for item in content[:3]:
            yield from _holders(item)
    elif isinstance(content, Mapping):
        for name in ("error", "errors", "base_resp", "details"):
            yield from _holders(content.get(name))
        yield content


def _with_unit(holders: list[Mapping[str, Any]], wait: str) -> str:
    is_milliseconds = any("retry_after_ms" in each and str(each["retry_after_ms"]) == wait for each in holders)
    return f"{wait}ms" if is_milliseconds else wait


def _texts(content: Any, depth: int = 0) -> Iterator[str]:
    """Yield the messages in an error, also of lists of them, and of JSON inside a string."""
    if isinstance(content, str):
        yield from _texts_in_string(content, depth)
    elif isinstance(content, list):
        for item in content[:3]:
            yield from _texts(item, depth)
    elif isinstance(content, Mapping) and depth < _DEEPEST:
        for name in ("error", *_MESSAGES):
            if content.get(name):
                yield from _texts(content[name], depth + 1)
                if name in ("message", "detail", "msg"):
                    return
        if isinstance(content.get("base_resp"), Mapping):
            yield from _texts(content["base_resp"].get("status_msg"), depth + 1)


def _texts_in_string(text: str, depth: int) -> Iterator[str]:
    try:
        inner = json.loads(text) if text[:1] == "{" else None
    except (ValueError, RecursionError):
        inner = None
    yield from [text.strip()] if inner is None else _texts(inner, depth + 1)
