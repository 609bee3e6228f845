"""What calls through a real LiteLLM proxy leave in the ledger: one row for each billed response, with its owner."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from litellm_maas.ledger.event import Event
from litellm_maas.sandbox import Answer, Charge, Choice, Fault, Sandbox
from tests.call_modes import recorded
from tests.helpers import KEY, MESSAGES, until
from tests.ledger_files import rows
from tests.proxy_process import MASTER_KEY, TEAM_KEY

pytestmark = pytest.mark.proxy
CHAT = {"model": "openai/gpt-4o", "messages": MESSAGES}
MESSAGE = {**CHAT, "max_tokens": 50}
RESPONSE = {"model": "openai/gpt-4o", "input": "Xin chào"}
ENDPOINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", CHAT),
    "streamed chat": ("/v1/chat/completions", {**CHAT, "stream": True}),
    "messages": ("/v1/messages", MESSAGE),
    "streamed messages": ("/v1/messages", {**MESSAGE, "stream": True}),
    "responses": ("/v1/responses", RESPONSE),
    "streamed responses": ("/v1/responses", {**RESPONSE, "stream": True}),
    "embeddings": ("/v1/embeddings", {"model": "qwen/qwen3-embedding-8b", "input": ["một"]}),
    "legacy completions": ("/v1/completions", {"model": "openai/gpt-4o", "prompt": "Xin chào"}),
}


class Proxy:
    """A client of the proxy, that knows which rows and charges are new."""

    def __init__(self, url: str, sandbox: Sandbox, ledger: Path) -> None:
        self.url = url
        self.sandbox = sandbox
        self.ledger = ledger
        self._rows = len(recorded(ledger))
        self._charges = len(sandbox.bill.charges)

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Send a request with the key of the team."""
        headers = {"authorization": f"Bearer {TEAM_KEY}", **headers}
        return httpx.post(self.url + path, json=body, headers=headers, timeout=30, trust_env=False)

    def new_rows(self) -> list[Event]:
        """The rows since this was made, in the order in which the calls began."""
        return rows(self.ledger)[self._rows :]

    def new_charges(self) -> tuple[Charge, ...]:
        """What was billed since."""
        return self.sandbox.bill.charges[self._charges :]


@pytest.fixture
def client(proxy: tuple[str, Sandbox], proxy_ledger: Path) -> Iterator[Proxy]:
    """The session's proxy."""
    url, sandbox = proxy
    sandbox.faults.clear()
    yield Proxy(url, sandbox, proxy_ledger)
    sandbox.faults.clear()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_one_row_for_each_billed_response(client: Proxy, endpoint: str) -> None:
    """Each endpoint leaves one row: the bill's cost, the model that served, its host, and key, team and user."""
    path, body = ENDPOINTS[endpoint]
    reply = client.post(path, body, **{"x-litellm-tags": "from,the-header"})
    assert reply.status_code == 200
    (event,), (charge,) = client.new_rows(), client.new_charges()
    assert (event.status, event.micro_credits, event.basis) == ("ok", charge.micro_credits, "official")
    assert (event.input_tokens, event.output_tokens) == (charge.input_tokens, charge.output_tokens)
    assert event.model == event.requested_model == charge.model
    assert (event.key_alias, event.team, event.user) == ("alias-of-the-key", "The Team", "minh")
    assert (event.team_id, event.end_user) == ("team-1", None)
    assert event.host == client.sandbox.url.split("/")[2]
    assert event.tags == ("from", "the-header")
    if body.get("stream"):
        # The headers of a stream leave before its cost is known.
        assert "x-maas-cost-vnd" not in reply.headers
    else:
        assert float(reply.headers["x-maas-cost-vnd"]) * 1_000_000 == pytest.approx(charge.micro_credits or 0)
        assert reply.headers["x-maas-price-basis"] == "official"


@pytest.mark.parametrize("endpoint", ["chat", "streamed chat", "embeddings"])
def test_what_is_passed_through_is_never_free(client: Proxy, endpoint: str) -> None:
    """What the proxy passes on as it is costs what was billed, or is unpriced where LiteLLM keeps no usage of it."""
    path, body = ENDPOINTS[endpoint]
    assert client.post(path.replace("/v1", "/through"), body).status_code == 200
    until(client.new_rows)
    (event,), (charge,) = client.new_rows(), client.new_charges()
    assert (event.status, event.model, event.key_alias) == ("ok", charge.model, "alias-of-the-key")
    if body.get("stream"):
        assert (event.micro_credits, event.basis, event.usage_source) == (None, "unpriced", "none")
    else:
        assert (event.micro_credits, event.basis, event.usage_source) == (charge.micro_credits, "official", "reported")
        assert (event.input_tokens, event.output_tokens) == (charge.input_tokens, charge.output_tokens)


def test_what_the_body_says(client: Proxy) -> None:
    """Tags, session and end user of the request's body are in the row, and the owner of the key pays."""
    body = {**CHAT, "user": "an end user", "metadata": {"tags": ["a", "b"], "session_id": "s-1"}}
    client.post("/v1/chat/completions", body)
    client.post("/v1/messages", {**MESSAGE, "metadata": {"user_id": "an end user"}})
    chat, message = client.new_rows()
    assert (chat.end_user, chat.tags, chat.session_id) == ("an end user", ("a", "b"), "s-1")
    assert (message.end_user, message.key_alias) == ("an end user", "alias-of-the-key")
    assert (chat.user, message.user) == ("minh", "minh")


FORGED = {"user_api_key_user_id": "lan", "user_api_key_team_id": "t", "user_api_key_alias": "k", "user_api_key": "h"}


@pytest.mark.parametrize("endpoint", ["chat", "messages", "responses", "embeddings"])
def test_a_client_does_not_choose_who_pays(client: Proxy, endpoint: str) -> None:
    """Whatever a client writes into user and metadata, its row is the key owner's; what it wrote is its end user."""
    path, body = ENDPOINTS[endpoint]
    for forged in ({"metadata": FORGED}, {"litellm_metadata": FORGED}, {"metadata": FORGED, "user": "lan"}):
        assert client.post(path, {**body, **forged}).status_code == 200
    found = client.new_rows()
    assert [(row.user, row.team_id, row.team, row.key_alias) for row in found] == [
        ("minh", "team-1", "The Team", "alias-of-the-key")
    ] * 3
    assert found[-1].end_user in ("lan", None)


def test_an_unpriced_model_has_no_cost_in_its_headers(client: Proxy) -> None:
    """Where no price is known, the header says so and names no amount."""
    reply = client.post("/v1/chat/completions", {**CHAT, "model": "gemini/gemini-2.5-flash"})
    assert (reply.headers["x-maas-cost-vnd"], reply.headers["x-maas-price-basis"]) == ("", "unpriced")
    (event,) = client.new_rows()
    assert (event.micro_credits, event.basis) == (None, "unpriced")


@pytest.mark.parametrize("stream", [False, True])
def test_a_fallback(client: Proxy, stream: bool) -> None:
    """Each attempt of a fallback is a row, and the header is the cost of the model that served."""
    client.sandbox.faults.add(Fault(status=503, times=None, model="openai/gpt-4o"))
    reply = client.post("/v1/chat/completions", {**CHAT, "model": "smart", "stream": stream})
    assert reply.status_code == 200
    (failed, served), (charge,) = client.new_rows(), client.new_charges()
    assert (failed.requested_model, failed.model, failed.http_status) == ("smart", "openai/gpt-4o", 503)
    assert (served.requested_model, served.model, served.attempt) == ("smart", "openai/gpt-4o-mini", 2)
    assert served.micro_credits == charge.micro_credits
    assert {failed.key_alias, served.key_alias} == {"alias-of-the-key"}
    if not stream:
        assert float(reply.headers["x-maas-cost-vnd"]) * 1_000_000 == pytest.approx(charge.micro_credits or 0)


def test_refused_requests(client: Proxy) -> None:
    """What the gateway refuses is a row at no cost; what the proxy itself refuses is none."""
    client.sandbox.faults.add(Fault(status=400, body="no"))
    assert client.post("/v1/chat/completions", CHAT).status_code == 400
    assert client.post("/v1/chat/completions", {**CHAT, "model": "no-such-model"}).status_code == 400
    (event,) = client.new_rows()
    assert (event.status, event.http_status, event.micro_credits, event.team) == ("failed", 400, 0, "The Team")
    assert client.new_charges() == ()


@pytest.mark.parametrize("endpoint", ["streamed chat", "streamed messages"])
def test_a_client_that_goes_away(client: Proxy, endpoint: str) -> None:
    """When the client hangs up in the middle of a stream, what had come is recorded as an estimate near the bill."""
    path, body = ENDPOINTS[endpoint]
    client.sandbox.faults.add(Fault(chunk_delay=0.02))
    client.sandbox.script(Answer((Choice(" ".join(map(str, range(1000, 1200)))),)))
    headers = {"authorization": f"Bearer {TEAM_KEY}"}
    with contextlib.ExitStack() as opened:
        stream = httpx.stream("POST", client.url + path, json=body, headers=headers, timeout=30, trust_env=False)
        lines = opened.enter_context(stream).iter_lines()
        for _ in range(12):
            next(lines)
    until(lambda: client.new_rows() and client.new_charges())
    (event,), (charge,) = client.new_rows(), client.new_charges()
    assert (event.status, event.usage_source, event.key_alias) == ("cancelled", "estimated", "alias-of-the-key")
    assert abs(event.output_tokens - charge.output_tokens) <= 5


def test_no_key_is_recorded(client: Proxy) -> None:
    """Neither the gateway's key nor a key of the proxy is in the ledger."""
    client.post("/v1/chat/completions", CHAT)
    for file in client.ledger.parent.iterdir():
        content = file.read_bytes()
        assert not [key for key in (KEY, MASTER_KEY, TEAM_KEY, "Xin chào") if key.encode() in content], file
