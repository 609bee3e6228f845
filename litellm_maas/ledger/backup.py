"""Copies of a ledger file: made and put back while programs record in it."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from litellm_maas.errors import DamagedLedgerError, LedgerError
from litellm_maas.ledger.base import to_micros
from litellm_maas.ledger.sqlite import PATIENCE, SqliteLedger, opened_to_read

RESTORED = "ledger restored"
"""What a ledger that was put back notes among the alerts sent: sums in memory are of what was there before."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds."""

    events: int
    micro_credits: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back.

    Attributes:
        now: What the ledger holds now.
        before: What it held until then; None where nothing was there, or nothing that could be read.
        kept: Where that is kept; None where nothing was there.
    """

    now: Copied
    before: Copied | None
    kept: Path | None


def back_up(ledger: Path, to: Path, *, overwrite: bool = False) -> Copied:
    """Copy a ledger, as it is at one moment, into one file, and return what the copy holds.

    Programs may go on recording meanwhile. The copy is checked before it gets its name.

    Raises:
        LedgerError: The ledger cannot be read or is damaged, or the copy cannot be written.
    """
    if to.exists() and not overwrite:
        raise LedgerError(f"{to} already exists", "name another file, or overwrite it with --force")
    if any(to.resolve() == Path(f"{ledger}{suffix}").resolve() for suffix in ("", "-wal", "-shm")):
        raise LedgerError(f"{to} is the ledger itself", "name another file")
    with opened_to_read(ledger) as source, _part_of(to) as part:
        source.copy_to(part)
        copied = _checked(part, ledger)
        _sync(part)
        part.replace(to)
    return copied


def restore(source: Path, ledger: Path) -> Restored:
    """Put a copy in the place of a ledger; what it held until then is kept in a file beside it.

    Programs may go on recording: it is one transaction, so what they record before it is in that file, and what they
    record afterwards in the ledger. Only a ledger that is damaged is moved away first, with its log.

    Raises:
        LedgerError: The copy is no sound ledger, or the ledger cannot be written; then nothing has changed.
    """
    with _part_of(ledger) as part:
        with opened_to_read(source) as copy:
            copy.copy_to(part)
        _checked(part, source)
        SqliteLedger(part).close()  # which brings an older version up to date
        before, kept = _set_aside(ledger)
        with SqliteLedger(ledger) as current:
            with current.write_transaction(PATIENCE):
                pass  # who writes and does not end is an error here, and would be waited for below for ever

            def keep_what_came_since() -> None:
                nonlocal before
                if before is not None and kept is not None:
                    before = back_up(ledger, kept, overwrite=True)

            current.copy_from(part, keep_what_came_since)
            now = dt.datetime.now(dt.timezone.utc)
            with current.write_transaction(PATIENCE) as connection:
                row = (RESTORED, now.isoformat(), to_micros(now))
                connection.execute("INSERT OR REPLACE INTO alerts_sent VALUES (?, ?, ?)", row)
            return Restored(_held(current), before, kept)


def _set_aside(ledger: Path) -> tuple[Copied | None, Path | None]:
    """Keep what is at the place of a ledger."""
    if not ledger.exists() or not ledger.stat().st_size:
        return None, None
    kept = ledger.with_name(f"{ledger.name}.before-{dt.datetime.now(dt.timezone.utc):%Y%m%dT%H%M%S%f}")
    try:
        return back_up(ledger, kept), kept
    except DamagedLedgerError:
        # In this order: nobody opens the file without its log.
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{ledger}{suffix}").rename(f"{kept}{suffix}")
        return None, kept


def _checked(part: Path, original: Path) -> Copied:
    try:
        with SqliteLedger(part, read_only=True, any_version=True) as copy:
            damage, held = copy.integrity_check(), _held(copy)
    except DamagedLedgerError as error:
        damage = [error.message.removeprefix(f"{part}: ")]
    if damage:
        raise DamagedLedgerError(f"{original} is damaged ({damage[0]}), so nothing was copied", "restore an older copy")
    return held


def _held(ledger: SqliteLedger) -> Copied:
    ((events, micro_credits),) = ledger.query("SELECT count(*), coalesce(sum(micro_credits), 0) FROM current_events")
    return Copied(events, micro_credits)


@contextlib.contextmanager
def _part_of(file: Path) -> Iterator[Path]:
    """Make a file beside another one, for its owner alone, that is removed in the end unless it was renamed."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        yield part
    except OSError as error:
        raise LedgerError(
            f"{file}: {error.strerror or error}", "name a file in a folder that you may write to"
        ) from None
    finally:
        for suffix in ("", "-wal", "-shm", "-journal", ".lock"):
            with contextlib.suppress(OSError):
                Path(f"{part}{suffix}").unlink()


def _sync(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())
