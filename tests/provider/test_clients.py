"""The SDKs of OpenAI and Anthropic for Python through a real proxy; `scripts/test-clients` drives more clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from litellm_maas.sandbox import Sandbox
from tests.provider.client_cases import CLIENTS, Case, Setting
from tests.proxy_process import MASTER_KEY

pytestmark = pytest.mark.proxy
PYTHON = [client for client in CLIENTS if "Python" in client.title]


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, case, id=f"{client.title.split()[0]}-{name}")
        for client in PYTHON
        for name, case in client.cases.items()
    ],
)
def test_a_client(proxy: tuple[str, Sandbox], tmp_path: Path, name: str, case: Case) -> None:
    """A client gets what it asks the proxy for: an answer, a stream in pieces, a tool's use, vectors."""
    url, sandbox = proxy
    sandbox.requests.clear()
    answer = case.run(Setting(url, MASTER_KEY, tmp_path, model="openai/gpt-4o"))
    assert sandbox.requests
    if name == "stream":
        assert len(answer) > 1
    if name == "tools":
        assert "sunny in Hà Nội" in "".join(answer)
    elif name == "embeddings":
        assert len(set(answer)) == 1
        assert sandbox.requests[0].body["input"] == ["xin", "chào"]
    else:
        assert "".join(answer) == "openai/gpt-4o heard: How is the weather in Hà Nội?"
