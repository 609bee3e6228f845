"""Check a LiteLLM proxy's config, as far as MaaS models are concerned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from litellm import CustomLLM
from litellm.integrations.custom_logger import CustomLogger

from litellm_maas import _litellm_compat, settings
from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.provider.exceptions import PROVIDER
from litellm_maas.router import load
from litellm_maas.router.lint import router_file
from litellm_maas.router.lint.deployments import (
    Deployment,
    check_deployments,
    check_fallbacks,
    check_groups,
    deployments,
)
from litellm_maas.router.lint.diagnostics import Diagnostic, error, warning
from litellm_maas.router.lint.includes import Config
from litellm_maas.yaml_file import Document, Location

HANDLER = "litellm_maas.maas"
SPEND = "litellm_maas.spend_logger"
RULES = "litellm_maas.router_cooldowns"

_SECTIONS = ("litellm_settings", "router_settings", "general_settings")
_PROXYS_OWN = ("litellm_settings", "general_settings", "include", "environment_variables")


def check_file(file: Path, book: PriceBook | None) -> Iterator[Diagnostic]:
    """Yield what is wrong with a config file: a router's, or a proxy's.

    Args:
        file: A file with sections that only a proxy has is taken for a proxy's config, one with nothing but
            `model_list` for one to be included, any other one for a router's.
        book: The current prices; without them nothing is said of prices.

    Raises:
        ConfigFileError: The file cannot be read, or is not a mapping.
    """
    config = Config(file)
    names = set(config.documents[0].data)
    if any(get_close_matches(str(name), _PROXYS_OWN, n=1, cutoff=0.8) for name in names):
        yield from config.findings
        yield from check(config, book)
    elif names == {"model_list"}:
        yield from _check_models(config, book)
    else:
        yield from load.check(config.documents[0], book)


def check(config: Config, book: PriceBook | None) -> Iterator[Diagnostic]:
    """Yield what is wrong with a proxy's config."""
    yield from _check_models(config, book)
    yield from _check_router(config)
    ours = [each for document in config.documents for each in _readable(document) if each.model is not None]
    if ours:
        yield from _check_registration(config, ours[0])
    yield from _check_callbacks(config, uses_maas=bool(ours))
    yield from _check_variables(config)


def _check_models(config: Config, book: PriceBook | None) -> Iterator[Diagnostic]:
    for document in config.documents:
        yield from router_file.schema_errors(document, router_file.ModelList)
    found = [each for document in config.documents for each in _readable(document)]
    yield from check_deployments(found, book)
    yield from check_groups(found)


def _readable(document: Document) -> list[Deployment]:
    return [] if any(router_file.schema_errors(document, router_file.ModelList)) else deployments(document)


def _check_router(config: Config) -> Iterator[Diagnostic]:
    groups = [each.group for document in config.documents for each in _readable(document)]
    section = config.section("router_settings")
    if section is not None:
        found = list(router_file.settings(section))
        yield from found
        if not found:
            yield from check_fallbacks(section, groups)
    # LiteLLM takes the lists there too.
    if (others := config.section("litellm_settings")) is not None:
        lists = others.without_keys(*(name for name in others.data if name not in router_file.FALLBACK_LISTS))
        mistakes = list(router_file.schema_errors(lists, router_file.settings_model()))
        yield from mistakes or check_fallbacks(lists, groups)


def _check_registration(config: Config, first: Deployment) -> Iterator[Diagnostic]:
    section = config.section("litellm_settings")
    entries = None if section is None else section.data.get("custom_provider_map")
    if section is None or entries is None:
        if not any(name.startswith("litellm_maas.") for name in _callbacks(config)):
            yield error(
                first.document,
                (*first.at, "litellm_params", "model"),
                "nothing makes maas/ known to the proxy",
                f"add to litellm_settings custom_provider_map: [{{provider: {PROVIDER}, custom_handler: {HANDLER}}}]",
            )
        return
    at = ("custom_provider_map",)
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        yield error(
            section, at, "must be a list", f"write one such as [{{provider: {PROVIDER}, custom_handler: {HANDLER}}}]"
        )
        return
    if not any(entry.get("provider") == PROVIDER for entry in entries):
        yield error(
            section,
            at,
            "drops maas: LiteLLM replaces its map of providers by this one",
            f"add {{provider: {PROVIDER}, custom_handler: {HANDLER}}}",
        )
    for index, entry in enumerate(entries):
        where = (*at, index, "custom_handler")
        yield from _check_instance(config, section, where, str(entry.get("custom_handler")), _is_handler)


def _check_callbacks(config: Config, *, uses_maas: bool) -> Iterator[Diagnostic]:
    section, names = config.section("litellm_settings"), _callbacks(config)
    if section is not None:
        for index, name in enumerate(names):
            if "." in name and "://" not in name:
                where: Location = (
                    ("callbacks", index) if isinstance(section.data["callbacks"], list) else ("callbacks",)
                )
                yield from _check_instance(config, section, where, name, _is_callback)
    if not uses_maas:
        return
    at = ("callbacks",) if names else ()
    holder = section or config.documents[0]
    if SPEND not in names and not settings.track_spend():
        yield warning(holder, at, "spend is not recorded", f"add {SPEND} to the callbacks, or set MAAS_TRACK_SPEND=1")
    if RULES not in names:
        yield warning(
            holder, at, "a model that answers 403 is called again with each request", f"add {RULES} to the callbacks"
        )


def _callbacks(config: Config) -> list[str]:
    found = config.value("litellm_settings", "callbacks")
    return [str(name) for name in (found if isinstance(found, list) else [found])] if found else []


def _check_instance(
    config: Config, section: Document, at: Location, name: str, fits: Callable[[Any], tuple[str, str] | None]
) -> Iterator[Diagnostic]:
    try:
        found = _litellm_compat.named_instance(name, config.documents[0].file)
    except Exception as reason:  # noqa: BLE001 - a user's module may raise anything
        cause = reason.__cause__ or reason
        yield error(
            section, at, f"{name} cannot be imported ({type(cause).__name__}: {cause})", "check the dotted name"
        )
        return
    if (problem := fits(found)) is not None:
        yield error(section, at, f"{name} {problem[0]}", problem[1])


def _is_handler(found: Any) -> tuple[str, str] | None:
    if isinstance(found, CustomLLM):
        return None
    what = "is a class" if isinstance(found, type) else f"is a {type(found).__name__}"
    return f"{what} and no instance of CustomLLM", f"for MaaS write {HANDLER}"


def _is_callback(found: Any) -> tuple[str, str] | None:
    if isinstance(found, CustomLogger):
        return None
    if isinstance(found, type):
        return "is a class, and LiteLLM would never call it", "name an instance of it"
    return None if callable(found) else (f"is {found!r:.20}, and LiteLLM would never call it", "name a logger")


def _check_variables(config: Config) -> Iterator[Diagnostic]:
    for name in _SECTIONS:
        section = config.section(name)
        for at, value in _texts(section.data) if section is not None else ():
            variable = value.removeprefix(router_file.ENV_PREFIX)
            if section is not None and variable != value and not os.environ.get(variable):
                yield error(
                    section, at, f"the environment variable {variable} is not set", "set it where the proxy runs"
                )


def _texts(value: object, at: Location = ()) -> Iterator[tuple[Location, str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, (Mapping, list)):
        for step, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _texts(inner, (*at, step))
