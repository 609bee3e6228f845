"""Find names in budgets that no call has: a budget that never matches blocks nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from litellm_maas.budgets.budget import Budget
from litellm_maas.cli import tables
from litellm_maas.ledger import reports
from litellm_maas.ledger.base import Ledger
from litellm_maas.ledger.periods import Period

_MOST = 10
"""Names that are listed."""
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "tag": ("tag",),
    "user": ("user",),
    "end_user": ("end_user",),
    "team": ("team", "team_id"),
    "key": ("key",),
    "host": ("host",),
}
"""By filter, the groups of a report that it is found in."""


def unknown(ledger: Ledger, budget: Budget) -> Iterator[str]:
    """Yield a hint for each name that no call in the ledger has, if it has calls at all.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    if not ledger.last_seq():
        return
    for name, groups in _GROUPS.items():
        wanted = getattr(budget, name)
        if wanted is not None and wanted not in (known := _known(ledger, groups)):
            what = name.replace("_", " ")
            there_are = f"there are: {', '.join(map(tables.named, known[:_MOST]))}" + ", …" * (len(known) > _MOST)
            others = f"; {there_are}" if known else ", nor of any other"
            yield f"no call of {what} {tables.named(wanted)} is recorded{others}."


def _known(ledger: Ledger, groups: tuple[str, ...]) -> list[str]:
    found = (reports.report(ledger, Period(None, None), dt.timezone.utc, (group,)).groups for group in groups)
    return sorted({str(value) for each in found for (value,) in each if value})
