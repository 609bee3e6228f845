"""Faults on demand: everything that a gateway can do to a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next requests that match.

    A fault either replaces the reply (`status`, `hang`, `disconnect`, `redirect`), or spoils the answer while it is
    streamed (`after` says at which event).

    Attributes:
        times: How many requests it hits; None for all.
        model: Only requests for this model.
        operation: Only requests to this path, such as ``/chat/completions``.
        delay: Seconds to wait before replying.
        status: Reply with this status, `body` and `headers`.
        body: JSON for a mapping or a list, else text.
        hang: Accept the request and never reply.
        disconnect: Close the connection instead of replying.
        redirect: Reply with a redirect to this URL (status 307 unless `status` says otherwise).
        cut_after: Break the connection after this many events.
        stop_after: End the stream in good order after this many events, as if it were finished.
        hang_after: Stop sending after this many events, without closing.
        error_after: Send `error` as an event after this many events, and end the stream.
        error: The error object of that event.
        garbage_after: Send an event that is not JSON after this many events.
        chunk_delay: Seconds between events.
        without_done: Leave out the closing ``[DONE]``.
    """

    times: int | None = 1
    model: str | None = None
    operation: str | None = None
    delay: float = 0.0
    status: int | None = None
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    disconnect: bool = False
    redirect: str | None = None
    cut_after: int | None = None
    stop_after: int | None = None
    hang_after: int | None = None
    error_after: int | None = None
    error: Any = field(default_factory=lambda: {"message": "upstream failed", "type": "server_error", "code": 500})
    garbage_after: int | None = None
    chunk_delay: float = 0.0
    without_done: bool = False

    def matches(self, model: str | None, operation: str) -> bool:
        """Return whether it hits a request."""
        return self.model in (None, model) and self.operation in (None, operation)


NO_FAULT = Fault(times=0)
_USED_UP = object()


class Faults:
    """The faults that wait for requests, hit in the order in which they were added."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, Iterator[object]]] = []

    def add(self, fault: Fault) -> None:
        """Add a fault behind the others."""
        self._waiting.append((fault, repeat(None) if fault.times is None else repeat(None, fault.times)))

    def clear(self) -> None:
        """Remove all faults."""
        self._waiting.clear()

    def take(self, model: str | None, operation: str) -> Fault:
        """Return the fault that hits a request, `NO_FAULT` if none does."""
        for fault, times_left in self._waiting:
            if fault.matches(model, operation) and next(times_left, _USED_UP) is not _USED_UP:
                return fault
        return NO_FAULT
