"""Locate the ledger: a file, or a PostgreSQL database with a file on this machine in front of it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from litellm_maas import settings
from litellm_maas.errors import SettingsError
from litellm_maas.ledger import database_url
from litellm_maas.ledger.database_url import Address


@dataclass(frozen=True, slots=True)
class PostgresLocation:
    """A PostgreSQL database.

    Attributes:
        at: Its address.
    """

    at: Address

    def __str__(self) -> str:
        return self.name

    @property
    def address(self) -> SecretStr:
        """Return its address, password included."""
        return self.at.whole

    @property
    def name(self) -> str:
        """User, host and database, for people to read."""
        return self.at.shown

    @property
    def outbox_path(self) -> Path:
        """Return the ledger file on this machine in which events are committed before they are sent to the database.

        It is the same whoever connects to the database, and with which parameters.
        """
        named = hashlib.sha256(self.at.key.encode()).hexdigest()[:16]
        return settings.data_folder() / f"spool-{named}.db"


def default_ledger() -> Path:
    """Return the path of `ledger.db` in the user's data folder."""
    return settings.data_folder() / "ledger.db"


def resolve_location(ledger: str | os.PathLike[str] | None = None) -> Path | PostgresLocation:
    """Return where a ledger is; that of `MAAS_LEDGER`, or `ledger.db` in the user's data folder, if none is named.

    Raises:
        SettingsError: It is an address of something else, or one that cannot be read.
    """
    named = os.fspath(ledger) if ledger is not None else settings.ledger()
    if named is None:
        return default_ledger()
    if (address := database_url.read(named)) is not None:
        return PostgresLocation(address)
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise SettingsError(
            "the path of the ledger begins with ~, but this user has no home folder", "write the whole path"
        ) from None


def as_typed(ledger: str | None) -> str | None:
    """Return what to type to name a ledger again: a database's address without what is secret.

    Raises:
        SettingsError: It is an address of something else, or one that cannot be read.
    """
    where = None if ledger is None else resolve_location(ledger)
    return f"postgresql://{where}" if isinstance(where, PostgresLocation) else ledger
