"""Check the versions of Python and LiteLLM. LiteLLM is not imported: a malicious one must not run."""

from __future__ import annotations

import sys
from importlib import metadata

from litellm_maas.doctor.check import Check, failed, passed, warned
from litellm_maas.supported import CEILING, FLOOR, MALICIOUS, NEWEST_TRIED, REQUIREMENT, numbers

_OLDEST_PYTHON = (3, 10)
_INSTALL = f'{sys.executable} -m pip install "{REQUIREMENT}"'


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Check whether this Python is one that the package runs on."""
    name = ".".join(map(str, version))
    if version < _OLDEST_PYTHON:
        return failed("python", f"{name} is too old", "install Python 3.10 or newer, and litellm-maas with it")
    return passed("python", name)


def litellm() -> Check:
    """Check whether the installed LiteLLM is one that works."""
    try:
        version = metadata.version("litellm")
    except metadata.PackageNotFoundError:
        return failed("litellm", f"is not installed for {sys.executable}", _INSTALL)
    if version in MALICIOUS:
        return failed(
            "litellm",
            f"{version} was a malicious release that steals keys",
            f"{_INSTALL}; then revoke every key that this machine knew, and look for .pth files in site-packages",
        )
    if not numbers(FLOOR) <= numbers(version) < numbers(CEILING):
        return failed("litellm", f"{version} is not supported: {FLOOR} and newer are, {CEILING} is not", _INSTALL)
    if numbers(version) > numbers(NEWEST_TRIED):
        return warned(
            "litellm",
            f"{version} is newer than {NEWEST_TRIED}, the newest that this litellm-maas was tried with",
            "update litellm-maas; if there is no newer one and something does not work: "
            f'{sys.executable} -m pip install "litellm[mcp]=={NEWEST_TRIED}"',
        )
    return passed("litellm", f"{version}; {FLOOR} to {NEWEST_TRIED} were tried")
