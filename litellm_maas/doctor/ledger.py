"""Check the ledger, the outbox beside it, and the rate limit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from litellm_maas import folders, settings
from litellm_maas.balance import readings
from litellm_maas.doctor.check import Check, failed, from_error, passed, warned
from litellm_maas.errors import LedgerBusyError, LedgerError, RateLimitStoreError, SettingsError
from litellm_maas.gateway.endpoint import Endpoint
from litellm_maas.ledger import access
from litellm_maas.ledger.location import PostgresLocation, default_ledger, resolve_location
from litellm_maas.ledger.postgres import PostgresLedger
from litellm_maas.ledger.sqlite import SqliteLedger, opened_to_read
from litellm_maas.resilience.rate_limiter import shared_stores

_CHOOSE_A_HOME = "set MAAS_HOME to a folder that stays"
_LARGE = 256 * 1024 * 1024
"""Bytes from which on reading all of a ledger takes too long for a person who waits."""


def ledger() -> Iterator[Check]:
    """Check whether spend can be recorded, and what is queued."""
    try:
        where = resolve_location()
    except SettingsError as error:
        yield from_error("ledger", error)
        return
    checks = (
        [_database(where), _file(where.outbox_path, "spool")]
        if isinstance(where, PostgresLocation)
        else [_file(where, "ledger")]
    )
    yield from checks
    if all(check.status != "error" for check in checks):
        yield from _waiting(where)


def _database(database: PostgresLocation) -> Check:
    try:
        with PostgresLedger(database) as found:
            number = found.last_seq()
    except LedgerError as error:
        return from_error("ledger", error)
    return passed("ledger", f"{database}, {number:,} events")


def _file(path: Path, name: str) -> Check:
    try:
        if not path.exists() or not path.stat().st_size:
            return _to_be_made(path, name)
        opened_to_read(path).close()  # opened to be written to, one whose log is missing would become a new one
        with SqliteLedger(path) as found:
            _try_to_write(found)
            size, number = path.stat().st_size, found.last_seq()
            damage = found.integrity_check() if size < _LARGE else []
        mode = path.stat().st_mode & 0o777
    except LedgerError as error:
        return from_error(name, error)
    except OSError as error:
        return failed(name, f"{path}: {error.strerror}", "set MAAS_LEDGER to a file in a folder that you may write to")
    if damage:
        return failed(name, f"{path} is damaged: {damage[0]}", f"mv {path} {path}.damaged; a new one is made by itself")
    what = f"{path}, {number:,} events, {size / 1024 / 1024:,.1f} MiB, mode {mode:o}"
    if mode & 0o077 and os.name == "posix":
        return warned(name, f"{what}: others can read who spent what", f"chmod 600 {path}")
    if _is_temporary(path):
        return warned(name, f"{what}: in the temporary folder, which may be emptied at any time", _CHOOSE_A_HOME)
    if size >= _LARGE:
        what += "; too large to check for damage here: litellm-maas spend verify"
    return passed(name, what)


def _to_be_made(path: Path, name: str) -> Check:
    """Check whether the ledger can be made when there is something to record. Makes nothing."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return failed(
            name,
            f"{path} cannot be made: {folder} is not a writable folder",
            f"export MAAS_LEDGER={default_ledger()}",
        )
    if _is_temporary(path):
        what = f"{path} will be created by the first recorded call: in the temporary folder, which may be emptied"
        return warned(name, what, _CHOOSE_A_HOME)
    return passed(name, f"{path} will be created by the first recorded call")


def _is_temporary(path: Path) -> bool:
    """Return whether a ledger is in the temporary folder because there is no home."""
    temporary = folders.temporary_folder(make=False)
    return temporary is not None and path.parent == temporary


def _try_to_write(found: SqliteLedger) -> None:
    """Begin to write, and leave it.

    Raises:
        LedgerError: It cannot be written, or another program writes for longer than it should.
    """
    try:
        readings.write(found, "DELETE FROM alerts_sent WHERE about = ?", ("",))
    except LedgerBusyError:
        raise LedgerError(
            f"{found.path} is locked by another program for seconds", f"end that program: fuser -v {found.path}"
        ) from None


def _waiting(where: Path | PostgresLocation) -> Iterator[Check]:
    waiting = access.flush(where)
    beside = where.outbox_path if isinstance(where, PostgresLocation) else where
    if waiting.problem is not None:
        what = f"{waiting.events} events wait beside the ledger: {waiting.problem}"
        yield failed("outbox", what, "litellm-maas spend")
    elif waiting.events:
        files = ", ".join(str(each) for each in access.pending_files(where)) or f"{beside}.outbox"
        yield failed("outbox", f"{waiting.events} outbox files are unreadable: {files}", f"rm {files}")
    for remark in waiting.remarks:
        yield failed("outbox", remark.message, remark.command)
    if waiting == access.PendingEvents():
        yield passed("outbox", "nothing is queued")


def rate_limit(endpoint: Endpoint | None) -> Check:
    """Check whether there is a rate limit, and whether requests are blocked now."""
    try:
        limit = settings.rate_limit()
    except SettingsError as error:
        return from_error("rate limit", error)
    if limit is None:
        return passed("rate limit", "off; the account's default limit is 10 requests a minute (MAAS_RPM=10 keeps it)")
    name = urlsplit(endpoint.base_url).netloc if endpoint is not None else ""
    store = next(shared_stores(limit))
    try:
        blocked = store.blocked_for(name)
    except (RateLimitStoreError, sqlite3.Error) as error:
        where = (
            "check MAAS_REDIS_URL and that Redis runs" if limit.redis else f"rm {settings.data_folder()}/rate_limit.db"
        )
        return failed("rate limit", f"the rate-limit store cannot be used: {error}", where)
    if blocked > 0:
        return warned("rate limit", f"blocked for {blocked:.0f} s: the gateway asked for that", f"wait {blocked:.0f} s")
    where = "Redis" if limit.redis else "this machine"
    return passed("rate limit", f"{limit.requests} requests in {limit.seconds:g} s, shared by {where}")
