"""Where the ledger is: a file, or a PostgreSQL database with a file on this machine in front of it."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from litellm_maas import settings
from litellm_maas.errors import SettingsError

_POSTGRES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL database.

    Attributes:
        address: Its address, password included.
        name: Its address without the password, for people to read.
    """

    address: SecretStr
    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def spool(self) -> Path:
        """The ledger file on this machine in which events are committed before they are sent to the database."""
        named = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        return settings.data_folder() / f"spool-{named}.db"


def default_ledger() -> Path:
    """`ledger.db` in the user's data folder."""
    return settings.data_folder() / "ledger.db"


def place(ledger: str | os.PathLike[str] | None = None) -> Path | Database:
    """Where a ledger is; that of `MAAS_LEDGER`, or `ledger.db` in the user's data folder, if none is named.

    Raises:
        SettingsError: It is an address of something else.
    """
    named = os.fspath(ledger) if ledger is not None else settings.ledger()
    if named is None:
        return default_ledger()
    if named.startswith(_POSTGRES):
        return Database(SecretStr(named), _without_password(named))
    if scheme := re.match(r"[a-z][a-z0-9+.-]+://", named):
        raise SettingsError(
            f"a ledger cannot be kept at {scheme.group()}…; set MAAS_LEDGER to the path of a file or to postgresql://…"
        )
    return Path(named).expanduser()


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    query = "&".join(part for part in parts.query.split("&") if not part.startswith("password="))
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}", query=query))
