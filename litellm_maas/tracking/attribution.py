"""Attribute a call: to user, team, key, session and tags, from wherever LiteLLM keeps them for this kind of call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from litellm_maas.ledger.event import sanitize_text

EARLIER_PARAM = "maas_earlier_attempts"
"""Where a request's first attempt notes how many attempts its metadata tells of already: programs pass one dictionary
with all their requests, and LiteLLM's router goes on counting in it (measured on 1.106)."""

_OF_THE_PROXY = frozenset({"user_api_key", "user_api_key_hash", "user_api_key_user_id", "user_api_key_end_user_id"})
"""What the proxy writes into the metadata of each call; it takes `user_api_key_*` out of what clients send (read in
litellm_pre_call_utils.py of 1.100 to 1.108)."""

_MOST_TAGS = 100


@dataclass(frozen=True, slots=True)
class Attribution:
    """What LiteLLM knows about a call.

    Attributes:
        requested: The router group or model that the caller asked for; None where LiteLLM does not say.
        attempt: 1 for the first attempt of a router's request; None for a call without a router.
        host: Where the call goes.
        user: Who pays.
        end_user: Whom a call through a proxy is made for, by the client's own word.
        team_id: The proxy's id of the team.
        team: Its alias; the id where it has none.
    """

    requested: str | None = None
    attempt: int | None = None
    host: str | None = None
    user: str | None = None
    end_user: str | None = None
    team_id: str | None = None
    team: str | None = None
    key_alias: str | None = None
    session_id: str | None = None
    tags: tuple[str, ...] = ()


def attribution_from(litellm_params: Mapping[str, Any], user: object = None, host: str | None = None) -> Attribution:
    """Return the identity of a call.

    Through a proxy, whoever owns the key pays: a client may write what it likes into `user`, which is its end user.

    Args:
        litellm_params: LiteLLM's own parameters of the call: `metadata` from Python, the router and most of the proxy's
            endpoints, `litellm_metadata` from those whose protocol has a field `metadata` of its own.
        user: The call's own `user`.
        host: Where it goes.
    """
    known: dict[str, Any] = {}
    for name in ("litellm_metadata", "metadata"):
        if isinstance(litellm_params.get(name), Mapping):
            known |= litellm_params[name]
    made = attempt_count(known) - known.get(EARLIER_PARAM, 0)
    earlier = _previous(known)[-made:] if made else []
    routed = "model_group" in known or "deployment" in known
    first = earlier[0] if earlier and isinstance(earlier[0], Mapping) else {}
    own, end_user, team_id = _end_user(user), known.get("user_api_key_end_user_id"), known.get("user_api_key_team_id")
    is_proxied = not _OF_THE_PROXY.isdisjoint(known)
    return Attribution(
        requested=_first(known.get("original_model_group"), first.get("model_group"), known.get("model_group")),
        attempt=1 + made if routed else None,
        host=host,
        user=_first(known.get("user_api_key_user_id")) if is_proxied else _first(own),
        end_user=_first(own, end_user) if is_proxied else None,
        team_id=_first(team_id),
        team=_first(known.get("user_api_key_team_alias"), team_id),
        key_alias=_first(known.get("user_api_key_alias")),
        session_id=_first(
            known.get("session_id"), known.get("litellm_session_id"), litellm_params.get("litellm_session_id")
        ),
        tags=tuple(dict.fromkeys(_texts(_last(known.get("tags"))))),
    )


def _end_user(user: object) -> object:
    """Return a call's own `user`, unless it is an object: Claude Code writes device and session there as JSON."""
    return None if isinstance(user, str) and user.startswith("{") else user


def is_first_attempt(known: Mapping[str, Any]) -> bool:
    """Return whether a router's metadata is that of a request's first attempt."""
    return known.get("attempted_fallbacks") == 0 and not known.get("attempted_retries")


def attempt_count(known: Mapping[str, Any]) -> int:
    """Return how many attempts a router's metadata tells of; of requests that shared it, of all of them."""
    retries = known.get("request_retry_count")
    return retries if isinstance(retries, int) else len(_previous(known))


def _previous(known: Mapping[str, Any]) -> list[Any]:
    previous = known.get("previous_models")
    return list(previous) if isinstance(previous, (list, tuple)) else []


def _last(tags: object) -> object:
    if isinstance(tags, str):
        return [tags]
    # The proxy and the router add theirs behind those of the client.
    return tags[-_MOST_TAGS:] if isinstance(tags, (list, tuple)) else tags


def _first(*candidates: object) -> str | None:
    return next((text for candidate in candidates for text in _texts([candidate])), None)


def _texts(values: object) -> Iterator[str]:
    for value in values if isinstance(values, (list, tuple, set)) else ():
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value):
            yield sanitize_text(str(value))
