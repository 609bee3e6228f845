"""Parse how long the gateway asks to wait before the next try. Knows no LiteLLM."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping

LONGEST = 86_400.0
"""Seconds. No limit of the gateway's lasts longer than a day (vendor documentation, read 2026-10)."""

_HEADERS = (
    ("retry-after-ms", 0.001),
    ("retry-after", 1.0),
    ("ratelimit-reset", 1.0),
    ("x-ratelimit-reset", 1.0),
    ("x-ratelimit-reset-requests", 1.0),
    ("x-ratelimit-reset-tokens", 1.0),
)
_UNITS = r"milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h"
_ONE = rf"\d+(?:\.\d+)?(?:\s*(?:{_UNITS})(?![a-z])|(?!\s*[a-z]|\.?\d))"
_DURATION = rf"((?:{_ONE}(?:[\s,]|and\b)*)+)"
_NO_CLOCK = r"(?!\d*[:/-]\d)(?!\d{4}-\d)"
_WAIT = (
    rf"(?:(?:resets?|retry|try again|available)[a-z\s_'\"-]{{0,20}}?(?:in|after|for|[:=])"
    rf"|\bwait(?:ing)?(?:\s+(?:for|at least|about|up to|another))*)\W{{0,3}}{_NO_CLOCK}{_DURATION}(?!\s*:?\d)"
)


def retry_after(headers: Mapping[str, str], text: str, field: str | None = None) -> float | None:
    """Return the seconds to wait, a day at most; None where nothing readable says so.

    Args:
        headers: Of the reply: `Retry-After` in seconds or as a date, `retry-after-ms`, Kong's and OpenAI's resets.
        text: The error's message, such as ``resets in 2s``. A time of day is not read: of which day and zone it is,
            nobody says.
        field: What a field of the error's body says, such as Google's ``retryDelay``.
    """
    for name, unit in _HEADERS:
        if (value := headers.get(name)) and (seconds := _of_value(value, unit)) is not None:
            return seconds
    if field is not None and (seconds := _of_value(field, 1.0)) is not None:
        return seconds
    found = re.search(_WAIT, text, re.IGNORECASE)
    return None if found is None else _bounded(_of_duration(found.group(1)))


def _of_value(value: str, unit: float) -> float | None:
    value = value.strip()
    try:
        return _bounded(_relative(float(value) * unit))
    except ValueError:
        pass
    if re.fullmatch(_DURATION, value, re.IGNORECASE) or re.fullmatch(rf"(?:\d+(?:\.\d+)?(?:{_UNITS}))+", value):
        return _bounded(_of_duration(value))
    date = email.utils.parsedate_tz(value)
    return None if date is None else _bounded(email.utils.mktime_tz(date) - time.time())


def _relative(seconds: float) -> float:
    """Return seconds from now, also where a point in time was meant: none of the last decades is a wait."""
    if seconds > 1e11:
        seconds /= 1000  # milliseconds since 1970
    return seconds - time.time() if seconds > 1e9 else seconds


def _bounded(seconds: float) -> float | None:
    return min(max(seconds, 0.0), LONGEST) if math.isfinite(seconds) else None


def _of_duration(text: str) -> float:
    numbers = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text, re.IGNORECASE)
    return sum(float(number) * _unit_seconds(unit) for number, unit in numbers)


def _unit_seconds(unit: str) -> float:
    unit = unit.lower()
    if unit in ("ms", "millisecond", "milliseconds"):
        return 0.001
    if unit.startswith("h"):
        return 3600
    return 60 if unit.startswith("m") else 1
