"""Suggest the name that was probably meant by one that nothing knows.

The catalogue is not complete, so an id that it lacks is no mistake in itself. A version that it lacks (`gpt-5.4`), or
a variant (`gpt-4o-audio`), is plausible; one whose digits are those of a known id and whose letters almost are is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

_SAME_LETTERS = 0.9
"""From this similarity on, two ids with the same digits are one id and a slip (chosen by the catalogue's own ids)."""


def meant(written: str, known: Iterable[str]) -> str | None:
    """Return the known id that was probably meant by another one; None where the other one is plausible."""
    best: tuple[float, str] | None = None
    for candidate in known:
        similarity = _similarity(written, candidate)
        if similarity >= _SAME_LETTERS and (best is None or similarity > best[0]):
            best = (similarity, candidate)
    return None if best is None else best[1]


def nearest(written: str, known: Iterable[str]) -> str | None:
    """Return the known id that comes closest to one that is certainly not right; None where none is near."""
    known = list(known)
    return meant(written, known) or next(iter(get_close_matches(written, known, n=1, cutoff=0.6)), None)


def _similarity(written: str, candidate: str) -> float:
    if candidate.endswith(f"/{written}"):
        return 1.0  # the vendor's prefix was left out
    if written.startswith(f"{candidate}-") or candidate.startswith(f"{written}-"):
        return 0.0  # a variant
    if re.sub(r"\D", "", written) != re.sub(r"\D", "", candidate):
        return 0.0  # a version
    return SequenceMatcher(None, _letters(written), _letters(candidate)).ratio()


def _letters(model_id: str) -> str:
    return re.sub(r"[^a-z]", "", model_id.lower())


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean …?`, or nothing where nothing known comes close."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else ""
