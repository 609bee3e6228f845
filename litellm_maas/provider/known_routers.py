"""Know the routers of this process, and what they are made of.

From 1.109 on LiteLLM tells the latter by `registry()`, `settings()` and `health()`, and warns of the names that it had
before.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import litellm

from litellm_maas import _litellm_compat

MARK = "maas_router"
"""Where a deployment's `model_info` tells its router from others. Ids do not: they are made of what is called, so that
routers with the same models have the same ids; and from 1.110 on LiteLLM hands out copies of deployments."""

Deployment = Mapping[str, Any]


class KnownRouters:
    """The routers that were made known, and the router of the proxy that runs in this process."""

    def __init__(self) -> None:
        self._added: weakref.WeakSet[litellm.Router] = weakref.WeakSet()

    def add(self, router: litellm.Router) -> None:
        """Make a router known, for as long as it lives."""
        self._added.add(router)

    def __iter__(self) -> Iterator[litellm.Router]:
        """Yield each router."""
        yield from self._added
        if (proxy := _litellm_compat.proxy_router()) is not None:
            yield proxy

    def of(self, model_info: Mapping[str, Any]) -> list[litellm.Router]:
        """Return the routers of which a deployment may be: several where they share models and carry no marks."""
        mark = model_info.get(MARK)
        found = [(router, deployment_of(router, str(model_info.get("id")))) for router in self]
        return [router for router, own in found if own is not None and info_of(own).get(MARK) == mark]


def mark_all(model_list: Collection[dict[str, Any]]) -> None:
    """Mark the deployments of a router that is to be made."""
    mark = uuid.uuid4().hex
    for each in model_list:
        each["model_info"] = {**info_of(each), MARK: mark}


def info_of(deployment: Deployment) -> Mapping[str, Any]:
    """Return the `model_info` of a deployment, with LiteLLM's id of it."""
    return deployment.get("model_info") or {}


def order_of(deployment: Deployment) -> int:
    """Return where a deployment stands within its group: lower ones are called first."""
    order = deployment["litellm_params"].get("order")
    # LiteLLM prefers those with an order to those without.
    return order if isinstance(order, int) else 2**31


def deployment_of(router: Any, model_id: str) -> Deployment | None:
    """Return a router's deployment of an id."""
    registry = getattr(router, "registry", None)
    read = router.get_model_info if registry is None else registry().deployment_dict
    found: Deployment | None = read(model_id)
    return found


def group_names(router: Any) -> list[str]:
    """Return the names of a router's groups."""
    registry = getattr(router, "registry", None)
    return list(router.get_model_names() if registry is None else registry().names())


def members(router: Any, group: str) -> list[dict[str, Any]]:
    """Return the deployments of a group."""
    registry = getattr(router, "registry", None)
    return list((router.get_model_list(group) if registry is None else registry().deployments(group)) or ())


def entries(router: Any, field: str) -> list[Mapping[str, Any]]:
    """Return a router's list of fallbacks of a kind: groups and what takes over for them."""
    settings = getattr(router, "settings", None)
    found = getattr(router if settings is None else settings(), field, None)
    return [entry for entry in found or () if isinstance(entry, Mapping)]


def cooling(router: Any, ids: list[str]) -> set[str]:
    """Return the deployments that LiteLLM itself cools down."""
    return set(dict(_cooldowns(router).get_active_cooldowns(ids, None) if ids else ()))


async def acooling(router: Any, ids: list[str]) -> set[str]:
    """Return what `cooling` does, without blocking where it is kept in Redis."""
    return set(dict(await _cooldowns(router).async_get_active_cooldowns(ids, None) if ids else ()))


def _cooldowns(router: Any) -> Any:
    health = getattr(router, "health", None)
    return router.cooldown_cache if health is None else health().cooldowns
