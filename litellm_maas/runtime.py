"""Own what one process shares between its calls: tracker, budgets, rate limit, cooldowns and HTTP clients.

There is one `runtime`. It takes part in forks and in the end of the process for all of them, in their order.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from litellm_maas import fork_safety
from litellm_maas.gateway.pools import ClientPools
from litellm_maas.ledger.location import resolve_location
from litellm_maas.resilience.cooldowns import CooldownRegistry
from litellm_maas.tracking.tracker import SpendTracker

if TYPE_CHECKING:
    from litellm_maas.budgets.enforcement import BudgetEnforcer
    from litellm_maas.settings import RateLimit


class _InFlight(Protocol):
    def abandon(self) -> None:
        """Record a call that nobody will bring to its end any more."""


class Runtime:
    """What the calls of this process share.

    Attributes:
        tracker: Records spend.
        cooldowns: The models that are not called for a while.
        clients: The HTTP clients.
        rate_limit: The limit that a program brought; the environment wins over it.
        in_flight: The calls that have not come to their end, and some that have.
    """

    def __init__(self) -> None:
        self.tracker = SpendTracker()
        self.cooldowns = CooldownRegistry()
        self.clients = ClientPools()
        self.rate_limit: RateLimit | None = None
        self.in_flight: weakref.WeakValueDictionary[int, _InFlight] = weakref.WeakValueDictionary()
        self._budgets: BudgetEnforcer | None = None
        self._lock = threading.Lock()
        fork_safety.register(self)
        atexit.register(self.close)

    @property
    def budgets(self) -> BudgetEnforcer:
        """Return the enforcer of the budgets."""
        if self._budgets is None:
            # Not with the package: programs that do not record need none of it, and it takes a sixth of the import.
            from litellm_maas.budgets.enforcement import BudgetEnforcer  # noqa: PLC0415

            with self._lock:
                self._budgets = self._budgets or BudgetEnforcer()
        return self._budgets

    def close(self) -> None:
        """Record what is in flight as abandoned, write what waits, and close ledgers and connections.

        All of them open again with the next call.
        """
        for reference in self.in_flight.valuerefs():
            if (call := reference()) is not None:
                call.abandon()
        self.tracker.close()
        if self._budgets is not None:
            self._budgets.close()
        self.clients.close()

    def reset(self) -> None:
        """Close everything, and forget what a program has set and what this process has seen."""
        self.close()
        self.tracker.disable()
        self.cooldowns.reset()
        self.rate_limit = None
        self._budgets = None

    def before_fork(self) -> bool:
        """See `fork_safety.Forkable`."""
        return True

    def after_fork_in_parent(self) -> None:
        """See `fork_safety.Forkable`."""

    def after_fork_in_child(self) -> None:
        """See `fork_safety.Forkable`."""
        self._lock = threading.Lock()
        self.tracker.after_fork_in_child()
        if self._budgets is not None:
            self._budgets.after_fork_in_child()
        self.cooldowns.after_fork_in_child()
        self.clients.after_fork_in_child()


runtime = Runtime()


def track_spend(ledger: str | os.PathLike[str] | None = None) -> None:
    """Record what every `maas/` call of this process costs, from now on, whatever happens to `litellm.callbacks`.

    Args:
        ledger: The ledger's file, or `postgresql://…`; `MAAS_LEDGER` or `ledger.db` in the user's data folder by
            default.

    Raises:
        SettingsError: The ledger is an address of something else.
    """
    resolve_location(ledger)
    runtime.tracker.enable(None if ledger is None else os.fspath(ledger))
