"""The exceptions of the package: one tree, drawn in `litellm_maas.errors`, each with what is wrong and what to do."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
import re
from pathlib import Path

import pytest

import litellm_maas
from litellm_maas import errors
from litellm_maas.errors import ConfigFileError, GatewayError, MaasError, SettingsError, UnsupportedParameterError
from litellm_maas.gateway.errors import Failure
from litellm_maas.provider.exceptions import BudgetExceededError
from litellm_maas.sandbox.validation import HTTPError

ELSEWHERE = {
    BudgetExceededError: "its base class cannot be had without loading LiteLLM; it is drawn in the tree",
    HTTPError: "an answer of the sandbox's server, which never leaves it",
}
"""Exceptions outside `errors.py`, and why."""

FAILURE = Failure("rate_limit", 429, "slow down", "Wait 3 s.", 3.0)
EVERY = (
    MaasError("a", "b"),
    SettingsError("a", hint="b"),
    ConfigFileError(Path("prices.yaml"), 3, "lists.0", "a", "b"),
    GatewayError(FAILURE, {"usage": None}),
    UnsupportedParameterError("deepseek/deepseek-v4-pro", "reasoning_effort", "the gateway answers 400"),
)


def exceptions() -> set[type[Exception]]:
    """Every exception class that the package defines."""
    found: set[type[Exception]] = set()
    for module in pkgutil.walk_packages(litellm_maas.__path__, "litellm_maas."):
        if module.name != "litellm_maas.__main__":
            for each in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(each) and issubclass(each, Exception) and each.__module__.startswith("litellm_maas"):
                    found.add(each)
    return found


def test_tree_is_complete() -> None:
    """Every exception class of the package is in errors.py, under `MaasError`, and drawn there; see `ELSEWHERE`."""
    found = exceptions() - ELSEWHERE.keys()
    assert {each.__module__ for each in found} == {"litellm_maas.errors"}
    assert all(issubclass(each, MaasError) for each in found)
    drawn = re.findall(r"^ {4}[│├└─ ]*(\w+)", errors.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == sorted({each.__name__ for each in found} | {"litellm", "BudgetExceededError"})


def test_tree_is_drawn_as_it_is() -> None:
    """The drawing hangs each class under its base."""
    above: dict[int, str] = {}
    for lead, name in re.findall(r"^ {4}([│├└─ ]*)(\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(lead) // 4
        above[depth] = name
        if depth and (drawn := getattr(errors, name, None)) is not None:
            assert drawn.__bases__[0].__name__ == above[depth - 1]


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_copies(error: MaasError) -> None:
    """An error comes through another process as it was: pools of workers pickle them."""
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - its own
        assert (type(same), str(same), same.message, same.hint) == (type(error), str(error), error.message, error.hint)


def test_texts() -> None:
    """The text is message and hint, after the place in a file."""
    assert [str(each) for each in EVERY[:4]] == ["a; b", "a; b", "prices.yaml:3: lists.0: a; b", "slow down. Wait 3 s."]
    assert str(MaasError("a")) == "a"
    assert str(ConfigFileError(Path("prices.yaml"), None, "", "a")) == "prices.yaml: a"


def test_budget_error() -> None:
    """The error of a budget says what to do too, in LiteLLM's words and on a line of its own."""
    error = BudgetExceededError("budget 'a' exceeded", "It never resets.", "openai/gpt-4o", 3.0, 2.0)
    assert error.hint == "It never resets."
    assert str(error) == error.message == "litellm.BudgetExceededError: MaaS: budget 'a' exceeded\nIt never resets."
