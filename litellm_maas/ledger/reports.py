"""Reports: what was spent in a period, in all and by any of the things an event knows.

Whole hours come from the hourly sums; what is cut off at the ends of a period, and what the sums do not keep apart,
from the events themselves.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from litellm_maas.errors import SettingsError
from litellm_maas.ledger.base import Ledger, from_micros, time_filter, to_micros
from litellm_maas.ledger.filters import EVERYTHING, Filters, tags_of
from litellm_maas.ledger.periods import Period
from litellm_maas.ledger.schema import HOURLY, MEASURES, MICROSECONDS_PER_HOUR, SUM_OF_EVENT
from litellm_maas.pricing.credits import to_credits

_HOUR = dt.timedelta(hours=1)
_CYCLE = 300_000_000
"""Microseconds of a collection cycle (vendor documentation, read 2026-10)."""
_QUARTER = MICROSECONDS_PER_HOUR // 4

# How a group is called by people, where it stands in hourly sums, and how it is found in an event.
_IN_HOURLY = {
    "model": "model",
    "user": '"user"',
    "end_user": "end_user",
    "team": "team",
    "team_id": "team_id",
    "key": "key_alias",
    "route": "route",
    "host": "host",
    "status": "status",
    "basis": "basis",
    **dict.fromkeys(("hour", "day", "week", "month"), f"hour * {MICROSECONDS_PER_HOUR}"),
}
_IN_EVENTS = {
    "model": "model",
    "user": "coalesce(\"user\", '')",
    "end_user": "coalesce(end_user, '')",
    "team": "coalesce(team, '')",
    "team_id": "coalesce(team_id, '')",
    "key": "coalesce(key_alias, '')",
    "route": "route",
    "host": "coalesce(host, '')",
    "status": "status",
    "basis": "basis",
    "session": "coalesce(session_id, '')",
    "attempt": "attempt",
    "tag": "tags",
    "cycle": f"started_at / {_CYCLE} * {_CYCLE}",
    # Quarters of an hour: no time zone's day begins at anything finer.
    **dict.fromkeys(("hour", "day", "week", "month"), f"started_at / {_QUARTER} * {_QUARTER}"),
}
GROUPS = tuple(_IN_EVENTS)
_Sums = tuple[tuple[Any, ...], str, Sequence[int]]
_Part = tuple[str, Sequence[int]]
"""A basis and its sums."""
_TIMES = {
    "month": "%Y-%m",
    "week": "%Y-%m-%d",  # of its Monday
    "day": "%Y-%m-%d",
    "hour": "%Y-%m-%d %H:00",
    "cycle": "%Y-%m-%d %H:%M",
}
_STEPS = {
    # To somewhere within the next one.
    "month": dt.timedelta(days=31),
    "week": dt.timedelta(days=7),
    "day": dt.timedelta(days=1),
    "hour": _HOUR,
    "cycle": dt.timedelta(minutes=5),
}


@dataclass(frozen=True)
class SpendTotal:
    """What a group of calls adds up to. Amounts are micro-credits; 1 credit (VND) is 1,000,000 of them.

    Attributes:
        calls: Events.
        failed_calls: Those that failed, or that a budget refused.
        micro_credits: The sum of all known costs.
        by_basis: The same by where the prices come from; only bases that occur.
        saved_micro_credits: What cached tokens saved against the input price.
        unpriced_calls: Calls whose cost is not known and not in the sum.
        estimated_calls: Calls whose usage was estimated.
        anomalies: Calls whose usage report was nonsense.
    """

    calls: int = 0
    failed_calls: int = 0
    micro_credits: int = 0
    by_basis: dict[str, int] = field(default_factory=dict)
    saved_micro_credits: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    unpriced_calls: int = 0
    estimated_calls: int = 0
    anomalies: int = 0

    @property
    def credits(self) -> Decimal:
        """Return the sum of all known costs in credits (VND)."""
        return to_credits(self.micro_credits)

    @property
    def is_unpriced(self) -> bool:
        """Return whether no call in it has a price: its cost is then not known, and not 0."""
        return set(self.by_basis) == {"unpriced"}

    @classmethod
    def of(cls, parts: Iterable[tuple[str, Sequence[int]]]) -> SpendTotal:
        """Add up the sums of bases, each in the order of `schema.MEASURES`."""
        sums, by_basis = [0] * len(MEASURES), dict[str, int]()
        for basis, part in parts:
            sums = [value + more for value, more in zip(sums, part, strict=True)]
            cost = part[MEASURES.index("micro_credits")]
            if part[0] or cost:
                by_basis[basis] = by_basis.get(basis, 0) + cost
        return cls(**dict(zip(MEASURES, sums, strict=True)), by_basis=by_basis)

    def as_dict(self) -> dict[str, Any]:
        """Return the total as plain JSON values."""
        return {**vars(self), "by_basis": dict(sorted(self.by_basis.items()))}


@dataclass
class Report:
    """A period's total, and its groups, the most expensive first or in the order of time.

    Attributes:
        groups: By the values of what was asked for, in that order. An event with several tags is in several groups.
    """

    total: SpendTotal
    groups: dict[tuple[Any, ...], SpendTotal]


def report(
    ledger: Ledger,
    period: Period,
    zone: dt.tzinfo,
    by: Sequence[str] = (),
    filters: Filters = EVERYTHING,
) -> Report:
    """Return what was spent in a period.

    Args:
        ledger: The ledger.
        period: The period.
        zone: The zone in which days and hours are meant.
        by: What to group by, of `GROUPS`.
        filters: Which events.

    Raises:
        LedgerError: The ledger cannot be read.
        SettingsError: It cannot be grouped by one of these.
    """
    check_groups(by)
    parts: list[_Part] = []
    parts_of: dict[tuple[Any, ...], list[_Part]] = {}
    for values, basis, sums in _sums(ledger, period, zone, by, filters):
        parts.append((basis, sums))
        for key in _keys(by, values, zone) if by else ():
            parts_of.setdefault(key, []).append((basis, sums))
    groups = {key: SpendTotal.of(each) for key, each in parts_of.items()}
    times = [position for position, name in enumerate(by) if name in _TIMES]
    # The hourly sums of a corrected event's old basis stay behind as zeros.
    found = [(key, group) for key, group in groups.items() if group.calls]
    # An empty list of times is the same for all, an amount that does not count too.
    found.sort(key=lambda pair: ([pair[0][i] for i in times], 0 if times else -pair[1].micro_credits, pair[0]))
    return Report(SpendTotal.of(parts), dict(found))


def check_groups(by: Sequence[str]) -> None:
    """Make sure that a report can be grouped by these.

    Raises:
        SettingsError: It cannot be grouped by one of them.
    """
    for name in by:
        if name not in GROUPS:
            raise SettingsError(f"spend cannot be grouped by {name!r}", f"choose from {', '.join(GROUPS)}")


def is_time(name: str) -> bool:
    """Return whether a group is a stretch of time."""
    return name in _TIMES


def timeline(name: str, first: str, last: str, zone: dt.tzinfo) -> list[str]:
    """Return all groups of time from one to another, those without an event included.

    Args:
        name: `month`, `week`, `day`, `hour` or `cycle`.
        first: The first group, as a report calls it.
        last: The last one.
        zone: The report's zone.
    """
    at = dt.datetime.strptime(first, _TIMES[name]).replace(tzinfo=zone)
    found = {first: None}
    while (group := _group(name, at)) < last:
        found[group] = None
        # Days are stepped by the calendar; what is shorter by the time that goes by, whatever clocks do.
        in_time = name in ("hour", "cycle")
        at = (at.astimezone(dt.timezone.utc) + _STEPS[name]).astimezone(zone) if in_time else at + _STEPS[name]
        at = at.replace(day=1) if name == "month" else at
    found[last] = None
    return list(found)


def _group(name: str, at: dt.datetime) -> str:
    """Return what the group of time that a moment is in is called."""
    return (at - dt.timedelta(days=at.weekday()) if name == "week" else at).strftime(_TIMES[name])


def _sums(ledger: Ledger, period: Period, zone: dt.tzinfo, by: Sequence[str], filters: Filters) -> Iterator[_Sums]:
    table = _table_for(by, filters)
    if table and any(name in _TIMES for name in by) and not _has_whole_hours(ledger, zone):
        table = None
    hours, edges = _whole_hours(period) if table else (None, [period])
    if hours is not None and table is not None:
        yield from _of_hours(ledger, table, hours, by, filters)
    for part in edges:
        yield from _of_events(ledger, part, by, filters)


def _table_for(by: Sequence[str], filters: Filters) -> str | None:
    """Return the hourly sums that keep these groups and filters apart, if there are any."""
    if filters.tag is not None or not set(by) <= _IN_HOURLY.keys():
        return None
    wanted = filters.columns() | {_IN_HOURLY[name].strip('"') for name in by if name not in _TIMES}
    return next((table for table, dimensions in HOURLY.items() if wanted <= set(dimensions)), None)


def _whole_hours(period: Period) -> tuple[Period | None, list[Period]]:
    """Return the whole hours of a period, and what is left of it."""
    since = None if period.since is None else _ceil(period.since)
    until = None if period.until is None else _floor(period.until)
    if since is not None and until is not None and since >= until:
        return None, [period]
    edges = []
    if since is not None and since != period.since:
        edges.append(Period(period.since, since))
    if until is not None and until != period.until:
        edges.append(Period(until, period.until))
    return Period(since, until), edges


def _of_hours(ledger: Ledger, table: str, period: Period, by: Sequence[str], filters: Filters) -> Iterator[_Sums]:
    columns = [_IN_HOURLY[name] for name in by]
    conditions, parameters = ["1 = 1"], []
    for moment_, sign in ((period.since, ">="), (period.until, "<")):
        if moment_ is not None:
            conditions.append(f"hour {sign} ?")
            parameters.append(to_micros(moment_) // MICROSECONDS_PER_HOUR)
    sums = [f"sum({name})" for name in MEASURES]
    yield from _rows(ledger, table, columns, sums, conditions, parameters, filters)


def _of_events(ledger: Ledger, period: Period, by: Sequence[str], filters: Filters) -> Iterator[_Sums]:
    # Lists of tags are few, events are many: what is in a list is looked at once, not for each event.
    columns = [*(_IN_EVENTS[name] for name in by), *(["tags"] if filters.tag is not None else [])]
    condition, parameters = time_filter(period.since, period.until)
    sums = [f"sum({SUM_OF_EVENT[name].format(row='')})" for name in MEASURES]
    for values, basis, added in _rows(ledger, "current_events", columns, sums, [condition], parameters, filters):
        if filters.tag is None or filters.has_tag(values[-1]):
            yield values[: len(by)], basis, added


def _rows(
    ledger: Ledger,
    source: str,
    columns: Sequence[str],
    sums: Sequence[str],
    conditions: list[str],
    parameters: list[Any],
    filters: Filters,
) -> Iterator[_Sums]:
    more, values = filters.conditions()
    keys = [*columns, "basis"]
    sql = f"SELECT {', '.join((*keys, *sums))} FROM {source} WHERE {' AND '.join((*conditions, *more))} GROUP BY "
    sql += ", ".join(map(str, range(1, len(keys) + 1)))
    for row in ledger.query(sql, [*parameters, *values]):
        yield row[: len(columns)], row[len(columns)], [int(value) for value in row[len(keys) :]]


def _keys(by: Sequence[str], values: Sequence[Any], zone: dt.tzinfo) -> Iterator[tuple[Any, ...]]:
    """Yield the groups that a row of sums belongs to, as people read them: times in their zone, each tag by itself."""
    choices = []
    for name, value in zip(by, values, strict=True):
        if name in _TIMES:
            choices.append([_group(name, from_micros(value).astimezone(zone))])
        elif name == "tag":
            choices.append(tags_of(value))
        else:
            choices.append([value])
    return itertools.product(*choices)


def _has_whole_hours(ledger: Ledger, zone: dt.tzinfo) -> bool:
    """Return whether hours begin in this zone when they begin in UTC, on every day that the ledger knows."""
    ((first, last),) = ledger.query("SELECT min(hour), max(hour) FROM rollup_hourly")
    hours = () if first is None else range(first, last + 24, 24)
    days = (from_micros(hour * MICROSECONDS_PER_HOUR).astimezone(zone) for hour in hours)
    return all((day.utcoffset() or dt.timedelta(0)) % _HOUR == dt.timedelta(0) for day in days)


def _floor(moment_: dt.datetime) -> dt.datetime:
    return from_micros(to_micros(moment_) // MICROSECONDS_PER_HOUR * MICROSECONDS_PER_HOUR)


def _ceil(moment_: dt.datetime) -> dt.datetime:
    floor = _floor(moment_)
    return floor if floor == moment_ else floor + _HOUR
