"""Periods as people name them: `today`, `last month`, `2026-11`, `2026-11-01`, `7d`, in their own time zone."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from dataclasses import dataclass

from litellm_maas.errors import SettingsError

DEFAULT_ZONE = "Asia/Ho_Chi_Minh"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_NAMES = "today, yesterday, this week, last week, this month, last month"
# What is computed with, in any zone and in microseconds since 1970, without leaving Python's calendar.
_FIRST, _LAST = (dt.datetime(year, 1, 1, tzinfo=dt.timezone.utc) for year in (1970, 9000))


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` (inclusive) until `until` (exclusive); None is open."""

    since: dt.datetime | None
    until: dt.datetime | None


def zone(name: str) -> dt.tzinfo:
    """Return a time zone by its name.

    Raises:
        SettingsError: There is no such zone.
    """
    if name == DEFAULT_ZONE:
        # Known even where no time zone database is installed: Vietnam has no daylight saving.
        return dt.timezone(dt.timedelta(hours=7), DEFAULT_ZONE)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(f"{name!r} is not a time zone", f"write it like {DEFAULT_ZONE} or Europe/Paris") from None


def now(zone: dt.tzinfo) -> dt.datetime:
    """Return this moment, in a zone."""
    return dt.datetime.now(zone)


def around(name: str, now: dt.datetime) -> Period:
    """Return the `hour`, `day`, `week` or `month` that a moment is in, from beginning to end, in that moment's zone."""
    if name == "hour":
        since = now.replace(minute=0, second=0, microsecond=0)
        # In UTC, or the hour before clocks go back would be as long as two.
        return Period(since, (since.astimezone(dt.timezone.utc) + dt.timedelta(hours=1)).astimezone(now.tzinfo))
    # Where clocks go back over midnight, the day begins at the first of the two.
    since = now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if name == "week":
        since -= dt.timedelta(days=since.weekday())
    elif name == "month":
        since = since.replace(day=1)
    return Period(since, _next(name, since))


def span(text: str, now: dt.datetime) -> Period:
    """Return the period that a person names, in the zone of `now`.

    A day (`2026-11-01`), a month (`2026-11`), or one of `today`, `yesterday`, `this week`, `last week`, `this month`
    and `last month` is a period from its beginning to its end. A time (`2026-11-01T15:30`), or how long ago (`30m`,
    `2h`, `7d`, `2w`), begins and ends at that moment.

    Raises:
        SettingsError: It is none of these.
    """
    written = text.strip()
    name = re.sub(r"[\s_-]+", " ", written.lower())
    if name in ("today", "yesterday"):
        return around("day", _days_before(now, name == "yesterday"))
    if found := re.fullmatch(r"(this|last) (week|month)", name):
        this = around(found.group(2), now)
        if found.group(1) == "this":
            return this
        return around(found.group(2), _days_before(this.since or now, 1))
    try:
        if found := re.fullmatch(r"(\d{4})-(\d{1,2})", written):
            return _checked(around("month", now.replace(year=int(found.group(1)), month=int(found.group(2)), day=1)))
        if found := re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", written):
            year, month_, day = map(int, found.groups())
            return _checked(around("day", now.replace(year=year, month=month_, day=day)))
        at = _moment(written, now)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"{text!r} is not a time",
            "write a day (2026-11-01), a month (2026-11), a time (2026-11-01T15:30), how long "
            f"ago (7d, 2h), or one of: {_NAMES}",
        ) from None
    return Period(at, at)


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """Return the moment that a person names, in the zone of `now`: of a day or a month, where it begins.

    Raises:
        SettingsError: It cannot be understood; see `span`.
    """
    return span(text, now).since or now


def month(text: str, now: dt.datetime) -> Period:
    """Return the month that a person names: `2026-10`, `this` or `last`.

    Raises:
        SettingsError: It is none of these.
    """
    named = {"this": "this month", "last": "last month"}.get(text.strip().lower(), text)
    if not re.fullmatch(r"\s*(\d{4}-\d{1,2}|(this|last)[\s_-]+month)\s*", named, re.IGNORECASE):
        raise SettingsError(f"{text!r} is not a month", "write it like 2026-10, or this, or last")
    return span(named, now)


def in_words(period: Period, now: dt.datetime) -> str:
    """Write a period for people, its last day included: `2026-10-01 … 2026-10-31 (31 days)`."""
    local = [None if at is None else at.astimezone(now.tzinfo) for at in (period.since, period.until)]
    since, until = local
    if (since is None or _is_midnight(since)) and (until is None or _is_midnight(until)):
        return _days_in_words(since, until, now)
    ends = [None if at is None else clock(at) for at in local]
    return f"{ends[0] or 'the beginning'} … {ends[1] or 'now'}"


def clock(at: dt.datetime) -> str:
    """Write a moment for people, to the minute; with its distance from UTC where clocks go back and it comes twice."""
    text = f"{at:%Y-%m-%d %H:%M}"
    # A moment that exists once is the same with either fold.
    return f"{text} {at.isoformat()[-6:]}" if at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset() else text


def _days_in_words(since: dt.datetime | None, until: dt.datetime | None, now: dt.datetime) -> str:
    is_over = until is not None and until <= now
    last = until.date() - dt.timedelta(days=1) if until is not None and is_over else now.date()
    so_far = "" if is_over else " so far"
    if since is None:
        return f"the beginning … {last}{so_far}"
    days = (last - since.date()).days + 1
    if days == 1:
        return f"{last} (1 day{so_far})"
    return f"{since.date()} … {last} ({days:,} days{so_far})"


def _is_midnight(at: dt.datetime) -> bool:
    return at == around("day", at).since


def _days_before(at: dt.datetime, days: int) -> dt.datetime:
    return at - dt.timedelta(days=days)


def _next(name: str, since: dt.datetime) -> dt.datetime:
    """Return where the day, week or month after the one that begins at a moment begins."""
    days = {"day": 1, "week": 7, "month": 31}[name]
    until = (since.replace(tzinfo=None) + dt.timedelta(days=days)).replace(tzinfo=since.tzinfo)
    return until.replace(day=1) if name == "month" else until


def _checked(period: Period) -> Period:
    if period.since is None or not _FIRST < period.since < _LAST:
        raise ValueError
    return period


def _moment(text: str, now: dt.datetime) -> dt.datetime:
    if ago := re.fullmatch(r"(\d+)([mhdw])", text):
        return _ago(now, int(ago.group(1)), ago.group(2))
    if not re.match(r"\d{4}-\d\d-\d\d[T ]\d\d", text):
        raise ValueError  # newer Pythons would take a day written in yet another way for its first moment
    # Python 3.10 does not know the Z.
    found = dt.datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))
    if found.tzinfo is None:
        found = found.replace(tzinfo=now.tzinfo)
    if not _FIRST < found < _LAST:
        raise ValueError
    return found


def _ago(now: dt.datetime, number: int, unit: str) -> dt.datetime:
    back = dt.timedelta(**{_UNITS[unit]: number})
    # Days are days on the calendar, whatever the clocks did meanwhile; hours are hours that went by.
    found = now - back if unit in "dw" else (now.astimezone(dt.timezone.utc) - back).astimezone(now.tzinfo)
    if found < _FIRST:
        raise OverflowError
    return found
