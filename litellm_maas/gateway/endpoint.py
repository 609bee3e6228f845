"""Resolve where the gateway is, and the key for it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pydantic import SecretStr

from litellm_maas import settings
from litellm_maas.errors import SettingsError
from litellm_maas.pricing.cost import BillingMode

_OPERATIONS = re.compile(
    r"/(chat/completions|completions|embeddings|images/generations|models|responses|messages|rerank)$"
)
_DOUBLED_VERSION = re.compile(r"(/v1){2,}$")
_VERSION = re.compile(r"/v\d+$")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base URL, checked and made right.

    Attributes:
        base_url: Such as ``https://host/v1``: with its version, without a trailing slash.
        billing_mode: The pay-as-you-go host, the Token Plan host, or another (a sandbox, a private gateway).
    """

    base_url: str
    billing_mode: BillingMode

    @property
    def is_loopback(self) -> bool:
        """Return whether the URL leads to this machine."""
        return _is_loopback(urlsplit(self.base_url).hostname or "")


def resolve_key(given: str | None) -> SecretStr | None:
    """Return the key of a call: its own, else `MAAS_API_KEY`.

    Raises:
        SettingsError: The key holds characters that no key has, as happens when more than the key was pasted. The
            message does not repeat it.
    """
    key = SecretStr(given.strip()) if given and given.strip() else settings.api_key()
    if key is not None and not re.fullmatch(r"[\x21-\x7e]+", key.get_secret_value()):
        raise SettingsError(
            "the API key contains a space, a line break or a character outside ASCII",
            "copy the key alone (it looks like vn-…) and set it again",
        )
    return key


def resolve_endpoint(given: str | None) -> Endpoint:
    """Return the base URL of a call: its own, else `MAAS_API_BASE`, else the pay-as-you-go host.

    Raises:
        SettingsError: The URL cannot be used safely. The message says what to write instead.
    """
    return parse_base_url(given.strip() if given and given.strip() else settings.api_base())


@lru_cache(maxsize=256)
def parse_base_url(text: str) -> Endpoint:
    """Check a base URL and make it right where that is safe.

    A missing ``/v1``, a doubled one, a trailing slash and a pasted operation such as ``/chat/completions`` are fixed.

    Raises:
        SettingsError: No scheme, another scheme than https (http is for this machine only), credentials, a query.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise SettingsError(f"the base URL {_shown(text)!r} is not a URL ({error})", _EXAMPLE) from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingsError(f"the base URL {_shown(text)!r} does not start with https://", _EXAMPLE)
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            f"the base URL for host {host!r} contains a user name or password",
            "remove it and pass the key as api_key= or MAAS_API_KEY",
        )
    if not host:
        raise SettingsError(f"the base URL {_shown(text)!r} names no host", _EXAMPLE)
    if parts.query or parts.fragment:
        raise SettingsError(f"the base URL for host {host!r} contains a query or a fragment", "end it at /v1")
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingsError(
            f"the base URL for host {host!r} is plain http, which would send your key in clear text", "write https://"
        )
    path = _OPERATIONS.sub("", parts.path.rstrip("/"))
    path = _DOUBLED_VERSION.sub("/v1", path)
    if not _VERSION.search(path):
        path += "/v1"
    name = f"[{host}]" if ":" in host else host
    base_url = urlunsplit(SplitResult(parts.scheme, name if port is None else f"{name}:{port}", path, "", ""))
    return Endpoint(base_url, _billing_mode(host))


_EXAMPLE = f"write it like {settings.PAYG_BASE_URL}"


def _billing_mode(host: str) -> BillingMode:
    if host == urlsplit(settings.PAYG_BASE_URL).hostname:
        return "payg"
    return "plan" if host == urlsplit(settings.PLAN_BASE_URL).hostname else "other"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(text: str) -> str:
    # A key pasted into the URL variable, or a URL with credentials, must not come back in an error.
    looks_like_address = "." in text or "/" in text or text.startswith("localhost")
    looks_like_key = re.match(r"(vn|sk)-|eyJ", text) or len(text) > 100 or "@" in text
    return text if looks_like_address and not looks_like_key else "…"
