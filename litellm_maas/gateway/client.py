"""HTTP to the gateway: pooled connections, plain and streamed replies, synchronous and asynchronous.

A client follows no redirect, so the key reaches the base URL that it was meant for and nothing else. Connections are
pooled per base URL; asynchronous ones also per event loop, because a connection belongs to the loop that opened it.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import ssl
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import FrameType, TracebackType
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from litellm_maas._version import __version__
from litellm_maas.errors import SettingsError
from litellm_maas.gateway import error_response
from litellm_maas.gateway.endpoint import Endpoint
from litellm_maas.gateway.errors import GatewayError
from litellm_maas.gateway.request import GatewayRequest

_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=60.0)
_PoolKey = tuple[str, str]
_Client = TypeVar("_Client", httpx.Client, httpx.AsyncClient)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete reply with a success status."""

    headers: httpx.Headers
    body: bytes


_GRACE = 0.1
"""Seconds for which the end of a body is waited for after the last event, so that its connection can be used again."""


def send(request: GatewayRequest, client: object = None) -> Response:
    """Send a request and read the whole reply.

    Args:
        request: What to send.
        client: The caller's own `httpx.Client`, or LiteLLM's wrapper around one, instead of the pooled one.

    Raises:
        GatewayError: No reply, or one with an error status.
    """
    with open_stream(request, client) as reply, map_httpx_errors(request):
        return Response(reply.headers, b"".join(reply.iter_bytes()))


async def asend(request: GatewayRequest, client: object = None) -> Response:
    """Like `send`, asynchronously."""
    async with AsyncResponseStream(request, client) as reply:
        with map_httpx_errors(request):
            return Response(reply.headers, b"".join([data async for data in reply.aiter_bytes()]))


@contextmanager
def open_stream(request: GatewayRequest, client: object = None) -> Iterator[httpx.Response]:
    """A reply whose body is still to be read; closed on leaving, read or not.

    Raises:
        GatewayError: No reply, or one with an error status.
    """
    http = _unwrap(client, httpx.Client) or _pools.client(request.endpoint)
    prepared = _prepare(http, request)
    try:
        reply = http.send(prepared, stream=True, auth=_BearerAuth(request.key), follow_redirects=False)
    except httpx.HTTPError as error:
        raise GatewayError(error_response.from_transport(request, error)) from None
    try:
        if reply.status_code >= 300:
            _raise_status(request, reply, _error_body(reply.iter_bytes()))
        _expect_chunks(prepared, request)
        yield reply
    finally:
        # The reply is there, or the call was given up: how its connection ends changes nothing about it.
        with suppress(httpx.HTTPError, OSError):
            reply.close()


class AsyncResponseStream:
    """Like `open_stream`, asynchronously: for `async with`.

    Not made of an asynchronous generator: when a loop ends, it closes all of those at once, the ones that wait for one
    another included.
    """

    def __init__(self, request: GatewayRequest, client: object) -> None:
        self._request = request
        self._client = client

    async def __aenter__(self) -> httpx.Response:
        request = self._request
        async with AsyncExitStack() as opened:
            http = _unwrap(self._client, httpx.AsyncClient) or await _pools.async_client(request.endpoint, opened)
            prepared = _prepare(http, request)
            try:
                reply = await http.send(prepared, stream=True, auth=_BearerAuth(request.key), follow_redirects=False)
            except httpx.HTTPError as error:
                raise GatewayError(error_response.from_transport(request, error)) from None
            opened.push_async_callback(reply.aclose)
            if reply.status_code >= 300:
                # Not on the loop: what the reply quotes of a long prompt is looked for, to be left out.
                await asyncio.to_thread(_raise_status, request, reply, await _aerror_body(reply.aiter_bytes()))
            _expect_chunks(prepared, request)
            self._opened = opened.pop_all()
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return  # a stream that was dropped with its loop: nothing can be awaited, and its socket is closed with it
        # The reply is there, or the call was given up: how its connection ends changes nothing about it.
        with suppress(httpx.HTTPError, OSError, RuntimeError):
            await self._opened.__aexit__(kind, error, traceback)


def drain(reply: httpx.Response, pieces: Iterator[bytes]) -> None:
    """Read a body to its end, if that is there or about to be, and wait for nothing else."""
    stream: Any = reply.extensions.get("network_stream")
    if stream is None:
        return
    if not isinstance(stream.read, _Read):
        stream.read = _Read(stream.read)
    with stream.read.for_seconds(_GRACE), suppress(httpx.HTTPError, OSError):
        for _ in pieces:
            pass


class _Read:
    """The `read` of a connection's stream, with a limit of its own for a thread that asks for it.

    The timeout of a body's reads is fixed when it begins; only the stream under it is told of each. Another thread may
    have the connection as soon as the body has ended, so the limit is a thread's.
    """

    def __init__(self, read: Callable[..., bytes]) -> None:
        self._read = read
        self._deadlines: dict[int, float] = {}

    @contextmanager
    def for_seconds(self, seconds: float) -> Iterator[None]:
        thread = threading.get_ident()
        self._deadlines[thread] = time.monotonic() + seconds
        try:
            yield
        finally:
            del self._deadlines[thread]

    def __call__(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if (deadline := self._deadlines.get(threading.get_ident())) is not None:
            timeout = max(deadline - time.monotonic(), 0.001)
        return self._read(max_bytes, timeout=timeout)


async def adrain(pieces: AsyncIterator[bytes]) -> None:
    """Like `drain`, asynchronously."""

    async def read_on() -> None:
        async for _ in pieces:
            pass

    with suppress(httpx.HTTPError, OSError, asyncio.TimeoutError):
        await asyncio.wait_for(read_on(), _GRACE)


@contextmanager
def map_httpx_errors(request: GatewayRequest) -> Iterator[None]:
    """A block in which a reply's body is read.

    Raises:
        GatewayError: The body broke off.
    """
    try:
        yield
    except httpx.HTTPError as error:
        raise GatewayError(error_response.from_transport(request, error, reading=True)) from None


class _BearerAuth(httpx.Auth):
    """Puts the key on the request at the last moment, so that no header dictionary holds it before."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
        yield request


class _Pools:
    """The clients of this process: the only state of this module, behind one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _forget(self) -> None:
        self._clients: dict[_PoolKey, httpx.Client] = {}
        self._async_clients: dict[asyncio.AbstractEventLoop, dict[_PoolKey, httpx.AsyncClient]] = {}
        self._keepers: dict[asyncio.AbstractEventLoop, list[AsyncGenerator[None, None]]] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}

    def _after_fork(self) -> None:
        # The parent's sockets are shared with the child: closing them properly there would end the parent's TLS
        # sessions, so they are only forgotten. The lock may have been held by a thread that the child does not have.
        self._lock = threading.Lock()
        self._forget()

    def client(self, endpoint: Endpoint) -> httpx.Client:
        key = (endpoint.base_url, _verification())
        with self._lock:
            if (client := self._clients.get(key)) is None:
                client = self._clients[key] = httpx.Client(**self._options(endpoint, key))
            return client

    async def async_client(self, endpoint: Endpoint, call: AsyncExitStack) -> httpx.AsyncClient:
        """A client of the running loop; on a loop that may just be dropped, one that is closed with the call."""
        key = (endpoint.base_url, _verification())
        loop = asyncio.get_running_loop()
        with self._lock:
            if (client := self._async_clients.get(loop, {}).get(key)) is not None:
                return client
            client = httpx.AsyncClient(**self._options(endpoint, key))
            keeper = _close_with_loop(client)
            if kept := _runner_closes_asyncgens():
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
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()


_pools = _Pools()


async def _close_with_loop(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    # A loop that ends properly (asyncio.run, anyio, pytest plugins) closes its suspended asynchronous generators
    # first. This one exists to be closed then, while the client's connections can still be closed with it.
    try:
        yield
    finally:
        await client.aclose()


_RUNNERS = frozenset({"asyncio.runners", "anyio._backends._asyncio", "aiohttp.web", "uvicorn._compat"})


def _runner_closes_asyncgens() -> bool:
    """Whether the running loop will close its asynchronous generators before it is closed itself.

    Who runs the loop decides that, and only the stack tells who it is. LiteLLM, for one, runs synchronous fallbacks on
    loops that it then just closes; a connection kept on such a loop could never be closed properly.
    """
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the one way to look at the stack
    while frame is not None:
        if frame.f_code is asyncio.BaseEventLoop.run_until_complete.__code__:
            return frame.f_back is not None and frame.f_back.f_globals.get("__name__") in _RUNNERS
        frame = frame.f_back
    return True


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
            f"litellm.ssl_verify is {verification!r}, which cannot be read ({error.strerror or error}); "
            "set it to True, False or the path of a CA bundle"
        ) from None


def _unwrap(client: object, kind: type[_Client]) -> _Client | None:
    """The httpx client that a caller passed as `client=`, bare or in LiteLLM's handler."""
    if client is None:
        return None
    inner = getattr(client, "client", client)
    if not isinstance(inner, kind):
        raise SettingsError(
            f"client= is a {type(client).__name__}; pass an httpx.{kind.__name__} or LiteLLM's handler around one, "
            "and the key and address as api_key= and base_url="
        )
    return inner


def _prepare(http: httpx.Client | httpx.AsyncClient, request: GatewayRequest) -> httpx.Request:
    timeouts = request.timeouts
    headers = {"content-type": "application/json", "accept": "application/json", **request.headers}
    if request.is_streamed:
        # Compression would hold back small events until a block is full.
        headers |= {"accept": "text/event-stream", "accept-encoding": "identity"}
    content = request.encoded_body()
    try:
        return http.build_request(
            "GET" if request.body is None else "POST",
            request.url,
            content=content,
            headers=headers,
            timeout=httpx.Timeout(timeouts.first_byte, connect=timeouts.connect, pool=timeouts.connect),
        )
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"the request cannot be built ({type(error).__name__}); pass header names and values as plain ASCII texts"
        ) from None


def _expect_chunks(prepared: httpx.Request, request: GatewayRequest) -> None:
    # The transport looks up the read timeout again when it starts on the body.
    prepared.extensions["timeout"]["read"] = request.timeouts.between_chunks


_LONGEST_ERROR_BODY = 64 * 1024


def _error_body(chunks: Iterator[bytes]) -> bytes:
    body = b""
    try:
        for chunk in chunks:
            body += chunk
            if len(body) > _LONGEST_ERROR_BODY:
                break
    except httpx.HTTPError:
        pass  # the status says enough
    return body


async def _aerror_body(chunks: AsyncIterator[bytes]) -> bytes:
    body = b""
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > _LONGEST_ERROR_BODY:
                break
    except httpx.HTTPError:
        pass  # the status says enough
    return body


def _raise_status(request: GatewayRequest, reply: httpx.Response, body: bytes) -> None:
    raise GatewayError(error_response.from_response(request, reply.status_code, reply.headers, body))
