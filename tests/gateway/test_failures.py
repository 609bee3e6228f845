"""Every kind of failing reply: which exception it becomes, how long to wait, and what the message says to do."""

from __future__ import annotations

import asyncio
import dataclasses
from email.utils import formatdate
from typing import Any

import httpx
import litellm
import openai
import pytest

from litellm_maas import settings
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import KEY, MESSAGES, astream
from tests.proxy_process import free_port

NGINX = "<html>\r\n<head><title>{0}</title></head>\r\n<body><center><h1>{0}</h1></center><hr>nginx</body></html>"


def in_openai_shape(message: str, **fields: Any) -> dict[str, Any]:
    """An error body of OpenAI's shape."""
    return {"error": {"message": message, "type": None, "param": None, "code": None, **fields}}


@dataclasses.dataclass(frozen=True)
class Case:
    """A failing reply and what must become of it."""

    name: str
    fault: Fault
    error: Any
    status: int
    hint: str
    wait: int | None = None
    model: str = "openai/gpt-4o"


def case(name: str, status: int, body: Any, error: Any, hint: str, **rest: Any) -> Case:
    """A reply with a status and a body."""
    headers = rest.pop("headers", {})
    return Case(name, Fault(status=status, body=body, headers=headers), error, rest.pop("seen", status), hint, **rest)


AUTH, DENIED, MISSING = litellm.AuthenticationError, litellm.PermissionDeniedError, litellm.NotFoundError
BAD, LIMIT, CONTEXT = litellm.BadRequestError, litellm.RateLimitError, litellm.ContextWindowExceededError
SERVER, GATEWAY, AWAY = litellm.InternalServerError, litellm.BadGatewayError, litellm.ServiceUnavailableError
POLICY, SLOW, LOST = litellm.ContentPolicyViolationError, litellm.Timeout, litellm.APIConnectionError
UNPROCESSABLE = litellm.UnprocessableEntityError

CASES = [
    case("400 OpenAI", 400, in_openai_shape("Bad value", type="invalid_request_error"), BAD, "Change the request"),
    case("400 text", 400, "bad request", BAD, "Change the request"),
    case("400 empty", 400, "", BAD, "Change the request"),
    case("400 nginx", 400, NGINX.format("400 Bad Request"), BAD, "Change the request"),
    case("400 max_tokens", 400, in_openai_shape("max_tokens must be at most 32768"), BAD, "Lower max_tokens"),
    case("400 tool_choice", 400, in_openai_shape("tool_choice cannot be required in thinking mode"), BAD, "forced tool_choice"),
    case("400 json", 400, in_openai_shape("messages must contain the word 'json'"), BAD, "the word JSON"),
    case("400 image", 400, in_openai_shape("this model does not support image input"), BAD, "may not take images"),
    case("400 JSON schema", 400, in_openai_shape("JSON schema error at #: unrecognized type"), BAD, "Change the request"),
    case("500 image", 500, in_openai_shape("image input is not supported"), SERVER, "may not take images"),
    case("400 reasoning_effort", 400, in_openai_shape("reasoning_effort is not supported"), BAD, "reasoning_effort out"),
    case("400 context OpenAI", 400, in_openai_shape("maximum context length is 128000", code="context_length_exceeded"), CONTEXT, "Send less"),
    case("400 context vLLM", 400, {"object": "error", "message": "This model's maximum context length is 8192 tokens", "code": 400}, CONTEXT, "Send less"),
    case("400 context Qwen", 400, in_openai_shape("Range of input length should be [1, 129024]"), CONTEXT, "Send less"),
    case("400 prompt too long", 400, {"message": "prompt is too long: 210000 tokens"}, CONTEXT, "Send less"),
    case("400 policy OpenAI", 400, in_openai_shape("rejected by our safety system", code="content_policy_violation"), POLICY, "refused the content"),
    case("400 policy Qwen", 400, in_openai_shape("Input data may contain inappropriate content.", code="data_inspection_failed"), POLICY, "refused the content"),
    case("401 OpenAI", 401, in_openai_shape("Incorrect API key", code="invalid_api_key"), AUTH, "ACTIVE"),
    case("401 Kong", 401, {"message": "Unauthorized"}, AUTH, "ACTIVE"),
    case("401 empty", 401, "", AUTH, "ACTIVE"),
    case("401 nginx", 401, NGINX.format("401 Authorization Required"), AUTH, "ACTIVE"),
    case("402", 402, "Payment Required", litellm.PaymentRequiredError, "Top up"),
    case("402 JSON", 402, in_openai_shape("Token Plan expired"), litellm.PaymentRequiredError, "Top up"),
    case("403 OpenAI", 403, in_openai_shape("model not enabled for this key"), DENIED, "Enable openai/gpt-4o"),
    case("403 Kong", 403, {"message": "You cannot consume this service"}, DENIED, "Enable openai/gpt-4o"),
    case("403 empty", 403, "", DENIED, "Enable openai/gpt-4o"),
    case("403 credits", 403, in_openai_shape("Insufficient balance"), DENIED, "Top up"),
    case("404 OpenAI", 404, in_openai_shape("model not found", code="model_not_found"), MISSING, "litellm-maas models"),
    case("404 bare id", 404, in_openai_shape("model not found"), MISSING, "vendor's prefix", model="gpt-4o"),
    case("404 Kong route", 404, {"message": "no Route matched with those values"}, MISSING, "single /v1"),
    case("404 nginx", 404, NGINX.format("404 Not Found"), MISSING, "single /v1"),
    case("404 FastAPI", 404, {"detail": "Not Found"}, MISSING, "litellm-maas models"),
    case("404 empty", 404, "", MISSING, "litellm-maas models"),
    case("405", 405, NGINX.format("405 Not Allowed"), BAD, "Change the request", seen=400),
    case("408", 408, "request timed out", SLOW, "Try again"),
    case("413 nginx", 413, NGINX.format("413 Request Entity Too Large"), BAD, "Change the request", seen=400),
    case("422 FastAPI", 422, {"detail": [{"loc": ["body", "n"], "msg": "Input should be less than 5", "type": "x"}]}, UNPROCESSABLE, "Change the request"),
    case("422 OpenAI", 422, in_openai_shape("cannot process"), UNPROCESSABLE, "Change the request"),
    case("429 header", 429, {"message": "API rate limit exceeded"}, LIMIT, "Wait 7 s", headers={"retry-after": "7"}, wait=7),
    case("429 header in fractions", 429, {"message": "API rate limit exceeded"}, LIMIT, "Wait 2 s", headers={"retry-after": "1.2"}, wait=2),
    case("429 Kong reset", 429, {"message": "API rate limit exceeded"}, LIMIT, "Wait 31 s", headers={"ratelimit-reset": "31", "x-ratelimit-limit-minute": "10"}, wait=31),
    case("429 date", 429, "API rate limit exceeded", LIMIT, "Wait", headers={"retry-after": formatdate(1, usegmt=True)}, wait=0),
    case("429 text seconds", 429, "model rpm limit exceeded (5/5), resets in 2s", LIMIT, "this model's own", wait=2),
    case("429 text minutes", 429, in_openai_shape("Rate limit reached. Please try again in 1m30s."), LIMIT, "Wait 90 s", wait=90),
    case("429 text milliseconds", 429, in_openai_shape("Please retry after 800 ms"), LIMIT, "Wait 1 s", wait=1),
    case("429 text words", 429, {"message": "limit exceeded, wait for 1 minute and 5 seconds"}, LIMIT, "shared by all keys", wait=65),
    case("429 silent", 429, "API rate limit exceeded", LIMIT, "shared by all keys"),
    case("429 empty", 429, "", LIMIT, "shared by all keys"),
    case("429 quota", 429, in_openai_shape("You exceeded your current quota", code="insufficient_quota"), LIMIT, "Top up"),
    case("500 OpenAI", 500, in_openai_shape("The server had an error", type="server_error"), SERVER, "Trouble upstream"),
    case("500 Kong", 500, {"message": "An unexpected error occurred"}, SERVER, "Trouble upstream"),
    case("500 nested JSON", 500, in_openai_shape('{"error": {"message": "CUDA out of memory"}}'), SERVER, "Trouble upstream"),
    case("500 empty", 500, "", SERVER, "Trouble upstream"),
    case("502 nginx", 502, NGINX.format("502 Bad Gateway"), GATEWAY, "Trouble upstream"),
    case("503 Kong", 503, {"message": "Gateway Auth Unavailable"}, AWAY, "Trouble upstream"),
    case("503 nginx", 503, NGINX.format("503 Service Temporarily Unavailable"), AWAY, "Trouble upstream"),
    case("503 wait", 503, "busy", AWAY, "Trouble upstream", headers={"retry-after": "3"}, wait=3),
    case("503 credits", 503, {"message": "insufficient balance"}, AWAY, "Top up"),
    case("503 not responding", 503, {"message": "model not responding"}, AWAY, "Trouble upstream"),
    case("504 nginx", 504, NGINX.format("504 Gateway Time-out"), SLOW, "Try again", seen=408),
    case("529", 529, in_openai_shape("overloaded", type="overloaded_error"), SERVER, "Trouble upstream", seen=500),
    case("list of errors", 400, {"errors": [{"message": "first"}, {"message": "second"}]}, BAD, "Change the request"),
    case("broken JSON", 500, '{"error": {"message": "cut of', SERVER, "Trouble upstream"),
    case("binary", 502, b"\xff\xfe\x00\x01", GATEWAY, "Trouble upstream"),
    case("huge", 500, "x" * 500_000, SERVER, "Trouble upstream"),
    Case("redirect", Fault(redirect="https://elsewhere.example/v1/chat/completions"), MISSING, 404, "set api_base"),
    Case("redirect without a target", Fault(redirect=""), MISSING, 404, "set api_base"),
    Case("hang-up", Fault(disconnect=True), LOST, 500, "Try again"),
    Case("silence", Fault(hang=True), SLOW, 408, "Raise timeout="),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["plain", "stream", "plain async", "stream async"])
@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.name)
def test_a_failing_reply_becomes_the_right_exception(sandbox: Sandbox, kind: Case, mode: str) -> None:
    """A failing reply has its exception class, status, delay and hint, whether the call is streamed or not."""
    sandbox.faults.add(kind.fault)
    call: dict[str, Any] = {"model": f"maas/{kind.model}", "messages": MESSAGES, "timeout": 1}
    with pytest.raises(kind.error if mode != "stream async" else Exception) as caught:
        if mode == "plain async":
            asyncio.run(litellm.acompletion(**call))
        elif mode == "stream async":
            asyncio.run(astream(**call))
        else:
            litellm.completion(stream=mode == "stream", **call)
    # LiteLLM sends an asynchronous stream's request with its first chunk, where it wraps what a router may retry.
    error = getattr(caught.value, "original_exception", caught.value)
    assert type(error) is kind.error
    assert error.status_code == kind.status
    assert kind.hint in error.message.splitlines()[-1]
    assert KEY not in str(error)
    if kind.wait is not None:
        assert error.litellm_response_headers["retry-after"] == str(kind.wait)
    assert len(sandbox.requests) == 1


def test_there_are_sixty_kinds() -> None:
    """The table of failing replies covers at least sixty kinds."""
    assert len({kind.name for kind in CASES}) >= 60


def test_an_error_in_a_success_reply_is_an_error(sandbox: Sandbox) -> None:
    """A reply with status 200 that carries an error object raises by what the object says."""
    sandbox.faults.add(Fault(status=200, body=in_openai_shape("slow down, resets in 4s", code=429)))
    with pytest.raises(litellm.RateLimitError) as caught:
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)
    assert caught.value.response.headers["retry-after"] == "4"


@pytest.mark.parametrize(
    "body", ["", NGINX.format("Welcome"), "[]", '{"choices": []}', '{"choices": [1]}', '{"id": 5}']
)
def test_a_success_reply_that_is_none_is_an_error(sandbox: Sandbox, body: str) -> None:
    """A reply with status 200 that is no completion raises a server error that points at the base URL."""
    sandbox.faults.add(Fault(status=200, body=body))
    with pytest.raises(litellm.InternalServerError, match=r"single /v1"):
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("address", "hint"),
    [("http://127.0.0.1:{port}", "Check api_base"), ("https://no-such-host.invalid", "spelling"), ("https://127.0.0.1:{sandbox}", "TLS|SSL_CERT_FILE")],
)  # fmt: skip
def test_no_connection_says_what_to_check(sandbox: Sandbox, address: str, hint: str) -> None:
    """A refused connection, an unknown host and a failed TLS handshake are told apart."""
    url = address.format(port=free_port(), sandbox=sandbox.url.split(":")[2].split("/")[0])
    with pytest.raises(litellm.APIConnectionError, match=hint):
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES, api_base=url)


@pytest.mark.parametrize(
    ("host", "status", "model", "hint"),
    [
        (settings.PAYG_BASE_URL, 401, "openai/gpt-4o", f"Token Plan key works only on {settings.PLAN_BASE_URL}"),
        (settings.PLAN_BASE_URL, 401, "glm-5.2", f"pay-as-you-go key works only on {settings.PAYG_BASE_URL}"),
        (settings.PLAN_BASE_URL, 402, "glm-5.2", "Token Plan has expired"),
        (settings.PLAN_BASE_URL, 404, "z-ai/glm-5.2", "try maas/glm-5.2"),
    ],
)
def test_hints_know_the_two_hosts(host: str, status: int, model: str, hint: str) -> None:
    """What to do about a refused key or model depends on the host, because the two kinds of key look alike."""
    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(status)))
    with pytest.raises(openai.APIError, match=hint):
        litellm.completion(model=f"maas/{model}", messages=MESSAGES, api_base=host, api_key=KEY, client=client)


def test_no_key_and_no_prompt_in_an_error(sandbox: Sandbox) -> None:
    """A gateway that quotes the key and the prompt in its error does not get them into the exception."""
    secret = "the launch code is 8 1 7 4 4 2 9"
    sandbox.faults.add(Fault(status=400, body=in_openai_shape(f"Bearer {KEY} sent {secret!r} and vn-abcdef123456")))
    with pytest.raises(litellm.BadRequestError) as caught:
        litellm.completion(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": secret}])
    for leaked in (KEY, "launch code", "vn-abcdef123456"):
        assert leaked not in str(caught.value)
        assert leaked not in repr(caught.value.__dict__)
    assert "authorization" not in caught.value.response.request.headers
