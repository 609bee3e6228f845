"""Failures -> the exceptions of LiteLLM that routers, proxies and agents catch."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import httpx
import litellm
from litellm.exceptions import MidStreamFallbackError

from litellm_maas.gateway.errors import STATUS_OF_KIND, ErrorKind, Failure
from litellm_maas.pricing.credits import to_credits

PROVIDER = "maas"


class BudgetExceededError(  # type: ignore[misc]  # both have a status code, and it is the same
    litellm.BudgetExceededError, litellm.UnprocessableEntityError
):
    """LiteLLM's own error of a budget that is used up.

    Also one of the errors that LiteLLM hands on as they are: it would make a BadRequestError of the bare one when it
    comes from a provider. Amounts are credits (VND).

    Attributes:
        message: LiteLLM's whole text, the hint included.
        hint: What to do about it.
        current_cost: What is spent in the budget's period.
        max_budget: The budget's limit.
    """

    def __init__(self, message: str, hint: str, model: str, spent: float, limit: float) -> None:
        request = httpx.Request("POST", "https://litellm.ai")
        litellm.UnprocessableEntityError.__init__(
            self,
            message=f"MaaS: {message}\n{hint}",
            model=model,
            llm_provider=PROVIDER,
            response=httpx.Response(422, request=request),
        )
        # The name that users know, and not the one that LiteLLM hands it on by.
        self.message = f"litellm.BudgetExceededError: MaaS: {message}\n{hint}"
        self.hint = hint
        self.args = (self.message,)
        # Whatever LiteLLM keeps on its own, which is more in each version.
        own = litellm.BudgetExceededError(current_cost=spent, max_budget=limit, message=self.message)
        vars(self).update({**vars(own), **vars(self)})
        self.type = "budget_exceeded"


_CLASS_OF_KIND: dict[ErrorKind, Any] = {
    "bad_request": litellm.BadRequestError,
    "context_window": litellm.ContextWindowExceededError,
    "content_policy": litellm.ContentPolicyViolationError,
    "authentication": litellm.AuthenticationError,
    "payment": litellm.PaymentRequiredError,
    "permission": litellm.PermissionDeniedError,
    "not_found": litellm.NotFoundError,
    "unprocessable": litellm.UnprocessableEntityError,
    "rate_limit": litellm.RateLimitError,
    "server": litellm.InternalServerError,
    "bad_gateway": litellm.BadGatewayError,
    "unavailable": litellm.ServiceUnavailableError,
}


def exception_class_name(failure: Failure) -> str:
    """Return the name of the exception that a failure becomes."""
    return type(map_exception(failure, "", "https://gateway")).__name__


def map_exception(failure: Failure, model: str, url: str) -> Exception:
    """Return the exception for a failure.

    Its message is the gateway's reason and, on a line of its own, what to do. `response` carries the status and, where
    the gateway asked for a wait, a `Retry-After` in whole seconds: LiteLLM reads nothing finer. The request in it
    holds no key.
    """
    message = f"MaaS: {failure.message}\n{failure.hint}"
    about: dict[str, Any] = {"message": message, "model": model, "llm_provider": PROVIDER}
    request = httpx.Request("POST", url)
    headers = {} if failure.retry_after is None else {"retry-after": str(math.ceil(failure.retry_after))}
    exception: Exception
    if failure.budget is not None:
        spent, limit = (float(to_credits(each)) for each in failure.budget)
        exception = BudgetExceededError(failure.message, failure.hint, model, spent, limit)
    elif failure.kind == "connection":
        exception = litellm.APIConnectionError(**about, request=request)
    elif failure.kind == "timeout":
        exception = litellm.Timeout(**about, headers=headers or None)
    elif (exception_class := _CLASS_OF_KIND.get(failure.kind)) is None:
        status = failure.status or STATUS_OF_KIND[failure.kind]
        exception = litellm.APIError(**about, status_code=status, request=request)
    else:
        response = httpx.Response(STATUS_OF_KIND[failure.kind], headers=headers, request=request)
        exception = exception_class(**about, response=response)
    if headers:
        # The attribute from which LiteLLM's router reads how long to wait.
        exception.litellm_response_headers = httpx.Headers(headers)  # type: ignore[attr-defined]
    return exception


_FALLEN_BACK_FROM: frozenset[ErrorKind] = frozenset(
    {"authentication", "payment", "permission", "not_found", "retryable", "timeout"}
)


def wrap_mid_stream(
    failure: Failure, exception: Exception, model: str, *, has_begun: bool, also: Collection[str] = ()
) -> Exception:
    """Wrap the exception for a router's stream, so that the router falls back where it should.

    Of errors that come while a stream is read, LiteLLM's router takes a status from 400 to 499 for the caller's own
    fault, 429 excepted, and falls back on the others only (measured on 1.106). An asynchronous stream tells of every
    error only then. The router unwraps the exception where no fallback helps.

    Args:
        failure: What went wrong.
        exception: The exception for it.
        model: The id that was asked for.
        has_begun: Whether a part of the answer has been handed out.
        also: Kinds of failure for which the router has fallbacks of their own.
    """
    if failure.kind not in _FALLEN_BACK_FROM and failure.kind not in also:
        return exception
    return MidStreamFallbackError(
        message=str(exception),
        model=model,
        llm_provider=PROVIDER,
        original_exception=exception,
        is_pre_first_chunk=not has_begun,
    )
