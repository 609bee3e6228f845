"""The versions of Python and LiteLLM. LiteLLM is not imported: a malicious one must not run."""

from __future__ import annotations

import sys
from importlib import metadata

from litellm_maas.doctor.check import Check, green, red

MALICIOUS = frozenset({"1.82.7", "1.82.8", "1.107.0"})
"""Releases of LiteLLM that were malicious and withdrawn."""

_FLOOR, _CEILING = (1, 98), (2,)
_OLDEST_PYTHON = (3, 10)
_INSTALL = f'{sys.executable} -m pip install "litellm[mcp]>=1.98,<2,!=1.107.0"'


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Whether this Python is one that the package runs on."""
    name = ".".join(map(str, version))
    if version < _OLDEST_PYTHON:
        return red("python", f"{name} is too old", "install Python 3.10 or newer, and litellm-maas with it")
    return green("python", name)


def litellm() -> Check:
    """Whether the installed LiteLLM is one that works."""
    try:
        version = metadata.version("litellm")
    except metadata.PackageNotFoundError:
        return red("litellm", f"is not installed for {sys.executable}", _INSTALL)
    if version in MALICIOUS:
        return red(
            "litellm",
            f"{version} was a malicious release that steals keys",
            f"{_INSTALL}; then revoke every key that this machine knew, and look for .pth files in site-packages",
        )
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if not _FLOOR <= numbers < _CEILING:
        return red("litellm", f"{version} is not supported: 1.98 and newer are, 2 is not", _INSTALL)
    return green("litellm", version)
