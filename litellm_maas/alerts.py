"""Send alerts about budgets and credits: to the log, to the program's own hook, and to a webhook."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import httpx
import tenacity

from litellm_maas import settings

logger = logging.getLogger("litellm_maas")

_TIMEOUT = 5.0
"""Seconds for one attempt to post."""

Warn = Callable[[dict[str, Any]], None]
_hooks: list[Warn] = []


def on_alert(hook: Warn) -> Warn:
    """Call a function with each alert about a budget or about credits; usable as a decorator.

    It gets a dictionary of plain values: `about`, `text`, and the figures in micro-credits. It is called in the thread
    of the call that passed the mark, so it should be quick; what it raises is logged.
    """
    _hooks.append(hook)
    return hook


def reset() -> None:
    """Forget the functions that `on_alert` was given."""
    _hooks.clear()


def send_alert(warning: dict[str, Any]) -> None:
    """Give a warning in every way that is set up. Never raises, and waits for nobody but the hooks."""
    logger.warning("%s", warning["text"])
    for hook in _hooks:
        _call(hook, warning)
    if (address := settings.alert_webhook()) is not None:
        # No daemon: a program that ends just then still sends it, within its time limit.
        threading.Thread(target=_post, args=(address, warning), name="maas-webhook").start()


def _call(hook: Warn, warning: dict[str, Any]) -> None:
    try:
        hook(dict(warning))
    except Exception:
        logger.exception("a hook for warnings failed")


def _post(address: str, warning: dict[str, Any]) -> None:
    try:
        for attempt in tenacity.Retrying(
            stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_exponential(0.5, max=5), reraise=True
        ):
            with attempt:
                httpx.post(
                    address,
                    content=json.dumps(warning, ensure_ascii=False).encode(),
                    headers={"content-type": "application/json"},
                    timeout=_TIMEOUT,
                ).raise_for_status()
    except httpx.HTTPError as error:
        # Its address may hold a secret, and stands in the error's text.
        logger.warning("could not send an alert to MAAS_ALERT_WEBHOOK (%s)", type(error).__name__)
