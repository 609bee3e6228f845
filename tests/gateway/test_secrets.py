from __future__ import annotations

import logging
import traceback
from typing import Any

import httpx
import litellm
import openai
import pytest
from pydantic import SecretStr

from litellm_maas.gateway.endpoint import resolve_endpoint, resolve_key
from litellm_maas.gateway.request import GatewayRequest, Timeouts
from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import KEY, MESSAGES

pytest_plugins = ["pytester"]


def test_the_key_is_a_secret_until_it_is_on_the_wire(sandbox: Sandbox) -> None:
    """Neither the request object nor its text shows the key."""
    key = resolve_key(KEY)
    assert isinstance(key, SecretStr)
    request = GatewayRequest(resolve_endpoint(None), key, "/chat/completions", "m", {}, Timeouts())
    assert KEY not in repr(request)
    assert KEY not in str(request.headers)


@pytest.mark.parametrize("fault", [Fault(status=401, body=f"bad key {KEY}"), Fault(disconnect=True), Fault(hang=True)])
def test_an_exception_holds_no_key_anywhere(sandbox: Sandbox, fault: Fault) -> None:
    """The exception, its attributes, its response, its causes and our frames in its traceback hold no key."""
    sandbox.faults.add(fault)
    with pytest.raises(openai.APIError) as caught:
        litellm.completion(model="maas/openai/gpt-4o", messages=MESSAGES, timeout=0.5)
    error: Any = caught.value
    assert KEY not in repr(error) + str(error) + repr(vars(error))
    response = getattr(error, "response", None)
    if isinstance(response, httpx.Response):
        assert KEY not in repr(response.headers.raw) + repr(response.request.headers.raw)
    while error is not None:
        assert KEY not in "".join(traceback.format_exception_only(type(error), error))
        error = error.__cause__ or error.__context__


def test_our_log_lines_hold_no_key_and_no_prompt(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """At debug level, over calls that succeed and calls that fail, our own log lines hold neither key nor prompt."""
    prompt = "a prompt that nobody should find in a log"
    call: dict[str, Any] = {"model": "maas/openai/gpt-4o", "messages": [{"role": "user", "content": prompt}]}
    with caplog.at_level(logging.DEBUG, logger="litellm_maas"):
        litellm.completion(reasoning_effort="none", **call)
        list(litellm.completion(stream=True, **call))
        sandbox.faults.add(Fault(status=500, body=f"{KEY} {prompt}"))
        with pytest.raises(litellm.InternalServerError):
            litellm.completion(**call)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("litellm_maas")]
    assert ours
    assert not [line for line in ours if KEY in line or prompt in line]


@pytest.mark.process
def test_a_test_that_prints_a_key_fails(pytester: pytest.Pytester) -> None:
    """The check over the whole suite works: a test whose output, log or traceback holds a key fails."""
    pytester.makeconftest("from tests.conftest import *")
    pytester.makepyfile(
        f"""
        import logging, sys
        def test_prints(): print("{KEY[:9]}" + "{KEY[9:]}")
        def test_prints_error(): print("{KEY[:9]}" + "{KEY[9:]}", file=sys.stderr)
        def test_logs(): logging.getLogger("x").warning("{KEY[:9]}" + "{KEY[9:]}")
        def test_keeps_quiet(): pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")
    # What a test printed is in the report of its teardown too.
    result.assert_outcomes(passed=1, failed=3, errors=3)
    assert KEY not in result.stdout.str()
