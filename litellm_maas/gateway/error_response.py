"""Map a failed call to what went wrong, in the gateway's words, and what to do. Knows no LiteLLM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from litellm_maas.gateway import error_body
from litellm_maas.gateway.error_body import ErrorBody, matches
from litellm_maas.gateway.error_hints import hint
from litellm_maas.gateway.errors import STATUS_OF_KIND, ErrorKind, Failure, KeyState
from litellm_maas.gateway.finish_reasons import FAILED
from litellm_maas.gateway.redact import redacted
from litellm_maas.gateway.request import GatewayRequest
from litellm_maas.gateway.retry_after import retry_after


def from_response(request: GatewayRequest, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Return the failure that a reply with an error status stands for."""
    if 300 <= status < 400:
        return _redirect(request, status, headers)
    said = error_body.read(body)
    return _failure(request, _kind(status, said), status, said, headers)


def of_payload(request: GatewayRequest, payload: object) -> Failure | None:
    """Return the failure that a reply with status 200, or an event of a stream, stands for; None if it is none."""
    error = error_body.error_in(payload)
    return None if error is None else from_error_object(request, error)


def of_choice(request: GatewayRequest, choice: Mapping[str, Any]) -> Failure | None:
    """Return the failure of a choice that did not come to its end; None if it is not one of those."""
    error, reason = choice.get("error"), choice.get("finish_reason")
    if isinstance(error, (Mapping, str)) and error:
        return from_error_object(request, {"error": error})
    if reason not in FAILED:
        return None
    said = ErrorBody(f"the upstream model broke off its answer (finish_reason {reason})")
    return _failure(request, "server", 500, said, {})


def from_error_object(request: GatewayRequest, error: object) -> Failure:
    """Return the failure that an error inside a 200 reply stands for: by the status it names, else by its words."""
    said = error_body.of_json(error)
    kind = _kind(said.status, said) if said.status is not None else _kind_by_words(said)
    return _failure(request, kind, said.status or STATUS_OF_KIND[kind], said, {})


def _failure(
    request: GatewayRequest, kind: ErrorKind, status: int, said: ErrorBody, headers: Mapping[str, str]
) -> Failure:
    key = request.key.get_secret_value()
    reason = redacted(said.text or f"HTTP {status} without a message", key, request.body or {}, said.codes)
    wait = retry_after(headers, said.text, said.wait) if kind != "bad_request" else None
    failure = Failure(
        kind,
        status,
        reason,
        "",
        wait,
        is_account_exhausted=_is_account_exhausted(kind, said),
        scope="model" if kind == "rate_limit" and matches(said.text, ["model"]) else "account",
        key_state=_key_state(said) if kind == "authentication" else None,
    )
    return replace(failure, hint=hint(failure, said, request.model, request.endpoint))


def from_transport(request: GatewayRequest, error: Exception, *, reading: bool = False) -> Failure:
    """Return the failure that a broken or silent connection stands for.

    Args:
        request: The request that was in flight.
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
            "timeout", None, reason, "Raise timeout=, stream the reply, or disable thinking: reasoning_effort='none'."
        )
    if isinstance(error, httpx.ConnectError):
        return _no_connection(base, str(error))
    if isinstance(error, httpx.ProxyError):
        return Failure("connection", None, "the HTTP proxy refused the connection", "Check HTTPS_PROXY and NO_PROXY.")
    what = "in the middle of the reply" if reading else "before a reply came"
    # The error's own text is left out: httpx and h11 quote headers and bodies in some of them.
    reason = f"the connection to {base} broke {what} ({type(error).__name__})"
    return Failure("connection", None, reason, "Try again; num_retries=2 or a fallback retries automatically.")


def incomplete_stream(request: GatewayRequest) -> Failure:
    """Return the failure of a stream that ended without saying that it was finished."""
    reason = f"the stream from {request.endpoint.base_url} ended before the answer was finished"
    return Failure("connection", None, reason, "Try again; what was received so far is incomplete.")


def no_reply(request: GatewayRequest) -> Failure:
    """Return the failure of JSON with status 200 that is not what the protocol promises."""
    return _answered_with(request, "JSON that is no reply")


def invalid_response(request: GatewayRequest, body: bytes) -> Failure:
    """Return the failure of a reply with status 200 that is not what the protocol promises.

    The body is described and not quoted: it may be a part of an answer.
    """
    if body.strip()[:1] in (b"{", b"["):
        return no_reply(request)
    said = error_body.read(body[:_LONGEST_PAGE])
    if said.is_html:
        failure = _answered_with(request, f"an HTML page ({said.text})")
        # The one of these texts that is not our own.
        return replace(failure, message=redacted(failure.message, request.key.get_secret_value(), request.body or {}))
    return _answered_with(request, f"{len(body)} bytes that are no JSON" if body.strip() else "nothing")


_LONGEST_PAGE = 64 * 1024


def _answered_with(request: GatewayRequest, what: str) -> Failure:
    return Failure(
        "server",
        200,
        f"the gateway answered 200 with {what}",
        f"Check that the base URL ends in a single /v1 (it is {request.endpoint.base_url}); else try again.",
    )


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
    r"data_?inspection_?failed",
    r"(inappropriate|sensitive) content",
    r"safety system",
    r"violates? .{0,40}policy",
    r"ResponsibleAI",
)
_LIMIT = (r"rate.?limit", r"too many requests", r"throttl", r"\b[rt]pm\b.{0,20}(limit|exceed)", r"requests? rate")
_KEY = (r"(invalid|incorrect|wrong|missing).{0,20}api.?key", r"unauthori[sz]ed", r"authentication (fail|error)")
_MODEL = (r"model.{0,40}(not found|does not exist|not exist)", r"no such model", r"model_not_found")
_KIND_OF_STATUS: dict[int, ErrorKind] = {
    401: "authentication",
    402: "payment",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "retryable",
    422: "unprocessable",
    423: "retryable",
    424: "retryable",  # TGI: the generation failed
    425: "retryable",
    429: "rate_limit",
    444: "retryable",
    460: "retryable",
    499: "retryable",  # nginx, Kong: the connection was given up
    502: "bad_gateway",
    503: "unavailable",
    504: "timeout",
}


def _kind(status: int, said: ErrorBody) -> ErrorKind:
    if status in (400, 413, 422):
        if matches(said.words, _CONTEXT):
            return "context_window"
        if matches(said.words, _POLICY):
            return "content_policy"
    return _KIND_OF_STATUS.get(status, "bad_request" if status < 500 else "server")


_CREDITS = (
    r"insufficient[ _].{0,20}(credit|balance|quota|fund)",
    r"insufficient_quota",
    r"exceeded_current_quota",
    r"arrearage",
    r"out of credit",
    r"credits?.{0,20}(exhausted|used up|run out|depleted|expired)",
    r"balance.{0,20}(exhausted|insufficient|not enough|is 0|zero)",
    r"payment required",
    r"quota exceeded",
)
_KINDS_OF_EXHAUSTED_ACCOUNTS = frozenset({"permission", "rate_limit", "unavailable", "server"})
_WORDS_OF_KEY_STATE: dict[KeyState, str] = {
    "pending": r"pending|not (yet )?(been )?activ|inactive|awaiting|activation",
    "revoked": r"revoked|deleted|disabled|expired|deactivated|suspended",
    "other_host": r"token ?plan|pay.?as.?you.?go|(wrong|other|another|this) (host|endpoint|service|platform)",
}


def _is_account_exhausted(kind: ErrorKind, said: ErrorBody) -> bool:
    return kind == "payment" or (kind in _KINDS_OF_EXHAUSTED_ACCOUNTS and matches(said.words, _CREDITS))


def _key_state(said: ErrorBody) -> KeyState | None:
    return next((state for state, words in _WORDS_OF_KEY_STATE.items() if matches(said.text, [words])), None)


def _kind_by_words(said: ErrorBody) -> ErrorKind:
    """Return the kind of an error that comes without any status."""
    by_words: tuple[tuple[ErrorKind, tuple[str, ...]], ...] = (
        ("context_window", _CONTEXT),
        ("content_policy", _POLICY),
        ("rate_limit", _LIMIT),
        ("authentication", _KEY),
        ("not_found", _MODEL),
    )
    return next((kind for kind, patterns in by_words if matches(said.words, patterns)), "server")


def _no_connection(base: str, words: str) -> Failure:
    if matches(words, ["certificate", "ssl", "tls"]):
        return Failure(
            "connection",
            None,
            f"the TLS certificate of {base} was not accepted",
            "Behind a company proxy set SSL_CERT_FILE to its CA bundle; check the clock and the host name too.",
        )
    if matches(words, ["name or service", "nodename", "getaddrinfo", "name resolution", "no address"]):
        return Failure(
            "connection",
            None,
            f"the host name of {base} could not be resolved",
            "Check the spelling of api_base or MAAS_API_BASE, and that DNS works.",
        )
    return Failure(
        "connection", None, f"no connection to {base}", "Check api_base or MAAS_API_BASE, the network and any proxy."
    )


def _redirect(request: GatewayRequest, status: int, headers: Mapping[str, str]) -> Failure:
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
