"""Server-sent events, out of the bytes of a stream, as the WHATWG HTML standard reads them. Knows no LiteLLM."""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"


class SSEDecoder:
    """Server-sent events -> their data, from bytes cut at any place, in time linear in their number."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._is_first = True
        self._after_cr = False

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that are complete now."""
        if self._after_cr and received[:1] == b"\n":
            received = received[1:]  # the second half of a line end
        if not received:
            return []
        self._after_cr = received.endswith(b"\r")
        if b"\r" in received:
            received = received.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, tail = received.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._line, lines[0]))
            self._line.clear()
        if tail:
            self._line.append(tail)
        return [data for line in lines if (data := self._event_ended_by(line)) is not None]

    def end(self) -> list[bytes]:
        """Return the data of a last event that no blank line followed."""
        return self.feed(b"\n\n\n")

    def _event_ended_by(self, line: bytes) -> bytes | None:
        if self._is_first:
            self._is_first, line = False, line.removeprefix(_BOM)
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            self._data.append(b"")
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            return data
        return None


def looks_like_events(body: bytes) -> bool:
    """Return whether a body that should have been plain JSON is an event stream."""
    return body.removeprefix(_BOM).lstrip().startswith((b"data:", b"event:", b"id:", b"retry:", b":"))
