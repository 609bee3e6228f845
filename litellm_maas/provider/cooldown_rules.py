"""Add cooldowns to LiteLLM's router: skip a model that cannot answer now, and probe it in time.

LiteLLM's own cooldowns leave out 403, groups of one deployment and most of what is not a 429, and a group whose
members all cool down refuses calls (measured on 1.106). Here a model in cooldown is skipped while another one of its
group, or of the groups that it falls back on, is available; where none is, the one whose cooldown ends first is called.
See `litellm_maas.resilience.cooldowns` for what cools down and for how long.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

from litellm_maas import _litellm_compat, settings
from litellm_maas.errors import GatewayError, SettingsError
from litellm_maas.gateway.endpoint import resolve_endpoint, resolve_key
from litellm_maas.gateway.errors import Failure
from litellm_maas.provider import attempt_history
from litellm_maas.provider.attempt_history import DEDICATED_FALLBACKS_PARAM, Record, RoutedAttempt
from litellm_maas.provider.exceptions import PROVIDER, map_exception
from litellm_maas.provider.known_routers import (
    Deployment,
    KnownRouters,
    acooling,
    cooling,
    deployment_of,
    entries,
    group_names,
    info_of,
    members,
    order_of,
)
from litellm_maas.resilience.cooldowns import DeploymentKey
from litellm_maas.runtime import runtime

_DEDICATED_LISTS: dict[str, str] = {
    "context_window": "context_window_fallbacks",
    "content_policy": "content_policy_fallbacks",
}


class CooldownFilter(CustomLogger):
    """Filter deployments, in `litellm.callbacks` and a proxy's `callbacks`; `load_router` registers it by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._routers = KnownRouters()

    def watch(self, router: litellm.Router) -> None:
        """Know a router's groups and fallbacks, and be asked by it; a proxy's own router is known anyway."""
        self._routers.add(router)
        if self not in litellm.callbacks:
            litellm.callbacks.append(self)

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list[dict[str, Any]],
        messages: Any,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[dict[str, Any]]:
        """Tell a router, before each asynchronous attempt, which deployments of a group may be called.

        Raises:
            Exception: None may, and the router falls back. It is LiteLLM's exception for why the last attempt of this
                request failed or, if there was none, for why the first one is in cooldown.
        """
        request = request_kwargs or {}
        found = attempt_history.router_metadata_of(request)
        bucket: MutableMapping[str, Any] = {} if found is None else found
        has_history = is_further(request, bucket)
        history = attempt_history.history_of(bucket, request.get("litellm_trace_id"), is_further=has_history)
        failure = attempt_history.last_failure(history)
        level = request.get("_target_order")
        if not healthy_deployments and not has_history:
            healthy_deployments = self._cooled_by_litellm(model)
        # LiteLLM tries a level again when it fails, also one chosen because the one before it is in cooldown.
        known = _ids_in(history)
        candidates = [
            deployment
            for deployment in healthy_deployments
            if level is None or (order_of(deployment) == level and _id(deployment) not in known)
        ]
        candidates = self._dedicated_fallbacks(request, bucket, candidates, None if failure is None else failure.kind)
        for order in sorted({order_of(deployment) for deployment in candidates}):
            level_members = [deployment for deployment in candidates if order_of(deployment) == order]
            if free := _available(level_members):
                _note_skipped(history, [each for each in candidates if order_of(each) <= order], free)
                return free
        if failure is not None:
            _note_skipped(history, candidates, [])
            raise map_exception(failure, model, settings.api_base())
        if not candidates:
            return []
        later = [each for each in healthy_deployments if level is not None and order_of(each) > level]
        last = await self._last_resort(candidates, later, history, bucket.get("original_model_group") or model)
        _note_skipped(history, candidates, [last])
        if last is None:
            raise map_exception(_cooldown_error(candidates[0]), _model(candidates[0]), settings.api_base())
        return [last]

    def pass_over(self, attempt: RoutedAttempt) -> None:
        """Check a synchronous attempt for the provider: a router has chosen without asking anybody.

        Raises:
            GatewayError: It is no fallback for what went wrong; or it is in cooldown, and the router can go on to one
                that is available. It says why the last attempt of this request failed or, if there was none, why this
                one is in cooldown.
        """
        routers = self._routers.of(attempt.deployment) if _litellm_compat.has_callback(CooldownFilter) else []
        own = deployment_of(routers[0], str(attempt.deployment.get("id"))) if routers else None
        if own is None:
            return
        failure = attempt_history.last_failure(attempt.history)
        if failure is not None and not self._dedicated_fallbacks({}, attempt.bucket, [own], failure.kind):
            raise GatewayError(failure)
        if runtime.cooldowns.try_acquire_probe(attempt.target):
            return
        # The caller is to hear why the model that was called failed, not why others were not called.
        if failure is None:
            verdicts = [_verdict(router, own, attempt) for router in routers]
            failure = None if None in verdicts else verdicts[0]
        if failure is None:
            return
        attempt.passes_over(_skipped(own))
        raise GatewayError(failure)

    def _cooled_by_litellm(self, group: str) -> list[dict[str, Any]]:
        """Return the members of a group that LiteLLM would not call, because it cools all of them down.

        From 1.110 on LiteLLM takes none that it has not offered; `load_router` keeps one of each group from cooling.
        """
        found = [members(router, group) for router in self._routers if group in group_names(router)]
        known = found[0] if len(found) == 1 else []
        return known if all(_target(each) is not None for each in known) else []

    def _dedicated_fallbacks(
        self,
        request: Mapping[str, Any],
        bucket: MutableMapping[str, Any],
        candidates: list[Any],
        failed: str | None,
    ) -> list[Any]:
        """Drop the candidates that are no fallback for the kind of failure that brought the request here.

        For an overflowing context and a refusing filter routers have lists of their own. LiteLLM's do not look at them
        when a stream fails (measured on 1.106), so that it has to be told of them, and its choice to be corrected.
        """
        asked_for = bucket.get("original_model_group")
        if (failed not in _DEDICATED_LISTS and not request.get("stream")) or asked_for is None:
            return candidates
        routers = next(filter(None, (self._routers.of(info_of(each)) for each in candidates)), [])
        if len(routers) != 1:
            return candidates
        models = {kind: _listed_models(routers[0], field, asked_for) for kind, field in _DEDICATED_LISTS.items()}
        if kinds := [kind for kind, found in models.items() if found]:
            bucket[DEDICATED_FALLBACKS_PARAM] = kinds
        if failed not in models:
            return candidates
        return [each for each in candidates if each["litellm_params"].get("model") in models[failed]]

    async def _last_resort(
        self, candidates: list[dict[str, Any]], later: list[dict[str, Any]], history: list[Record], asked_for: str
    ) -> dict[str, Any] | None:
        """Return the candidate to call in spite of its cooldown; None where another one is available, or sooner.

        Args:
            candidates: Those of the group, all of them in cooldown.
            later: Those of the group to which the router can still go.
            history: What the request has been through.
            asked_for: The group that the caller asked for.
        """
        known = _ids_in(history) | {_id(each) for each in candidates}
        routers: list[litellm.Router | None] = [*self._routers.of(info_of(candidates[0]))]
        for router in routers or [None]:
            others = _without([*later, *_fallback_deployments(router, candidates[0], asked_for)], known)
            cool = set() if router is None else await acooling(router, [_id(each) for each in others])
            last: dict[str, Any] | None = _soonest_available(candidates, _without(others, cool))
            if last is not None:
                return last
        return None


def is_further(request: Mapping[str, Any], bucket: Mapping[str, Any]) -> bool:
    """Return whether a request has been attempted before."""
    if request.get("fallback_depth") or request.get("_target_order") is not None or attempt_history.is_repeated(bucket):
        return True
    # From 1.110 on a fallback is shown the request as it was made, with its model, and without how deep it has fallen;
    # and its record of failures begins with it. Before, it is never emptied where a caller passes it again.
    return "model" in request and bool(bucket.get("previous_models"))


def _verdict(router: litellm.Router, own: Deployment, attempt: RoutedAttempt) -> Failure | None:
    """Return why a deployment in cooldown is not called; None where nobody else could answer sooner.

    Args:
        router: The router that has chosen it, asking nobody.
        own: The deployment.
        attempt: The attempt to call it.
    """
    asked_for = attempt.bucket.get("original_model_group") or attempt.bucket.get("model_group")
    known = _ids_in(attempt.history) | {_id(own)}
    group = _without(members(router, _group(own)), known)
    later = [each for each in group if order_of(each) > order_of(own)]
    others = _without([*later, *_fallback_deployments(router, own, asked_for)], known)
    beside = [each for each in group if order_of(each) == order_of(own)] if _may_retry(attempt.bucket) else []
    cool = cooling(router, [_id(each) for each in [*others, *beside]])
    if _soonest_available([own], _without(others, cool)) is None:
        return _cooldown_error(own)
    if _soonest_available([own], _without([*others, *beside], cool)) is None:
        # LiteLLM goes to another one of the same level only when it retries, and not after each kind of failure.
        return replace(_cooldown_error(own), kind="unavailable", status=503)
    return None


def _may_retry(bucket: Mapping[str, Any]) -> bool:
    return (bucket.get("max_retries") or 0) > (bucket.get("attempted_retries") or 0)


def _soonest_available(candidates: list[Any], others: Iterable[Deployment]) -> Any:
    """Return the candidate whose cooldown ends first; None while another deployment is available, or sooner."""
    others = list(others)
    if any(_is_available(each) for each in others):
        return None
    first = min([*candidates, *others], key=_remaining)
    return next((each for each in candidates if each is first), None)


def _fallback_deployments(
    router: litellm.Router | None, deployment: Deployment, asked_for: str | None
) -> Iterator[Deployment]:
    """Yield the deployments of other groups to which a router may go on from one.

    Args:
        router: The router; None if it is not known.
        deployment: The one.
        asked_for: The group that the caller asked for.
    """
    group = _group(deployment)
    chains = [] if router is None else [[name, *stand_ins] for name, stand_ins in _fallbacks(router)]
    names = {name for chain in chains if chain[0] == asked_for and group in chain for name in chain}
    for name in names - {group}:
        yield from members(router, name)


def _listed_models(router: litellm.Router, field: str, group: str) -> set[str]:
    """Return the models that a list of a router's names for a group: of each group there, what it calls first."""
    found: set[str] = set()
    for entry in entries(router, field):
        for name in entry.get(group, ()):
            listed = members(router, name)
            first = min(map(order_of, listed), default=0)
            found |= {str(each["litellm_params"].get("model")) for each in listed if order_of(each) == first}
    return found


def _fallbacks(router: litellm.Router) -> Iterator[tuple[str, list[str]]]:
    """Yield the groups of a router that have fallbacks, with those."""
    lists: dict[str, Any] = {name: names for entry in entries(router, "fallbacks") for name, names in entry.items()}
    everyone = lists.pop("*", ())
    for group in group_names(router):
        names = lists.get(group, everyone)
        yield group, [name for name in names if isinstance(name, str) and name != group]


def _ids_in(history: Iterable[Record]) -> set[str]:
    return {str(each["deployment_id"]) for each in history}


def _without(deployments: Iterable[Deployment], ids: Collection[str]) -> list[Deployment]:
    return [each for each in deployments if _id(each) not in ids]


def _note_skipped(history: list[Record], candidates: list[dict[str, Any]], chosen: list[Any]) -> None:
    for each in candidates:
        if each not in chosen and not _is_available(each):
            attempt_history.note_passed_over(history, _skipped(each))


def _skipped(deployment: Deployment) -> Record:
    return attempt_history.attempt_record(_model(deployment), _id(deployment), _failure(deployment), passed_over=True)


def _cooldown_error(deployment: Deployment) -> Failure:
    # It may have answered in this very moment.
    failure = _failure(deployment) or Failure("unavailable", None, "the model has just recovered", "Call again.")
    message = f"not called, in cooldown for {_remaining(deployment):.0f} s more: {failure.message}"
    return replace(failure, message=message)


def _target(deployment: Deployment) -> DeploymentKey | None:
    """Return what a deployment calls; None for another provider's, and where its settings are no use."""
    params = deployment["litellm_params"]
    model = str(params.get("model"))
    if not model.startswith(f"{PROVIDER}/"):
        return None
    try:
        endpoint, key = resolve_endpoint(params.get("api_base")), resolve_key(params.get("api_key"))
    except SettingsError:
        return None
    return None if key is None else DeploymentKey.of(_model(deployment), endpoint, key)


def _try_acquire_probe(deployment: Deployment) -> bool:
    target = _target(deployment)
    return target is None or runtime.cooldowns.try_acquire_probe(target)


def _available(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the members of a level that may be called now: those available, or alone the one to probe.

    Alone, because LiteLLM chooses at random among several: a trial that it did not choose would be lost for a minute.
    """
    sound = [deployment for deployment in members if _is_closed(deployment)]
    trial = next(
        (deployment for deployment in members if deployment not in sound and _try_acquire_probe(deployment)), None
    )
    return sound if trial is None else [trial]


def _is_closed(deployment: Deployment) -> bool:
    target = _target(deployment)
    return target is None or runtime.cooldowns.is_closed(target)


def _is_available(deployment: Deployment) -> bool:
    target = _target(deployment)
    return target is None or runtime.cooldowns.is_available(target)


def _remaining(deployment: Deployment) -> float:
    target = _target(deployment)
    return 0.0 if target is None else runtime.cooldowns.seconds_remaining(target)


def _failure(deployment: Deployment) -> Failure | None:
    target = _target(deployment)
    return None if target is None else runtime.cooldowns.failure(target)


def _model(deployment: Deployment) -> str:
    return str(deployment["litellm_params"].get("model")).removeprefix(f"{PROVIDER}/")


def _id(deployment: Deployment) -> str:
    return str(info_of(deployment).get("id"))


def _group(deployment: Deployment) -> str:
    return str(deployment.get("model_name"))


router_cooldowns = CooldownFilter()
"""The rules, for `litellm.callbacks` or a proxy's `callbacks`."""
