from __future__ import annotations

from pathlib import Path

import litellm
import pytest

import litellm_maas
from litellm_maas.errors import DataFileError
from litellm_maas.sandbox import Sandbox
from litellm_maas.wire import pacing
from tests.support import MESSAGES

ROUTER = """
model_list:
  - {model_name: chat, litellm_params: {model: maas/openai/gpt-4o}}
budgets:
  - {name: router, credits: 0.5, per: day}
pacing: {requests_per_minute: 2, longest_wait: 1}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A router's file; what it sets is gone after the test."""
    monkeypatch.setattr(pacing, "configured", None)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "router.yaml").write_text(ROUTER)
    return tmp_path / "router.yaml"


def test_budgets_of_a_routers_file_hold(file: Path, sandbox: Sandbox) -> None:
    """A budget in a router's file is in force for its calls, and recording is on for it."""
    router = litellm_maas.load_router(file)
    with pytest.raises(litellm.BudgetExceededError, match=r"'router' \(0\.5 VND per day"):
        router.completion(model="chat", messages=MESSAGES)
    assert not sandbox.requests


def test_pacing_of_a_routers_file_holds(file: Path, sandbox: Sandbox) -> None:
    """The pacing in a router's file is in force: the third call of a minute is too far away."""
    file.write_text(ROUTER.replace("credits: 0.5", "credits: 5000"))
    router = litellm_maas.load_router(file, num_retries=0)
    for _ in range(2):
        router.completion(model="chat", messages=MESSAGES)
    with pytest.raises(litellm.RateLimitError, match="2 requests in 60 s"):
        router.completion(model="chat", messages=MESSAGES)
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("per: day", "per: year", "'year' is no period"),
        ("requests_per_minute: 2", "requests_per_minute: 0", "greater than 0"),
        ("longest_wait", "longest", "unknown key"),
    ],
)
def test_mistakes_in_them_are_named(file: Path, sandbox: Sandbox, right: str, wrong: str, problem: str) -> None:
    """A mistake in a budget or in the pacing of a router's file is an error with its line."""
    file.write_text(ROUTER.replace(right, wrong))
    with pytest.raises(DataFileError, match=problem) as found:
        litellm_maas.load_router(file)
    assert found.value.line in (5, 6)
