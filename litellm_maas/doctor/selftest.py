"""Test LiteLLM with this package, in a program of its own: what any program gets that imports both.

It sends nothing: LiteLLM makes the answer up (`mock_response`). Of such a call it does not tell callbacks the base URL,
by which the cost callback knows whose call it is; so that is added to what LiteLLM passes. The ledger is a temporary
one.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from queue import Empty, Queue
from typing import Any, NoReturn

import litellm
from litellm.integrations.custom_logger import CustomLogger

import litellm_maas
from litellm_maas import settings
from litellm_maas.doctor.check import Check, failed, passed
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.provider.exceptions import PROVIDER
from litellm_maas.runtime import runtime
from litellm_maas.supported import REQUIREMENT

_PATIENCE = 20.0
"""Seconds for LiteLLM's threads to call a callback."""


class _Behind(CustomLogger):
    """A callback behind ours, which keeps what it was called with: with the same ours was called a moment before."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: Queue[tuple[Any, ...]] = Queue()

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.passed.put((kwargs, response_obj, start_time, end_time))


def provider() -> Check:
    """Check whether LiteLLM knows `maas/` after an import of the package."""
    ours = [each for each in litellm.custom_provider_map if each["provider"] == PROVIDER]
    if not ours or ours[-1]["custom_handler"] is not litellm_maas.maas:
        return failed(
            "provider", "LiteLLM does not know maas/ after import litellm_maas", "call litellm_maas.register()"
        )
    return passed("provider", "maas/ is registered with LiteLLM")


def callback(folder: Path) -> Check:
    """Check whether LiteLLM calls callbacks, and what the cost callback gets is recorded with its price."""
    behind = _Behind()
    litellm_maas.track_spend(folder / "ledger.db")
    litellm.callbacks = [litellm_maas.spend_logger, behind]
    # LiteLLM takes one openai/ away for itself.
    model, messages = "openai/openai/gpt-4o", [{"role": "user", "content": "self-test"}]
    litellm.completion(model=model, messages=messages, mock_response="ok")
    fix = f'{sys.executable} -m pip install --force-reinstall "{REQUIREMENT}"'
    try:
        kwargs, *arguments = behind.passed.get(timeout=_PATIENCE)
    except Empty:
        return failed("callback", "LiteLLM does not call the cost callback", fix)
    litellm_maas.spend_logger.log_success_event({**kwargs, "api_base": settings.PAYG_BASE_URL}, *arguments)
    runtime.close()
    with SqliteLedger(folder / "ledger.db") as ledger:
        recorded = [(event.status, event.basis) for event in ledger.events()]
    if recorded != [("ok", "official")]:
        return failed("callback", f"the cost callback recorded {recorded or 'nothing'} of one priced call", fix)
    return passed("callback", "fires, and what it records is in the ledger (self-test)")


def checks() -> list[Check]:
    """Run the self-test."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return [provider(), callback(Path(folder))]


def main() -> NoReturn:
    """Print what was found, as the last line, and end."""
    sys.stdout.write("\n" + json.dumps([check.as_dict() for check in checks()]) + "\n")
    sys.stdout.flush()
    # Python takes LiteLLM down piece by piece otherwise, for a good part of a second in which somebody waits.
    os._exit(0)
