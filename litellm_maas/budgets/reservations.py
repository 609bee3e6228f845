"""Reserve budget atomically: the maximum cost of a call before it is sent, released afterwards.

What is spent, what is reserved and the new reservation are one transaction on the ledger, so that any number of
processes share one truth. A reservation is released when the event of its call is in the ledger. That of a process that
died expires, and so does that of a call that takes longer than `RESERVATION_TTL`.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from litellm_maas.budgets.budget import Budget, from_mapping
from litellm_maas.budgets.spent_cache import SpentCache
from litellm_maas.ledger.base import to_micros
from litellm_maas.ledger.sqlite import PATIENCE, SqliteLedger

RESERVATION_TTL = dt.timedelta(minutes=15)
"""How long a reservation lasts whose call never ends: that of a process that was killed."""

_LATER = dt.timedelta(minutes=1)
"""By how much a reservation may have been made later than by this caller's clock, who waited for others meanwhile."""
_LOOK_AGAIN = 1.0
"""Seconds after which budgets that another process set or removed are seen."""


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """Report how much of a budget is spent and reserved.

    Attributes:
        spent: Micro-credits spent in the period.
        reserved: Micro-credits reserved for calls in flight.
    """

    budget: Budget
    spent: int
    reserved: int

    @property
    def resets_at(self) -> dt.datetime | None:
        """Return when the period ends; None where it never does, or rolls."""
        return self.budget.period(dt.datetime.now(dt.timezone.utc)).until


@dataclass(frozen=True, slots=True)
class Denial:
    """Explain why a call does not fit.

    Attributes:
        needed: The maximum cost of the call, in micro-credits; None where its model has no price.
        reason: ``in_flight`` where the call may fit once calls in flight have ended.
    """

    status: BudgetStatus
    needed: int | None
    reason: Literal["exceeded", "in_flight", "unpriced"]


@dataclass(frozen=True, slots=True)
class ThresholdAlert:
    """Name a budget of which more than so many per cent are spent."""

    status: BudgetStatus
    percent: int


class BudgetStore:
    """Keep the budgets of one ledger file: those in the ledger itself, and those that a program brings.

    Raises:
        LedgerError: The ledger cannot be opened. All its methods raise that too, and LedgerBusyError where another
            process is writing just then, for which `reserve` never waits.
    """

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self._spent_cache = SpentCache(ledger)
        self._known: tuple[Budget, ...] = ()
        self._looked_at: float | None = None

    def budgets(self, own: Sequence[Budget] = ()) -> tuple[Budget, ...]:
        """Return all budgets; the program's own win over those of the same name in the ledger."""
        if self._looked_at is None or time.monotonic() - self._looked_at > _LOOK_AGAIN:
            rows = self._ledger.query("SELECT definition FROM budgets ORDER BY name")
            self._known = tuple(from_mapping(json.loads(row[0])) for row in rows)
            self._looked_at = time.monotonic()
        names = {budget.name for budget in own}
        return (*own, *(budget for budget in self._known if budget.name not in names))

    def set(self, made: Budget) -> None:
        """Keep a budget in the ledger, in the place of one of the same name."""
        with self._ledger.write_transaction(PATIENCE) as connection:
            connection.execute(
                "INSERT INTO budgets VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET definition = excluded.definition",
                (made.name, made.model_dump_json()),
            )
        self._looked_at = None

    def remove(self, name: str) -> bool:
        """Remove a budget from the ledger, and return whether it was there."""
        with self._ledger.write_transaction(PATIENCE) as connection:
            removed = connection.execute("DELETE FROM budgets WHERE name = ?", (name,)).rowcount
        self._looked_at = None
        return bool(removed)

    def is_warm(self, budgets: Sequence[Budget]) -> bool:
        """Return whether spent amounts are cached for all budgets; else `reserve` may read all events of a period."""
        now = dt.datetime.now(dt.timezone.utc)
        return all(self._spent_cache.is_cached(budget, now) for budget in budgets)

    def reserve(self, budgets: Sequence[Budget], needed: int | None) -> str | Denial:
        """Reserve the maximum cost of a call in each budget that it counts for.

        Args:
            budgets: Those that it counts for.
            needed: Micro-credits; None where its model has no price.

        Returns:
            The id of the reservation, or why there is none.
        """
        now = dt.datetime.now(dt.timezone.utc)
        reservation = uuid.uuid4().hex
        with self._ledger.write_transaction() as connection:
            self._spent_cache.refresh(connection)
            # Those in a far future are from a clock that was wrong.
            connection.execute("DELETE FROM reservations WHERE NOT (expires_at > ? AND expires_at <= ?)", _lasting(now))
            denials = (
                Denial(state, needed, why)
                for budget in budgets
                if (why := _denial_reason(state := self._state(connection, budget, now), needed)) is not None
            )
            # A budget that is exceeded says more than one whose reservations may be released in a moment.
            if (denial := min(denials, key=lambda found: found.reason == "in_flight", default=None)) is not None:
                return denial
            expires_at = to_micros(now + RESERVATION_TTL)
            connection.executemany(
                "INSERT INTO reservations VALUES (?, ?, ?, ?)",
                [(reservation, budget.name, needed or 0, expires_at) for budget in budgets],
            )
        return reservation

    def release(self, reservation: str, budgets: Sequence[Budget], wait: float = 0.0) -> list[ThresholdAlert]:
        """Release a reservation, now that the ledger says what the call cost, and return the alerts to send.

        Args:
            reservation: Its id.
            budgets: Those that it is a part of.
            wait: Seconds to wait for another writer.
        """
        now = dt.datetime.now(dt.timezone.utc)
        alerts = []
        with self._ledger.write_transaction(wait) as connection:
            connection.execute("DELETE FROM reservations WHERE id = ?", (reservation,))
            self._spent_cache.refresh(connection)
            for budget in budgets:
                state = self._state(connection, budget, now)
                passed = [percent for percent in budget.warn_at if state.spent * 100 >= percent * budget.limit]
                new = [percent for percent in passed if _is_new(connection, budget, percent, now)]
                # Of several thresholds passed at once the last is told.
                alerts += [ThresholdAlert(state, max(new))] if new else []
        return alerts

    def status(self, budgets: Sequence[Budget]) -> list[BudgetStatus]:
        """Return the state of the budgets."""
        now = dt.datetime.now(dt.timezone.utc)
        with self._ledger.write_transaction(PATIENCE) as connection:
            self._spent_cache.refresh(connection)
            return [self._state(connection, budget, now) for budget in budgets]

    def _state(self, connection: sqlite3.Connection, budget: Budget, now: dt.datetime) -> BudgetStatus:
        ((reserved,),) = connection.execute(
            "SELECT coalesce(sum(micro_credits), 0) FROM reservations"
            " WHERE budget = ? AND expires_at > ? AND expires_at <= ?",
            (budget.name, *_lasting(now)),
        )
        return BudgetStatus(budget, self._spent_cache.spent(connection, budget, now), reserved)


def _lasting(now: dt.datetime) -> tuple[int, int]:
    """Return after and until when a reservation expires that counts now."""
    return to_micros(now), to_micros(now + RESERVATION_TTL + _LATER)


def _denial_reason(state: BudgetStatus, needed: int | None) -> Literal["exceeded", "in_flight", "unpriced"] | None:
    if state.budget.action == "warn":
        return None
    if needed is None:
        if not state.budget.allow_unpriced:
            return "unpriced"
        needed = 0
    if state.spent + needed > state.budget.limit or state.spent >= state.budget.limit:
        return "exceeded"
    return "in_flight" if state.spent + state.reserved + needed > state.budget.limit else None


def _is_new(connection: sqlite3.Connection, budget: Budget, percent: int, now: dt.datetime) -> bool:
    """Return whether nobody has sent this alert in this period; for a rolling window, on this day."""
    period = (
        budget.period(now).since if budget.window is None else now.replace(hour=0, minute=0, second=0, microsecond=0)
    )
    said = connection.execute(
        "INSERT INTO alerts_sent VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        # A new limit has new alerts.
        (f"{percent} % of {budget.limit} of {budget.name}", str(period), to_micros(now)),
    )
    return said.rowcount > 0
