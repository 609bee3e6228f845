"""Provide the pytest fixture `maas_sandbox`, for projects that test against an offline MaaS.

PYTEST_DONT_REWRITE: `litellm_maas.testing` imports this module, and either may be named as a plugin, without a warning.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from litellm_maas.sandbox import Sandbox


@pytest.fixture
def maas_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Yield a fresh sandbox; `MAAS_API_KEY` and `MAAS_API_BASE` lead to it while the test runs."""
    with Sandbox() as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        yield sandbox
