"""A config without its secrets."""

from __future__ import annotations

import re
from typing import Any

from litellm_maas.routing.router_file import VARIABLE

_MASK = "***"
_SECRETS = re.compile(r"(^|_)(key|password|secret|token|credentials)(_id)?$|salt|license", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_KEYS = re.compile(r"\b(vn|sk)-[\w-]{6,}")


def masked(value: Any, name: str = "") -> Any:
    """The value with every secret in it replaced; references to environment variables are no secrets."""
    if isinstance(value, dict):
        return {key: masked(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, name) for inner in value]
    if not isinstance(value, str) or value.startswith(VARIABLE):
        return value
    if _SECRETS.search(name):
        return _MASK
    return _KEYS.sub(_MASK, _CREDENTIALS.sub(f"{_MASK}@", value))
