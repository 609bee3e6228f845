"""Apply the current budgets of this process: find them, and reserve what a call may cost."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from litellm_maas import settings
from litellm_maas.budgets import budget
from litellm_maas.budgets.alerts import alert_threshold_reached
from litellm_maas.budgets.budget import Budget
from litellm_maas.budgets.reservations import BudgetStore, Denial
from litellm_maas.errors import ConfigFileError, LedgerBusyError, LedgerError
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.steps import Steps, Wait, Work
from litellm_maas.tracking.attribution import Attribution
from litellm_maas.yaml_file import Watched

logger = logging.getLogger("litellm_maas")

_LONGEST_WAIT = 30.0
"""Seconds that a call waits for reservations of calls in flight to be released."""
_LONGEST_LOCK = 30.0
"""Seconds that another program may keep the ledger locked before calls go on without being counted."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_WRITER_PAUSE = 0.000_2
_STAYS = "a reservation is not released for up to 15 minutes: %s"


class Reservation:
    """Hold budget for one call, in the budgets that it counts for.

    Attributes:
        budgets: Those budgets.
        reservation: The id of what is reserved, until it is released.
    """

    def __init__(self, store: BudgetStore, budgets: Sequence[Budget], reservation: str) -> None:
        self._store = store
        self.budgets = budgets
        self.reservation = reservation

    def release(self) -> None:
        """Release the budget, because the ledger now says what the call cost, or because nothing was sent.

        Never raises and never waits: if another process is writing just then, a thread does it.
        """
        try:
            self._release()
        except LedgerBusyError:
            threading.Thread(target=self._release_patiently, name="maas-budget", daemon=True).start()
        except LedgerError as error:
            logger.warning(_STAYS, error)

    def _release(self, wait: float = 0.0) -> None:
        for alert in self._store.release(self.reservation, self.budgets, wait):
            alert_threshold_reached(alert)

    def _release_patiently(self) -> None:
        try:
            self._release(_LONGEST_WAIT)
        except LedgerError as error:
            logger.warning(_STAYS, error)


class BudgetEnforcer:
    """Hold the budgets of this process, on the ledger that it records in.

    Attributes:
        configured: Budgets that a program brought, by a router's config for instance.
    """

    def __init__(self) -> None:
        self.configured: tuple[Budget, ...] = ()
        self._from_file = Watched(budget.read, _say_budgets_stay)
        self._stores: dict[Path, BudgetStore] = {}
        self._ledgers: list[SqliteLedger] = []
        self._lock = threading.Lock()
        self._unreadable: str | None = None

    def reserve(
        self, ledger: Path, model: str, identity: Attribution, needed: Callable[[], int | None]
    ) -> Steps[Reservation | Denial | None]:
        """Reserve budget for a call. Yields waits and blocking work; returns a Reservation or a Denial.

        Args:
            ledger: The ledger's file.
            model: The model id that is to be called.
            identity: Who calls.
            needed: Tells its maximum cost, in micro-credits; None where that is not known. Asked only if a budget
                counts the call.

        Returns:
            None where no budget counts the call, or where the ledger cannot be used: then a warning says so once, and
            the call goes on, as recording never stops a call.
        """
        began = looked = time.monotonic()
        has_added_up = False
        pause, writer_pause = _SHORTEST_PAUSE, _WRITER_PAUSE
        while True:
            try:
                store = self._store(ledger)
                budgets = [
                    found for found in store.budgets(self.configured_budgets()) if found.matches(model, identity)
                ]
                if not has_added_up and not store.is_warm(budgets):
                    has_added_up = True
                    yield Work(functools.partial(_compute, store, budgets))
                verdict = store.reserve(budgets, needed()) if budgets else None
            except LedgerBusyError:
                if time.monotonic() - looked > _LONGEST_LOCK:
                    self._say_once(f"{ledger} is locked")
                    return None
                yield Wait(writer_pause)
                writer_pause = min(2 * writer_pause, _SHORTEST_PAUSE)
                continue
            except LedgerError as error:
                self._say_once(str(error))
                return None
            if isinstance(verdict, str):
                return Reservation(store, budgets, verdict)
            looked = time.monotonic()
            if verdict is None or verdict.reason != "in_flight" or looked + pause - began > _LONGEST_WAIT:
                return verdict
            yield Wait(pause)
            pause, writer_pause = min(2 * pause, _LONGEST_PAUSE), _WRITER_PAUSE

    def configured_budgets(self) -> tuple[Budget, ...]:
        """Return the budgets that are not in the ledger: a program's own, and those of `MAAS_BUDGETS`.

        While the file has a mistake, those that it held before stay current.

        Raises:
            ConfigFileError: It has one from the beginning: nothing is spent unlimited.
        """
        file = settings.budgets()
        return self.configured if file is None else (*self.configured, *self._from_file.get(file))

    def _store(self, ledger: Path) -> BudgetStore:
        if (found := self._stores.get(ledger)) is None:
            with self._lock:
                if (found := self._stores.get(ledger)) is None:
                    opened = SqliteLedger(ledger)
                    self._ledgers.append(opened)
                    found = self._stores[ledger] = BudgetStore(opened)
        return found

    def close(self) -> None:
        """Close the ledgers."""
        self._stores.clear()
        while self._ledgers:
            self._ledgers.pop().close()

    def after_fork_in_child(self) -> None:
        """Leave the connections of the parent to it."""
        self._lock = threading.Lock()
        self._ledgers.clear()
        self._stores.clear()

    def _say_once(self, problem: str) -> None:
        if self._unreadable != problem:
            self._unreadable = problem
            logger.warning("budgets are not being enforced: %s", problem)


def _say_budgets_stay(mistake: ConfigFileError) -> None:
    logger.warning("MAAS_BUDGETS: %s. Keeping the budgets that it held before until it is fixed.", mistake)


def _compute(store: BudgetStore, budgets: Sequence[Budget]) -> None:
    try:
        store.status(budgets)
    except LedgerError as error:
        logger.debug("the next try says what is wrong: %s", error)
