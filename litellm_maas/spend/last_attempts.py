"""Which models can be called, as far as the ledger's last attempts tell."""

from __future__ import annotations

import datetime as dt

from litellm_maas.spend.ledger import Ledger, microseconds

LOOK_BACK = dt.timedelta(days=30)
"""What is older says little: keys, plans and catalogues change."""

_CONCLUSIVE = (402, 403, 404)
"""Statuses that stay until somebody mends something; others pass."""


def callable_models(ledger: Ledger, now: dt.datetime) -> dict[str, str]:
    """By model id ``yes``, or ``no: 404``; a model whose attempts tell nothing is left out.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    rows = ledger.query(
        """SELECT model_served, status, http_status, max(seq) AS last FROM events
        WHERE started_at >= ? AND status IN ('ok', 'aborted', 'failed')
        GROUP BY model_served, status, http_status ORDER BY last""",
        (microseconds(now - LOOK_BACK),),
    )
    found = {}
    for model, status, http_status, _ in rows:
        if status == "ok":
            found[model] = "yes"
        elif status == "failed" and http_status in _CONCLUSIVE:
            found[model] = f"no: {http_status}"
    return found
