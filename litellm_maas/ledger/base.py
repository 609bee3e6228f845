"""Define the ledger, the durable table of events: what SQLite and PostgreSQL have in common.

Rows are only ever added. A repricing or a correction is a row of its own that refers to the event; the view
`current_events` shows each event as its latest correction says. Hourly sums are kept beside the rows, in the same
transaction, so that reports over millions of events need not read them all.
"""

from __future__ import annotations

import datetime as dt
import json
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar

from typing_extensions import Self

from litellm_maas.ledger import schema
from litellm_maas.ledger.event import FIELDS, Event
from litellm_maas.pricing.price_book import Basis

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_MICROSECOND = dt.timedelta(microseconds=1)
_TIMES = ("started_at", "ended_at")
_LISTS = ("tags", "anomalies")
_IN_ORDER = operator.attrgetter(*FIELDS)
_TIMES_AT = tuple(map(FIELDS.index, _TIMES))
_LISTS_AT = tuple(map(FIELDS.index, _LISTS))
_as_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Correction:
    """What an event costs after all; the money of the event's own row is replaced by it."""

    event_id: str
    micro_credits: int | None
    saved_micro_credits: int
    basis: Basis
    price_source: str | None
    reason: str


class Ledger(ABC):
    """A ledger that can be read and corrected. Leaving its `with` block closes it.

    Attributes:
        numbers_are_gapless: Whether a number that is left out was the number of an event that is gone.
    """

    numbers_are_gapless: ClassVar[bool] = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the database. The next use opens it again."""

    @abstractmethod
    def query(self, sql: str, parameters: Iterable[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, whose parameters are written `?`; all of one state of the ledger.

        Raises:
            LedgerError: It cannot be read.
        """

    @abstractmethod
    def correct(self, corrections: Iterable[Correction]) -> None:
        """Add corrections, all of them or none.

        Raises:
            LedgerError: It cannot be written.
        """

    @abstractmethod
    def integrity_check(self) -> list[str]:
        """Return what the database itself finds wrong with its files."""

    def events(self, since: dt.datetime | None = None, until: dt.datetime | None = None) -> Iterator[Event]:
        """Yield the events that began in a period, oldest first, as their latest corrections say.

        Raises:
            LedgerError: It cannot be read.
        """
        period, parameters = time_filter(since, until)
        sql = f"SELECT {schema.columns()} FROM current_events WHERE {period} ORDER BY started_at, seq"
        return (from_row(row) for row in self.query(sql, parameters))

    def events_since(self, number: int, limit: int) -> list[tuple[int, Event]]:
        """Return the next events in the order in which they were recorded, with their numbers.

        Raises:
            LedgerError: It cannot be read.
        """
        return [(row[0], from_row(row[1:])) for row in self.rows_since(number, limit)]

    def rows_since(self, number: int, limit: int) -> list[tuple[Any, ...]]:
        """Return the same as rows: each a number and the columns `FIELDS`.

        Raises:
            LedgerError: It cannot be read.
        """
        sql = f"SELECT seq, {schema.columns()} FROM current_events WHERE seq > ? ORDER BY seq LIMIT ?"
        return list(self.query(sql, (number, limit)))

    def last_seq(self) -> int:
        """Return the number of the event that was recorded last; 0 in an empty ledger.

        Raises:
            LedgerError: It cannot be read.
        """
        ((number,),) = self.query("SELECT max(seq) FROM events")
        return int(number or 0)


def to_micros(moment: dt.datetime) -> int:
    """Microseconds since 1970 (UTC), exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(microseconds_since_1970: int) -> dt.datetime:
    """Convert microseconds since 1970 to a moment (UTC)."""
    return _EPOCH + dt.timedelta(microseconds=microseconds_since_1970)


def time_filter(since: dt.datetime | None, until: dt.datetime | None) -> tuple[str, list[int]]:
    """Return the SQL condition for a period, and its parameters."""
    conditions, parameters = ["1 = 1"], []
    if since is not None:
        conditions.append("started_at >= ?")
        parameters.append(to_micros(since))
    if until is not None:
        conditions.append("started_at < ?")
        parameters.append(to_micros(until))
    return " AND ".join(conditions), parameters


def from_row(row: Sequence[Any]) -> Event:
    """Convert a row of the columns `FIELDS` to an event."""
    fields = dict(zip(FIELDS, row, strict=True))
    fields |= {name: from_micros(fields[name]) for name in _TIMES}
    fields |= {name: tuple(json.loads(fields[name])) if fields[name] else () for name in _LISTS}
    return Event(**fields)


def to_row(event: Event) -> list[Any]:
    """Convert an event to the columns `FIELDS`."""
    row = list(_IN_ORDER(event))
    for position in _TIMES_AT:
        row[position] = to_micros(row[position])
    for position in _LISTS_AT:
        row[position] = _as_json(row[position]) if row[position] else None
    return row


def row_of_correction(correction: Correction) -> tuple[Any, ...]:
    """Convert a correction to the columns that `INSERT_CORRECTION` names."""
    return (
        correction.event_id,
        to_micros(dt.datetime.now(dt.timezone.utc)),
        correction.micro_credits,
        correction.saved_micro_credits,
        correction.basis,
        correction.price_source,
        correction.reason,
    )


INSERT_EVENT = (
    f"INSERT INTO events ({schema.columns()}) VALUES ({', '.join('?' * len(FIELDS))}) ON CONFLICT (event_id) DO NOTHING"
)
INSERT_CORRECTION = (
    "INSERT INTO corrections (event_id, made_at, micro_credits, saved_micro_credits, basis, price_source, reason)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
ROLLUP_ADD = schema.add_to_hourly("FROM current_events WHERE event_id = ?")
ROLLUP_SUBTRACT = schema.add_to_hourly("FROM current_events WHERE event_id = ?", sign="-")
