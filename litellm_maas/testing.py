"""For tests of programs that use this package: an offline MaaS, and a process as good as new.

In a `conftest.py`::

    pytest_plugins = ["litellm_maas.testing"]

brings two pytest fixtures:

- `maas_sandbox`: an offline MaaS on this machine, to which `MAAS_API_KEY` and `MAAS_API_BASE` lead while the test runs.
- `maas_reset`: calls `reset()` after the test. A fixture of your own makes it hold for every test::

      @pytest.fixture(autouse=True)
      def clean_maas(maas_reset): ...

Without pytest, use `litellm_maas.sandbox.Sandbox` and `reset()`.

PYTEST_DONT_REWRITE: a `conftest.py` may import this module and name it as a plugin, without a warning.
"""

from __future__ import annotations

from collections.abc import Iterator

from litellm_maas import alerts
from litellm_maas.runtime import runtime

try:
    import pytest
except ImportError:  # `reset` is of use without it
    __all__ = ["reset"]
else:
    from litellm_maas.sandbox.pytest_plugin import maas_sandbox

    __all__ = ["maas_reset", "maas_sandbox", "reset"]

    @pytest.fixture
    def maas_reset() -> Iterator[None]:
        """Call `reset()` after the test."""
        yield
        reset()


def reset() -> None:
    """Bring what this process shares between its calls back to where it began.

    Calls in flight are recorded as abandoned, what is queued is written, and ledgers and connections are closed. What
    `track_spend`, `on_alert` and `load_router(…, apply_settings=True)` have set is forgotten, and so are cooldowns and
    costs. Environment variables, ledgers and LiteLLM's own settings and callbacks stay as they are.
    """
    runtime.reset()
    alerts.reset()
