"""Cache what is spent of each budget, kept up to date by reading only what is new in the ledger."""

from __future__ import annotations

import datetime as dt
import heapq
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from litellm_maas.budgets.budget import Budget
from litellm_maas.ledger import reports
from litellm_maas.ledger.backup import RESTORED
from litellm_maas.ledger.base import to_micros
from litellm_maas.ledger.filters import Filters
from litellm_maas.ledger.periods import Period
from litellm_maas.ledger.schema import columns
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.tracking.attribution import Attribution

_LAST = f"""SELECT coalesce((SELECT max(seq) FROM events), 0), (SELECT max(seq) FROM corrections),
(SELECT max(period) FROM alerts_sent WHERE about = '{RESTORED}')"""
_OF_IDENTITY = ("host", "user", "end_user", "team_id", "team", "key_alias")
_COLUMNS = f"seq, started_at, model, tags, micro_credits, {columns(_OF_IDENTITY)}"
_NEW = f"SELECT {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq"
_WINDOW = f"SELECT {_COLUMNS} FROM current_events WHERE started_at >= ?"
_GROUPS = {
    "user": ("user",),
    "end_user": ("end_user",),
    "team": ("team", "team_id"),
    "key": ("key",),
    "host": ("host",),
}
"""By filter, the groups of a report that it is found in."""


@dataclass(slots=True)
class _Spent:
    """Count what is spent of one budget in one period.

    Attributes:
        in_window: Of a window that slides: when (microseconds since 1970) and how much, the oldest first.
    """

    period: Period
    micro_credits: int = 0
    in_window: list[tuple[int, int]] | None = None

    def add(self, started_at: int, micro_credits: int) -> None:
        """Add a call, if it is in the period."""
        if self.in_window is not None:
            heapq.heappush(self.in_window, (started_at, micro_credits))
        elif not self.covers(started_at):
            return
        self.micro_credits += micro_credits

    def covers(self, moment: int) -> bool:
        """Return whether a moment (microseconds since 1970) is in the period."""
        return _at(self.period.since, 0) <= moment < _at(self.period.until, 2**63)

    def forget_before(self, since: dt.datetime) -> None:
        """Take out of a window what it has slid past."""
        while self.in_window and self.in_window[0][0] < to_micros(since):
            self.micro_credits -= heapq.heappop(self.in_window)[1]


@dataclass(slots=True)
class SpentCache:
    """Cache what is spent, by budget. The caller locks the ledger while it asks.

    Attributes:
        ledger: The ledger, for what has to be added up anew.
    """

    ledger: SqliteLedger
    _of: tuple[int, int] | None = None
    _last: int | None = None
    _changed: tuple[int | None, str | None] = (None, None)  # the last correction, and when the ledger was restored
    _spent: dict[Budget, _Spent] = field(default_factory=dict)

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Read what is new in the ledger."""
        ((last, *changed),) = connection.execute(_LAST)
        if self._last is None or tuple(changed) != self._changed or self._of != self.ledger.identity:
            self._spent.clear()
            self._of, self._last, self._changed = self.ledger.identity, last, tuple(changed)
            return
        for seq, started_at, *row in connection.execute(_NEW, (self._last,)):
            self._last = seq
            for budget, spent in self._spent.items():
                if (amount := _amount(budget, row)) is not None:
                    spent.add(started_at, amount)

    def is_cached(self, budget: Budget, now: dt.datetime) -> bool:
        """Return whether `spent` has nothing to compute anew, as far as that can be told without the ledger."""
        found = self._spent.get(budget)
        return found is not None and (found.in_window is not None or found.covers(to_micros(now)))

    def spent(self, connection: sqlite3.Connection, budget: Budget, now: dt.datetime) -> int:
        """Micro-credits spent of a budget in the period of `now`."""
        if not self.is_cached(budget, now):
            self._spent[budget] = self._compute(connection, budget, budget.period(now))
        found = self._spent[budget]
        if found.in_window is not None and (since := budget.period(now).since) is not None:
            found.forget_before(since)
        return found.micro_credits

    def _compute(self, connection: sqlite3.Connection, budget: Budget, period: Period) -> _Spent:
        if budget.window is not None and period.since is not None:
            found = _Spent(period, in_window=[])
            for _, started_at, *row in connection.execute(_WINDOW, (to_micros(period.since),)):
                if (amount := _amount(budget, row)) is not None:
                    found.add(started_at, amount)
            return found
        by = [name for name in _GROUPS if getattr(budget, name) is not None]
        groups = [group for name in by for group in _GROUPS[name]]
        report = reports.report(
            self.ledger, period, dt.timezone.utc, groups, Filters(model=budget.model, tag=budget.tag)
        )
        if not by:
            return _Spent(period, report.total.micro_credits)
        counted = (
            total for key, total in report.groups.items() if _is_about(budget, dict(zip(groups, key, strict=True)))
        )
        return _Spent(period, sum(total.micro_credits for total in counted))


def _is_about(budget: Budget, group: Mapping[str, Any]) -> bool:
    """Return whether a budget's filters, but for model and tag, match a group of a report."""
    return all(
        getattr(budget, name) in (None, *(group[each] for each in found))
        for name, found in _GROUPS.items()
        if getattr(budget, name) is not None
    )


def _amount(budget: Budget, row: Sequence[Any]) -> int | None:
    """Return what a call adds to a budget; None if it does not count."""
    model, tags, micro_credits, *known = row
    identity = Attribution(**dict(zip(_OF_IDENTITY, known, strict=True)), tags=tuple(json.loads(tags)) if tags else ())
    return (micro_credits or 0) if budget.matches(model, identity) else None


def _at(moment: dt.datetime | None, otherwise: int) -> int:
    return otherwise if moment is None else to_micros(moment)
