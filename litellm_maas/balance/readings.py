"""Keep what the vendor's console showed, as people record it: readings of the balance, and top-ups.

There is no public way to ask for either (vendor documentation, read 2026-10). Entries are in the ledger's file; with
a ledger in PostgreSQL they are in the file in front of it, on the machine where they were made.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from litellm_maas.errors import SettingsError
from litellm_maas.ledger.base import Ledger, from_micros, to_micros
from litellm_maas.ledger.sqlite import PATIENCE, SqliteLedger

EntryKind = Literal["reading", "topup"]


@dataclass(frozen=True, slots=True)
class BalanceEntry:
    """Record one reading or top-up.

    Attributes:
        id: Names it to `litellm-maas credits remove`.
        kind: A reading of the balance, or a top-up.
        at: When the console showed it, or when the top-up was made (UTC).
        micro_credits: The balance, or what was added.
        host: The host whose account it is; empty for all hosts together.
    """

    id: int
    kind: EntryKind
    at: dt.datetime
    micro_credits: int
    host: str = ""


def entries(ledger: Ledger) -> list[BalanceEntry]:
    """Return all entries by their times; of two of one moment the one made later comes later.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    rows = ledger.query("SELECT seq, kind, at, micro_credits, host FROM balance_readings ORDER BY at, seq")
    return [BalanceEntry(number, kind, from_micros(at), amount, host) for number, kind, at, amount, host in rows]


def add_entry(ledger: SqliteLedger, kind: EntryKind, at: dt.datetime, micro_credits: int, host: str = "") -> int:
    """Add an entry, for one host or for all together, and return its id.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    now = to_micros(dt.datetime.now(dt.timezone.utc))
    row = (kind, to_micros(at), micro_credits, now, host)
    return write(
        ledger, "INSERT INTO balance_readings (kind, at, micro_credits, noted_at, host) VALUES (?, ?, ?, ?, ?)", row
    )[0]


def remove(ledger: SqliteLedger, number: int) -> None:
    """Remove an entry.

    Raises:
        SettingsError: There is no entry of that id.
        LedgerError: The ledger cannot be written.
    """
    if not write(ledger, "DELETE FROM balance_readings WHERE seq = ?", (number,))[1]:
        raise SettingsError(f"there is no entry {number}", "`litellm-maas credits list` shows their ids")


def write(ledger: SqliteLedger, sql: str, row: tuple[object, ...]) -> tuple[int, int]:
    """Run a statement, after waiting for other writers; return the id of the last row added and the rows changed.

    Raises:
        LedgerBusyError: Another writer took longer than five seconds.
        LedgerError: The ledger cannot be written.
    """
    with ledger.write_transaction(PATIENCE) as connection:
        done = connection.execute(sql, row)
        return done.lastrowid or 0, done.rowcount
