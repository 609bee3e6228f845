"""Periods as people name them: `today`, `7d`, `2026-11-01`, in their own time zone."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from dataclasses import dataclass

from litellm_maas.errors import SettingsError

DEFAULT_ZONE = "Asia/Ho_Chi_Minh"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


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


def named(name: str, now: dt.datetime) -> Period:
    """The period `today`, `week`, `month` or `all` around a moment, in that moment's zone."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if name == "all":
        return Period(None, None)
    if name == "week":
        midnight -= dt.timedelta(days=midnight.weekday())
    elif name == "month":
        midnight = midnight.replace(day=1)
    return Period(midnight, None)


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """A moment as a person writes it, in the zone of `now`.

    A date, a date and time, `today`, `yesterday`, or how long ago (`30m`, `2h`, `7d`, `2w`).

    Raises:
        SettingsError: It is none of these.
    """
    text = text.strip()
    if text in ("today", "yesterday"):
        return named("today", now - dt.timedelta(days=text == "yesterday")).since or now
    if ago := re.fullmatch(r"(\d+)([mhdw])", text):
        return now - dt.timedelta(**{_UNITS[ago.group(2)]: int(ago.group(1))})
    try:
        # Python 3.10 does not know the Z.
        found = dt.datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))
    except ValueError:
        raise SettingsError(
            f"{text!r} is no moment; write a date (2026-11-01), a time (2026-11-01T15:30), or how long ago (7d, 2h)"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=now.tzinfo)
