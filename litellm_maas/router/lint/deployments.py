"""Check the deployments of a config and the fallbacks between their groups."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from litellm_maas import settings
from litellm_maas.catalogue import catalogue
from litellm_maas.did_you_mean import did_you_mean, meant
from litellm_maas.errors import SettingsError
from litellm_maas.gateway.endpoint import parse_base_url, resolve_endpoint
from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.provider.exceptions import PROVIDER
from litellm_maas.router.lint.diagnostics import Diagnostic, error, warning
from litellm_maas.router.lint.router_file import ENV_PREFIX, FALLBACK_LISTS, unknown_params
from litellm_maas.yaml_file import Document, Location


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment, and where it stands."""

    document: Document
    at: Location
    group: str
    params: Mapping[str, Any]
    info: Mapping[str, Any]

    @property
    def model(self) -> str | None:
        """Return the id after `maas/`; None for another provider's model."""
        model = str(self.params.get("model"))
        return model.removeprefix(f"{PROVIDER}/") if model.startswith(f"{PROVIDER}/") else None


def deployments(document: Document) -> list[Deployment]:
    """Return the deployments of a file whose shape is right."""
    return [
        Deployment(
            document, ("model_list", index), each["model_name"], each["litellm_params"], each.get("model_info") or {}
        )
        for index, each in enumerate(document.data.get("model_list") or ())
    ]


def check_deployments(found: list[Deployment], book: PriceBook | None) -> Iterator[Diagnostic]:
    """Yield what is wrong with deployments, one by one.

    Args:
        found: The deployments.
        book: The current prices; without them nothing is said of prices.
    """
    said: set[str] = set()
    for each in found:
        yield from unknown_params(each.document, each.params, (*each.at, "litellm_params"))
        yield from _check_variables(each)
        if each.model is not None:
            yield from _check_model(each, each.model, said, book)
    ours = [each for each in found if each.model is not None and not each.params.get("api_key")]
    if ours and settings.api_key() is None:
        yield error(
            ours[0].document,
            (*ours[0].at, "litellm_params"),
            "has no key",
            "set MAAS_API_KEY where this runs, or write api_key: os.environ/NAME",
        )


def check_groups(found: list[Deployment]) -> Iterator[Diagnostic]:
    """Flag each group that mixes MaaS with another provider: requests of that name then leave for either.

    LiteLLM joins all deployments of one name into one group, those of an included file too. `model_info:
    {mixed_providers: true}` on one of them says that the mix is meant.
    """
    groups: dict[str, list[Deployment]] = {}
    for each in found:
        groups.setdefault(each.group, []).append(each)
    for name, members in groups.items():
        ours = [each for each in members if _is_ours(each)]
        others = [each for each in members if each not in ours]
        if not ours or not others or any(each.info.get("mixed_providers") is True for each in members):
            continue
        # The one that was added last, which is an included file's where there is one.
        last = members[-1]
        beside = next(each for each in members if _is_ours(each) != _is_ours(last))
        yield error(
            last.document,
            (*last.at, "model_name"),
            f"the group {name!r} mixes providers ({beside.params.get('model')}, {last.params.get('model')}), so its "
            "requests go to either",
            "rename one of them, or say with model_info: {mixed_providers: true} that it is meant",
        )


def _is_ours(each: Deployment) -> bool:
    """Return whether a deployment leads to MaaS: a `maas/` model, or any model at a MaaS host."""
    if each.model is not None:
        return True
    base = each.params.get("api_base")
    try:
        return isinstance(base, str) and parse_base_url(base).billing_mode != "other"
    except SettingsError:
        return False


def _check_variables(each: Deployment) -> Iterator[Diagnostic]:
    for name, value in each.params.items():
        at = (*each.at, "litellm_params", name)
        if (
            isinstance(value, str)
            and value.startswith(ENV_PREFIX)
            and not os.environ.get(value.removeprefix(ENV_PREFIX))
        ):
            variable = value.removeprefix(ENV_PREFIX)
            yield error(each.document, at, f"the environment variable {variable} is not set", "set it where this runs")
        elif name == "api_key" and isinstance(value, str) and not value.startswith(ENV_PREFIX):
            yield warning(each.document, at, "a key stands in the file", "write os.environ/NAME and set that variable")


def _check_model(each: Deployment, model: str, said: set[str], book: PriceBook | None) -> Iterator[Diagnostic]:
    at = (*each.at, "litellm_params", "model")
    base = each.params.get("api_base")
    try:
        written = isinstance(base, str) and not base.startswith(ENV_PREFIX)
        on_plan = (parse_base_url(str(base)) if written else resolve_endpoint(None)).billing_mode == "plan"
    except SettingsError as mistake:
        where = (*each.at, "litellm_params", "api_base") if base else at
        yield error(each.document, where, mistake.message, mistake.hint)
        return
    known = catalogue().ids()
    if model not in known and not on_plan and not each.info.get("unlisted"):
        if (probably := meant(model, known)) is not None:
            yield error(
                each.document,
                at,
                f"no model {model!r} is known",
                f"did you mean {probably}? If it is right, say so with model_info: {{unlisted: true}}",
            )
            return
        if model not in said:
            yield warning(
                each.document,
                at,
                f"{model!r} is not in the catalogue, which is not complete",
                "compare it with `litellm-maas models`; model_info: {unlisted: true} says that it is right",
            )
    if book is not None and model not in said and not on_plan and not each.info.get("unpriced"):
        said.add(model)
        if book.price(model, dt.datetime.now(dt.timezone.utc)) is None:
            yield warning(
                each.document,
                at,
                f"no price of {model} is known: its calls are recorded as unpriced",
                "price it in MAAS_PRICES, or say with model_info: {unpriced: true} that you know",
            )
    said.add(model)


def check_fallbacks(router_settings: Document, groups: list[str]) -> Iterator[Diagnostic]:
    """Yield what is wrong with the fallback lists of router settings: unknown groups, and circles."""
    known = set(groups) | set(_mapping(router_settings.data.get("model_group_alias")))
    for alias, target in _mapping(router_settings.data.get("model_group_alias")).items():
        name = target.get("model") if isinstance(target, Mapping) else target
        if name not in groups:
            hint = did_you_mean(str(name), groups)
            yield error(router_settings, ("model_group_alias", alias), f"no group is called {name!r}", hint)
    for field in FALLBACK_LISTS:
        graph: dict[str, list[str]] = {}
        for index, entry in enumerate(router_settings.data.get(field) or ()):
            at: Location = (field, index)
            if len(entry) != 1:
                names = ", ".join(map(str, entry))
                yield error(
                    router_settings, at, f"holds {len(entry)} groups ({names})", "write one entry for each group"
                )
                continue
            ((group, targets),) = entry.items()
            if group not in (*known, "*"):
                hint = did_you_mean(str(group), known)
                yield error(router_settings, (*at, group), f"no group is called {group!r}", hint)
            for position, target in enumerate(targets):
                name = target.get("model") if isinstance(target, Mapping) else target
                if name not in known:
                    hint = did_you_mean(str(name), known)
                    yield error(router_settings, (*at, group, position), f"no group is called {name!r}", hint)
            graph[group] = [target for target in targets if isinstance(target, str)]
            if (way := _find_cycle(graph, group)) is not None:
                yield error(
                    router_settings,
                    (*at, group),
                    f"leads back to where it began ({' -> '.join(way)})",
                    "leave one step out, or put these models into one group, each with its `order`",
                )


def _find_cycle(graph: Mapping[str, list[str]], start: str) -> list[str] | None:
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for target in graph.get(way[-1], ()):
            if target == start:
                return [*way, start]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
