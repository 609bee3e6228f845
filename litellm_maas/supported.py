"""Name the versions of LiteLLM that this package works with. Loads nothing of LiteLLM: a malicious one would run."""

from __future__ import annotations

import re
import sys
from importlib import metadata

from litellm_maas.errors import UnsupportedLiteLLMError

MALICIOUS = frozenset({"1.82.7", "1.82.8", "1.107.0"})
"""Releases of LiteLLM that were malicious and withdrawn."""

FLOOR = "1.106"
"""The oldest LiteLLM that this package supports, as pyproject.toml says."""

NEWEST_TRIED = "1.110.2"
"""The newest LiteLLM that `scripts/test-matrix` tries."""

CEILING = "2"
REQUIREMENT = f"litellm[mcp]>={FLOOR},<{CEILING},!=1.107.0"
"""What pyproject.toml asks for."""


def check() -> None:
    """Refuse a LiteLLM that this package cannot work with, before anything of it is imported.

    Raises:
        UnsupportedLiteLLMError: It is older than the floor, or a malicious release.
    """
    try:
        version = metadata.version("litellm")
    except metadata.PackageNotFoundError:
        return  # a checkout of LiteLLM's own, or none; the import says which
    if version in MALICIOUS or numbers(version) < numbers(FLOOR):
        what = "was a malicious release" if version in MALICIOUS else "is older"
        raise UnsupportedLiteLLMError(
            f"litellm-maas needs LiteLLM {FLOOR} or newer, and the installed {version} {what}",
            f'update it: {sys.executable} -m pip install -U "{REQUIREMENT}". '
            "A program that wants the old one can reach MaaS through a LiteLLM proxy in another environment.",
        )


def numbers(version: str) -> tuple[int, ...]:
    """Return what versions are compared by. A pre-release or a repaired release counts as the release."""
    release = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, release[0].split("."))) if release else ()
