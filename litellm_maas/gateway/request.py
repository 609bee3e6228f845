"""Describe a request to the gateway: where it goes, what it carries, and its timeouts. Knows no LiteLLM."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import BaseModel, SecretStr

from litellm_maas.errors import SettingsError
from litellm_maas.gateway.endpoint import Endpoint

LITELLM_UNSET_TIMEOUTS = (600.0, 6000.0)
"""Seconds. What LiteLLM passes when nobody set a timeout: 600 for a call, 6000 from its router."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait at each stage of a call.

    Attributes:
        connect: For a connection, from the pool or new, TLS included.
        first_byte: From the request to the first byte of the reply. A reply that is not streamed starts when the
            model has finished, so this bounds the whole generation.
        between_chunks: The longest silence inside a reply.
    """

    connect: float = 10.0
    first_byte: float = 300.0
    between_chunks: float = 120.0

    @classmethod
    def from_litellm(cls, timeout: float | httpx.Timeout | None, *, set_by_caller: bool) -> Timeouts:
        """Return the timeouts of a call: one number of the caller's bounds every stage, none means the defaults.

        Args:
            timeout: What LiteLLM passes, in seconds.
            set_by_caller: Whether the caller itself set a timeout.
        """
        if timeout is None or timeout in LITELLM_UNSET_TIMEOUTS[set_by_caller:]:
            return cls()
        seconds = timeout.read if isinstance(timeout, httpx.Timeout) else timeout
        if seconds is None:
            return cls()
        return cls(min(cls().connect, seconds), seconds, seconds)


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """One request to the gateway.

    Attributes:
        path: The path under the base URL, such as ``/chat/completions``.
        model: The model id as it goes on the wire.
        body: The JSON body; None makes it a GET request.
        headers: The caller's extra headers; the key is not among them.
    """

    endpoint: Endpoint
    key: SecretStr
    path: str
    model: str
    body: Mapping[str, Any] | None
    timeouts: Timeouts
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Return the full URL."""
        return self.endpoint.base_url + self.path

    @property
    def is_streamed(self) -> bool:
        """Return whether the reply is to be streamed."""
        return self.body is not None and self.body.get("stream") is True

    def encoded_body(self) -> bytes | None:
        """Return the body as it goes on the wire.

        Raises:
            SettingsError: Something in the body cannot be sent as JSON.
        """
        if self.body is None:
            return None
        try:
            return json.dumps(
                self.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
            ).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise SettingsError(f"the request cannot be sent as JSON: {error}") from None


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True)
    raise TypeError(f"a {type(value).__name__} is not JSON; convert it to text, numbers, lists or objects")
