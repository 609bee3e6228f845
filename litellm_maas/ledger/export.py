"""Exports: one record per event, oldest first, written as they are read."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import IO, Any

from litellm_maas.errors import MaasError
from litellm_maas.ledger import plain_text, spreadsheets
from litellm_maas.ledger.event import FIELDS, Event
from litellm_maas.ledger.spreadsheets import PLAIN, Dialect
from litellm_maas.pricing.credits import MONEY_CONTEXT, to_credits

_BATCH = 10_000
"""Events in a row group of a Parquet file."""
_COUNTS = (
    *("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "images"),
    *("micro_credits", "saved_micro_credits", "attempt", "http_status"),
)
_LISTS = ("tags", "anomalies")
_SIX_DECIMALS = Decimal("0.000001")
_IDS = ("event_id", "response_id", "call_id", "trace_id")
_AMOUNTS = {"micro_credits": "cost_vnd", "saved_micro_credits": "saved_vnd"}
_FIRST = (
    *("team", "user", "end_user", "key_alias", "session_id", "tags", "model_served", "status"),
    *("input_tokens", "cached_tokens", "output_tokens", "micro_credits", "saved_micro_credits", "basis"),
)
_IN_A_SPREADSHEET = (*_FIRST, *(name for name in FIELDS if name not in (*_FIRST, *_IDS, "started_at", "ended_at")))
SPREADSHEET = ("date", "time", *(_AMOUNTS.get(name, name) for name in _IN_A_SPREADSHEET), "seconds", *_IDS)
"""The columns for people: who and how much first, ids last; amounts in credits (VND), the time as a clock shows it."""


def write_jsonl(events: Iterable[Event], to: IO[str]) -> int:
    """Write events as JSON lines, exactly; return how many there were."""
    written = 0
    for event in events:
        to.write(plain_text.json_line(event.as_json()) + "\n")
        written += 1
    return written


def write_csv(events: Iterable[Event], to: IO[str]) -> int:
    """Write events as CSV for programs; return how many there were. Lists are JSON."""
    return spreadsheets.write_csv(to, PLAIN, FIELDS, map(_plain, events))


def write_csv_for_people(events: Iterable[Event], to: IO[str], dialect: Dialect, zone: dt.tzinfo) -> int:
    """Write events as CSV for a spreadsheet, with days and times of a zone; return how many there were."""
    return spreadsheets.write_csv(to, dialect, SPREADSHEET, (_for_people(event, zone) for event in events))


def write_xlsx(events: Iterable[Event], to: IO[bytes], zone: dt.tzinfo) -> int:
    """Write events as a workbook, with days and times of a zone; return how many there were.

    Raises:
        MaasError: XlsxWriter is not installed.
    """
    return spreadsheets.write_xlsx(to, SPREADSHEET, (_for_people(event, zone) for event in events))


def credits_of(micro_credits: int | None) -> Decimal | None:
    """Return an amount in credits (VND) with its six decimals, so that a column of them can be read; None is none."""
    return None if micro_credits is None else to_credits(micro_credits).quantize(_SIX_DECIMALS, context=MONEY_CONTEXT)


def _plain(event: Event) -> Sequence[Any]:
    record = event.as_dict()
    record |= {name: json.dumps(record[name], ensure_ascii=False) for name in _LISTS}
    return list(record.values())


def _for_people(event: Event, zone: dt.tzinfo) -> Sequence[Any]:
    at = event.started_at.astimezone(zone)
    seconds = Decimal((event.ended_at - event.started_at) // dt.timedelta(milliseconds=1)) / 1000
    values = (_value(event, name) for name in _IN_A_SPREADSHEET)
    ids = (getattr(event, name) for name in _IDS)
    return [at.date(), at.time().replace(microsecond=0), *values, seconds, *ids]


def _value(event: Event, name: str) -> Any:
    value = getattr(event, name)
    if name in _AMOUNTS:
        return credits_of(value)
    return ", ".join(value) if name in _LISTS else value


def write_parquet(events: Iterable[Event], to: IO[bytes]) -> int:
    """Write events as a Parquet file; return how many there were.

    Raises:
        MaasError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - large, and most people do without
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same
    except ImportError:
        raise MaasError("Parquet needs pyarrow", "pip install pyarrow, or choose another --format") from None
    types: dict[str, Any] = dict.fromkeys(FIELDS, pa.string())
    types |= dict.fromkeys(_COUNTS, pa.int64())
    types |= dict.fromkeys(_LISTS, pa.list_(pa.string()))
    types |= dict.fromkeys(("started_at", "ended_at"), pa.timestamp("us", tz="UTC"))
    schema = pa.schema(types.items())
    written, remaining = 0, iter(events)
    with pq.ParquetWriter(to, schema) as writer:
        while batch := list(itertools.islice(remaining, _BATCH)):
            columns = {name: [getattr(event, name) for event in batch] for name in FIELDS}
            writer.write_table(pa.table(columns, schema))
            written += len(batch)
    return written
