"""Check the connection step by step: name, TLS, reply, key, clock. The key goes to the base URL only."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import socket
import ssl
import time
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from litellm_maas import settings
from litellm_maas.doctor.check import Check, failed, passed, skipped, warned
from litellm_maas.gateway import error_response
from litellm_maas.gateway.endpoint import Endpoint
from litellm_maas.gateway.errors import Failure
from litellm_maas.gateway.request import GatewayRequest, Timeouts

_SLOW = 2.0
"""Seconds that a list of models may take."""
_CLOCK_SHOWS, _CLOCK_WRONG = 30.0, 300.0
"""Seconds. From the one on it is worth a look, from the other on (a collection cycle) times in the ledger mislead."""


@dataclass
class ConnectionReport:
    """Report what was found on the way to the gateway.

    Attributes:
        listed: The models that the key can see; None where the list did not come.
    """

    checks: list[Check] = field(default_factory=list)
    listed: tuple[str, ...] | None = None


def check_connection(endpoint: Endpoint, key: SecretStr | None, timeout: float) -> ConnectionReport:
    """Go the way, as far as it leads.

    Args:
        endpoint: Where to.
        key: The key; without one the last steps are not checked.
        timeout: Seconds for each step.
    """
    way, steps = ConnectionReport(), ["dns", "tls", "gateway", "key accepted", "clock"]
    parts = urlsplit(endpoint.base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if (proxy := _proxy(endpoint, host)) is not None:
        way.checks += [passed("dns", f"left to the proxy {proxy}"), passed("tls", f"through the proxy {proxy}")]
    else:
        way.checks.append(_dns(host, port, timeout))
        if way.checks[-1].status != "error":
            way.checks.append(_tls(parts.scheme, host, port, timeout))
    if way.checks[-1].status != "error":
        _ask(way, endpoint, key, timeout)
    broken = next((check.name for check in way.checks if check.status == "error"), "the base url")
    found = {check.name for check in way.checks}
    way.checks += [skipped(step, broken) for step in steps if step not in found]
    return way


def _proxy(endpoint: Endpoint, host: str) -> str | None:
    if endpoint.is_loopback or urllib.request.proxy_bypass(host):
        return None
    address = urllib.request.getproxies().get("https") or urllib.request.getproxies().get("all")
    # It may carry a password.
    return None if not address else urlsplit(address).hostname or "of the environment"


def _dns(host: str, port: int, timeout: float) -> Check:
    began = time.perf_counter()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        spelling = "check the spelling in MAAS_API_BASE (unset it for the vendor's own host), and "
        is_default = settings.api_base() == settings.PAYG_BASE_URL
        return failed(
            "dns",
            f"{host} has no address",
            f"{'' if is_default else spelling}check that this machine has DNS and a way to the internet",
        )
    took = time.perf_counter() - began
    if took > timeout / 2:
        return warned("dns", f"{host} took {took:.1f} s to resolve", "check the name servers in /etc/resolv.conf")
    return passed("dns", f"{host} is {found[0][4][0]}")


def _tls(scheme: str, host: str, port: int, timeout: float) -> Check:
    name = "tls"
    try:
        with socket.create_connection((host, port), timeout) as plain:
            if scheme == "http":
                return passed(name, "not needed on this machine")
            with httpx.create_ssl_context().wrap_socket(plain, server_hostname=host) as wrapped:
                return passed(name, f"{wrapped.version()}, the certificate is accepted")
    except ssl.SSLCertVerificationError as error:
        return failed(
            name,
            f"the certificate of {host} is not accepted ({error.verify_message})",
            "behind a company proxy: export SSL_CERT_FILE=/path/to/its-ca-bundle.pem; else check clock and host",
        )
    except ssl.SSLError as error:
        return failed(name, f"{host}:{port} does not speak TLS ({error.reason})", "check the port in MAAS_API_BASE")
    except TimeoutError:
        return failed(
            "gateway",
            f"{host}:{port} did not take a connection within {timeout:g} s",
            "check the firewall and the network; behind a proxy: export HTTPS_PROXY=http://proxy:port",
        )
    except OSError as error:
        return failed(
            "gateway",
            f"{host}:{port} refuses connections ({error.strerror or error})",
            "check host and port in MAAS_API_BASE, the firewall and the network",
        )


def _ask(way: ConnectionReport, endpoint: Endpoint, key: SecretStr | None, timeout: float) -> None:
    """Ask for the list of models, which costs nothing."""
    request = GatewayRequest(endpoint, key or SecretStr("none"), "/models", "models", None, Timeouts(timeout, timeout))
    headers = {} if key is None else {"authorization": f"Bearer {key.get_secret_value()}"}
    try:
        with httpx.Client(trust_env=not endpoint.is_loopback, timeout=timeout, follow_redirects=False) as http:
            began, began_at = time.perf_counter(), time.time()
            reply = http.get(request.url, headers=headers)
            took, ended_at = time.perf_counter() - began, time.time()
    except httpx.HTTPError as error:
        failure = error_response.from_transport(request, error)
        way.checks.append(failed("gateway", failure.message, _without_stop(failure.hint)))
        return
    way.checks += [_clock(reply, (began_at + ended_at) / 2)]
    if reply.status_code == 200:
        way.listed = _ids(reply.content)
        if way.listed is None:
            failure = error_response.invalid_response(request, reply.content)
            way.checks.append(failed("gateway", failure.message, f"export MAAS_API_BASE={settings.PAYG_BASE_URL}"))
            return
        way.checks += [_reached(endpoint, took), _accepted(key)]
        return
    failure = error_response.from_response(request, reply.status_code, reply.headers, reply.content)
    if failure.kind in ("authentication", "permission", "payment"):
        way.checks += [_reached(endpoint, took), _refused(failure, endpoint, key)]
    elif failure.kind == "rate_limit":
        what = f"429: {failure.message}; whether the key is accepted is not known"
        way.checks += [_reached(endpoint, took), warned("key accepted", what, _without_stop(failure.hint))]
    else:
        way.checks.append(failed("gateway", f"{failure.status}: {failure.message}", _address(failure, endpoint)))


def _reached(endpoint: Endpoint, took: float) -> Check:
    if took > _SLOW:
        return warned("gateway", f"answered after {took:.1f} s", "check the network: a model list takes far less")
    return passed("gateway", f"{urlsplit(endpoint.base_url).netloc} answered in {took * 1000:.0f} ms")


def _accepted(key: SecretStr | None) -> Check:
    return passed("key accepted", "yes") if key is not None else skipped("key accepted", "key")


def _refused(failure: Failure, endpoint: Endpoint, key: SecretStr | None) -> Check:
    """Return what a refused key may have, as far as the reply tells pending, revoked and wrong hosts apart."""
    if key is None:
        return skipped("key accepted", "key")
    said = f"{failure.status}: {failure.message}"
    if failure.kind != "authentication":
        return failed("key accepted", said, _without_stop(failure.hint))
    match failure.key_state:
        case "pending":
            what, fix = (
                "the key is not active yet",
                "wait until the MaaS console shows it as ACTIVE, then run this again",
            )
        case "revoked":
            what, fix = "the key was revoked", "make a new key in the MaaS console, and: export MAAS_API_KEY=vn-…"
        case "other_host":
            what, fix = "the key is of the other kind of host", f"export MAAS_API_BASE={_other_host(endpoint)}"
        case None:
            return _unexplained(said, key, failure.hint)
    return failed("key accepted", f"{what} ({said})", fix)


def _unexplained(said: str, key: SecretStr, hint: str) -> Check:
    looks = "" if key.get_secret_value().startswith("vn-") else "; it does not begin with vn- as MaaS keys do"
    return failed(
        "key accepted",
        f"{said}. Pending, revoked, mistyped or of another host: the gateway does not say which{looks}",
        _without_stop(hint),
    )


def _other_host(endpoint: Endpoint) -> str:
    return settings.PAYG_BASE_URL if endpoint.billing_mode == "plan" else settings.PLAN_BASE_URL


def _address(failure: Failure, endpoint: Endpoint) -> str:
    if failure.kind == "not_found":
        return f"check MAAS_API_BASE (it is {endpoint.base_url}): unset it, or export MAAS_API_BASE=https://<host>/v1"
    return "try again in a few minutes; if it stays, report it to the vendor with the time"


def _clock(reply: httpx.Response, now: float) -> Check:
    sent = email.utils.parsedate_tz(reply.headers.get("date", ""))
    if sent is None:
        return passed("clock", "the gateway does not say what time it is")
    # The header has whole seconds.
    ahead = now - (email.utils.mktime_tz(sent) + 0.5)
    if abs(ahead) <= _CLOCK_SHOWS:
        return passed("clock", "agrees with the gateway's")
    what = f"{dt.timedelta(seconds=round(abs(ahead)))} {'ahead of' if ahead > 0 else 'behind'} the gateway's"
    make = failed if abs(ahead) > _CLOCK_WRONG else warned
    return make("clock", what, "sudo timedatectl set-ntp true")


def _ids(body: bytes) -> tuple[str, ...] | None:
    try:
        return tuple(str(entry["id"]) for entry in json.loads(body)["data"])
    except (ValueError, KeyError, TypeError):
        return None


def _without_stop(hint: str) -> str:
    return hint.rstrip(".")
