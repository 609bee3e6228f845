"""A failed call -> what went wrong, in the gateway's words, and what to do about it.

The gateway is Kong with the vendor's policy plugin before many upstreams, so the same status comes with JSON of several
shapes, with Kong's text, with nginx's HTML page or with nothing (users' reports, read 2026-10). Statuses and advice
follow the vendor's troubleshooting table. Knows no LiteLLM: `litellm_maas.wire.exceptions` makes the exception.
"""

from __future__ import annotations

import email.utils
import html
import json
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import httpx

from litellm_maas import settings
from litellm_maas.wire.endpoints import Endpoint
from litellm_maas.wire.requests import WireRequest

Kind = Literal[
    "bad_request",
    "context_window",
    "content_policy",
    "authentication",
    "payment",
    "permission",
    "not_found",
    "unprocessable",
    "rate_limit",
    "timeout",
    "connection",
    "server",
    "bad_gateway",
    "unavailable",
]

_LONGEST_REASON = 300
_DEEPEST_ERROR = 5
# Characters. Shorter overlaps with the prompt are words that any error message could use.
_SHORTEST_QUOTE = 12


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a call.

    Attributes:
        kind: The class of failure; decides the exception.
        status: The HTTP status of the reply, or of the error event inside a stream; None where there was no reply.
        reason: The gateway's own words, on one line, without the key.
        hint: One line of what to do.
        retry_after: Seconds to wait before the next try, where the gateway says so.
    """

    kind: Kind
    status: int | None
    reason: str
    hint: str
    retry_after: float | None = None

    @property
    def lasts(self) -> bool:
        """Whether it stays until somebody mends something: no such model, not enabled, no credits."""
        return self.kind in ("payment", "permission", "not_found") or self.hint in (_NO_CREDITS, _NO_PLAN)


class GatewayError(Exception):
    """A call failed; carried up to the provider, which turns it into LiteLLM's exception."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.reason)


def from_reply(request: WireRequest, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that a reply with an error status stands for."""
    if 300 <= status < 400:
        return _redirect(request, status, headers)
    said = _said(body)
    reason = _tidy(said.text or f"HTTP {status} without a message", request)
    kind = _kind(status, said)
    failure = Failure(kind, status, reason, "", _retry_after(headers, said.text) if kind != "bad_request" else None)
    return replace(failure, hint=_hint(failure, said, request))


def from_error_object(request: WireRequest, error: object) -> Failure:
    """The failure that an error object inside a 200 reply, streamed or not, stands for."""
    body = json.dumps({"error": error}).encode()
    return from_reply(request, _said(body).status or 500, {}, body)


def from_transport(request: WireRequest, error: Exception, *, reading: bool = False) -> Failure:
    """The failure that a broken or silent connection stands for.

    Args:
        request: The request that was under way.
        error: What httpx raised.
        reading: Whether the reply had begun.
    """
    timeouts, base = request.timeouts, request.endpoint.base_url
    if isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)):
        reason = f"no connection to {base} within {timeouts.connect:g} s"
        return Failure("timeout", None, reason, "Check the network and any proxy; the call can be tried again.")
    if isinstance(error, httpx.TimeoutException):
        if reading:
            reason = f"the reply stopped for longer than {timeouts.between_chunks:g} s"
        else:
            reason = f"no reply from {base} within {timeouts.first_byte:g} s"
        return Failure(
            "timeout", None, reason, "Raise timeout=, stream the reply, or turn thinking off: reasoning_effort='none'."
        )
    if isinstance(error, httpx.ConnectError):
        return _no_connection(base, str(error))
    if isinstance(error, httpx.ProxyError):
        return Failure("connection", None, "the HTTP proxy refused the connection", "Check HTTPS_PROXY and NO_PROXY.")
    what = "in the middle of the reply" if reading else "before a reply came"
    # The error's own text is left out: httpx and h11 quote headers and bodies in some of them.
    reason = f"the connection to {base} broke {what} ({type(error).__name__})"
    return Failure("connection", None, reason, "Try again; num_retries=2 or a fallback does so by itself.")


def cut_short(request: WireRequest) -> Failure:
    """The failure of a stream that ended without saying that it was finished."""
    reason = f"the stream from {request.endpoint.base_url} ended before the answer was finished"
    return Failure("connection", None, reason, "Try again; what was received so far is incomplete.")


def unreadable(request: WireRequest, body: bytes) -> Failure:
    """The failure of a reply with status 200 that is not what the protocol promises.

    The body is described and not quoted: it may be a part of an answer.
    """
    said = _said(body)
    if said.is_html:
        what = f"an HTML page ({said.text})"
    elif body.strip()[:1] in (b"{", b"["):
        what = "JSON that is no reply"
    else:
        what = f"{len(body)} bytes that are no JSON" if body.strip() else "nothing"
    return Failure(
        "server",
        200,
        _tidy(f"the gateway answered 200 with {what}", request),
        f"Check that the base URL ends in a single /v1 (it is {request.endpoint.base_url}); else try again.",
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What a body says, whatever its shape."""

    text: str
    status: int | None = None
    codes: str = ""
    is_html: bool = False


_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "overloaded_error": 503,
    "service_unavailable": 503,
}


def _said(body: bytes) -> _Said:
    text = body.decode("utf-8", "replace").strip()
    if text[:1] in ("{", "[", '"'):
        try:
            return _said_in_json(json.loads(text))
        except (ValueError, RecursionError):
            pass
    if "<html" in text[:500].lower() or text[:9].lower() == "<!doctype":
        title = re.search(r"<(title|h1)[^>]*>(.*?)</\1>", text, re.IGNORECASE | re.DOTALL)
        plain = title.group(2) if title else re.sub(r"<[^>]*>", " ", text)
        return _Said(html.unescape(plain).strip(), is_html=True)
    return _Said(text)


def _said_in_json(content: Any) -> _Said:
    texts = list(dict.fromkeys(text for text in _texts(content) if text))
    inner = content.get("error", content) if isinstance(content, Mapping) else {}
    inner = inner if isinstance(inner, Mapping) else {}
    codes = [str(inner[name]) for name in ("code", "type", "status", "status_code") if inner.get(name) is not None]
    statuses = [int(code) for code in codes if re.fullmatch(r"[45]\d\d", code)]
    statuses += [_STATUS_OF_TYPE[code] for code in codes if code in _STATUS_OF_TYPE]
    return _Said("; ".join(texts) or ", ".join(codes), statuses[0] if statuses else None, " ".join(codes))


def _texts(content: Any, depth: int = 0) -> Iterator[str]:
    """The messages in an error body: OpenAI's, Kong's, FastAPI's, vLLM's, lists of them, or JSON inside a string."""
    if isinstance(content, str):
        yield from _texts_in_string(content, depth)
    elif isinstance(content, list):
        for item in content[:3]:
            yield from _texts(item, depth)
    elif isinstance(content, Mapping) and depth < _DEEPEST_ERROR:
        for name in ("error", "message", "detail", "msg", "error_msg", "error_description", "errors", "title"):
            if content.get(name):
                yield from _texts(content[name], depth + 1)
                if name in ("message", "detail", "msg"):
                    return


def _texts_in_string(text: str, depth: int) -> Iterator[str]:
    try:
        inner = json.loads(text) if text[:1] == "{" else None
    except ValueError:
        inner = None
    yield from [text.strip()] if inner is None else _texts(inner, depth + 1)


def _says(words: str, patterns: Iterable[str]) -> bool:
    # Compiled on the first failure and not on import, which every program pays for.
    return any(re.search(pattern, words, re.IGNORECASE) for pattern in patterns)


_CONTEXT = (
    r"context_length_exceeded",
    r"maximum context",
    r"context (length|window|size)",
    r"(prompt|input|request) is too long",
    r"too many (input )?tokens",
    r"range of input length",
    r"input (length|tokens?).{0,40}exceed",
    r"exceed.{0,40}input (length|tokens?)",
)
_POLICY = (
    r"content[_ ](policy|filter|management)",
    r"data_inspection_failed",
    r"(inappropriate|sensitive) content",
    r"safety system",
    r"violates? .{0,40}policy",
    r"ResponsibleAI",
)
_CREDITS = (
    r"insufficient[ _].{0,20}(credit|balance|quota|fund)",
    r"insufficient_quota",
    r"out of credit",
    r"credits?.{0,20}(exhausted|used up|run out|depleted|expired)",
    r"balance.{0,20}(exhausted|insufficient|not enough|is 0|zero)",
    r"payment required",
    r"quota exceeded",
    r"not responding",
)


def _kind(status: int, said: _Said) -> Kind:
    words = f"{said.text} {said.codes}"
    if status in (400, 413, 422):
        if _says(words, _CONTEXT):
            return "context_window"
        if _says(words, _POLICY):
            return "content_policy"
    exact: dict[int, Kind] = {
        401: "authentication",
        402: "payment",
        403: "permission",
        404: "not_found",
        408: "timeout",
        422: "unprocessable",
        429: "rate_limit",
        502: "bad_gateway",
        503: "unavailable",
        504: "timeout",
    }
    if status in exact:
        return exact[status]
    return "bad_request" if status < 500 else "server"


def _hint(failure: Failure, said: _Said, request: WireRequest) -> str:
    model, endpoint, words = request.model, request.endpoint, f"{said.text} {said.codes}"
    on_plan = endpoint.host_kind == "plan"
    if failure.kind == "payment" or (_says(words, _CREDITS) and failure.kind in _KINDS_OF_EMPTY_ACCOUNTS):
        return _NO_PLAN if on_plan else _NO_CREDITS
    match failure.kind:
        case "authentication":
            return _wrong_key(endpoint)
        case "permission":
            return f"Enable {model} for this key in the MaaS console, or choose a model the key may use."
        case "not_found":
            return _wrong_address(model, endpoint, said)
        case "rate_limit":
            return _too_many(failure, words)
        case "bad_request" | "unprocessable" | "server":
            return _about_request(model, words) or _HINTS[failure.kind]
    return _HINTS[failure.kind]


_KINDS_OF_EMPTY_ACCOUNTS = frozenset({"permission", "rate_limit", "unavailable", "server"})
_UPSTREAM = "Trouble upstream of the gateway; num_retries=2 or a fallback tries again by itself."
_UNCHANGED = "Change the request: sent again as it is, it fails again."
_HINTS: dict[Kind, str] = {
    "bad_request": _UNCHANGED,
    "unprocessable": _UNCHANGED,
    "server": _UPSTREAM,
    "bad_gateway": _UPSTREAM,
    "unavailable": _UPSTREAM,
    "context_window": "Send less, or configure context_window_fallbacks with a model that reads more.",
    "content_policy": "The upstream model refused the content; change it, or configure content_policy_fallbacks.",
    "timeout": "Try again; for a long answer stream it, or turn thinking off: reasoning_effort='none'.",
}
_NO_CREDITS = (
    "Top up in the MaaS console: when prepaid credits run out, all models are switched off until the next top-up."
)
_NO_PLAN = (
    "The Token Plan has expired, is used up or was deleted: renew it, or use the pay-as-you-go host with its own key."
)


def _wrong_key(endpoint: Endpoint) -> str:
    active = "Check that the key is ACTIVE in the MaaS console (a new one is pending at first)"
    if endpoint.host_kind == "plan":
        return f"{active} and is a Token Plan key: a pay-as-you-go key works only on {settings.PAYG_BASE_URL}."
    if endpoint.host_kind == "payg":
        return f"{active} and is a pay-as-you-go key: a Token Plan key works only on {settings.PLAN_BASE_URL}."
    return f"{active} and belongs to {endpoint.base_url}."


def _wrong_address(model: str, endpoint: Endpoint, said: _Said) -> str:
    if said.is_html or _says(said.text, ["no route", "no such route", "path not found"]):
        return f"Check the base URL: it should end in a single /v1 and is {endpoint.base_url}."
    if endpoint.host_kind == "plan" and "/" in model:
        return f"The Token Plan host takes bare model codes: try maas/{model.rsplit('/', 1)[1]}."
    if endpoint.host_kind != "plan" and "/" not in model:
        return f"The gateway takes full ids with the vendor's prefix, such as openai/gpt-4o; {model!r} has none."
    return f"Check that {model} is listed by `litellm-maas models`, is enabled for the key and serves this protocol."


def _too_many(failure: Failure, words: str) -> str:
    wait = f"Wait {math.ceil(failure.retry_after)} s" if failure.retry_after else "Wait"
    if _says(words, ["model (rpm|tpm|rate)"]):
        return f"{wait}, or fall back: this limit is this model's own."
    return (
        f"{wait}: the default limit of 10 requests a minute and 14,400 a day is shared by all keys and models of the "
        "account, so another MaaS model does not escape it."
    )


_REQUEST_HINTS = (
    (r"max_(completion_)?tokens|max_output", "Lower max_tokens: above 32,768 several models refuse it."),
    (
        r"tool_choice",
        "Thinking models refuse a forced tool_choice: use 'auto', or turn thinking off: reasoning_effort='none'.",
    ),
    (
        r"(contain|include|word).{0,20}\bjson\b",
        "With response_format json_object the messages must contain the word JSON.",
    ),
    (
        r"(image|vision|multimodal).{0,40}(support|accept)|(support|accept).{0,40}image",
        "{model} may not take images: choose a model that does (`litellm-maas models` lists them).",
    ),
    (r"reasoning_effort|thinking", "Leave reasoning_effort out, or pass drop_params=True."),
)


def _about_request(model: str, words: str) -> str | None:
    """What to change about the request, where the gateway's words say what is wrong with it."""
    for pattern, hint in _REQUEST_HINTS:
        if _says(words, [pattern]):
            return hint.format(model=model)
    return None


def _no_connection(base: str, words: str) -> Failure:
    if _says(words, ["certificate", "ssl", "tls"]):
        return Failure(
            "connection",
            None,
            f"the TLS certificate of {base} was not accepted",
            "Behind a company proxy set SSL_CERT_FILE to its CA bundle; check the clock and the host name too.",
        )
    if _says(words, ["name or service", "nodename", "getaddrinfo", "name resolution", "no address"]):
        return Failure(
            "connection",
            None,
            f"the host name of {base} could not be resolved",
            "Check the spelling of api_base or MAAS_API_BASE, and that DNS works.",
        )
    return Failure(
        "connection", None, f"no connection to {base}", "Check api_base or MAAS_API_BASE, the network and any proxy."
    )


def _redirect(request: WireRequest, status: int, headers: Mapping[str, str]) -> Failure:
    try:
        target = httpx.URL(headers.get("location", "")).host
    except httpx.InvalidURL:
        target = ""
    where = f" to host {target!r}" if target else ""
    return Failure(
        "not_found",
        status,
        f"{request.endpoint.base_url} redirected ({status}){where}; the key was not sent there",
        "If that is where the gateway lives now, set api_base or MAAS_API_BASE to it.",
    )


_WAIT = (
    r"(?:resets?|retry|try again|available|wait)[\w\s-]{0,12}?(?:in|after|for|[:=])\s*"
    r"((?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h)?(?![a-z])"
    r"(?:[\s,]|and\b)*)+)"
)


def _retry_after(headers: Mapping[str, str], text: str) -> float | None:
    """Seconds to wait: of `Retry-After` (seconds or a date), of Kong's `RateLimit-Reset`, or of the text."""
    for name in ("retry-after", "ratelimit-reset"):
        if (value := headers.get(name)) and (seconds := _header_seconds(value)) is not None:
            return seconds
    found = re.search(_WAIT, text, re.IGNORECASE)
    if found is None:
        return None
    return sum(
        float(number) * _unit_seconds(unit)
        for number, unit in re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", found.group(1), re.IGNORECASE)
    )


def _header_seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        parsed = email.utils.parsedate_tz(value)
        if parsed is None:
            return None
        seconds = email.utils.mktime_tz(parsed) - time.time()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _unit_seconds(unit: str) -> float:
    unit = unit.lower()
    if unit in ("ms", "millisecond", "milliseconds"):
        return 0.001
    if unit.startswith("h"):
        return 3600
    return 60 if unit.startswith("m") else 1


def _tidy(text: str, request: WireRequest) -> str:
    """One line, of bounded length, without the key, anything that looks like one, and what the caller wrote."""
    text = text.replace(request.key.get_secret_value(), "***")
    text = re.sub(r"\b(vn|sk)-[\w-]{6,}", "***", text)
    text = re.sub(r"(?i)\bbearer\s+\S+", "Bearer ***", text)
    text = _without_quotes(" ".join(text.split())[: 4 * _LONGEST_REASON], request.prompt_texts())
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


def _without_quotes(text: str, prompt: Iterable[str]) -> str:
    """The text with every longer passage that also stands in the request left out: gateways quote what they refuse."""
    written = " ".join(" ".join(prompt).split())
    kept, start = [], 0
    while start < len(text):
        end = start + _SHORTEST_QUOTE
        if end <= len(text) and text[start:end] in written:
            while end < len(text) and text[start : end + 1] in written:
                end += 1
            kept.append("[…]")
            start = end
        else:
            kept.append(text[start])
            start += 1
    return "".join(kept)
