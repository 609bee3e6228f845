"""Redact the secrets of a config."""

from __future__ import annotations

import re
from typing import Any

from litellm_maas.router.lint.router_file import ENV_PREFIX

_MASK = "***"
_SECRETS = re.compile(
    r"(^|[_-])(key|password|secret|token|credentials)([_-]id)?$|salt|license|authorization|cookie|webhook",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_KEYS = re.compile(r"\b(vn|sk)-[\w-]{6,}|(?<=\bbearer )\S+", re.IGNORECASE)


def masked(value: Any, name: str = "") -> Any:
    """Return the value with every secret in it replaced; references to environment variables are no secrets."""
    if isinstance(value, dict):
        # What stands below such a name belongs to it, whatever it is called there.
        return {key: masked(inner, name if _SECRETS.search(name) else str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, name) for inner in value]
    if not isinstance(value, str) or value.startswith(ENV_PREFIX):
        return value
    if _SECRETS.search(name):
        return _MASK
    return _KEYS.sub(_MASK, _CREDENTIALS.sub(f"{_MASK}@", value))
