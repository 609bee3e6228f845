"""Keep the attempts of a routed request: what each came to, and when another one is pointless.

LiteLLM's router falls back on almost any error, also on those that every model answers alike. It keeps a dictionary of
metadata with a request, of which each further attempt gets a copy (from 1.110 on of the first attempt's). In it stands
one list that all of them share, into which each writes what it came to, so that the next one knows. Calls without a
router have no such dictionary that lasts, and each of their attempts stands alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

from litellm_maas import _litellm_compat
from litellm_maas.errors import GatewayError
from litellm_maas.gateway.errors import ErrorKind, Failure
from litellm_maas.gateway.request import GatewayRequest
from litellm_maas.provider.exceptions import exception_class_name
from litellm_maas.resilience.cooldowns import DeploymentKey
from litellm_maas.runtime import runtime
from litellm_maas.tracking.attribution import EARLIER_PARAM, attempt_count, is_first_attempt

logger = logging.getLogger("litellm_maas")

ATTEMPTS_PARAM = "maas_attempts"
"""Where the attempts stand: in a response's hidden parameters, those of a stream in its first chunk's."""

DEDICATED_FALLBACKS_PARAM = "maas_own_fallbacks"
"""Where a router's rules say for which kinds of failure the group that is called has fallbacks of their own."""

_TRACE_PARAM = "maas_trace"
"""Which request the attempts are of: programs pass one dictionary with all their requests, several at once."""

_NON_RETRYABLE: frozenset[ErrorKind] = frozenset({"bad_request", "authentication", "unprocessable", "no_room"})
"""What every model refuses alike; `authentication` every one of the same account. A budget without room ends a request:
it is there to limit what is spent, and no other model is to get round it."""

Record = dict[str, Any]


def attempt_record(
    model: str,
    deployment_id: str | None,
    failure: Failure | None,
    *,
    account: int | None = None,
    seconds: float = 0.0,
    passed_over: bool = False,
) -> Record:
    """Return what an attempt came to, as plain JSON: LiteLLM's callbacks write a request's metadata wherever they like.

    Args:
        model: The id that was asked for.
        deployment_id: LiteLLM's id of the router's deployment.
        failure: Why it failed; None if the model answered.
        account: See `DeploymentKey`.
        seconds: How long it took; of a stream, until its first chunk.
        passed_over: Whether nothing was sent, because of a cooldown; the failure is then the one that opened it.
    """
    return {
        "model": model,
        "deployment_id": deployment_id,
        "error": None if failure is None else exception_class_name(failure),
        "http_status": 200 if failure is None else failure.status,
        "reason": None if failure is None else failure.message,
        "hint": None if failure is None else failure.hint,
        "kind": None if failure is None else failure.kind,
        "retry_after": None if failure is None else failure.retry_after,
        "budget": None if failure is None else failure.budget,
        "account": account,
        "seconds": round(seconds, 3),
        "skipped": passed_over,
    }


def history_of(bucket: MutableMapping[str, Any], trace: object, *, is_further: bool) -> list[Record]:
    """Return the attempts of a request, in the list that all of them share; an empty new one where it has none yet.

    Args:
        bucket: The metadata that a router keeps with the request.
        trace: LiteLLM's trace id of the request.
        is_further: Whether it has been attempted before. What stands there otherwise is left from another request,
            unless it is what was passed over on the way to the first attempt.
    """
    mark = str(trace)
    found: list[Record] | None = bucket.get(ATTEMPTS_PARAM) if bucket.get(_TRACE_PARAM) == mark else None
    if found is not None and (is_further or all(each["skipped"] for each in found)):
        return found
    history: list[Record] = []
    bucket.update({ATTEMPTS_PARAM: history, _TRACE_PARAM: mark})
    return history


def note_passed_over(history: list[Record], skipped: Record) -> None:
    """Note a model that is not called, once for a request."""
    known = {each["deployment_id"] for each in history if each["skipped"]}
    if skipped["deployment_id"] not in known:
        history.append(skipped)


def last_failure(history: Sequence[Record]) -> Failure | None:
    """Return why the last attempt that was made failed; None where none was made.

    Where budgets refused several, it is the first refusal: that one is of the model that the caller asked for.
    """
    made = _last_failed(history)
    if made is None:
        return None
    if made["budget"] is not None:
        made = next(each for each in history if each["budget"] is not None)
    same = {name: made[name] for name in ("kind", "hint", "retry_after", "budget")}
    return Failure(status=made["http_status"], message=made["reason"], **same)


def _last_failed(history: Sequence[Record]) -> Record | None:
    return next((each for each in reversed(history) if not each["skipped"] and each["error"] is not None), None)


def router_metadata_of(params: Mapping[str, Any]) -> MutableMapping[str, Any] | None:
    """Return the metadata that a router keeps with a request; None where no router makes it."""
    for name in ("litellm_metadata", "metadata"):
        found = params.get(name)
        if isinstance(found, MutableMapping) and "model_group" in found:
            return found
    return None


def is_repeated(bucket: Mapping[str, Any]) -> bool:
    """Return whether a router says of an attempt that it is not a request's first."""
    return any(bucket.get(name) for name in ("attempted_fallbacks", "attempted_retries"))


def is_routed(call: Mapping[str, Any]) -> bool:
    """Return whether a router makes the call."""
    return _router_metadata(call) is not None


def dedicated_fallbacks(call: Mapping[str, Any]) -> Collection[str]:
    """Return the kinds of failure for which a router has fallbacks of their own; empty where no rules have said so."""
    found: Collection[str] = (_router_metadata(call) or {}).get(DEDICATED_FALLBACKS_PARAM, ())
    return found


class RoutedAttempt:
    """One attempt to get an answer from a model.

    Attributes:
        target: What is called.
        bucket: The metadata that a router keeps with the request; empty without a router.
        deployment: What a router says of the deployment that it calls, its id among it.
    """

    def __init__(self, request: GatewayRequest, call: Mapping[str, Any]) -> None:
        self.set_request(request)
        self._started = time.perf_counter()
        bucket = _router_metadata(call)
        self.bucket: MutableMapping[str, Any] = {} if bucket is None else bucket
        self._is_routed = bucket is not None
        params = call.get("litellm_params") or {}
        self.deployment: Mapping[str, Any] = params.get("model_info") or self.bucket.get("model_info") or {}
        self._history: list[Record] = []
        if bucket is not None:
            # What LiteLLM's log says instead is of one attempt only, where the router has given none.
            trace = _litellm_compat.original_kwargs(call.get("logging_obj")).get("litellm_trace_id")
            self._history = history_of(bucket, trace, is_further=is_repeated(bucket))
            if is_first_attempt(bucket) and (earlier := attempt_count(bucket)):
                bucket[EARLIER_PARAM] = earlier

    @property
    def history(self) -> list[Record]:
        """Return the attempts of the request so far."""
        return list(self._history)

    def raise_if_not_retryable(self) -> None:
        """Stop a fallback from an error that every model answers alike, and a retry at once of a limited model.

        Raises:
            GatewayError: The previous attempt's failure, with nothing sent.
        """
        failed, failure = _last_failed(self._history), last_failure(self._history)
        if failed is None or failure is None:
            return
        # Another account has another key.
        is_elsewhere = failure.kind == "authentication" and failed["account"] != self.target.account
        if (failed["kind"] in _NON_RETRYABLE and not is_elsewhere) or self._repeats_a_limit(failed):
            raise GatewayError(failure)

    def _repeats_a_limit(self, failed: Record) -> bool:
        """Return whether a retry comes at once to the very deployment that the gateway has just limited.

        In a group of several a router waits for nothing before a retry, because another one is to be called. It may
        not have noticed yet which one failed, if that was a stream (measured on 1.108).
        """
        is_same = failed["deployment_id"] is not None and failed["deployment_id"] == self.deployment.get("id")
        # A limit without a reply is this side's own rate limit.
        is_limit = failed["kind"] == "rate_limit" and failed["http_status"] is not None
        return is_same and is_limit and (self.bucket.get("model_group_size") or 1) > 1

    def say_why(self) -> None:
        """Log which failure led to this attempt."""
        if (failed := _last_failed(self._history)) is None:
            return
        logger.warning(
            "maas/%s failed after %.2f s with %s%s; maas/%s is called %s.",
            failed["model"],
            failed["seconds"],
            failed["error"],
            "" if failed["http_status"] is None else f" ({failed['http_status']})",
            self._request.model,
            "again" if failed["model"] == self._request.model else "instead",
        )

    def passes_over(self, skipped: Record) -> None:
        """Note that the model is not called, because of its cooldown."""
        note_passed_over(self._history, skipped)

    def set_request(self, request: GatewayRequest) -> None:
        """Note what is sent: a budget may have chosen a cheaper model."""
        self._request = request
        self.target = DeploymentKey.of(request.model, request.endpoint, request.key)

    def mark_failed(self, failure: Failure) -> Failure:
        """Note why it failed.

        Returns:
            What the caller is to hear: where budgets refused several attempts, the first refusal.
        """
        self._add(failure)
        runtime.cooldowns.failed(self.target, failure, is_routed=self._is_routed)
        return (last_failure(self._history) or failure) if failure.budget is not None else failure

    def mark_succeeded(self) -> None:
        """Note that the model answers."""
        self._add(None)
        runtime.cooldowns.succeeded(self.target)

    def _add(self, failure: Failure | None) -> None:
        seconds, account = time.perf_counter() - self._started, self.target.account
        deployment_id = self.deployment.get("id")
        self._history.append(
            attempt_record(self._request.model, deployment_id, failure, account=account, seconds=seconds)
        )


Rule = Callable[[RoutedAttempt], None]
"""Raises `GatewayError` where an attempt is not to be made."""


@contextmanager
def attempting(request: GatewayRequest, call: Mapping[str, Any], rule: Rule | None = None) -> Iterator[RoutedAttempt]:
    """Make an attempt in this block.

    Raises:
        GatewayError: The attempt is pointless, or against the rule: nothing is to be sent.
    """
    attempt = RoutedAttempt(request, call)
    attempt.raise_if_not_retryable()
    if rule is not None:
        rule(attempt)
    attempt.say_why()
    try:
        yield attempt
    except GatewayError as error:
        failure = attempt.mark_failed(error.failure)
        if failure is not error.failure:
            raise GatewayError(failure) from None
        raise


def _router_metadata(call: Mapping[str, Any]) -> MutableMapping[str, Any] | None:
    found = router_metadata_of(call.get("litellm_params") or {})
    # Of images LiteLLM hands on no metadata, and has it all the same.
    return router_metadata_of(_litellm_compat.original_kwargs(call.get("logging_obj"))) if found is None else found
