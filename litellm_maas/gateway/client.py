"""HTTP to the gateway: pooled connections, plain and streamed replies, synchronous and asynchronous.

A client follows no redirect, so the key reaches the base URL that it was meant for and nothing else. Connections are
pooled per base URL; asynchronous ones also per event loop, because a connection belongs to the loop that opened it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from litellm_maas.errors import GatewayError, SettingsError
from litellm_maas.gateway import error_response
from litellm_maas.gateway.pools import ClientPools
from litellm_maas.gateway.request import GatewayRequest

_Client = TypeVar("_Client", httpx.Client, httpx.AsyncClient)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete reply with a success status."""

    headers: httpx.Headers
    body: bytes


_GRACE = 0.1
"""Seconds for which the end of a body is waited for after the last event, so that its connection can be used again."""


def send(request: GatewayRequest, pools: ClientPools, client: object = None) -> Response:
    """Send a request and read the whole reply.

    Args:
        request: What to send.
        pools: Where the client is taken from.
        client: The caller's own `httpx.Client`, or LiteLLM's wrapper around one, instead of the pooled one.

    Raises:
        GatewayError: No reply, or one with an error status.
    """
    with open_stream(request, pools, client) as reply, map_httpx_errors(request):
        return Response(reply.headers, b"".join(reply.iter_bytes()))


async def asend(request: GatewayRequest, pools: ClientPools, client: object = None) -> Response:
    """Do what `send` does, asynchronously."""
    async with AsyncResponseStream(request, pools, client) as reply:
        with map_httpx_errors(request):
            return Response(reply.headers, b"".join([data async for data in reply.aiter_bytes()]))


@contextmanager
def open_stream(request: GatewayRequest, pools: ClientPools, client: object = None) -> Iterator[httpx.Response]:
    """Open a reply whose body is still to be read; it is closed on leaving, read or not.

    Raises:
        GatewayError: No reply, or one with an error status.
    """
    http = _unwrap(client, httpx.Client) or pools.client(request.endpoint)
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
    """Do what `open_stream` does, asynchronously: for `async with`.

    Not made of an asynchronous generator: when a loop ends, it closes all of those at once, the ones that wait for one
    another included.
    """

    def __init__(self, request: GatewayRequest, pools: ClientPools, client: object = None) -> None:
        self._request = request
        self._pools = pools
        self._client = client

    async def __aenter__(self) -> httpx.Response:
        request = self._request
        async with AsyncExitStack() as opened:
            http = _unwrap(self._client, httpx.AsyncClient) or await self._pools.async_client(request.endpoint, opened)
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
    """Do what `drain` does, asynchronously."""

    async def read_on() -> None:
        async for _ in pieces:
            pass

    with suppress(httpx.HTTPError, OSError, asyncio.TimeoutError):
        await asyncio.wait_for(read_on(), _GRACE)


@contextmanager
def map_httpx_errors(request: GatewayRequest) -> Iterator[None]:
    """Read a reply's body in this block.

    Raises:
        GatewayError: The body broke off.
    """
    try:
        yield
    except httpx.HTTPError as error:
        raise GatewayError(error_response.from_transport(request, error, reading=True)) from None


class _BearerAuth(httpx.Auth):
    """Put the key on the request at the last moment, so that no header dictionary holds it before."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
        yield request


def _unwrap(client: object, kind: type[_Client]) -> _Client | None:
    """Return the httpx client that a caller passed as `client=`, bare or in LiteLLM's handler."""
    if client is None:
        return None
    inner = getattr(client, "client", client)
    if not isinstance(inner, kind):
        raise SettingsError(
            f"client= is a {type(client).__name__}",
            f"pass an httpx.{kind.__name__} or LiteLLM's handler around one, "
            "and the key and address as api_key= and base_url=",
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
            f"the request cannot be built ({type(error).__name__})", "pass header names and values as plain ASCII texts"
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
