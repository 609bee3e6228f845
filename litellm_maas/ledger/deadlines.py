"""Set deadlines for databases: a connection that gives no answer is closed, though nothing on it has failed.

A box in the middle may swallow what is sent and keep the connection open; no time limit of the server's helps then, and
none of TCP's where that box acknowledges everything.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

LATE = 10.0
"""Seconds after which it is said that there is no answer."""
LONGEST = 60.0
"""Seconds after which the connection is closed: longer than the server's own limits."""


class Deadline:
    """The time limit of one use of a connection.

    Attributes:
        passed: Whether it has passed, and the connection was closed for that.
    """

    def __init__(self, descriptor: int, late: Callable[[], None] | None) -> None:
        self.passed = False
        self._descriptor = descriptor
        self._late = late
        self._over = threading.Event()
        # The descriptor may be somebody else's once the use is over.
        self._lock = threading.Lock()

    def end(self) -> None:
        """End this use."""
        with self._lock:
            self._over.set()

    def watch(self) -> None:
        """Wait for the end; say that it is late, and give the connection up."""
        if self._over.wait(LATE):
            return
        if self._late is not None:
            self._late()
        self._over.wait(LONGEST - LATE)
        with self._lock:
            if not self._over.is_set():
                self.passed = True
                with contextlib.suppress(OSError), socket.fromfd(self._descriptor, socket.AF_INET, 0) as shared:
                    shared.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def deadline(descriptor: int, late: Callable[[], None] | None = None) -> Iterator[Deadline]:
    """Shut a connection down if the block takes longer than `LONGEST`.

    Args:
        descriptor: The file descriptor of the connection's socket.
        late: Called, in another thread, when the block takes longer than `LATE`.
    """
    found = Deadline(descriptor, late)
    thread = threading.Thread(target=found.watch, name="maas-deadline", daemon=True)
    with contextlib.suppress(RuntimeError):  # the interpreter is shutting down
        thread.start()
    try:
        yield found
    finally:
        found.end()
