"""Check the environment variables: key and base URL, what people set instead, and all other settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from litellm_maas import settings
from litellm_maas.budgets import budget
from litellm_maas.did_you_mean import did_you_mean
from litellm_maas.doctor import own_prices
from litellm_maas.doctor.check import Check, failed, from_error, passed, warned
from litellm_maas.errors import MaasError, SettingsError
from litellm_maas.gateway.endpoint import Endpoint, parse_base_url, resolve_key
from litellm_maas.pricing import price_file
from litellm_maas.pricing.price_file import PriceFile
from litellm_maas.router.lint.includes import Config

_KEYS_OF_OTHERS = (
    "GREENNODE_API_KEY",  # the vendor's LangChain package
    "AI_PLATFORM_API_KEY",  # the portal's samples
    "LLM_API_KEY",  # the vendor's samples of agents
    "ANTHROPIC_AUTH_TOKEN",
    "OPENAI_API_KEY",
)
_BASES_OF_OTHERS = ("LLM_BASE_URL", "OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL")
_OTHERS: tuple[Callable[[], object], ...] = (
    settings.rate_limit,
    settings.ledger_synchronous,
    settings.vnd_per_usd,
    settings.credits_warn_hours,
    settings.credits_warn_below,
)
_LOGGER = "litellm_maas.spend_logger"
_MAAS_HOSTS = (".vngcloud.vn", ".greennode.ai")


def key() -> Check:
    """Check whether there is a key, in which variable, and of what shape. Never shows it."""
    value = os.environ.get("MAAS_API_KEY", "").strip()
    if not value:
        return _no_key()
    if value.lower().startswith("bearer "):
        return failed("key", "MAAS_API_KEY begins with Bearer", 'export MAAS_API_KEY="${MAAS_API_KEY#* }"')
    if value[0] in "'\"" or value[-1] in "'\"":
        return failed("key", "MAAS_API_KEY has quotes in its value", "set it again without them: MAAS_API_KEY=vn-…")
    try:
        resolve_key(None)
    except SettingsError as error:
        return from_error("key", error)
    unread = [name for name in _KEYS_OF_OTHERS[:3] if os.environ.get(name)]
    return passed("key", "MAAS_API_KEY is set" + f" ({', '.join(unread)} is not read)" * bool(unread))


def _no_key() -> Check:
    alike = [name for name in sorted(os.environ) if name.startswith("MAAS_") and ("KEY" in name or "TOKEN" in name)]
    for name in (*alike, *_KEYS_OF_OTHERS):
        if name != "MAAS_API_KEY" and os.environ.get(name):
            return failed("key", f"MAAS_API_KEY is not set, but {name} is", f'export MAAS_API_KEY="${name}"')
    if os.environ.get("GREENNODE_CLIENT_ID"):
        return failed(
            "key",
            "MAAS_API_KEY is not set; GREENNODE_CLIENT_ID and its secret are not a model key",
            "make an API key in the MaaS console, and: export MAAS_API_KEY=vn-…",
        )
    return failed("key", "MAAS_API_KEY is not set", "make a key in the MaaS console, and: export MAAS_API_KEY=vn-…")


def base_url() -> tuple[Check, Endpoint | None]:
    """Check whether the base URL is well-formed, and return where calls go; None where they cannot."""
    written = settings.api_base()
    try:
        endpoint = parse_base_url(written)
    except SettingsError as error:
        return from_error("base url", error), None
    right = f"export MAAS_API_BASE={endpoint.base_url}"
    path = urlsplit(written).path.rstrip("/")
    if path.endswith("/v1/v1"):
        what = "MAAS_API_BASE has /v1 twice; maas/ calls do without, other programs get replies they cannot parse"
        return failed("base url", what, right), endpoint
    if path.startswith(f"{urlsplit(endpoint.base_url).path}/"):
        return failed("base url", f"MAAS_API_BASE is more than a base URL: {path}", right), endpoint
    if path != urlsplit(endpoint.base_url).path:
        what = "MAAS_API_BASE does not end in /v1; maas/ calls add it, other programs get 404"
        return failed("base url", what, right), endpoint
    if (other := _base_of_others(endpoint)) is not None:
        return other, endpoint
    kind = {"payg": "pay-as-you-go", "plan": "Token Plan", "other": "not a MaaS host"}[endpoint.billing_mode]
    return passed("base url", f"{endpoint.base_url} ({kind})"), endpoint


def _base_of_others(endpoint: Endpoint) -> Check | None:
    """Find the address of a MaaS host in a variable that nothing here reads."""
    if os.environ.get("MAAS_API_BASE", "").strip():
        return None
    alike = [name for name in sorted(os.environ) if name.startswith("MAAS_") and _is_a_base(name)]
    unread = [name for name in alike if name not in settings.VARIABLES]
    for name in (*unread, *_BASES_OF_OTHERS):
        value = os.environ.get(name, "").strip()
        if not value:
            continue
        try:
            meant = parse_base_url(value)
        except SettingsError:
            continue
        host = urlsplit(meant.base_url).hostname or ""
        is_maas = name in unread or meant.is_loopback or host.endswith(_MAAS_HOSTS)
        if is_maas and meant.base_url != endpoint.base_url:
            return failed(
                "base url",
                f"{name} is not read, and MAAS_API_BASE is not set: calls go to {endpoint.base_url}",
                f"export MAAS_API_BASE={meant.base_url}",
            )
    return None


def recording(config: Path | None) -> Check:
    """Check whether the spend of the programs that run in this environment is recorded."""
    name = "recording"
    if settings.track_spend():
        return passed(name, "MAAS_TRACK_SPEND is set: every program that imports litellm_maas records its spend")
    if config is not None and _has_callback(config):
        return passed(name, f"{config} has the callback litellm_maas.spend_logger")
    nor = f", and {config} has no callback {_LOGGER}" if config is not None else ""
    return warned(
        name,
        f"MAAS_TRACK_SPEND is not set{nor}: only programs that call litellm_maas.track_spend() or have the callback "
        f"{_LOGGER} record their spend",
        "export MAAS_TRACK_SPEND=1",
    )


def _has_callback(config: Path) -> bool:
    try:
        documents = Config(config).documents
    except MaasError:
        return False  # the config has lines of its own
    sections = (document.data.get("litellm_settings") for document in documents)
    callbacks = (section.get("callbacks") for section in sections if isinstance(section, Mapping))
    return any(_LOGGER in (each if isinstance(each, list) else [each]) for each in callbacks)


def others(environment: Mapping[str, str] = os.environ) -> list[Check]:
    """Check whether all other settings can be used and are spelt right: one line for each that is not."""
    wrong = [found for read in _OTHERS if (found := _unusable(read)) is not None]
    for name in sorted(environment):
        if name.startswith("MAAS_") and name not in settings.VARIABLES:
            meant = "did you mean MAAS_API_BASE?" if _is_a_base(name) else did_you_mean(name, settings.VARIABLES)
            wrong.append(warned("settings", f"{name} is not read by litellm-maas", meant or f"unset {name}"))
    number = sum(name in environment for name in settings.VARIABLES)
    return wrong or [passed("settings", f"{number} variable{' is' if number == 1 else 's are'} set")]


def _unusable(read: Callable[[], object]) -> Check | None:
    try:
        read()
    except SettingsError as error:
        return from_error("settings", error)
    return None


def _is_a_base(name: str) -> bool:
    return "REDIS" not in name and ("URL" in name or "BASE" in name)


def files() -> Iterator[Check]:
    """Check whether the files that variables name can be read: prices and budgets."""
    for variable, named, read in (
        ("MAAS_PRICES", settings.prices(), _odd_prices),
        ("MAAS_BUDGETS", settings.budgets(), _odd_budgets),
    ):
        name = variable.removeprefix("MAAS_").lower()
        if named is None:
            yield passed(name, f"{variable} is not set")
            continue
        try:
            odd = read(Path(named))
        except MaasError as error:
            yield failed(name, f"{variable}: {error}", f"correct the file, or unset {variable}")
            continue
        if odd:
            more = f", and {len(odd) - 1} more" if len(odd) > 1 else ""
            yield warned(name, f"{named}: {odd[0]}{more}", f"litellm-maas prices check {named}")
        else:
            yield passed(name, named)


def _odd_prices(file: Path) -> list[str]:
    return list(own_prices.warnings(own_prices.compared(price_file.read(file, PriceFile))))


def _odd_budgets(file: Path) -> list[str]:
    budget.read(file)
    return []
