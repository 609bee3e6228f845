"""Hint at what to do about a failed call, by the vendor's troubleshooting table and users' reports (read 2026-10)."""

from __future__ import annotations

import math

from litellm_maas import settings
from litellm_maas.gateway.endpoint import Endpoint
from litellm_maas.gateway.error_body import ErrorBody, matches
from litellm_maas.gateway.errors import ErrorKind, Failure

_NO_CREDITS = (
    "Top up in the MaaS console: when prepaid credits run out, all models are switched off until the next top-up."
)
_NO_PLAN = (
    "The Token Plan has expired, is used up or was deleted: renew it, or use the pay-as-you-go host with its own key."
)


def hint(failure: Failure, said: ErrorBody, model: str, endpoint: Endpoint) -> str:
    """Return one line of what to do about a failure that the gateway answered with."""
    if failure.is_account_exhausted:
        return _NO_PLAN if endpoint.billing_mode == "plan" else _NO_CREDITS
    match failure.kind:
        case "authentication":
            return _auth_hint(endpoint)
        case "permission":
            return f"Enable {model} for this key in the MaaS console, or choose a model the key may use."
        case "not_found":
            return _wrong_address(model, endpoint, said)
        case "rate_limit":
            return _rate_limit_hint(failure)
        case "bad_request" | "unprocessable" | "server":
            return _about_request(model, said.words) or _HINTS[failure.kind]
        case "unavailable" if matches(said.words, ["not responding"]):
            # Users report these words of an account without credits too; nothing is documented.
            return f"{_UPSTREAM} If every model answers this, look at the balance in the MaaS console."
    return _HINTS[failure.kind]


_UPSTREAM = "Trouble upstream of the gateway; num_retries=2 or a fallback retries automatically."
_UNCHANGED = "Change the request: sent again as it is, it fails again."
_HINTS: dict[ErrorKind, str] = {
    "bad_request": _UNCHANGED,
    "unprocessable": _UNCHANGED,
    "retryable": "The request was not completed; num_retries=2 or a fallback retries automatically.",
    "server": _UPSTREAM,
    "bad_gateway": _UPSTREAM,
    "unavailable": _UPSTREAM,
    "context_window": "Send less, or configure context_window_fallbacks with a model that reads more.",
    "content_policy": "The upstream model refused the content; change it, or configure content_policy_fallbacks.",
    "timeout": "Try again; for a long answer stream it, or disable thinking: reasoning_effort='none'.",
}


def _auth_hint(endpoint: Endpoint) -> str:
    active = "Check that the key is ACTIVE in the MaaS console (a new one is pending at first)"
    if endpoint.billing_mode == "plan":
        return f"{active} and is a Token Plan key: a pay-as-you-go key works only on {settings.PAYG_BASE_URL}."
    if endpoint.billing_mode == "payg":
        return f"{active} and is a pay-as-you-go key: a Token Plan key works only on {settings.PLAN_BASE_URL}."
    return f"{active} and belongs to {endpoint.base_url}."


def _wrong_address(model: str, endpoint: Endpoint, said: ErrorBody) -> str:
    if said.is_html or matches(said.text, ["no route", "no such route", "path not found"]):
        return f"Check the base URL: it should end in a single /v1 and is {endpoint.base_url}."
    if endpoint.billing_mode == "plan" and "/" in model:
        return f"The Token Plan host takes bare model codes: try maas/{model.rsplit('/', 1)[1]}."
    if endpoint.billing_mode != "plan" and "/" not in model:
        return f"The gateway takes full ids with the vendor's prefix, such as openai/gpt-4o; {model!r} has none."
    return f"Check that {model} is listed by `litellm-maas models`, is enabled for the key and serves this protocol."


def _rate_limit_hint(failure: Failure) -> str:
    wait = f"Wait {math.ceil(failure.retry_after)} s" if failure.retry_after else "Wait"
    if failure.scope == "model":
        return f"{wait}, or fall back: this limit is this model's own."
    return (
        f"{wait}, and set MAAS_RPM=10 to keep under the limit: the default one of 10 requests a minute and 14,400 a "
        "day is shared by all keys and models of the account, so another MaaS model does not escape it."
    )


_REQUEST_HINTS = (
    (
        r"\b(use|pass|send)\W{0,3}max_completion_tokens|max_completion_tokens\W{0,3}instead",
        "Pass max_completion_tokens instead of max_tokens.",
    ),
    (
        r"\b(use|pass|send)\W{0,3}max_tokens|max_tokens\W{0,3}instead",
        "Pass max_tokens in the place of max_completion_tokens.",
    ),
    (
        (
            r"(max_(completion_|output_|new_)?tokens|max_output).{0,60}"
            r"(at most|too (large|high|big)|exceed|less than|smaller|greater|range|between|maximum|limit|above|<|>)"
        ),
        "Lower max_tokens: above 32,768 several models refuse it.",
    ),
    (
        (
            r"tool_choice.{0,60}(think|reason|required|forced|support|accept)"
            r"|(think|reason).{0,60}tool_choice"
        ),
        "Thinking models refuse a forced tool_choice: use 'auto', or disable thinking: reasoning_effort='none'.",
    ),
    (
        r"(must|should|need).{0,20}(contain|include).{0,20}\bjson\b|the word.{0,5}\bjson\b",
        "With response_format json_object the messages must contain the word JSON.",
    ),
    (
        (
            r"\b(images?|image_url|vision|multimodal)\b.{0,40}(support|accept)"
            r"|(support|accept).{0,40}\b(images?|image_url|vision)\b"
        ),
        "{model} may not take images: choose a model that does (`litellm-maas models` lists them).",
    ),
    (
        (
            r"reasoning_effort.{0,60}(support|accept|unknown|unrecognized|unexpected|invalid|permitted|allow)"
            r"|(support|accept|unknown|unrecognized|unexpected|invalid).{0,60}reasoning_effort"
        ),
        "Leave reasoning_effort out, or pass drop_params=True.",
    ),
)


def _about_request(model: str, words: str) -> str | None:
    """Return what to change about the request, where the gateway's words say what is wrong with it."""
    found = next((advice for pattern, advice in _REQUEST_HINTS if matches(words, [pattern])), None)
    return None if found is None else found.format(model=model)
