"""Tell which models can be called, by the last attempts in the ledger."""

from __future__ import annotations

import datetime as dt
import json

from litellm_maas.ledger.base import Ledger, to_micros

LOOK_BACK = dt.timedelta(days=30)
"""What is older says little: keys, plans and catalogues change."""

_CONCLUSIVE = (402, 403, 404)
"""Statuses that stay until somebody fixes something; others pass."""


def callable_models(ledger: Ledger, now: dt.datetime, *, not_only: str | None = None) -> dict[str, str]:
    """Return ``yes`` or ``no: 404`` by model id; a model whose attempts tell nothing is left out.

    Args:
        ledger: The ledger.
        now: The moment of asking.
        not_only: Models whose every attempt has this tag alone are left out too.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    rows = ledger.query(
        """SELECT model, status, http_status, max(CASE WHEN tags = ? THEN 0 ELSE 1 END), max(seq) AS last
        FROM events
        WHERE started_at >= ? AND status IN ('ok', 'cancelled', 'failed')
        GROUP BY model, status, http_status ORDER BY last""",
        (json.dumps([not_only]), to_micros(now - LOOK_BACK)),
    )
    found, meant = {}, set()
    for model, status, http_status, is_meant, _ in rows:
        if is_meant:
            meant.add(model)
        if status == "ok":
            found[model] = "yes"
        elif status == "failed" and http_status in _CONCLUSIVE:
            found[model] = f"no: {http_status}"
    return {model: answer for model, answer in found.items() if model in meant}
