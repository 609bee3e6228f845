"""The self-test of LiteLLM with this package, in a program of its own: what any program gets that imports both.

It sends nothing: LiteLLM makes the answer up (`mock_response`), and its cache gives it again, which only the callback
can see. The ledger is a temporary one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

import litellm_maas
from litellm_maas.doctor.check import Check, green, red
from litellm_maas.spend.sqlite import SqliteLedger
from litellm_maas.spend.tracking import tracking
from litellm_maas.wire.exceptions import PROVIDER

_PATIENCE = 20.0
"""Seconds for LiteLLM's threads to call a callback."""
_MODEL = f"{PROVIDER}/openai/gpt-4o"


class _Last(CustomLogger):
    """A callback behind ours: when it is called, ours has been."""

    def __init__(self) -> None:
        super().__init__()
        self.called = threading.Event()

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:  # noqa: ARG002 - LiteLLM's signature
        if kwargs.get("cache_hit"):
            self.called.set()


def provider() -> Check:
    """Whether LiteLLM knows `maas/` after an import of the package."""
    ours = [each for each in litellm.custom_provider_map if each["provider"] == PROVIDER]
    if not ours or ours[-1]["custom_handler"] is not litellm_maas.maas:
        return red("provider", "LiteLLM does not know maas/ after import litellm_maas", "call litellm_maas.register()")
    return green("provider", "maas/ is registered with LiteLLM")


def callback(folder: Path) -> Check:
    """Whether LiteLLM calls the cost callback, and what it records is in the ledger."""
    last = _Last()
    litellm_maas.track_spend(folder / "ledger.db")
    litellm.callbacks = [litellm_maas.spend_logger, last]
    litellm.cache = litellm.Cache(type="local")  # type: ignore[arg-type]  # LiteLLM takes its own names as text
    for _ in range(2):
        litellm.completion(
            model=_MODEL, messages=[{"role": "user", "content": "self-test"}], mock_response="ok", caching=True
        )
    came = last.called.wait(_PATIENCE)
    tracking.close()
    with SqliteLedger(folder / "ledger.db") as ledger:
        recorded = [event.status for event in ledger.events()]
    if not came or recorded != ["cache_hit"]:
        what = "is not called by LiteLLM" if not came else f"recorded {recorded or 'nothing'} of one cache hit"
        mend = 'pip install --force-reinstall "litellm[mcp]>=1.98,<2,!=1.107.0" litellm-maas'
        return red("callback", f"the cost callback {what}", mend)
    return green("callback", "fires, and what it records is in the ledger (self-test)")


def main() -> None:
    """Print what was found, as the last line."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        checks = [provider(), callback(Path(folder))]
    sys.stdout.write("\n" + json.dumps([check.as_dict() for check in checks]) + "\n")


if __name__ == "__main__":
    main()
