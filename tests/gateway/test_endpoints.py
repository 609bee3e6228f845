from __future__ import annotations

import httpx
import litellm
import pytest

import litellm_maas.sandbox
from litellm_maas import settings
from litellm_maas.sandbox import Sandbox
from tests.helpers import KEY, MESSAGES, OTHER_KEYS

HOST = "https://gateway.example"


def where(base_url: str | None, model: str = "maas/openai/gpt-4o") -> tuple[str, str | None]:
    """The URL and the key with which a call would go out."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(404)

    client = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True)
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(model=model, messages=MESSAGES, base_url=base_url, api_key=KEY, client=client)
    (request,) = seen
    return str(request.url), request.headers["authorization"]


@pytest.mark.parametrize(
    "given",
    [
        f"{HOST}/v1",
        f"{HOST}/v1/",
        f"  {HOST}/v1 \n",
        HOST,
        f"{HOST}/",
        f"{HOST}/v1/v1",
        f"{HOST}/v1/v1/v1/",
        f"{HOST}/v1/chat/completions",
        f"{HOST}/v1/chat/completions/",
        f"{HOST}/chat/completions",
        f"{HOST}/v1/models",
        f"{HOST}/v1/messages",
        f"{HOST}/v1/responses",
        f"{HOST}/v1/embeddings",
        "HTTPS://GATEWAY.example/v1",
    ],
)
def test_a_base_url_is_made_right(given: str) -> None:
    """A missing or doubled version, a trailing slash and a pasted operation are mended."""
    url, _ = where(given)
    assert url == f"{HOST}/v1/chat/completions"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (f"{HOST}/llm", f"{HOST}/llm/v1"),
        (f"{HOST}/llm/v2", f"{HOST}/llm/v2"),
        (f"{HOST}:8443", f"{HOST}:8443/v1"),
        ("http://localhost:8787", "http://localhost:8787/v1"),
        ("http://[::1]:8787/v1", "http://[::1]:8787/v1"),
        ("http://127.0.0.2:1", "http://127.0.0.2:1/v1"),
    ],
)
def test_what_else_a_base_url_holds_is_kept(given: str, kept: str) -> None:
    """A path, another version, a port and loopback addresses stay as they are."""
    url, _ = where(given)
    assert url == f"{kept}/chat/completions"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("gateway.example/v1", "does not start with https://"),
        ("gateway.example:443/v1", "does not start with https://"),
        ("localhost:8787", "does not start with https://"),
        ("ftp://gateway.example/v1", "does not start with https://"),
        ("http://gateway.example/v1", "clear text"),
        ("http://127.0.0.1.example/v1", "clear text"),
        ("http://10.0.0.5/v1", "clear text"),
        (f"https://me:{KEY}@gateway.example/v1", "user name or password"),
        (f"{HOST}/v1?key=1", "query"),
        (f"{HOST}/v1#x", "fragment"),
        ("https:///v1", "does not start with https://"),
        ("https://:443/v1", "names no host"),
        ("https://gateway.example:port/v1", "is not a URL"),
        (OTHER_KEYS[0], "does not start with https://"),
    ],
)
def test_an_unsafe_base_url_is_refused(sandbox: Sandbox, given: str, says: str) -> None:
    """A base URL that is no address, or would give the key away, is refused with what to write instead."""
    with pytest.raises(litellm.BadRequestError, match=says):
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES, api_base=given, api_key=KEY)
    assert not sandbox.requests


def test_an_address_that_is_no_url_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address in the environment that no parser takes is refused too (LiteLLM itself trips over it in a call)."""
    monkeypatch.setenv("MAAS_API_BASE", "https://[::1/v1")
    with pytest.raises(litellm.BadRequestError, match="is not a URL"):
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES, api_key=KEY)


def test_the_default_is_the_pay_as_you_go_host() -> None:
    """Without any setting a call goes to the pay-as-you-go host."""
    url, authorization = where(None)
    assert url == f"{settings.PAYG_BASE_URL}/chat/completions"
    assert authorization == f"Bearer {KEY}"


def test_call_before_deployment_before_environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key and the address of the call win over those of the deployment, and those over the environment's."""
    monkeypatch.setenv("MAAS_API_KEY", "vn-environment-key")
    sandbox.account.keys |= {"vn-deployment-key": "active", "vn-call-key": "active", "vn-environment-key": "active"}
    with litellm_maas.sandbox.Sandbox(key="vn-call-key") as other:
        deployment = {"model": "maas/openai/gpt-4o", "api_key": "vn-deployment-key", "api_base": sandbox.url}
        router = litellm.Router(
            model_list=[
                {"model_name": "with", "litellm_params": deployment},
                {"model_name": "without", "litellm_params": {"model": "maas/openai/gpt-4o"}},
            ]
        )
        router.completion(model="without", messages=MESSAGES)
        router.completion(model="with", messages=MESSAGES)
        router.completion(model="with", messages=MESSAGES, api_key="vn-call-key")
        litellm.completion(
            model="maas/openai/gpt-4o", messages=MESSAGES, api_key="vn-call-key", base_url=other.url.removesuffix("/v1")
        )
        assert [request.headers["authorization"] for request in sandbox.requests] == [
            "Bearer vn-environment-key",
            "Bearer vn-deployment-key",
            "Bearer vn-call-key",
        ]
        assert [request.headers["authorization"] for request in other.requests] == ["Bearer vn-call-key"]


@pytest.mark.parametrize(
    "model", ["gpt-4o", "openai/gpt-4o", "text-embedding-3-small", "claude-sonnet-4-6", "o3", "glm-5.2", "azure/gpt-4o"]
)
def test_the_id_goes_out_whole_and_to_maas_only(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """Whatever stands after `maas/` is sent whole to MaaS with the MaaS key, even the name of an OpenAI model."""
    with litellm_maas.sandbox.Sandbox(key=OTHER_KEYS[1]) as not_ours:
        monkeypatch.setenv("OPENAI_API_KEY", OTHER_KEYS[1])
        monkeypatch.setenv("OPENAI_BASE_URL", not_ours.url)
        monkeypatch.setenv("OPENAI_API_BASE", not_ours.url)
        for stream in (False, True):
            try:
                litellm.completion(model=f"maas/{model}", messages=MESSAGES, stream=stream)
            except litellm.NotFoundError:
                assert model not in sandbox.url
        assert not not_ours.requests
    assert {request.body["model"] for request in sandbox.requests} == {model}
    assert {request.headers["authorization"] for request in sandbox.requests} == {f"Bearer {KEY}"}
    assert len(sandbox.requests) == 2


def test_a_missing_key_says_what_to_set(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is sent, OpenAI's key is not tried, and the error names the variable."""
    monkeypatch.delenv("MAAS_API_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", OTHER_KEYS[1])
    with pytest.raises(litellm.AuthenticationError, match="MAAS_API_KEY"):
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)
    assert not sandbox.requests


@pytest.mark.parametrize("key", [f"{KEY} and more", f"{KEY}\nx", "khóa"])
def test_a_key_that_is_more_than_a_key_is_refused(sandbox: Sandbox, key: str) -> None:
    """A pasted key with white space or other letters inside is refused without being repeated."""
    with pytest.raises(litellm.BadRequestError, match="copy the key alone") as caught:
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES, api_key=key)
    assert key not in str(caught.value)
    assert not sandbox.requests


def test_a_key_with_white_space_around_it_is_used(sandbox: Sandbox) -> None:
    """White space around a pasted key is harmless."""
    litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES, api_key=f" {KEY}\n")
    assert sandbox.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_no_redirect_carries_the_key_elsewhere(sandbox: Sandbox) -> None:
    """A redirect is not followed, even by a client of the caller's that follows them."""
    with litellm_maas.sandbox.Sandbox() as elsewhere, httpx.Client(follow_redirects=True) as following:
        for client in (None, following):
            sandbox.faults.add(litellm_maas.sandbox.Fault(redirect=f"{elsewhere.url}/chat/completions"))
            with pytest.raises(litellm.NotFoundError, match="redirected"):
                litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES, client=client)
        assert not elsewhere.requests


def test_callers_headers_cannot_replace_the_key(sandbox: Sandbox) -> None:
    """Extra headers reach the gateway, except those that would replace the key or break the connection."""
    headers = {"Authorization": "Bearer x", "Host": "elsewhere.example", "X-Team": "data", "content-length": "3"}
    litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES, extra_headers=headers)
    sent = sandbox.requests[0].headers
    assert sent["authorization"] == f"Bearer {KEY}"
    assert sent["host"] in sandbox.url
    assert sent["x-team"] == "data"


def test_a_proxy_from_the_environment_does_not_see_loopback_calls(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY is not used for plain http to this machine: it would get the key in clear text."""
    with litellm_maas.sandbox.Sandbox() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)
        assert not proxy.requests
    assert len(sandbox.requests) == 1
