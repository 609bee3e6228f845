"""Track spend: whether this process records it, where to, and by which prices."""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from litellm_maas import settings
from litellm_maas.errors import ConfigFileError, LedgerError, SettingsError
from litellm_maas.ledger.location import PostgresLocation, default_ledger, resolve_location
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.pricing import price_book
from litellm_maas.pricing.cost import Cost
from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.tracking import current_prices
from litellm_maas.tracking.event_builder import AttemptCounter
from litellm_maas.yaml_file import Watched

if TYPE_CHECKING:
    from litellm_maas.ledger.forwarder import Forwarder

logger = logging.getLogger("litellm_maas")

_REMEMBERED_COSTS = 10_000


class SpendCallback:
    """What a callback of LiteLLM's is that switches recording on, by being registered."""


class SpendTracker:
    """Track the spend of this process.

    Attributes:
        attempts: Numbers the attempts of calls without a router.
    """

    def __init__(self) -> None:
        # Reentrant: garbage collection may close an abandoned stream, which is recorded then, in the midst of anything.
        self._lock = threading.RLock()
        self._enabled = False
        self._ledger: str | None = None
        self._recorders: dict[str | None, Recorder] = {}
        self._forwarders: list[Forwarder] = []
        self._own_prices = Watched(
            lambda file: price_book.with_overrides(file, current_prices.dollar_price), _say_prices_stay
        )
        self._unreadable: str | None = None
        self._costs: OrderedDict[str, Cost] = OrderedDict()
        self.attempts = AttemptCounter()

    def enable(self, ledger: str | None) -> None:
        """Record from now on, into `ledger` or where the environment says."""
        self._enabled = True
        self._ledger = ledger

    def disable(self) -> None:
        """Record no more, unless the environment or a callback says so, and forget costs and complaints."""
        self._enabled = False
        self._ledger = self._unreadable = None
        self._costs.clear()

    @property
    def ledger(self) -> str | None:
        """Return the ledger that `track_spend` or the environment names; None for the default one."""
        return self._ledger or settings.ledger()

    @property
    def enabled(self) -> bool:
        """Return whether spend is recorded: by `track_spend`, by `MAAS_TRACK_SPEND`, or by a registered callback."""
        return self._enabled or settings.track_spend() or self._is_registered()

    def _is_registered(self) -> bool:
        if "litellm" not in sys.modules:
            return False
        # Not with the module, which loads no LiteLLM.
        from litellm_maas import _litellm_compat  # noqa: PLC0415

        return _litellm_compat.has_callback(SpendCallback)

    def recorder(self) -> Recorder:
        """Return the recorder of the current ledger."""
        named = self.ledger
        if (found := self._recorders.get(named)) is None:
            with self._lock:
                found = self._recorders.get(named) or self._make_recorder(named)
                self._recorders[named] = found
        return found

    def _make_recorder(self, named: str | None) -> Recorder:
        try:
            where = resolve_location(named)
        except SettingsError as error:
            where = default_ledger()
            logger.warning("%s. Spend is recorded in %s until then.", error, where)
        # Not with the package, because few programs need it and it takes a third of its import; and not in the
        # recorder's own thread either: a fork in the midst of an import leaves the child waiting for it forever.
        from litellm_maas.balance import low_balance  # noqa: PLC0415

        watch = functools.partial(low_balance.warn, where)
        if isinstance(where, Path):
            return Recorder(where, _synchronous(), on_tick=watch)
        from litellm_maas.ledger.forwarder import Forwarder  # noqa: PLC0415 - the same

        _prepare(where)
        forwarder = Forwarder(where)
        self._forwarders.append(forwarder)
        return Recorder(where.outbox_path, _synchronous(), forwarder.wake, watch)

    def price_book(self) -> PriceBook | None:
        """Return the current prices: while the user's own file has a mistake, those that it held before.

        None where it has one from the beginning, because then nobody knows them.
        """
        own = settings.prices()
        if own is None:
            return price_book.official_prices()
        try:
            return self._own_prices.get(own)
        except ConfigFileError as error:
            if self._unreadable != str(error):
                self._unreadable = str(error)
                logger.warning("MAAS_PRICES: %s. Calls are recorded without a price until it is fixed.", error)
            return None

    @property
    def price_error(self) -> ConfigFileError | None:
        """Return what is wrong with the user's own price file; None where nothing is, or where there is none."""
        return None if settings.prices() is None else self._own_prices.error

    def cache_cost(self, response_id: str, cost: Cost) -> None:
        """Keep what a reply cost, for `cost_of`."""
        with self._lock:
            self._costs[response_id] = cost
            while len(self._costs) > _REMEMBERED_COSTS:
                self._costs.popitem(last=False)

    def cached_cost(self, response_id: object) -> Cost | None:
        """Return what a reply cost."""
        return self._costs.get(response_id) if isinstance(response_id, str) else None

    def close(self) -> None:
        """Write what waits and close the ledgers."""
        with self._lock:
            recorders, self._recorders = self._recorders, {}
            forwarders, self._forwarders = self._forwarders, []
        for recorder in recorders.values():
            recorder.close()
        for forwarder in forwarders:
            forwarder.close()

    def after_fork_in_child(self) -> None:
        """Reset recorders and forwarders in the child of a fork."""
        self.attempts.after_fork_in_child()
        self._lock = threading.RLock()
        for recorder in self._recorders.values():
            recorder.after_fork()
        for forwarder in self._forwarders:
            forwarder.after_fork()


def _with_overrides(file: Path) -> PriceBook:
    return price_book.with_overrides(file, current_prices.dollar_price)


def _say_prices_stay(mistake: ConfigFileError) -> None:
    logger.warning("MAAS_PRICES: %s. Keeping the prices that it held before until it is fixed.", mistake)


def _prepare(database: PostgresLocation) -> None:
    """Copy the budgets of the former spool into a new one."""
    from litellm_maas.ledger import spools  # noqa: PLC0415 - only with a database

    try:
        spools.ready(database)
    except LedgerError as error:
        logger.debug("the spool is made with the first event: %s", error)


def _synchronous() -> settings.Synchronous:
    try:
        return settings.ledger_synchronous()
    except SettingsError as error:
        logger.warning("%s", error)
        return "normal"
