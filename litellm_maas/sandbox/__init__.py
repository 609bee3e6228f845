"""Run an offline MaaS: a real HTTP server on this machine that behaves as the gateway is known to behave.

For trying things out, for this package's tests and for the tests of its users::

    from litellm_maas.sandbox import Fault, Sandbox

    with Sandbox() as sandbox:
        sandbox.faults.add(Fault(status=503, times=2))
        litellm.completion(model="maas/openai/gpt-4o", api_base=sandbox.url, api_key=sandbox.key, ...)
        print(sandbox.bill.micro_credits)

For pytest, `pytest_plugins = ["litellm_maas.testing"]` in a `conftest.py` brings the fixture `maas_sandbox`.

Nothing here is the real gateway: where its behaviour is not documented, the docstrings of
`litellm_maas.sandbox.accounts` and `litellm_maas.sandbox.validation` say what this one does.
"""

from litellm_maas.sandbox.accounts import Account, Limit
from litellm_maas.sandbox.billing import Charge
from litellm_maas.sandbox.faults import Fault
from litellm_maas.sandbox.scripted import Answer, Choice, ToolCall
from litellm_maas.sandbox.server import Request, Sandbox

__all__ = ["Account", "Answer", "Charge", "Choice", "Fault", "Limit", "Request", "Sandbox", "ToolCall"]
