"""Run all checks, those that wait for somebody else side by side."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from litellm_maas.doctor import connectivity, environment, ledger, models
from litellm_maas.doctor.check import Check, failed, skipped
from litellm_maas.doctor.probe import TAG
from litellm_maas.errors import MaasError
from litellm_maas.gateway.endpoint import Endpoint, resolve_key
from litellm_maas.ledger import access
from litellm_maas.ledger.location import resolve_location
from litellm_maas.ledger.model_status import callable_models
from litellm_maas.pricing.price_book import PriceBook

_TRIO = ("openai/gpt-4o", "gemini/gemini-2.5-flash", "qwen/qwen3-27b")
"""What the shipped configs call."""


@dataclass(frozen=True, slots=True)
class Options:
    """Name what to examine.

    Attributes:
        config: A config whose models are looked at too.
        timeout: Seconds for each step on the way to the gateway.
        book: The current prices; None where they cannot be read.
    """

    config: Path | None
    timeout: float
    book: PriceBook | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """Hold what a call needs, as far as it is there."""

    endpoint: Endpoint | None
    key: SecretStr | None
    models: tuple[str, ...] = ()


def run_checks(asked: Options) -> tuple[list[Check], Credentials]:
    """Run every check but those of LiteLLM, and return what calls need."""
    (base_url, endpoint), key_check = environment.base_url(), environment.key()
    # A key of a wrong shape would only be refused.
    key = resolve_key(None) if key_check.status != "error" else None
    with ThreadPoolExecutor(1) as pool:
        way = None if endpoint is None else pool.submit(connectivity.check_connection, endpoint, key, asked.timeout)
        others = [
            *_made("recording", lambda: [environment.recording(asked.config)]),
            *_made("settings", environment.others),
            *_made("files", environment.files),
            *_made("ledger", ledger.ledger),
            *_made("rate limit", lambda: [ledger.rate_limit(endpoint)]),
        ]
        attempts = _attempts()
        used = _used(asked.config, attempts)
    checks = [key_check, base_url]
    listed = None
    if way is None:
        checks += [skipped(name, "base url") for name in ("dns", "tls", "gateway", "key accepted", "clock")]
    else:
        try:
            found = way.result()
        except Exception as error:  # noqa: BLE001 - see `_failed`
            found = connectivity.ConnectionReport([_failed("gateway", error)])
        checks += found.checks
        listed = found.listed
    because = next((check.name for check in checks if check.status == "error"), "gateway")
    checks += _made("models", lambda: models.check(listed, used, attempts, asked.book, asked.config, because))
    return [*checks, *others], Credentials(endpoint, key, tuple(used) or _TRIO)


def _made(name: str, check: Callable[[], Iterable[Check]]) -> list[Check]:
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001 - see `_failed`
        return [_failed(name, error)]


def _failed(name: str, error: Exception) -> Check:
    """Report a check that broke down itself as a line like any other: the others are worth seeing all the same."""
    # Without the error's text, which may quote what it could not understand: a key, for instance.
    what = f"the check itself failed ({type(error).__name__})"
    return failed(name, what, "please report this, with the output of: litellm-maas doctor --json")


def _attempts() -> Mapping[str, str]:
    try:
        with access.open_ledger(resolve_location()) as ledger:
            now = dt.datetime.now(dt.timezone.utc)
            return {} if ledger is None else callable_models(ledger, now, not_only=TAG)
    except MaasError:
        return {}  # the ledger has a line of its own


def _used(config: Path | None, attempts: Mapping[str, str]) -> Mapping[str, bool]:
    """Return the models in use, of a config or of programs that had answers, and whether each may be unpriced."""
    if config is None:
        return {model: False for model, answer in attempts.items() if answer == "yes"}
    try:
        return models.configured(config)
    except MaasError:
        return {}  # the config has lines of its own
