"""Gateways that answer exact bytes: through a client whose transport is replaced, and as a server on a real socket."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%s\r\n\r\n"


def event(content: object) -> bytes:
    """One server-sent event."""
    return b"data: " + (content if isinstance(content, bytes) else json.dumps(content).encode()) + b"\n\n"


def delta(fields: dict[str, Any] | None = None, finish: str | None = None, **rest: Any) -> bytes:
    """An event with one choice."""
    return event({"id": "c", "choices": [{"index": 0, "delta": fields or {}, "finish_reason": finish}], **rest})


def reply(message: dict[str, Any] | None = None, finish: str | None = "stop", **rest: Any) -> dict[str, Any]:
    """A plain reply with one choice, and a usage report of 10 and 5 tokens."""
    choice = {"index": 0, "message": message or {"role": "assistant", "content": "xin chào"}, "finish_reason": finish}
    return {"id": "c", "choices": [choice], "usage": usage(10, 5), **rest}


def usage(read: int, written: int, **rest: Any) -> dict[str, Any]:
    """A usage report."""
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **rest}


def answering(*pieces: bytes, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Client:
    """A client whose gateway answers these bytes, in these pieces."""

    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=iter(pieces), headers=headers)

    return httpx.Client(transport=httpx.MockTransport(handle))


def async_answering(*pieces: bytes) -> httpx.AsyncClient:
    """Like `answering`, for asynchronous calls."""

    async def body() -> Any:
        for piece in pieces:
            yield piece

    return httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body())))


class RawServer:
    """A server on loopback that answers each request with the same bytes, and may keep the connection open.

    Attributes:
        url: Its base URL.
        connections: How many it has accepted.
        requests: What it was sent: the heads.
        release: Set it to let connections that are kept open end.
    """

    def __init__(self, *pieces: bytes, keeps_open: bool = False) -> None:
        self._pieces = pieces
        self._keeps_open = keeps_open
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self.connections = 0
        self.requests: list[bytes] = []
        self.release = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            received = connection.makefile("rb")
            while head := b"".join(iter(received.readline, b"\r\n")) if received.peek(1) else b"":
                length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length"))
                received.read(int(length.split(b":")[1]))
                self.requests.append(head)
                for piece in self._pieces:
                    connection.sendall(piece)
                if self._keeps_open:
                    self.release.wait(60)
                    return

    def close(self) -> None:
        """Let everything end."""
        self.release.set()
        self._socket.close()


@contextlib.contextmanager
def serving(*pieces: bytes, keeps_open: bool = False) -> Iterator[RawServer]:
    """A server that answers these bytes, for as long as the block lasts."""
    server = RawServer(*pieces, keeps_open=keeps_open)
    try:
        yield server
    finally:
        server.close()


def chunked(*bodies: bytes) -> bytes:
    """A streamed reply with these chunks, and its end."""
    parts = b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies)
    return HEAD % (b"text/event-stream", b"transfer-encoding: chunked") + parts + b"0\r\n\r\n"
