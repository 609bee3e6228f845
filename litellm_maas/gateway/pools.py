"""Pool connections to the gateway: a client for each base URL, and for each event loop where it is asynchronous."""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from litellm_maas._version import __version__
from litellm_maas.errors import SettingsError
from litellm_maas.gateway.endpoint import Endpoint
from litellm_maas.gateway.event_loops import close_with_loop, runner_closes_asyncgens

_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=60.0)
_PoolKey = tuple[str, str]


class ClientPools:
    """The HTTP clients of one process, behind one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._clients: dict[_PoolKey, httpx.Client] = {}
        self._async_clients: dict[asyncio.AbstractEventLoop, dict[_PoolKey, httpx.AsyncClient]] = {}
        self._keepers: dict[asyncio.AbstractEventLoop, list[AsyncGenerator[None, None]]] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}

    def after_fork_in_child(self) -> None:
        """Forget the connections of the parent."""
        # The parent's sockets are shared with the child: closing them properly there would end the parent's TLS
        # sessions, so they are only forgotten. The lock may have been held by a thread that the child does not have.
        self._lock = threading.Lock()
        self._forget()

    def client(self, endpoint: Endpoint) -> httpx.Client:
        """Return the client for a base URL."""
        key = (endpoint.base_url, _verification())
        with self._lock:
            if (client := self._clients.get(key)) is None:
                client = self._clients[key] = httpx.Client(**self._options(endpoint, key))
            return client

    async def async_client(self, endpoint: Endpoint, call: AsyncExitStack) -> httpx.AsyncClient:
        """Return a client of the running loop; on a loop that may just be dropped, one that is closed with the call."""
        key = (endpoint.base_url, _verification())
        loop = asyncio.get_running_loop()
        with self._lock:
            if (client := self._async_clients.get(loop, {}).get(key)) is not None:
                return client
            client = httpx.AsyncClient(**self._options(endpoint, key))
            keeper = close_with_loop(client)
            if kept := runner_closes_asyncgens():
                self._drop_closed_loops()
                self._async_clients.setdefault(loop, {})[key] = client
                self._keepers.setdefault(loop, []).append(keeper)
        await keeper.__anext__()
        if not kept:
            call.push_async_callback(keeper.aclose)
        return client

    def _drop_closed_loops(self) -> None:
        for loop in [loop for loop in self._async_clients if loop.is_closed()]:
            del self._async_clients[loop], self._keepers[loop]

    def _options(self, endpoint: Endpoint, key: _PoolKey) -> dict[str, Any]:
        verification = key[1]
        if verification not in self._contexts:
            self._contexts[verification] = _tls_context(verification)
        return {
            "verify": self._contexts[verification],
            # A proxy from the environment must not see a plain-http request to this machine, with the key in it.
            "trust_env": not endpoint.is_loopback,
            "limits": _LIMITS,
            "follow_redirects": False,
            "headers": {"user-agent": f"litellm-maas/{__version__}"},
            # A pool is shared by calls with different keys: what one of them is told to keep is not for the others.
            "cookies": CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        }

    def close(self) -> None:
        """Close the synchronous clients; asynchronous ones are closed with their loops."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()


def _verification() -> str:
    """LiteLLM's own setting for TLS verification, as text: it is part of what distinguishes one pool from another."""
    litellm = sys.modules.get("litellm")
    return str(getattr(litellm, "ssl_verify", True))


def _tls_context(verification: str) -> ssl.SSLContext:
    if verification in ("True", "False"):
        return httpx.create_ssl_context(verify=verification == "True")
    try:
        return ssl.create_default_context(cafile=verification)
    except OSError as error:
        raise SettingsError(
            f"litellm.ssl_verify is {verification!r}, which cannot be read ({error.strerror or error})",
            "set it to True, False or the path of a CA bundle",
        ) from None
