"""Server-sent events, out of the bytes of a stream. Knows no LiteLLM."""

from __future__ import annotations


class EventDecoder:
    """Server-sent events -> their data, from bytes cut at any place."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        """The data of the events that are complete now."""
        received = self._rest + received
        held = b""
        if b"\r" in received:
            if received.endswith(b"\r"):  # the other half of a line end may still come
                received, held = received[:-1], b"\r"
            received = received.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = received.split(b"\n")
        self._rest = lines.pop() + held
        return [data for line in lines if (data := self._line(line)) is not None]

    def end(self) -> list[bytes]:
        """The data of a last event that no blank line followed."""
        return self.feed(b"\n\n")

    def _line(self, line: bytes) -> bytes | None:
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            return data
        return None
