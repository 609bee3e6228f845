"""Say which ledger, and which of its events, somebody asks for: on the command line or in Python."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from litellm_maas.errors import SettingsError
from litellm_maas.ledger import periods
from litellm_maas.ledger.filters import EVERYTHING, Filters
from litellm_maas.ledger.location import PostgresLocation
from litellm_maas.ledger.periods import Period


@dataclass(frozen=True, slots=True)
class SpendQuery:
    """Name a ledger, and the events of it that somebody asks for.

    Attributes:
        ledger: Where the ledger is.
        now: The moment of asking, in the zone that was asked for.
        period: The period; open at both ends where none was named.
        timezone: The name of the zone that days are meant in.
        filters: Which events.
    """

    ledger: Path | PostgresLocation
    now: dt.datetime
    period: Period
    timezone: str
    filters: Filters = EVERYTHING

    @property
    def zone(self) -> dt.tzinfo:
        """Return the time zone that days are meant in."""
        return self.now.tzinfo or dt.timezone.utc


def parse_period(
    since: str | None, until: str | None, month: str | None, now: dt.datetime, *, option: str = "--{}"
) -> Period:
    """Return the period that is named by its beginning and its end, or as a month.

    Args:
        since: The beginning; see `periods.span`.
        until: The end: of a day or a month, where it ends.
        month: A month: `2026-10`, `this` or `last`.
        now: The moment of asking, in the zone that days are meant in.
        option: How an error names one of these.

    Raises:
        SettingsError: One of them cannot be understood, or the period ends before it begins, or is yet to come.
    """
    if month is not None:
        if since is not None or until is not None:
            others = f"{option.format('since')} and {option.format('until')}"
            raise SettingsError(f"{option.format('month')} is a period of its own", f"leave out {others}")
        meant, begin = periods.month(month, now), f"the beginning of {option.format('month')} {month}"
    else:
        first = None if since is None else periods.span(since, now).since
        meant = Period(first, None if until is None else periods.span(until, now).until)
        begin = f"{option.format('since')} {since}"
    if meant.since is not None and meant.until is not None and meant.since >= meant.until:
        raise SettingsError(f"{option.format('until')} {until} is not after {begin}", "the period would be empty")
    if meant.since is not None and meant.since > now:
        raise SettingsError(f"{begin} is in the future", "name an earlier time")
    return meant


def group_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the groups that texts name, such as `team,end-user`; each of them once."""
    names = (name.strip().replace("-", "_") for text in texts for name in text.split(","))
    return tuple(dict.fromkeys(filter(None, names)))
