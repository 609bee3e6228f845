from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import litellm
import pytest

import litellm_maas
from litellm_maas.budgets.budget import Budget
from litellm_maas.errors import ConfigFileError
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Sandbox
from tests.helpers import MESSAGES
from tests.router.routed import (
    FIRST,
    SECOND,
    ConnectionReport,
    aplain,
    asked,
    broken,
    chain,
    every_way,
    ordered,
    plain,
    served,
)

ROUTER = """
model_list:
  - {model_name: chat, litellm_params: {model: maas/openai/gpt-4o}}
budgets:
  - {name: router, credits: 0.5, per: day}
rate_limit: {requests_per_minute: 2, max_wait: 1}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A router's file; what it sets is gone after the test."""
    monkeypatch.setattr(runtime, "rate_limit", None)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "router.yaml").write_text(ROUTER)
    return tmp_path / "router.yaml"


def test_budgets_of_a_routers_file_hold(file: Path, sandbox: Sandbox) -> None:
    """A budget in a router's file is in force for its calls, and recording is on for it."""
    router = litellm_maas.load_router(file, apply_settings=True)
    with pytest.raises(litellm.BudgetExceededError, match=r"'router' \(0\.5 VND per day"):
        router.completion(model="chat", messages=MESSAGES)
    assert not sandbox.requests


def test_settings_are_applied_when_asked(file: Path, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """Without `apply_settings` nothing changes for the process, and one warning says what to write."""
    litellm_maas.load_router(file).completion(model="chat", messages=MESSAGES)
    assert (runtime.rate_limit, runtime.budgets.configured, runtime.tracker.enabled) == (None, (), False)
    (warning,) = (record.getMessage() for record in caplog.records if record.name == "litellm_maas")
    assert warning == (
        f"{file}: budgets and rate_limit are not applied, because that would hold for every call of this process. "
        f"To apply them, call load_router({str(file)!r}, apply_settings=True)."
    )
    caplog.clear()
    litellm_maas.load_router(file, apply_settings=True)
    litellm_maas.load_router()
    assert not caplog.records
    assert runtime.rate_limit is not None


def test_rate_limit_of_a_routers_file_holds(file: Path, sandbox: Sandbox) -> None:
    """The rate limit in a router's file applies: the third call of a minute is too far away."""
    file.write_text(ROUTER.replace("credits: 0.5", "credits: 5000"))
    router = litellm_maas.load_router(file, apply_settings=True, num_retries=0)
    for _ in range(2):
        router.completion(model="chat", messages=MESSAGES)
    with pytest.raises(litellm.RateLimitError, match="2 per 60 s"):
        router.completion(model="chat", messages=MESSAGES)
    assert len(sandbox.requests) == 2


def refused(router: litellm.Router, way: ConnectionReport, group: str) -> litellm.BudgetExceededError:
    """How a routed call is refused, whatever it is wrapped in."""
    with pytest.raises(Exception, match="budget") as found:
        way(router, model=group, max_tokens=10)
    error = getattr(found.value, "original_exception", None) or found.value
    assert isinstance(error, litellm.BudgetExceededError)
    return error


def statuses(ledger: Path) -> list[tuple[str, str]]:
    """What is recorded: each event's model and status. The first of a process may be written by a thread."""
    runtime.close()
    with SqliteLedger(ledger) as found:
        return [(event.model, event.status) for event in found.events()]


@every_way
@pytest.mark.parametrize("made", [chain, lambda folder: ordered(folder, FIRST, SECOND, settings={"num_retries": 2})])
def test_a_budget_without_room_ends_the_request(
    sandbox: Sandbox, ledger_path: Path, tmp_path: Path, way: ConnectionReport, made: Callable[[Path], Path]
) -> None:
    """Neither a fallback nor the next of an order is asked, though those have no price: one row and one cause."""
    runtime.budgets.configured = (Budget(name="small", credits=1, per="day"),)
    router = litellm_maas.load_router(made(tmp_path))
    error = refused(router, way, "a" if made is chain else "group")
    assert "'small'" in str(error)
    assert "exceeded: 0 VND spent" in str(error)
    assert "Resets at" in str(error)
    assert error.max_budget == 1
    assert asked(sandbox) == []
    assert statuses(ledger_path) == [(FIRST, "blocked")]


@pytest.mark.parametrize("way", [plain, aplain])
@pytest.mark.parametrize(("amount", "rows"), [(1, ["blocked", "blocked"]), (1000, ["blocked", "ok"])])
def test_a_model_without_a_price_is_fallen_back_from(
    sandbox: Sandbox, ledger_path: Path, tmp_path: Path, way: ConnectionReport, amount: int, rows: list[str]
) -> None:
    """A model that is refused for want of a price gives way to one that has one; of two refusals the first counts."""
    runtime.budgets.configured = (Budget(name="small", credits=amount, per="day"),)
    router = litellm_maas.load_router(ordered(tmp_path, SECOND, FIRST, settings={"num_retries": 0}))
    if rows[-1] == "ok":
        assert served(way(router, model="group", max_tokens=10)) == FIRST
    else:
        assert "blocks unpriced models" in str(refused(router, way, "group"))
    assert statuses(ledger_path) == [(SECOND, rows[0]), (FIRST, rows[1])]


@every_way
def test_a_fallback_that_a_budget_refuses(
    sandbox: Sandbox, ledger_path: Path, tmp_path: Path, way: ConnectionReport
) -> None:
    """Where the first model fails and the budget has no room for the next, that is what the caller reads."""
    sandbox.faults.add(broken("qwen/qwen3.6-flash"))
    models = ("qwen/qwen3.6-flash", FIRST, SECOND)
    router = litellm_maas.load_router(ordered(tmp_path, *models, settings={"num_retries": 0}))
    runtime.budgets.configured = (Budget(name="small", credits=1, per="day", model=FIRST),)
    assert "exceeded: " in str(refused(router, way, "group"))
    assert asked(sandbox) == ["qwen/qwen3.6-flash"]
    assert statuses(ledger_path)[1:] == [(FIRST, "blocked")]


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("per: day", "per: year", "'year' is not a period"),
        ("requests_per_minute: 2", "requests_per_minute: 0", "greater than 0"),
        ("max_wait", "longest", "unknown key"),
    ],
)
def test_mistakes_in_them_are_named(file: Path, sandbox: Sandbox, right: str, wrong: str, problem: str) -> None:
    """A mistake in a budget or in the rate limit of a router's file is an error with its line."""
    file.write_text(ROUTER.replace(right, wrong))
    with pytest.raises(ConfigFileError, match=problem) as found:
        litellm_maas.load_router(file)
    assert found.value.line in (5, 6)
