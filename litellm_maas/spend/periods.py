"""Periods as people name them: `today`, `7d`, `2026-11-01`, in their own time zone."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from dataclasses import dataclass

from litellm_maas.errors import SettingsError

DEFAULT_ZONE = "Asia/Ho_Chi_Minh"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
# What is computed with, in any zone and in microseconds since 1970, without leaving Python's calendar.
_FIRST, _LAST = (dt.datetime(year, 1, 1, tzinfo=dt.timezone.utc) for year in (1970, 9000))


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` (inclusive) until `until` (exclusive); None is open."""

    since: dt.datetime | None
    until: dt.datetime | None


def zone(name: str) -> dt.tzinfo:
    """A time zone by its name.

    Raises:
        SettingsError: There is no such zone.
    """
    if name == DEFAULT_ZONE:
        # Known even where no time zone database is installed: Vietnam has no daylight saving.
        return dt.timezone(dt.timedelta(hours=7), DEFAULT_ZONE)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(f"{name!r} is no time zone; write it like {DEFAULT_ZONE} or Europe/Paris") from None


def now(zone: dt.tzinfo) -> dt.datetime:
    """This moment, in a zone."""
    return dt.datetime.now(zone)


def named(name: str, now: dt.datetime) -> Period:
    """The period `today`, `week`, `month` or `all` around a moment, in that moment's zone."""
    # Where clocks go back over midnight, the day begins at the first of the two.
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if name == "all":
        return Period(None, None)
    if name == "week":
        midnight -= dt.timedelta(days=midnight.weekday())
    elif name == "month":
        midnight = midnight.replace(day=1)
    return Period(midnight, None)


def around(name: str, now: dt.datetime) -> Period:
    """The `hour`, `day`, `week` or `month` that a moment is in, from beginning to end, in that moment's zone."""
    if name == "hour":
        since = now.replace(minute=0, second=0, microsecond=0)
        return Period(since, since + dt.timedelta(hours=1))
    since = named({"day": "today"}.get(name, name), now).since or now
    days = {"day": 1, "week": 7, "month": 31}[name]
    until = (since.replace(tzinfo=None) + dt.timedelta(days=days)).replace(tzinfo=since.tzinfo)
    return Period(since, until.replace(day=1) if name == "month" else until)


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """A moment as a person writes it, in the zone of `now`.

    A date, a date and time, `today`, `yesterday`, or how long ago (`30m`, `2h`, `7d`, `2w`).

    Raises:
        SettingsError: It is none of these.
    """
    text = text.strip()
    if text in ("today", "yesterday"):
        return named("today", now - dt.timedelta(days=text == "yesterday")).since or now
    try:
        if ago := re.fullmatch(r"(\d+)([mhdw])", text):
            return _ago(now, int(ago.group(1)), ago.group(2))
        # Python 3.10 does not know the Z.
        found = dt.datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))
        if found.tzinfo is None:
            found = found.replace(tzinfo=now.tzinfo)
        if not _FIRST < found < _LAST:
            raise ValueError
        return found
    except (ValueError, OverflowError):
        raise SettingsError(
            f"{text!r} is no moment; write a date (2026-11-01), a time (2026-11-01T15:30), or how long ago (7d, 2h)"
        ) from None


def _ago(now: dt.datetime, number: int, unit: str) -> dt.datetime:
    back = dt.timedelta(**{_UNITS[unit]: number})
    # Days are days on the calendar, whatever the clocks did meanwhile; hours are hours that went by.
    found = now - back if unit in "dw" else (now.astimezone(dt.timezone.utc) - back).astimezone(now.tzinfo)
    if found < _FIRST:
        raise OverflowError
    return found
