"""What errors say: in which shape they come, how long they ask to wait, and what they must not repeat."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import time
import unicodedata
import urllib.parse
from email.utils import formatdate
from typing import Any

import litellm
import pytest

from litellm_maas.gateway.redact import redacted
from litellm_maas.gateway.retry_after import LONGEST, retry_after
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import KEY, MESSAGES
from tests.raw_gateway import answering, delta, event, serving

CALL: dict[str, Any] = {"model": "maas/openai/gpt-4o", "messages": MESSAGES}
BAD, CONTEXT, POLICY = litellm.BadRequestError, litellm.ContextWindowExceededError, litellm.ContentPolicyViolationError
LIMIT, SERVER, AUTH = litellm.RateLimitError, litellm.InternalServerError, litellm.AuthenticationError
MISSING, AWAY, DENIED = litellm.NotFoundError, litellm.ServiceUnavailableError, litellm.PermissionDeniedError


def error_of(body: object, status: int = 200, **call: Any) -> Any:
    """The error of a call that is answered this."""
    client = answering(body if isinstance(body, bytes) else json.dumps(body).encode(), status=status)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the question
        done = litellm.completion(client=client, **{**CALL, **call})
        if call.get("stream"):
            list(done)
    return getattr(caught.value, "original_exception", None) or caught.value


IN_SUCCESS: dict[str, tuple[Any, Any, str]] = {
    "policy by its code": (
        {"error": {"message": "Output data may be bad.", "code": "data_inspection_failed"}},
        POLICY,
        "refused",
    ),
    "policy by its words": ({"error": {"message": "This request violates our usage policy"}}, POLICY, "refused"),
    "context": ({"error": {"message": "This model's maximum context length is 8192 tokens"}}, CONTEXT, "Send less"),
    "limit by its type": ({"error": {"message": "slow", "type": "rate_limit_reached_error"}}, LIMIT, "MAAS_RPM=10"),
    "limit by its words": ({"error": "Rate limit exceeded"}, LIMIT, "MAAS_RPM=10"),
    "a status beside it": ({"status": 429, "error": {"message": "slow"}}, LIMIT, "Wait"),
    "a status inside it": ({"error": {"message": "slow", "status_code": 503}}, AWAY, "Trouble upstream"),
    "a code as text": ({"error": {"message": "no", "code": "401"}}, AUTH, "ACTIVE"),
    "MiniMax": ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, SERVER, "Top up"),
    "MiniMax's limit": (
        {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
        LIMIT,
        "Wait",
    ),
    "Google": ([{"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}], LIMIT, "Wait"),
    "Google's policy": ([{"error": {"message": "blocked", "status": "PERMISSION_DENIED"}}], DENIED, "Enable"),
    "Alibaba": ({"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": "7"}, AUTH, "ACTIVE"),
    "Alibaba's filter": ({"code": "DataInspectionFailed", "message": "bad", "request_id": "7"}, POLICY, "refused"),
    "FastAPI": ({"detail": "Model is loading"}, SERVER, "Trouble upstream"),
    "a model that is not there": (
        {"error": {"message": "The model `x` does not exist"}},
        MISSING,
        "litellm-maas models",
    ),
    "only a text": ({"error": "upstream failed"}, SERVER, "Trouble upstream"),
    "choices beside it": (
        {"error": {"message": "boom"}, "choices": [{"message": {"content": "a"}}]},
        SERVER,
        "Trouble",
    ),
}


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("mode", ["plain", "stream", "event"])
@pytest.mark.parametrize("name", IN_SUCCESS)
def test_an_error_with_status_200(name: str, mode: str) -> None:
    """An error that comes with status 200, plain or in a stream, is told by its own status, code and words."""
    body, expected, hint = IN_SUCCESS[name]
    error = error_of(event(body) if mode == "event" else body, stream=mode != "plain")
    assert type(error) is expected
    assert hint in error.message.splitlines()[-1]
    assert "no reply" not in error.message


NO_ERRORS: list[dict[str, Any]] = [
    {"error": None},
    {"error": {}},
    {"error": {"message": None, "code": None}},
    {"error": ""},
    {"message": "ok"},
    {"detail": "served from a cache", "status": "success"},
    {"base_resp": {"status_code": 0, "status_msg": ""}},
    {"code": 200, "msg": "success"},
]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("beside", NO_ERRORS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_is_no_error(beside: dict[str, Any], stream: bool) -> None:
    """What stands beside choices makes no error of a reply."""
    choice = {"index": 0, "message": {"content": "a"}, "delta": {"content": "a"}, "finish_reason": "stop"}
    body = {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}, **beside}
    client = answering(event(body) if stream else json.dumps(body).encode())
    done: Any = litellm.completion(client=client, stream=stream, **CALL)
    found = (
        "".join(chunk.choices[0].delta.content or "" for chunk in done) if stream else done.choices[0].message.content
    )
    assert found == "a"


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("status", [409, 423, 424, 425, 444, 460, 499])
@pytest.mark.parametrize("stream", [False, True])
def test_a_status_that_says_nothing_against_the_request(status: int, stream: bool) -> None:
    """It is raised with its true status, and its hint is to try again."""
    error = error_of({"message": "not now"}, status, stream=stream)
    assert (type(error), error.status_code) == (litellm.APIError, status)
    assert "retries automatically" in error.message.splitlines()[-1]


@pytest.mark.parametrize("status", [409, 424, 499])
@pytest.mark.parametrize("mode", ["plain", "stream", "async", "astream"])
def test_a_router_falls_back_on_it(sandbox: Sandbox, status: int, mode: str) -> None:
    """Such a status does not end a routed request."""
    sandbox.faults.add(Fault(status=status, body="not now", model="openai/gpt-4o", times=None))
    deployments = [("a", "openai/gpt-4o"), ("b", "openai/gpt-4o-mini")]
    models = [{"model_name": name, "litellm_params": {"model": f"maas/{model}"}} for name, model in deployments]
    router = litellm.Router(model_list=models, fallbacks=[{"a": ["b"]}], num_retries=0, disable_cooldowns=True)
    call: Any = {"model": "a", "messages": MESSAGES}

    async def streamed() -> str:
        stream: Any = await router.acompletion(stream=True, **call)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    if mode == "astream":
        text = asyncio.run(streamed())
    elif mode == "stream":
        done: Any = router.completion(stream=True, **call)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in done if chunk.choices)
    else:
        reply: Any = router.completion(**call) if mode == "plain" else asyncio.run(router.acompletion(**call))
        text = reply.choices[0].message.content
    assert text.startswith("openai/gpt-4o-mini")


# --- how long to wait


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("model rpm limit exceeded (5/5), resets in 2s", 2),
        ("Please try again in 1m30s.", 90),
        ("Please retry after 800 ms", 0.8),
        ("wait for 1 minute and 5 seconds", 65),
        ("Please wait 45 sec", 45),
        ("retry_after: 7", 7),
        ("try again in 7.5s, please", 7.5),
        ("resets in 2 hours", 7200),
        ("Limit resets at 14:05:00", None),
        ("Try again at 14:05", None),
        ("wait until 14:05", None),
        ("retry after 2026-11-25T14:05", None),
        ("available in 20 regions", None),
        ("resets in 900 hours", LONGEST),
        ("please wait", None),
    ],
)
def test_a_wait_in_words(text: str, seconds: float | None) -> None:
    """A wait is read out of a message; a time of day is none, because nobody says of which day and zone."""
    assert retry_after({}, text) == seconds


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("retry-after", "7", 7),
        ("retry-after", "1.2", 1.2),
        ("retry-after", "60s", 60),
        ("retry-after", "6m0s", 360),
        ("retry-after", "-5", 0),
        ("retry-after", "99999999", LONGEST),
        ("retry-after", "soon", None),
        ("retry-after", "nan", None),
        ("retry-after", "1e400", None),
        ("retry-after", formatdate(1, usegmt=True), 0),
        ("retry-after-ms", "1500", 1.5),
        ("ratelimit-reset", "31", 31),
        ("x-ratelimit-reset-requests", "12ms", 0.012),
    ],
)
def test_a_wait_in_a_header(name: str, value: str, seconds: float | None) -> None:
    """Every header that tells of a wait is read, up to a day, and what cannot be read is none."""
    assert retry_after({name: value}, "") == seconds


@pytest.mark.parametrize("factor", [1, 1000])
def test_a_point_in_time_is_no_wait(factor: int) -> None:
    """A header that holds seconds or milliseconds since 1970 is read as that point in time."""
    found = retry_after({"retry-after": str(int((time.time() + 50) * factor))}, "")
    assert found is not None
    assert 0 <= found <= 50


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"message": "slow", "retry_after": 7}, "7"),
        ({"error": {"message": "slow", "details": [{"@type": "RetryInfo", "retryDelay": "30s"}]}}, "30"),
        ({"error": {"message": "slow", "retry_after_ms": 2500}}, "3"),
    ],
)
def test_a_wait_in_a_field(body: dict[str, Any], seconds: str) -> None:
    """A wait that stands in a field of the error is read."""
    assert error_of(body, 429).litellm_response_headers["retry-after"] == seconds


def test_a_point_in_time_stops_nobody_for_years(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Under a rate limit of one's own, a `Retry-After` far in the future blocks nothing for longer than a day."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("MAAS_RPM", "600")
    monkeypatch.setenv("MAAS_RPM_MAX_WAIT", "1")
    sandbox.faults.add(Fault(status=429, headers={"retry-after": str(int(time.time()) + 10**8)}))
    for _ in range(2):
        with pytest.raises(LIMIT) as caught:
            litellm.completion(**CALL)
        error: Any = caught.value
        assert float(error.litellm_response_headers["retry-after"]) <= LONGEST


# --- what to do


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "Pass max_completion_tokens"),
        ("max_completion_tokens is not known, use max_tokens", "Pass max_tokens"),
        ("max_tokens must be at most 32768", "Lower max_tokens"),
        ("max_tokens is too large: 99999", "Lower max_tokens"),
        ("max_tokens must be an integer", "Change the request"),
        ("reasoning_effort is not supported", "Leave reasoning_effort out"),
        ("the thinking of this model is private", "Change the request"),
        ("imagination is not supported", "Change the request"),
        ("schema for tool_choice is missing a name", "Change the request"),
        ("json is not valid", "Change the request"),
    ],
)
def test_a_hint_fits_the_words(message: str, hint: str) -> None:
    """A refused request is answered by what helps, and by nothing that would not."""
    assert hint in error_of({"error": {"message": message}}, 400).message.splitlines()[-1]


# --- what an error must not repeat

PROMPT = "Mật khẩu két sắt là hổ phách"
ENCODED = {
    "as it is": PROMPT,
    "JSON": json.dumps(PROMPT),
    "JSON in JSON": json.dumps(json.dumps({"content": PROMPT})),
    "three times": json.dumps(json.dumps(json.dumps(PROMPT))),
    "percent": urllib.parse.quote(PROMPT),
    "form": urllib.parse.quote_plus(PROMPT),
    "entities": "".join(f"&#{ord(character)};" for character in PROMPT),
    "HTML": html.escape(f"<{PROMPT}>"),
    "base64": base64.b64encode(PROMPT.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(PROMPT.encode()).decode().rstrip("="),
    "hexadecimal": PROMPT.encode().hex(),
    "decomposed": unicodedata.normalize("NFD", PROMPT),
    "upper case": PROMPT.upper(),
    "on lines": PROMPT.replace(" ", "\n"),
    "bytes": repr(PROMPT.encode()),
    "Latin-1": PROMPT.encode().decode("latin-1"),
    "without accents": "Mat khau ket sat la ho phach",
    "cut off": PROMPT[:14] + "…",
    "spaced": " ".join(PROMPT),
}
SECRETS = ("khẩu", "khau", "KHẨU", "u1ea9", "%E1", "&#7", "k\u0068", "TeG6rXQ", "4de1baad")


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_quoted_prompt_is_left_out(name: str, status: int) -> None:
    """Whatever encoding an upstream quotes a prompt in, no error text holds it."""
    messages = [{"role": "user", "content": PROMPT}]
    error = error_of({"error": {"message": f"upstream said: {ENCODED[name]} (code 17)"}}, status, messages=messages)
    assert "upstream said" in str(error)
    assert "(code 17)" in str(error)
    assert not [secret for secret in SECRETS if secret in str(error)]


PARTS: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]},
    {"messages": [{"role": "system", "content": PROMPT}]},
    {"messages": [{"role": "tool", "tool_call_id": "a", "content": PROMPT}]},
    {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": PROMPT}}]}]},
    {"tools": [{"type": "function", "function": {"name": "f", "description": PROMPT}}]},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {PROMPT: {}}}}}]},
    {"response_format": {"type": "json_schema", "json_schema": {"schema": {"description": PROMPT}}}},
    {"user": PROMPT},
    {"stop": [PROMPT]},
    {"metadata": {"note": PROMPT}},
    {"prompt": PROMPT},
    {"input": [PROMPT]},
    {"guided_choice": [PROMPT]},
]


@pytest.mark.parametrize("body", PARTS)
def test_whatever_the_caller_wrote_is_left_out(body: dict[str, Any]) -> None:
    """Texts of messages, tools, schemas, users and extra fields alike do not come back in an error."""
    assert redacted(f"bad: {json.dumps(PROMPT)}!", KEY, body) == 'bad: "[…]"!'


def test_short_texts_are_left_out_as_words() -> None:
    """A text too short to be told from other words is left out where it stands as a word."""
    body = {"messages": [{"content": "Xin chào"}, {"content": "4711"}]}
    found = redacted("Invalid 'XIN CHÀO', pin 4711 of 47110: taxing", KEY, body)
    assert found == "Invalid '[…]', pin […] of 47110: taxing"


def test_names_of_the_protocol_stay() -> None:
    """What an error has to name, to be of use, stays: parameters, models, types, tools."""
    body = {
        "model": "openai/gpt-4o",
        "tools": [{"type": "function", "function": {"name": "get_weather", "description": "d"}}],
        "response_format": {"type": "json_object"},
        "reasoning_effort": "medium-high",
    }
    text = "openai/gpt-4o: json_object, get_weather, medium-high, reasoning_effort and chat_template_kwargs are refused"
    assert redacted(text, KEY, body) == text


def test_a_request_too_large_to_compare_with() -> None:
    """An error about an enormous request is told by its codes."""
    body = {"messages": [{"content": "a" * 9_000_000}]}
    assert redacted("the whole prompt", KEY, body, "400 too_large") == "400 too_large"


def test_a_key_is_left_out_in_every_encoding() -> None:
    """A key that an error quotes is left out, escaped or not."""
    for quoted in (KEY, json.dumps(KEY), urllib.parse.quote(KEY, safe=""), KEY.replace("-", "%2D"), "Bearer abc"):
        assert redacted(f"bad key {quoted}", KEY, {}).rstrip('"') in (
            "bad key ***",
            'bad key "***',
            "bad key Bearer ***",
        )


# --- cookies


@pytest.mark.parametrize("mode", ["plain", "async", "stream"])
def test_no_cookie_is_kept(mode: str) -> None:
    """What one call is told to keep goes out with no other one, whoever's key that has."""
    body = json.dumps({"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]}).encode()
    head = b"HTTP/1.1 200 OK\r\nset-cookie: session=A; Path=/\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with serving(head % len(body) + body) as server:

        async def twice() -> None:
            for key in ("key-A", "key-B"):
                await litellm.acompletion(api_base=server.url, api_key=key, **CALL)

        if mode == "async":
            asyncio.run(twice())
        for key in ("key-A", "key-B") if mode != "async" else ():
            done: Any = litellm.completion(api_base=server.url, api_key=key, stream=mode == "stream", **CALL)
            list(done)
        assert len(server.requests) == 2
        assert not [head for head in server.requests if b"cookie" in head.lower()]


def test_an_error_after_content_repeats_nothing(sandbox: Sandbox) -> None:
    """Content that came is handed out, and the error behind it quotes neither it nor the prompt."""
    body = delta({"content": "a"}) + event({"error": {"message": f"failed at {json.dumps(PROMPT)}"}})
    stream: Any = litellm.completion(
        model=CALL["model"], messages=[{"role": "user", "content": PROMPT}], stream=True, client=answering(body)
    )
    with pytest.raises(litellm.exceptions.MidStreamFallbackError) as caught:
        list(stream)
    assert not [secret for secret in SECRETS if secret in str(caught.value)]
