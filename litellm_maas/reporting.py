"""Report what was spent, to Python programs and notebooks."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import TypedDict, Unpack

from litellm_maas.errors import LedgerError
from litellm_maas.ledger import access, periods
from litellm_maas.ledger.filters import Filters
from litellm_maas.ledger.location import PostgresLocation, resolve_location
from litellm_maas.ledger.periods import DEFAULT_ZONE
from litellm_maas.ledger.query import SpendQuery, group_names, parse_period
from litellm_maas.ledger.reports import SpendTotal
from litellm_maas.ledger.schema import MEASURES, SUM_OF_EVENT
from litellm_maas.ledger.spend_report import Selection, SpendReport
from litellm_maas.ledger.sqlite import opened_to_read
from litellm_maas.runtime import runtime


class SpendFilters(TypedDict, total=False):
    """Name what calls have to have, to be in a report; an empty text is nothing."""

    model: str | None
    user: str | None
    end_user: str | None
    team: str | None
    key: str | None
    session: str | None
    tag: str | None
    status: str | None
    host: str | None


_WAIT = 1.0
"""Seconds to wait for another writer before what is queued is left where it is."""


def spend(
    since: str | dt.date | None = None,
    until: str | dt.date | None = None,
    *,
    month: str | None = None,
    by: str | Sequence[str] = (),
    limit: int | None = None,
    timezone: str = DEFAULT_ZONE,
    ledger: str | os.PathLike[str] | None = None,
    **filters: Unpack[SpendFilters],
) -> SpendReport:
    """Return what `litellm-maas spend` shows: what was spent in a period, in all and grouped.

    Events that are queued beside the ledger are recorded first. The report is empty where nothing was recorded yet.

    Args:
        since: The beginning: a date, a datetime, or what the command line takes, such as ``2026-11``, ``last week`` or
            ``7d``. Without `since`, `until` and `month` a grouping is of this month, and no grouping gives today, this
            week and this month.
        until: The end; a day or a month is included, a time is not.
        month: That month alone: ``2026-10``, ``this`` or ``last``.
        by: What to group by: ``model``, ``user``, ``end_user``, ``team``, ``team_id``, ``key``, ``route``, ``host``,
            ``status``, ``basis``, ``session``, ``attempt``, ``tag``, ``cycle``, ``hour``, ``day``, ``week`` or
            ``month``; several as a list.
        limit: The number of rows: the latest where they are in the order of time, else the most expensive.
        timezone: The zone that days are meant in.
        ledger: The ledger's file, or `postgresql://…`; by default the one that this process records in.
        **filters: Only calls with this `model`, `user`, `end_user`, `team`, `key`, `session`, `tag`, `status` or
            `host`.

    Raises:
        SettingsError: One of the arguments cannot be understood.
        LedgerError: The ledger cannot be read, or is named and not there.
    """
    now = periods.now(periods.zone(timezone))
    period = parse_period(_written(since), _written(until), month, now, option="{}=")
    query = SpendQuery(_location(ledger), now, period, timezone, Filters.parse(**filters))
    selection = Selection(query, group_names([by] if isinstance(by, str) else by), limit)
    if ledger is None and runtime.tracker.enabled:
        # What this process could not write yet; what others left is beside the ledger.
        with contextlib.suppress(LedgerError):
            runtime.tracker.recorder().flush(_WAIT)
    waiting = access.flush(query.ledger)
    with access.open_ledger(query.ledger) as opened:
        return selection.report(selection.counter(opened), waiting.events)


def session_spend(session_id: str) -> SpendTotal:
    """Return what the calls of a session have cost so far, whichever process of this machine has made them.

    A call belongs to the session that it names: `metadata={"session_id": …}`. `track_spend` has recorded it before it
    returned. Each attempt counts as a call, failed ones too. Where the ledger is a PostgreSQL database, this is what
    this machine has recorded for it. Every event of the ledger is looked at.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    path = runtime.tracker.recorder().path
    if not path.exists() or not path.stat().st_size:  # the file is made before the ledger in it
        return SpendTotal()
    sums = ", ".join(f"sum({SUM_OF_EVENT[name].format(row='')})" for name in MEASURES)
    with opened_to_read(path) as ledger:
        sql = f"SELECT basis, {sums} FROM current_events WHERE session_id = ? GROUP BY basis"  # noqa: S608 - names of columns alone
        rows = ledger.query(sql, (session_id,))
        return SpendTotal.of((basis, [int(value) for value in added]) for basis, *added in rows)


def _location(named: str | os.PathLike[str] | None) -> Path | PostgresLocation:
    if named is None:
        return resolve_location(runtime.tracker.ledger)
    found = resolve_location(named)
    if isinstance(found, Path) and not found.exists():
        # Nobody should take a misspelt name for a sum of 0.
        raise LedgerError(f"there is no ledger {found}", "check what is passed as ledger=")
    return found


def _written(at: str | dt.date | None) -> str | None:
    return at.isoformat() if isinstance(at, dt.date) else at
