"""The attempts of a routed request: what each came to, and when another one is pointless.

LiteLLM's router falls back on almost any error, also on those that every model answers alike. It keeps a dictionary of
metadata with a request, which each further attempt inherits; what an attempt came to is written there, so that the
next one knows. Calls without a router have no such dictionary that lasts, and each of their attempts stands alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from litellm_maas.resting import Target, resting
from litellm_maas.spend.identity import EARLIER_PARAM, attempts_made, is_first
from litellm_maas.wire.errors import Failure, GatewayError, Kind
from litellm_maas.wire.exceptions import exception_name
from litellm_maas.wire.requests import WireRequest

logger = logging.getLogger("litellm_maas")

ATTEMPTS_PARAM = "maas_attempts"
"""Where the attempts stand: in a response's hidden parameters, those of a stream in its first chunk's."""

SKIPPED_PARAM = "maas_skipped"
"""Where a router's rules leave the models that they passed over, for the attempt that comes next."""

OWN_FALLBACKS_PARAM = "maas_own_fallbacks"
"""Where a router's rules say for which kinds of failure the group that is called has fallbacks of their own."""

_TRACE_PARAM = "maas_trace"

_FINAL: frozenset[Kind] = frozenset({"bad_request", "authentication", "unprocessable"})
"""What every model refuses alike; `authentication` every one of the same account."""

Record = dict[str, Any]

skipped: ContextVar[tuple[Record, ...]] = ContextVar("maas_skipped", default=())
"""What a synchronous router passed over, because it rests; a router runs each request in a context of its own."""

failed_with: ContextVar[Failure | None] = ContextVar("maas_failed_with", default=None)
"""Why the last attempt of a synchronous router's request failed; None if none did."""


def record(
    model: str,
    deployment_id: str | None,
    failure: Failure | None,
    *,
    account: int | None = None,
    seconds: float = 0.0,
    passed_over: bool = False,
) -> Record:
    """What an attempt came to, as plain JSON: LiteLLM's callbacks write a request's metadata wherever they like.

    Args:
        model: The id that was asked for.
        deployment_id: LiteLLM's id of the router's deployment.
        failure: Why it failed; None if the model answered.
        account: See `Target`.
        seconds: How long it took; of a stream, until its first chunk.
        passed_over: Whether nothing was sent, because the model rests; the failure is then the one it rests after.
    """
    return {
        "model": model,
        "deployment_id": deployment_id,
        "error": None if failure is None else exception_name(failure),
        "http_status": 200 if failure is None else failure.status,
        "reason": None if failure is None else failure.reason,
        "hint": None if failure is None else failure.hint,
        "kind": None if failure is None else failure.kind,
        "retry_after": None if failure is None else failure.retry_after,
        "account": account,
        "seconds": round(seconds, 3),
        "skipped": passed_over,
    }


def last_failure(trail: Sequence[Record]) -> Failure | None:
    """Why the last attempt that was made failed; None where none was made."""
    made = _last_failed(trail)
    if made is None:
        return None
    fields = ("kind", "http_status", "reason", "hint", "retry_after")
    return Failure(*(made[name] for name in fields))


def _last_failed(trail: Sequence[Record]) -> Record | None:
    return next((each for each in reversed(trail) if not each["skipped"] and each["error"] is not None), None)


def is_routed(call: Mapping[str, Any]) -> bool:
    """Whether a router makes the call."""
    return _bucket(call) is not None


def own_fallbacks(call: Mapping[str, Any]) -> Collection[str]:
    """The kinds of failure for which a router has fallbacks of their own; empty where no rules have said so."""
    found: Collection[str] = (_bucket(call) or {}).get(OWN_FALLBACKS_PARAM, ())
    return found


class Attempt:
    """One attempt to get an answer from a model.

    Attributes:
        trail: All attempts of the request so far.
        handed_out: Whether what follows runs in the caller's context, who reads the stream, and not in a router's.
    """

    def __init__(self, request: WireRequest, call: Mapping[str, Any]) -> None:
        self.sends(request)
        self._bucket = _bucket(call)
        self._deployment_id = ((call.get("litellm_params") or {}).get("model_info") or {}).get("id")
        self._trace = getattr(call.get("logging_obj"), "litellm_trace_id", None)
        self._started = time.perf_counter()
        self.handed_out = False
        self.trail: list[Record] = list(skipped.get())
        if self._bucket is not None:
            before = self._bucket.get(ATTEMPTS_PARAM, ()) if _is_further(self._bucket, self._trace) else ()
            self.trail = [*before, *self._bucket.pop(SKIPPED_PARAM, ()), *self.trail]
            if is_first(self._bucket) and (earlier := attempts_made(self._bucket)):
                self._bucket[EARLIER_PARAM] = earlier

    def refuse_if_pointless(self) -> None:
        """Stop a fallback from an error that every model answers alike; say every other one in a log line.

        Raises:
            GatewayError: The previous attempt's failure, with nothing sent.
        """
        failed, failure = _last_failed(self.trail), last_failure(self.trail)
        if failed is None or failure is None:
            return
        # Another account has another key.
        is_elsewhere = failure.kind == "authentication" and failed["account"] != self._target.account
        if failure.kind in _FINAL and not is_elsewhere:
            raise GatewayError(failure)
        logger.warning(
            "maas/%s failed after %.2f s with %s%s; maas/%s is called %s.",
            failed["model"],
            failed["seconds"],
            failed["error"],
            "" if failure.status is None else f" ({failure.status})",
            self._request.model,
            "again" if failed["model"] == self._request.model else "instead",
        )

    def sends(self, request: WireRequest) -> None:
        """Note what is sent: a budget may have chosen a cheaper model."""
        self._request = request
        self._target = Target.of(request.model, request.endpoint, request.key)

    def failed(self, failure: Failure) -> None:
        """Note why it failed."""
        self._add(failure)
        resting.failed(self._target, failure)
        if self._bucket is not None:
            self._bucket.update({ATTEMPTS_PARAM: self.trail, _TRACE_PARAM: self._trace})
            if not self.handed_out:
                failed_with.set(failure)

    def answered(self) -> None:
        """Note that the model answers."""
        self._add(None)
        resting.succeeded(self._target)

    def _add(self, failure: Failure | None) -> None:
        seconds, account = time.perf_counter() - self._started, self._target.account
        made = record(self._request.model, self._deployment_id, failure, account=account, seconds=seconds)
        self.trail = [*self.trail, made]


@contextmanager
def attempting(request: WireRequest, call: Mapping[str, Any]) -> Iterator[Attempt]:
    """A context in which an attempt is made.

    Raises:
        GatewayError: The attempt is pointless: nothing is to be sent.
    """
    attempt = Attempt(request, call)
    attempt.refuse_if_pointless()
    try:
        yield attempt
    except GatewayError as error:
        attempt.failed(error.failure)
        raise


def _bucket(call: Mapping[str, Any]) -> MutableMapping[str, Any] | None:
    """The metadata that a router keeps with a request."""
    params = call.get("litellm_params") or {}
    for name in ("litellm_metadata", "metadata"):
        found = params.get(name)
        if isinstance(found, MutableMapping) and "model_group" in found:
            return found
    return None


def _is_further(bucket: Mapping[str, Any], trace: str | None) -> bool:
    """Whether this is not a request's first attempt; a caller may pass the same dictionary with every request."""
    if "attempted_fallbacks" not in bucket:
        return trace is not None and bucket.get(_TRACE_PARAM) == trace  # before 1.100 LiteLLM does not say
    return any(bucket.get(name) for name in ("attempted_fallbacks", "attempted_retries"))
