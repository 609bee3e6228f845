"""What the vendor's console showed, as people note it: readings of the balance, and top-ups.

There is no public way to ask for either (vendor documentation, read 2026-10). The notes are in the ledger's file; with
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
    """One note.

    Attributes:
        id: What it is called when it is to be removed.
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
    """All notes, in the order of their times; of two of one moment the one made later comes later.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    rows = ledger.query("SELECT seq, kind, at, micro_credits, host FROM console ORDER BY at, seq")
    return [BalanceEntry(number, kind, from_micros(at), amount, host) for number, kind, at, amount, host in rows]


def add_entry(ledger: SqliteLedger, kind: EntryKind, at: dt.datetime, micro_credits: int, host: str = "") -> int:
    """Make a note, for one host or for all together; return its number.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    now = to_micros(dt.datetime.now(dt.timezone.utc))
    row = (kind, to_micros(at), micro_credits, now, host)
    return write(ledger, "INSERT INTO console (kind, at, micro_credits, noted_at, host) VALUES (?, ?, ?, ?, ?)", row)[0]


def remove(ledger: SqliteLedger, number: int) -> None:
    """Remove a note.

    Raises:
        SettingsError: There is no note of that number.
        LedgerError: The ledger cannot be written.
    """
    if not write(ledger, "DELETE FROM console WHERE seq = ?", (number,))[1]:
        raise SettingsError(f"there is no note {number}", "`litellm-maas credits list` shows their numbers")


def write(ledger: SqliteLedger, sql: str, row: tuple[object, ...]) -> tuple[int, int]:
    """Run a statement, after waiting for other writers; the number of the last row added, and how many changed.

    Raises:
        LedgerBusyError: Another writer took longer than five seconds.
        LedgerError: The ledger cannot be written.
    """
    with ledger.write_transaction(PATIENCE) as connection:
        done = connection.execute(sql, row)
        return done.lastrowid or 0, done.rowcount
