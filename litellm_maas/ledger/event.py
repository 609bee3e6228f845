"""Define an event: one attempt that reached the gateway, one LiteLLM cache hit, or one call that a budget blocked."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from litellm_maas.pricing.price_book import Basis
from litellm_maas.pricing.usage import Usage, UsageSource

Operation = Literal["chat", "embedding", "image"]
Route = Literal["provider", "base_url"]
Status = Literal["ok", "failed", "cancelled", "cache_hit", "blocked"]


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Describe one event. Nothing in it is a prompt, a completion or a key.

    Attributes:
        event_id: The same for every recording of the same event; decides that it is one row.
        started_at: When the attempt began (UTC); decides its price.
        ended_at: When its outcome was known (UTC).
        operation: What was asked for.
        route: A `maas/` call, or another provider's call to a MaaS host.
        status: `cancelled` is a call that the caller gave up; its usage may be estimated.
        requested_model: The model or router group that the caller asked for.
        model: The id that this attempt asked the gateway for, and that its price is looked up by.
        host: Where the call went: host, and port if there is one, of its base URL.
        image_size: As asked for; decides the price of an image.
        image_quality: The same.
        usage_source: Whether the gateway reported the tokens, or they were estimated, or there are none.
        micro_credits: The cost; None where no price is known.
        saved_micro_credits: What cached tokens saved against the input price.
        basis: Where the price comes from.
        price_source: The list it stands in.
        response_id: The gateway's id of the reply.
        call_id: LiteLLM's id of the call; attempts of one call may share it.
        trace_id: LiteLLM's id of the request that the attempts belong to.
        attempt: 1 for the first attempt of a request.
        user: Who pays: the owner of the proxy's key; the call's own `user` where there is no proxy.
        end_user: Whom the call was made for, by its own word: the `user` in a request to the proxy.
        team_id: The proxy's id of the team.
        team: Its alias; the id where it has none.
        anomalies: What was wrong with the gateway's usage report.
        http_status: The status of the gateway's reply; None where there was none.
        error_class: The exception that the caller got.
    """

    event_id: str
    started_at: dt.datetime
    ended_at: dt.datetime
    operation: Operation
    route: Route
    status: Status
    requested_model: str
    model: str
    host: str | None = None
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    image_size: str | None = None
    image_quality: str | None = None
    usage_source: UsageSource = "none"
    micro_credits: int | None = None
    saved_micro_credits: int = 0
    basis: Basis = "unpriced"
    price_source: str | None = None
    response_id: str | None = None
    call_id: str | None = None
    trace_id: str | None = None
    attempt: int = 1
    user: str | None = None
    end_user: str | None = None
    team_id: str | None = None
    team: str | None = None
    key_alias: str | None = None
    session_id: str | None = None
    tags: tuple[str, ...] = ()
    anomalies: tuple[str, ...] = ()
    http_status: int | None = None
    error_class: str | None = None

    @property
    def usage(self) -> Usage:
        """Return what was used."""
        return Usage(
            input_tokens=self.input_tokens,
            cached_tokens=self.cached_tokens,
            output_tokens=self.output_tokens,
            reasoning_tokens=self.reasoning_tokens,
            images=self.images,
            image_size=self.image_size,
            image_quality=self.image_quality,
            source=self.usage_source,
            anomalies=self.anomalies,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the event as plain JSON values; times as ISO 8601 in UTC."""
        plain = {field: getattr(self, field) for field in FIELDS}
        plain |= {"started_at": iso(self.started_at), "ended_at": iso(self.ended_at)}
        return plain | {"tags": list(self.tags), "anomalies": list(self.anomalies)}

    def as_json(self) -> str:
        """Return the event as one line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Event:
        """Return the event that `as_dict` was made from, by any version; fields of a newer one are left out."""
        plain = {FORMER_FIELDS.get(name, name): plain[name] for name in plain}
        plain["status"] = FORMER_STATUSES.get(plain["status"], plain["status"])
        known = {field: plain[field] for field in FIELDS if field in plain}
        for field in ("started_at", "ended_at"):
            known[field] = dt.datetime.fromisoformat(known[field])
        for field in ("tags", "anomalies"):
            known[field] = tuple(known.get(field) or ())
        return cls(**known)


FIELDS = tuple(field.name for field in dataclasses.fields(Event))
FORMER_FIELDS = {"kind": "operation", "model_requested": "requested_model", "model_served": "model"}
FORMER_STATUSES = {"aborted": "cancelled", "refused": "blocked"}
"""What ledgers of versions 1 and 2, and the outboxes beside them, call otherwise."""


def iso(moment: dt.datetime) -> str:
    """Format a moment as ISO 8601 in UTC, with microseconds."""
    return moment.astimezone(dt.timezone.utc).isoformat(timespec="microseconds")


_UNREADABLE = re.compile("[\x00\ud800-\udfff]")
_MOST_CHARACTERS, _MOST_BYTES = 200, 480
"""What stays of a text that is too long to be recorded whole."""
_HASH = 16
"""Characters of the hash that follows it, after an ellipsis of three bytes. Five such texts stand in one index of
PostgreSQL's, which takes 2,704 bytes."""


def sanitize_text(text: str) -> str:
    """Make a text from outside fit to be recorded, and to be compared with what is recorded.

    Halves of characters, and zeros, which JSON can hold and databases do not take, are marked as broken. Of a text that
    is longer than the result would be, the beginning stays, and a hash of the whole: two of them are still told apart.
    """
    kept = _UNREADABLE.sub("\ufffd", text[: _MOST_CHARACTERS + _HASH + 2])
    if len(kept) * 4 <= _MOST_BYTES or (len(kept) <= _MOST_CHARACTERS + _HASH + 1 and _is_small(kept)):
        return kept
    beginning = kept[:_MOST_CHARACTERS].encode()[:_MOST_BYTES].decode(errors="ignore")
    whole = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{beginning}\u2026{whole[:_HASH]}"


def _is_small(text: str) -> bool:
    return len(text.encode()) <= _MOST_BYTES + _HASH + 3


def host_of(base_url: str) -> str | None:
    """Return the host, and the port if there is one, of a base URL; without a user name or a password."""
    try:
        host = urlsplit(base_url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return None
    return sanitize_text(host) or None


def new_id() -> str:
    """Make an id for an event that nothing else can name."""
    return uuid.uuid4().hex


def response_event_id(response_id: str, call_id: str, *, cache_hit: bool = False) -> str:
    """Return the id of the event of a reply, the same whoever records it.

    Neither half would do: attempts of one call share its id, and a cache hit repeats the id of the reply it stands for
    (measured on LiteLLM 1.106).
    """
    named = "\0".join(("cache hit" if cache_hit else "reply", response_id, call_id))
    return hashlib.sha256(named.encode()).hexdigest()[:32]
