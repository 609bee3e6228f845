"""Load a YAML file as a `litellm.Router`, checked before LiteLLM sees it."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import litellm

from litellm_maas.errors import SettingsError
from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.provider.cooldown_rules import router_cooldowns
from litellm_maas.provider.exceptions import PROVIDER
from litellm_maas.provider.known_routers import mark_all, order_of
from litellm_maas.provider.register import register
from litellm_maas.router import templates
from litellm_maas.router.lint.deployments import check_deployments, check_fallbacks, check_groups, deployments
from litellm_maas.router.lint.diagnostics import Diagnostic, error
from litellm_maas.router.lint.includes import mapping_of
from litellm_maas.router.lint.router_file import RouterFile, schema_errors, settings
from litellm_maas.runtime import runtime, track_spend
from litellm_maas.settings import RateLimit
from litellm_maas.yaml_file import Document

logger = logging.getLogger("litellm_maas")


def load_router(
    path: str | os.PathLike[str] | None = None, *, apply_settings: bool = False, **overrides: Any
) -> litellm.Router:
    """Return a router over MaaS models with fallbacks, from a file.

    Args:
        path: A file with `model_list`, `router_settings`, `budgets` and `rate_limit`, or the name of a shipped one,
            such as ``router.current.yaml``. By default the shipped ``router.yaml``: GPT-4o, Gemini 2.5 Flash, Qwen 3
            27B, each by its own name, and all of them in that order as `maas`.
        apply_settings: Whether the file's `budgets` and `rate_limit` take effect: for every call of this process,
            whichever router makes it, and budgets switch recording on. Without it nothing outside the router changes,
            and a warning is logged where the file has such sections.
        **overrides: Router settings that win over the file's, such as ``timeout=30``.

    Raises:
        ConfigFileError: The first mistake in the file, with its line and how to fix it. What is only doubtful, such as
            a model that the catalogue does not name, is logged as a warning.
        SettingsError: An override that LiteLLM's router does not take.
    """
    document = mapping_of(_file(path))
    for finding in check(document):
        if finding.severity == "error":
            raise finding.error
        logger.warning("%s", finding.error)
    given = Document(Path("load_router"), overrides, {})
    groups = [each.group for each in deployments(document)]
    for finding in settings(given) if overrides else ():
        raise SettingsError(str(finding.error))
    for finding in check_fallbacks(given, groups):
        raise SettingsError(str(finding.error))
    register()
    file = document.validate(RouterFile)
    if apply_settings:
        _apply_process_settings(file)
    elif sections := [
        name for name, section in (("budgets", file.budgets), ("rate_limit", file.rate_limit)) if section
    ]:
        call = f"load_router({'' if path is None else repr(os.fspath(path)) + ', '}apply_settings=True)"
        logger.warning(
            "%s: %s %s not applied, because that would hold for every call of this process. To apply %s, call %s.",
            document.file,
            " and ".join(sections),
            "is" if sections == ["rate_limit"] else "are",
            "it" if sections == ["rate_limit"] else "them",
            call,
        )
    content = copy.deepcopy(document.data)
    chosen = _with_empty_fallback_lists({**(content.get("router_settings") or {}), **overrides}, groups)
    mark_all(content["model_list"])
    if not chosen.get("disable_cooldowns"):
        _spare_last(content["model_list"])
    router = litellm.Router(model_list=content["model_list"], **chosen)
    router_cooldowns.watch(router)
    return router


def _apply_process_settings(file: RouterFile) -> None:
    """Apply the budgets and the rate limit of a router's file for the whole program, as those of the environment do."""
    if file.budgets:
        runtime.budgets.configured = file.budgets
        if not runtime.tracker.enabled:
            # Budgets count what is recorded.
            track_spend()
    if file.rate_limit is not None:
        runtime.rate_limit = RateLimit(file.rate_limit.requests_per_minute, max_wait=file.rate_limit.max_wait)


def check(document: Document, book: PriceBook | None = None) -> Iterator[Diagnostic]:
    """Yield what is wrong with a router's file.

    Args:
        document: The file.
        book: The current prices; without them nothing is said of prices.
    """
    mistakes = list(schema_errors(document, RouterFile))
    given = document.data.get("router_settings")
    part = document.subtree("router_settings") if isinstance(given, Mapping) else None
    if part is not None:
        mistakes += settings(part)
    if mistakes:
        # What follows reads a file whose shape is right.
        yield from mistakes
        return
    found = deployments(document)
    if not found:
        example = "{model_name: maas, litellm_params: {model: maas/openai/gpt-4o}}"
        yield error(document, ("model_list",), "holds no model", f"add one, such as {example}")
    yield from check_deployments(found, book)
    yield from check_groups(found)
    if part is not None:
        yield from check_fallbacks(part, [each.group for each in found])


def _file(path: str | os.PathLike[str] | None) -> Path:
    if path is None:
        return templates.config_file("router.yaml")
    file = Path(path)
    return templates.config_file(file.name) if not file.exists() and str(path) in templates.NAMES else file


def _with_empty_fallback_lists(given: dict[str, Any], groups: list[str]) -> dict[str, Any]:
    """Settings in which each group has a list of what takes over when its context overflows or a filter refuses.

    Where LiteLLM finds no such lists at all, it takes a group's ordinary fallbacks; an empty one keeps it from that.
    """
    for field in ("context_window_fallbacks", "content_policy_fallbacks"):
        entries = list(given.get(field) or ())
        listed = {name for entry in entries for name in entry}
        given[field] = [*entries, *({group: []} for group in dict.fromkeys(groups) if group not in listed)]
    return given


def _spare_last(model_list: list[dict[str, Any]]) -> None:
    """Keep LiteLLM's cooldowns from the last model of each group: it refuses calls of a group that cools as a whole.

    What a deployment says for itself stays.
    """
    ours = [each for each in model_list if str(each["litellm_params"]["model"]).startswith(f"{PROVIDER}/")]
    last = {each["model_name"]: each for each in sorted(ours, key=order_of)}
    for each in last.values():
        if "cooldown_time" not in each["litellm_params"]:
            each["model_info"] = {"cooldown_time": 0, **(each.get("model_info") or {})}
