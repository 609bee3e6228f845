"""Events, ordinary and random, and what they add up to by plain Python: the truth that reports are compared with."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
import zoneinfo
from collections.abc import Iterable, Sequence
from typing import Any

from litellm_maas.ledger.base import Correction
from litellm_maas.ledger.event import Event, Status
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing.price_book import Basis

NOON = dt.datetime(2026, 11, 2, 12, tzinfo=dt.timezone.utc)
NOW = dt.datetime(2026, 11, 22, 11, 37, 5, 123456, tzinfo=dt.timezone.utc)
HOUR = dt.timedelta(hours=1)
MODELS = ("openai/gpt-4o", "qwen/qwen3.6-plus", "gemini/gemini-2.5-flash", "[red]odd[/red]")
TAGS = ((), ("a",), ("a", "b"), ("b", "đêm"), ("c, b",))
_BASES: tuple[Basis, ...] = ("official", "custom", "estimate", "plan", "unpriced")
_STATUSES: tuple[Status, ...] = ("ok", "ok", "ok", "failed", "cancelled", "cache_hit", "blocked")
_TEXTS = ("minh", "Nguyễn Văn A", 'it\'s "quoted"', "a\nb", "🦆", "")
_NAMES = {
    "user": ("an", "bình"),
    "end_user": ("khách 1", "khách 2"),
    "team_id": ("x-1",),
    "team": ("x",),
    "key_alias": ("key-1", "key-2"),
    "session_id": ("s1", "s2"),
}
# Clocks change on Lord Howe, in Europe and in America within what the events span.
_SPAN = dt.timedelta(days=100)


def event(event_id: str | int = "e1", *micro_credits: int | None, **fields: Any) -> Event:
    """An event of a priced call; a number makes it one of a series of calls by the official price, a minute apart."""
    if micro_credits:
        (fields["micro_credits"],) = micro_credits
    usual: dict[str, Any] = {
        "started_at": NOON,
        "operation": "chat",
        "route": "provider",
        "status": "ok",
        "requested_model": "trio",
        "model": "openai/gpt-4o",
        "input_tokens": 10,
        "output_tokens": 5,
        "usage_source": "reported",
        "micro_credits": 1_000_000,
        "basis": "custom" if fields.get("micro_credits", 0) is not None else "unpriced",
    }
    if isinstance(event_id, int):
        usual |= {"started_at": NOW - dt.timedelta(minutes=event_id), "requested_model": "openai/gpt-4o"}
        usual |= {"input_tokens": 1000, "output_tokens": 0, "micro_credits": 70_888_000, "basis": "official"}
        event_id = f"{event_id:032x}"
    usual |= fields
    usual.setdefault("ended_at", usual["started_at"] + dt.timedelta(seconds=1))
    return Event(event_id=event_id, **usual)


def random_event(chance: random.Random, event_id: str | int, tokens: int = 10**6, **fields: Any) -> Event:
    """An event of anything that can occur, within a few hours of noon."""
    started_at = fields.get("started_at", NOON + dt.timedelta(microseconds=chance.randrange(4 * 3_600_000_000)))
    basis = chance.choice(_BASES)
    input_tokens, output_tokens = chance.randrange(tokens), chance.randrange(tokens // 5)
    anything: dict[str, Any] = {
        "started_at": started_at,
        "ended_at": started_at + chance.random() * dt.timedelta(minutes=3),
        "operation": chance.choice(("chat", "embedding", "image")),
        "route": chance.choice(("provider", "base_url")),
        "status": chance.choice(_STATUSES),
        "model": chance.choice(MODELS),
        "input_tokens": input_tokens,
        "cached_tokens": chance.randrange(input_tokens + 1),
        "output_tokens": output_tokens,
        "reasoning_tokens": chance.randrange(output_tokens + 1),
        "images": chance.choice((0, 0, 3)),
        "image_size": chance.choice((None, "1024x1024")),
        "image_quality": chance.choice((None, "high")),
        "usage_source": chance.choice(("reported", "estimated", "none")),
        "micro_credits": _amount(chance, basis),
        "saved_micro_credits": chance.randrange(-(10**6), 10**8),
        "basis": basis,
        "price_source": chance.choice((None, "official list")),
        "response_id": chance.choice((None, f"chatcmpl-{event_id}")),
        "call_id": chance.choice((None, "call-1")),
        "trace_id": chance.choice((None, "trace-1")),
        "attempt": chance.randrange(1, 5),
        "host": chance.choice((None, "maas.vn", "127.0.0.1:5000")),
        **{name: chance.choice((None, *_TEXTS)) for name in _NAMES},
        "tags": tuple(chance.sample(_TEXTS, chance.randrange(4))),
        "anomalies": chance.choice(((), (), ("9 cached exceed 5 input tokens", 'a "quoted", one'))),
        "http_status": chance.choice((None, 200, 429)),
        "error_class": chance.choice((None, "RateLimitError")),
    }
    return event(event_id, **anything | fields)


def random_events(seed: int, number: int) -> list[Event]:
    """Events before `NOW`, many of them within a second of where an hour or a day begins in some zone."""
    chance = random.Random(seed)
    return [_reportable_event(chance, each) for each in range(number)]


def _reportable_event(chance: random.Random, number: int) -> Event:
    started_at = NOW - chance.random() * _SPAN
    if chance.random() < 0.5:
        quarter = started_at.replace(minute=chance.choice((0, 15, 30, 45)), second=0, microsecond=0)
        started_at = quarter + chance.choice((-1, 0, 1)) * dt.timedelta(microseconds=1)
    names = {name: chance.choice((None, *values)) for name, values in _NAMES.items()}
    usual = {"tags": chance.choice(TAGS), **names}
    return random_event(chance, number, 10_000, started_at=started_at, **usual)


def _amount(chance: random.Random, basis: Basis) -> int | None:
    return {"plan": 0, "unpriced": None}.get(basis, chance.randrange(10**9))


def corrected(ledger: SqliteLedger, events: Sequence[Event], seed: int) -> list[Event]:
    """Correct some of the events in the ledger, some of them twice; all events as they count from then on."""
    chance = random.Random(seed)
    found = list(events)
    for _ in range(len(events) // 5):
        position = chance.randrange(len(events))
        basis = chance.choice(_BASES)
        amount = _amount(chance, basis)
        ledger.correct([Correction(found[position].event_id, amount, 7, basis, "list 2", "test")])
        found[position] = dataclasses.replace(
            found[position], micro_credits=amount, saved_micro_credits=7, basis=basis, price_source="list 2"
        )
    return found


def total(events: Iterable[Event]) -> dict[str, Any]:
    """What events add up to."""
    events = list(events)
    by_basis: dict[str, int] = {}
    for each in events:
        by_basis[each.basis] = by_basis.get(each.basis, 0) + (each.micro_credits or 0)
    counted = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "images", "saved_micro_credits")
    return {
        **{name: sum(getattr(each, name) for each in events) for name in counted},
        "calls": len(events),
        "failed_calls": sum(each.status in ("failed", "blocked") for each in events),
        "micro_credits": sum(each.micro_credits or 0 for each in events),
        "by_basis": by_basis,
        "unpriced_calls": sum(each.basis == "unpriced" and each.status in ("ok", "cancelled") for each in events),
        "estimated_calls": sum(each.usage_source == "estimated" for each in events),
        "anomalies": sum(bool(each.anomalies) for each in events),
    }


def keys(each: Event, by: Sequence[str], zone: zoneinfo.ZoneInfo) -> list[tuple[Any, ...]]:
    """The groups that an event is in."""
    found: list[tuple[Any, ...]] = [()]
    for name in by:
        values: Sequence[Any] = each.tags or [None] if name == "tag" else [_value(each, name, zone)]
        found = [(*key, value) for key in found for value in values]
    return found


def _value(each: Event, name: str, zone: zoneinfo.ZoneInfo) -> Any:
    local = each.started_at.astimezone(zone)
    if name == "week":
        return (local.date() - dt.timedelta(days=local.weekday())).isoformat()
    if name in ("day", "month"):
        return local.strftime("%Y-%m-%d" if name == "day" else "%Y-%m")
    if name == "hour":
        return local.strftime("%Y-%m-%d %H:00")
    if name == "cycle":
        return local.replace(minute=local.minute // 5 * 5).strftime("%Y-%m-%d %H:%M")
    columns = {"model": "model", "key": "key_alias", "session": "session_id"}
    return getattr(each, columns.get(name, name))
