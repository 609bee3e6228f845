"""What a cassette may hold: the filter that every recorded exchange passes before it is written.

A cassette shows what was said, never with which key, to which host or on whose machine. Headers are kept by name and
all others dropped, because nobody can list the headers that a gateway may add. Bodies and URLs are kept without
whatever looks like a key, a host or a file; the key, the host and the cookies of the exchange itself go even where
they look like nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, MutableMapping
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

PLACEHOLDER_HOST = "maas.example"
PLACEHOLDER_BASE = f"https://{PLACEHOLDER_HOST}/v1"
REDACTED = "REDACTED"

REQUEST_HEADERS = frozenset({"accept", "content-type"})
RESPONSE_HEADERS = frozenset(
    {
        "content-type",
        "location",
        "ratelimit-reset",
        "retry-after",
        "x-ratelimit-limit-minute",
        "x-ratelimit-remaining-minute",
    }
)

_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key"})
# Shorter ones occur in ordinary text, and replacing them there would garble the recording.
_SHORTEST_SECRET = 6

_NAME = (
    r"(?:x-)?api[_-]?key|key|authorization|(?:access|auth|refresh|id|session)[_-]?token|"
    r"(?:client[_-]?)?secret|password|signature|(?:set-)?cookie"
)
_URL = re.compile(
    r"""https?:(?:\\?/){2}[^\s/?#"'<>\\]+((?:\\/|[^\s?#"'<>\\])*)(?:[?#](?:\\/|[^\s"'<>\\])*)?""", re.IGNORECASE
)
_SCHEME = re.compile(r"""\b(Bearer|Basic)\s+[^\s"'<>\\,;]+""", re.IGNORECASE)
# The quotes may be escaped: an upstream's error can arrive as JSON inside a JSON string.
_JSON_FIELD = re.compile(rf'((?P<quote>\\*")(?:{_NAME})(?P=quote)\s*:\s*(?P=quote)).*?(?<!\\)(?P=quote)', re.IGNORECASE)
_FORM_FIELD = re.compile(rf"""(?<![\w-])({_NAME})=[^\s&;,"'<>\\]+""", re.IGNORECASE)
_KEY = re.compile(r"(?<![\w-])(?:(?:vn|sk)-[\w*.-]{4,}|eyJ[\w-]{8,}(?:\.[\w-]+)*)")
_HOST = re.compile(
    r"(?<![\w.])(?:\d{1,3}(?:\.\d{1,3}){3}|localhost|\[[\da-f]*(?::[\da-f]*){2,}\]|"
    r"(?:[\w-]+\.)+(?:vngcloud\.vn|greennode\.ai))(?::\d+)?(?!\w)",
    re.IGNORECASE,
)
_FILE = re.compile(
    r"""(?<![\w.:/])/(?:data|home|mnt|opt|private|root|srv|tmp|usr|var|work|Users)/[^\s"'<>,;)\\]+|"""
    r"""(?<!\w)[A-Z]:(?:\\{2}[\w. -]+)+"""
)


class RecordedRequest(Protocol):
    """What vcrpy calls a request."""

    uri: str
    headers: MutableMapping[str, str]
    body: bytes | None


def scrub(request: RecordedRequest, response: dict[str, Any]) -> tuple[RecordedRequest, dict[str, Any]]:
    """The exchange as it may be written; for vcrpy's `before_save_interaction`, which hands over copies.

    Raises:
        UnicodeDecodeError: A body is not text, so nobody can tell what it holds.
    """
    secrets, hosts = _secrets(request, response), _hosts(request)

    def clean(text: str) -> str:
        return scrub_text(text, secrets, hosts)

    def clean_body(body: bytes | None) -> bytes | None:
        return clean(body.decode()).encode() if body else body

    request.uri = clean(request.uri)
    request.body = clean_body(request.body)
    request.headers = {name: clean(value) for name, value in request.headers.items() if name.lower() in REQUEST_HEADERS}
    response["body"]["string"] = clean_body(response["body"]["string"])
    response["headers"] = {
        name: [clean(value) for value in values]
        for name, values in response["headers"].items()
        if name.lower() in RESPONSE_HEADERS
    }
    return request, response


def scrub_text(text: str, secrets: Iterable[str] = (), hosts: Iterable[str] = ()) -> str:
    """A body, a header's value or a URL without keys, hosts and files.

    Args:
        text: The text.
        secrets: What must go although it may look like nothing.
        hosts: The same for hosts, with or without a port.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    for host in sorted(hosts, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(host)}(?![\w-])", PLACEHOLDER_HOST, text)
    text = _URL.sub(rf"https://{PLACEHOLDER_HOST}\g<1>", text)
    text = _SCHEME.sub(rf"\g<1> {REDACTED}", text)
    text = _JSON_FIELD.sub(rf"\g<1>{REDACTED}\g<quote>", text)
    text = _FORM_FIELD.sub(rf"\g<1>={REDACTED}", text)
    text = _KEY.sub(REDACTED, text)
    text = _HOST.sub(PLACEHOLDER_HOST, text)
    return _FILE.sub(REDACTED, text)


def _secrets(request: RecordedRequest, response: dict[str, Any]) -> Collection[str]:
    parts = urlsplit(request.uri)
    found = {parts.username or "", parts.password or ""}
    for name, value in request.headers.items():
        if name.lower() in _CREDENTIAL_HEADERS:
            found.add(value.rpartition(" ")[2])
        elif name.lower() == "cookie":
            found |= {pair.partition("=")[2] for pair in value.split(";")}
    for name, values in response["headers"].items():
        if name.lower() == "set-cookie":
            found |= {value.partition(";")[0].partition("=")[2] for value in values}
    # As they stand in a header, in a URL and in JSON.
    return {
        form
        for secret in found
        if len(secret) >= _SHORTEST_SECRET
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])
    }


def _hosts(request: RecordedRequest) -> Collection[str]:
    parts = urlsplit(request.uri)
    return {host for host in (parts.netloc.rpartition("@")[2], parts.hostname) if host}
