"""Exports: one record per event, oldest first, written as they are read."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from litellm_maas.errors import MaasError
from litellm_maas.spend.event import FIELDS, Event

_BATCH = 10_000
"""Events in a row group of a Parquet file."""
_COUNTS = (
    *("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "images"),
    *("micro_credits", "saved_micro_credits", "attempt", "http_status"),
)
_LISTS = ("tags", "anomalies")


def write_jsonl(events: Iterable[Event], to: IO[str]) -> int:
    """Write events as JSON lines; how many there were."""
    written = 0
    for event in events:
        to.write(event.as_json() + "\n")
        written += 1
    return written


def write_csv(events: Iterable[Event], to: IO[str]) -> int:
    """Write events as CSV with a header; how many there were. Lists are JSON, what is not there is an empty cell."""
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(FIELDS)
    written = 0
    for event in events:
        record = event.as_dict()
        record |= {name: json.dumps(record[name], ensure_ascii=False) for name in _LISTS}
        writer.writerow(record.values())
        written += 1
    return written


def write_parquet(events: Iterable[Event], to: IO[bytes]) -> int:
    """Write events as a Parquet file; how many there were.

    Raises:
        MaasError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - large, and most people do without
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same
    except ImportError:
        raise MaasError("Parquet needs pyarrow: pip install pyarrow, or choose another --format") from None
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


TEXT_FORMATS: Mapping[str, Callable[[Iterable[Event], IO[str]], int]] = {"jsonl": write_jsonl, "csv": write_csv}
