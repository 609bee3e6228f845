"""The names that users import, and `litellm_maas.testing`."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import litellm
import pytest

import litellm_maas
from litellm_maas import alerts, testing
from litellm_maas.errors import MaasError
from litellm_maas.gateway.errors import Failure
from litellm_maas.resilience.cooldowns import DeploymentKey
from litellm_maas.runtime import runtime
from litellm_maas.sandbox import Sandbox
from litellm_maas.settings import RateLimit
from tests.helpers import MESSAGES

pytest_plugins = ["pytester"]

EXPORTED = [
    "BudgetExceededError",
    "ConfigFileError",
    "Cost",
    "DamagedLedgerError",
    "InvalidEventError",
    "LedgerBusyError",
    "LedgerError",
    "MaasError",
    "OlderLedgerError",
    "SettingsError",
    "SpendReport",
    "SpendRow",
    "SpendTotal",
    "UnsupportedLiteLLMError",
    "Usage",
    "__version__",
    "cost_of",
    "load_router",
    "maas",
    "on_alert",
    "register",
    "router_cooldowns",
    "session_spend",
    "spend",
    "spend_logger",
    "track_spend",
]
"""All names of the package. A name that is added or removed is a change for users: say so in the changelog."""

FUNCTIONS = ("cost_of", "load_router", "on_alert", "register", "session_spend", "spend", "track_spend")


def test_names_are_pinned() -> None:
    """The package exports these names and no others, each from the one place that defines it."""
    assert sorted(litellm_maas.__all__) == EXPORTED
    for name in EXPORTED:
        assert getattr(litellm_maas, name) is not None
    assert set(EXPORTED) <= set(dir(litellm_maas))


def test_what_is_raised_is_exported() -> None:
    """Every error that a public function's docstring names is exported."""
    for name in FUNCTIONS:
        doc = inspect.getdoc(getattr(litellm_maas, name)) or ""
        raised = doc.partition("Raises:\n")[2]
        for line in raised.splitlines():
            if line.startswith("    ") and not line.startswith("     "):
                assert line.strip().partition(":")[0] in EXPORTED, name


def test_what_is_returned_is_exported() -> None:
    """Every class of this package that a public function returns is exported, and so is what its fields hold."""
    waiting = [getattr(litellm_maas, name) for name in ("Cost", "SpendReport", "Usage")]
    seen = set()
    while waiting:
        each = waiting.pop()
        seen.add(each.__name__)
        module = vars(importlib.import_module(each.__module__))
        for hint in get_type_hints(each, module).values():
            inner = [part for part in (hint, *getattr(hint, "__args__", ())) if dataclasses.is_dataclass(part)]
            waiting += [part for part in inner if part.__name__ not in seen]  # type: ignore[union-attr]  # classes
    assert seen <= set(EXPORTED)


def test_internal_errors_are_not_exported() -> None:
    """What never reaches a caller is no name of the package."""
    assert issubclass(litellm_maas.MaasError, Exception)
    internal = {each.__name__ for each in MaasError.__subclasses__()} - set(EXPORTED)
    assert internal == {"GatewayError", "RateLimitStoreError", "UnsupportedParameterError"}


@pytest.mark.process
def test_import_is_lazy() -> None:
    """Neither importing the package nor looking for an error loads what reads reports."""
    code = (
        "import sys, litellm_maas; litellm_maas.SettingsError; "
        "assert 'litellm_maas.reporting' not in sys.modules; litellm_maas.spend"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reset(sandbox: Sandbox, tmp_path: Path) -> None:
    """After `reset` a process is as good as new: no recording, no cooldowns, no costs, no limit, no hooks."""
    target = DeploymentKey("openai/gpt-4o", 1)
    litellm_maas.track_spend(tmp_path / "ledger.db")
    response = litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)
    runtime.cooldowns.failed(target, Failure("not_found", 404, "no such model", "Choose another."))
    runtime.rate_limit = RateLimit(10)
    litellm_maas.on_alert(print)
    assert litellm_maas.cost_of(response) is not None
    testing.reset()
    assert not runtime.tracker.enabled
    assert runtime.cooldowns.is_available(target)
    settings: list[Any] = [runtime.rate_limit, runtime.budgets.configured, alerts._hooks]  # noqa: SLF001 - nothing shows them
    assert settings == [None, (), []]
    assert runtime.tracker.cached_cost(response.id) is None
    litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES)
    assert litellm_maas.spend(ledger=tmp_path / "ledger.db").total.calls == 1


PLUGIN = """
from litellm_maas import testing

pytest_plugins = ["litellm_maas.testing", "litellm_maas.sandbox.pytest_plugin"]
"""
TESTS = """
import litellm, litellm_maas, pytest

@pytest.fixture(autouse=True)
def clean(maas_reset):
    pass

@pytest.mark.parametrize("number", range(2))
def test_a_call(maas_sandbox, tmp_path, number):
    assert litellm_maas.spend().total.calls == 0
    litellm_maas.track_spend(tmp_path / "ledger.db")
    litellm.completion(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": "a"}])
    assert litellm_maas.spend().total.micro_credits == maas_sandbox.bill.micro_credits
"""


def test_fixtures(pytester: pytest.Pytester) -> None:
    """The fixtures give users' tests a gateway and a fresh process."""
    pytester.makeconftest(PLUGIN)
    pytester.makepyfile(TESTS)
    strict = ("-W", "error::pytest.PytestAssertRewriteWarning")
    result: Any = pytester.runpytest_subprocess("-p", "no:cacheprovider", *strict)
    result.assert_outcomes(passed=2)
