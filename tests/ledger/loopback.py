"""A box in the middle: forwards what comes on a port of this machine to another one, until it swallows it instead."""

from __future__ import annotations

import contextlib
import socket
import threading


class Loopback:
    """A forwarding port. Connections stay open when it swallows what is sent on them.

    Args:
        port: Where to.

    Attributes:
        port: Where it listens.
        swallows: Whether it swallows what comes from either side.
        connections: How many there have been.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.swallows = threading.Event()
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []

    def __enter__(self) -> Loopback:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self.connections += 1
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                if not self.swallows.is_set():
                    target.sendall(content)
            target.shutdown(socket.SHUT_WR)
