"""The rules that LiteLLM's router lacks: a model that cannot answer now is passed over, and tried again in time.

LiteLLM's own cooldowns leave out 403, groups of one deployment and most of what is not a 429, and a group whose
members all cool down refuses calls (measured on 1.106). Here a resting model is passed over while another one of its
group, or of the groups that it falls back on, is awake; where all of them rest, the one whose rest ends first is
called. See `litellm_maas.resting` for what rests and for how long.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

from litellm_maas import _litellm, attempts, settings
from litellm_maas.attempts import ATTEMPTS_PARAM, OWN_FALLBACKS_PARAM, SKIPPED_PARAM
from litellm_maas.errors import SettingsError
from litellm_maas.resting import Target, resting
from litellm_maas.wire.endpoints import resolve_endpoint, resolve_key
from litellm_maas.wire.errors import Failure
from litellm_maas.wire.exceptions import PROVIDER, litellm_exception

_Deployment = Mapping[str, Any]

_OWN_LISTS: dict[str, str] = {
    "context_window": "context_window_fallbacks",
    "content_policy": "content_policy_fallbacks",
}


class FallbackRules(CustomLogger):
    """The rules, for `litellm.callbacks` and a proxy's `callbacks`; `load_router` registers them by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._routers: weakref.WeakSet[litellm.Router] = weakref.WeakSet()

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
        """A router asks this before each asynchronous attempt: which deployments of a group may be called.

        Raises:
            Exception: None may, and the router falls back. It is LiteLLM's exception for why the last attempt of this
                request failed or, if there was none, for why the first one rests.
        """
        request = request_kwargs or {}
        trail = _trail(request)
        failure = attempts.last_failure(trail)
        level = request.get("_target_order")
        if not healthy_deployments and not trail and level is None:
            healthy_deployments = self._cooled(model)
        # A level that was chosen because the one before it rests is tried again by LiteLLM when it fails.
        failed = {attempt["deployment_id"] for attempt in trail} if level is not None else set()
        candidates = [
            deployment
            for deployment in healthy_deployments
            if (level is None or _order(deployment) == level) and _id(deployment) not in failed
        ]
        candidates = self._own_fallbacks(request, candidates, None if failure is None else failure.kind)
        for order in sorted({_order(deployment) for deployment in candidates}):
            members = [deployment for deployment in candidates if _order(deployment) == order]
            if free := _free(members):
                _note_skipped(request, [each for each in candidates if _order(each) <= order], free)
                return free
        _note_skipped(request, candidates, [])
        if failure is not None:
            raise litellm_exception(failure, model, settings.api_base())
        if not candidates:
            return []
        asked_for = _metadata(request).get("original_model_group") or (None if request.get("fallback_depth") else model)
        last = self._least_rested(candidates, asked_for)
        if last is None:
            raise _rests(candidates[0])
        return [last]

    def pre_call_check(self, deployment: dict[str, Any]) -> None:
        """A router asks this before each synchronous attempt: whether the deployment that it chose may be called.

        Raises:
            Exception: It rests, and another one is awake. Which exception, see `async_filter_deployments`.
        """
        if _may_try(deployment):
            return
        if (failure := attempts.failed_with.get()) is not None:
            # The caller is to hear why the model that was called failed, not why others were not called.
            raise litellm_exception(failure, _model(deployment), settings.api_base())
        asked_for = None if attempts.skipped.get() else str(deployment.get("model_name"))
        if self._least_rested([deployment], asked_for) is not None:
            return
        attempts.skipped.set((*attempts.skipped.get(), _skipped(deployment)))
        raise _rests(deployment)

    def _cooled(self, group: str) -> list[dict[str, Any]]:
        """The members of a group that LiteLLM would refuse to call, because all of them cool down."""
        routers = [router for router in (*self._routers, _litellm.proxy_router()) if router is not None]
        found = [router.get_model_list(model_name=group) for router in routers if group in router.get_model_names()]
        members: list[Any] = list(found[0] or ()) if len(found) == 1 else []
        return members if all(_target(each) is not None for each in members) else []

    def _own_fallbacks(
        self, request: Mapping[str, Any], candidates: list[dict[str, Any]], failed: str | None
    ) -> list[dict[str, Any]]:
        """The candidates without those that are no fallback for the kind of failure that brought the request here.

        For an overflowing context and a refusing filter routers have lists of their own. LiteLLM's do not look at them
        when a stream fails (measured on 1.106), so that it has to be told of them, and its choice to be mended.
        """
        if failed not in _OWN_LISTS and not request.get("stream"):
            return candidates
        metadata = _metadata(request)
        asked_for = metadata.get("original_model_group")
        router = next(filter(None, (self._router_of(each) for each in candidates)), None)
        if router is None or asked_for is None:
            return candidates
        models = {kind: _listed_models(router, field, asked_for) for kind, field in _OWN_LISTS.items()}
        if kinds := [kind for kind, found in models.items() if found]:
            metadata[OWN_FALLBACKS_PARAM] = kinds
        if failed not in models:
            return candidates
        return [each for each in candidates if each["litellm_params"].get("model") in models[failed]]

    def _router_of(self, deployment: _Deployment) -> litellm.Router | None:
        routers = [router for router in (*self._routers, _litellm.proxy_router()) if router is not None]
        found = [router for router in routers if router.has_model_id(_id(deployment))]
        if len(found) > 1:
            # Ids are made of what stands in a deployment, so routers that share models share ids.
            found = [router for router in found if any(each is deployment for each in router.model_list)]
        return found[0] if found else None

    def _least_rested(self, candidates: list[dict[str, Any]], asked_for: str | None) -> dict[str, Any] | None:
        """The candidate to be called although it rests; None while another deployment is awake, or sooner awake."""
        own = {_id(each) for each in candidates}
        others = [each for each in self._stand_ins(candidates[0], asked_for) if _id(each) not in own]
        if any(_is_awake(each) for each in others):
            return None
        first = min([*candidates, *others], key=_remaining)
        return next((each for each in candidates if each is first), None)

    def _stand_ins(self, deployment: _Deployment, asked_for: str | None) -> Iterator[_Deployment]:
        """The deployments that a router may call in the place of one.

        Args:
            deployment: The one.
            asked_for: The group that the caller asked for; None where only its fallbacks are known to have come here.
        """
        group = str(deployment.get("model_name"))
        if (router := self._router_of(deployment)) is None:
            return
        chains = [[name, *stand_ins] for name, stand_ins in _fallbacks(router)]
        names = {name for chain in chains if asked_for in (None, chain[0]) for name in chain if group in chain}
        for name in {group, *names}:
            yield from router.get_model_list(model_name=name) or ()


def _listed_models(router: litellm.Router, field: str, group: str) -> set[str]:
    """The models that a list of a router's names for a group: of each group there, what it calls first."""
    found: set[str] = set()
    for entry in getattr(router, field, None) or ():
        for name in entry.get(group, ()):
            members = router.get_model_list(model_name=name) or ()
            first = min(map(_order, members), default=0)
            found |= {str(each["litellm_params"].get("model")) for each in members if _order(each) == first}
    return found


def _fallbacks(router: litellm.Router) -> Iterator[tuple[str, list[str]]]:
    """The groups of a router that have fallbacks, with those."""
    entries = [entry for entry in router.fallbacks or () if isinstance(entry, Mapping)]
    lists: dict[str, Any] = {name: names for entry in entries for name, names in entry.items()}
    everyone = lists.pop("*", ())
    for group in router.get_model_names():
        names = lists.get(group, everyone)
        yield group, [name for name in names if isinstance(name, str) and name != group]


def _trail(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The attempts that this request has been through; none for a first attempt, whatever its metadata says."""
    return list(_metadata(request).get(ATTEMPTS_PARAM, ())) if request.get("fallback_depth") else []


def _metadata(request: Mapping[str, Any]) -> dict[str, Any]:
    found = request.get("litellm_metadata") or request.get("metadata")
    return found if isinstance(found, dict) else {}


def _note_skipped(request: Mapping[str, Any], candidates: list[dict[str, Any]], chosen: list[dict[str, Any]]) -> None:
    metadata = _metadata(request)
    earlier = metadata.pop(SKIPPED_PARAM, ()) if request.get("fallback_depth") else ()
    passed_over = [_skipped(each) for each in candidates if each not in chosen and not _is_awake(each)]
    if earlier or passed_over:
        metadata[SKIPPED_PARAM] = [*earlier, *passed_over]


def _skipped(deployment: _Deployment) -> dict[str, Any]:
    return attempts.record(_model(deployment), _id(deployment), _failure(deployment), passed_over=True)


def _rests(deployment: _Deployment) -> Exception:
    # It may have answered in this very moment.
    failure = _failure(deployment) or Failure("unavailable", None, "it has just answered", "Call again.")
    rested = f"not called, it rests for {_remaining(deployment):.0f} s more, because: {failure.reason}"
    return litellm_exception(replace(failure, reason=rested), _model(deployment), settings.api_base())


def _target(deployment: _Deployment) -> Target | None:
    """What a deployment calls; None for another provider's, and where its settings are no use."""
    params = deployment["litellm_params"]
    model = str(params.get("model"))
    if not model.startswith(f"{PROVIDER}/"):
        return None
    try:
        endpoint, key = resolve_endpoint(params.get("api_base")), resolve_key(params.get("api_key"))
    except SettingsError:
        return None
    return None if key is None else Target.of(_model(deployment), endpoint, key)


def _may_try(deployment: _Deployment) -> bool:
    target = _target(deployment)
    return target is None or resting.may_try(target)


def _free(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The members of a level that may be called now: those that are awake, or alone the one that is to be tried.

    Alone, because LiteLLM chooses at random among several: a trial that it did not choose would be lost for a minute.
    """
    sound = [deployment for deployment in members if _is_sound(deployment)]
    trial = next((deployment for deployment in members if deployment not in sound and _may_try(deployment)), None)
    return sound if trial is None else [trial]


def _is_sound(deployment: _Deployment) -> bool:
    target = _target(deployment)
    return target is None or resting.is_sound(target)


def _is_awake(deployment: _Deployment) -> bool:
    target = _target(deployment)
    return target is None or resting.is_awake(target)


def _remaining(deployment: _Deployment) -> float:
    target = _target(deployment)
    return 0.0 if target is None else resting.remaining(target)


def _failure(deployment: _Deployment) -> Failure | None:
    target = _target(deployment)
    return None if target is None else resting.failure(target)


def _model(deployment: _Deployment) -> str:
    return str(deployment["litellm_params"].get("model")).removeprefix(f"{PROVIDER}/")


def _id(deployment: _Deployment) -> str:
    return str((deployment.get("model_info") or {}).get("id"))


def _order(deployment: _Deployment) -> int:
    order = deployment["litellm_params"].get("order")
    # LiteLLM prefers those with an order to those without.
    return order if isinstance(order, int) else 2**31


fallback_rules = FallbackRules()
"""The rules, for `litellm.callbacks` or a proxy's `callbacks`."""
