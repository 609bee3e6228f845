"""Addresses of PostgreSQL databases, taken apart as libpq does it, and shown without anything that is secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from pydantic import SecretStr

from litellm_maas.errors import SettingsError

_SCHEME = re.compile(r"postgres(?:ql)?://", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:(?P<user>[^:@/]*)(?::(?P<password>[^@/]*))?@)?(?P<hosts>[^/?]*)(?P<tail>.*)", re.DOTALL)
"""As libpq cuts a URI: user and password end at the first ``@``, if that is before the first ``/``."""
_HOSTS = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[\w.%-]*)(:\d*)?(,(\[[0-9a-fA-F:.%]+\]|[\w.%-]*)(:\d*)?)*", re.ASCII)
_UNREADABLE = re.compile(r"%(?![0-9a-fA-F]{2})|[^\S ]")
_KEYWORDS = re.compile(
    r"(?:^|\s)(?:host|hostaddr|port|dbname|user|password|passfile|service|sslmode|options|connect_timeout)\s*=",
    re.IGNORECASE,
)
_OTHER_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)(?:://|(?<=postgres):|(?<=postgresql):|(?<=jdbc):)", re.ASCII)
_WRITE = "write postgresql://user:password@host/database"


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a database.

    Attributes:
        whole: The address as libpq takes it, password included.
        shown: User, host and database, and the port where one is named: for people to read.
        key: What tells the database from another one, whoever connects to it and how: host, port and name.
        secrets: What must not be shown, as it is written and as it is meant.
        parameters: The names of what follows the question mark.
    """

    whole: SecretStr
    shown: str
    key: str
    secrets: tuple[SecretStr, ...]
    parameters: frozenset[str]

    def without_secrets(self, text: str) -> str:
        """Return a text of somebody else's, such as libpq, without what must not be shown."""
        for secret in self.secrets:
            text = text.replace(secret.get_secret_value(), "…")
        return text


def read(named: str) -> Address | None:
    """Return the address that a setting holds; None where it is no address but the path of a file.

    Raises:
        SettingsError: It is an address that cannot be read. The message does not repeat it.
    """
    if (found := _SCHEME.match(named)) is not None:
        return _read(named[found.end() :])
    if _KEYWORDS.search(named):
        raise SettingsError("name a ledger in PostgreSQL by a URL, not by keywords such as host=", _WRITE)
    if (other := _OTHER_SCHEME.match(named)) is not None:
        raise SettingsError(
            f"a ledger cannot be kept at {other.group()}…", "set MAAS_LEDGER to the path of a file or to postgresql://…"
        )
    if "://" in named:
        raise SettingsError("the ledger's URL has something before its scheme, such as a quote", _WRITE)
    return None


def _read(after_scheme: str) -> Address:
    parts = _AUTHORITY.fullmatch(after_scheme)
    if parts is None:  # it matches everything
        raise SettingsError("the address of the ledger's database is incomplete", _WRITE)
    path, _, query = parts["tail"].partition("?")
    parameters = dict(_parameter(each) for each in query.split("&") if each)
    database = path.removeprefix("/")
    is_cut_short = parts["user"] is None and "@" in parts["tail"]  # by a slash in the password, for instance
    if is_cut_short or "@" in database or _UNREADABLE.search(after_scheme) or not _HOSTS.fullmatch(parts["hosts"]):
        raise SettingsError(
            "the address of the ledger's database cannot be read", "in the password, write % / @ as %25 %2F %40"
        )
    user = parameters.get("user") or unquote(parts["user"] or "")
    hosts = parts["hosts"] or parameters.get("host") or parameters.get("hostaddr") or "localhost"
    port = parameters.get("port")
    database = unquote(parameters.get("dbname") or database) or user
    secrets = (parts["password"], *(value for name, value in _raw(query) if "password" in name))
    host = f"{unquote(hosts)}:{port}" if port else unquote(hosts)
    return Address(
        SecretStr(f"postgresql://{after_scheme.replace(' ', '%20')}"),  # libpq refuses the space itself since 17.5
        f"{user}@{host}/{database}" if user else f"{host}/{database}",
        f"{_with_ports(host)}/{database}",
        tuple(map(SecretStr, sorted(_written_and_meant(secrets), key=len, reverse=True))),
        frozenset(parameters),
    )


def _parameter(written: str) -> tuple[str, str]:
    name, _, value = written.partition("=")
    return unquote(name), unquote(value)


def _raw(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (each.partition("=") for each in query.split("&"))]


def _written_and_meant(secrets: tuple[str | None, ...]) -> set[str]:
    return {text for secret in secrets if secret for text in (secret, secret.replace(" ", "%20"), unquote(secret))}


def _with_ports(hosts: str) -> str:
    """Hosts with the port that holds where none is written."""
    return ",".join(host if re.search(r":\d+$", host) else f"{host.rstrip(':')}:5432" for host in hosts.split(","))
