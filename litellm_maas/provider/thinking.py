"""Split a leading `<think>…</think>`, which some upstreams write into the answer, off it. Knows no LiteLLM."""

from __future__ import annotations

_CLOSING = {"<think>": "</think>", "<thinking>": "</thinking>"}


class ThinkSplitter:
    """Tell thinking from answer in a text that arrives in pieces cut at any place.

    Only a tag that the text begins with counts, white space before it aside: further in it is the model's own text.
    """

    def __init__(self) -> None:
        self._held = ""
        self._closing: str | None = None
        self._is_answer = False
        self._at_start = False

    def feed(self, text: str) -> tuple[str, str]:
        """Return what of the thinking and what of the answer is known now."""
        if self._is_answer:
            return "", self._answer(text)
        self._held += text
        if self._closing is None:
            self._closing = self._opened()
        if self._closing is None:
            return "", self._decided()
        thinking, tag, answer = self._held.partition(self._closing)
        if tag:
            self._is_answer, self._at_start, self._held = True, True, ""
            return thinking, self._answer(answer)
        known = len(self._held) - _length_of_start(self._held, self._closing)
        thinking, self._held = self._held[:known], self._held[known:]
        return thinking, ""

    def end(self) -> tuple[str, str]:
        """Return what was held back because more could have come."""
        held = self._released()
        return ("", held) if self._closing is None else (held, "")

    def stop(self) -> None:
        """Take everything from now on for the answer: thinking has come in a field of its own."""
        self._is_answer = self._is_answer or (self._closing is None and not self._held)

    def _opened(self) -> str | None:
        """Take an opening tag off the text so far, and return the tag that closes it."""
        text = self._held.lstrip()
        tag = next((tag for tag in _CLOSING if text.startswith(tag)), None)
        if tag is None:
            return None
        self._held = text[len(tag) :]
        return _CLOSING[tag]

    def _decided(self) -> str:
        """Return the text so far, once it can no longer become an opening tag."""
        text = self._held.lstrip()
        self._is_answer = not any(tag.startswith(text) for tag in _CLOSING)
        return self._released() if self._is_answer else ""

    def _released(self) -> str:
        held, self._held = self._held, ""
        return held

    def _answer(self, text: str) -> str:
        if self._at_start and text:
            # The line breaks between the closing tag and the answer belong to neither.
            text = text.lstrip("\r\n")
            self._at_start = not text
        return text


def _length_of_start(text: str, tag: str) -> int:
    """Return how much of the text's end may be the beginning of a tag."""
    return next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)
