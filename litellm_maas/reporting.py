"""Report what one session has spent, to the program that it runs in."""

from __future__ import annotations

from litellm_maas.ledger.reports import Total
from litellm_maas.ledger.schema import MEASURES, SUM_OF_EVENT
from litellm_maas.ledger.sqlite import opened_to_read
from litellm_maas.runtime import runtime


def session_spend(session_id: str) -> Total:
    """Return what the calls of a session have cost so far, whichever process of this machine has made them.

    A call belongs to the session that it names: `metadata={"session_id": …}`. `track_spend` has recorded it before it
    returned. Each attempt counts as a call, failed ones too. Where the ledger is a PostgreSQL database, this is what
    this machine has recorded for it. Every event of the ledger is looked at.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    total = Total()
    path = runtime.tracker.recorder().path
    if not path.exists() or not path.stat().st_size:  # the file is made before the ledger in it
        return total
    sums = ", ".join(f"sum({SUM_OF_EVENT[name].format(row='')})" for name in MEASURES)
    with opened_to_read(path) as ledger:
        sql = f"SELECT basis, {sums} FROM current_events WHERE session_id = ? GROUP BY basis"  # noqa: S608 - names of columns alone
        for basis, *added in ledger.query(sql, (session_id,)):
            total.add(basis, [int(value) for value in added])
    return total
