"""Every exception of the package, in one tree.

A failed call raises LiteLLM's own exceptions, because those are what routers, proxies and agents catch. Everything else
that can go wrong is a `MaasError`, whose `message` says what is wrong and whose `hint` says what to do about it::

    MaasError
    ├── SettingsError              an environment variable or an argument cannot be used (also a ValueError)
    ├── UnsupportedLiteLLMError    the installed LiteLLM is too old or malicious (also an ImportError)
    ├── ConfigFileError            a YAML file has an error; names file, line and field (also a ValueError)
    ├── RateLimitStoreError        what shares the client-side rate limit cannot be used
    ├── LedgerError                the ledger cannot be read or written
    │   ├── LedgerBusyError        another process or thread is writing to it
    │   ├── DamagedLedgerError     its file is damaged, or its log is gone
    │   ├── OlderLedgerError       it has to be updated first
    │   └── InvalidEventError      an event that no ledger can store
    ├── GatewayError               a call failed; inside the package alone: the caller gets LiteLLM's exception for it
    └── UnsupportedParameterError  the model's family refuses a parameter; the same (also a ValueError)

    litellm.BudgetExceededError
    └── BudgetExceededError        a budget blocks the call

`BudgetExceededError` stands in `litellm_maas.provider.exceptions`, as its base class cannot be had without loading
LiteLLM, whose whole text its `message` is; it has a `hint` as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litellm_maas.gateway.errors import Failure


class MaasError(Exception):
    """Anything that this package finds wrong.

    Its text is the message, and after a semicolon the hint.

    Attributes:
        message: What is wrong.
        hint: What to do about it; empty where nothing can be said.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        # `args` stays what the constructor was given, so that subclasses with other arguments can be pickled.
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class SettingsError(MaasError, ValueError):
    """A setting (environment variable, argument) has a value that cannot be used."""


class UnsupportedLiteLLMError(MaasError, ImportError):
    """The installed LiteLLM is too old for this package, or a malicious release."""


class ConfigFileError(MaasError, ValueError):
    """A YAML file has an error. Its text begins with where.

    Attributes:
        file: The file that was read.
        line: The 1-based line of the error, or None where it has no single line.
        field: The dotted path of the field, such as ``lists.0.models.openai/gpt-4o.input``; empty for the whole file.
    """

    def __init__(self, file: Path, line: int | None, field: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.file = file
        self.line = line
        self.field = field

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line is not None else str(self.file)
        return ": ".join(filter(None, (where, self.field, super().__str__())))


class RateLimitStoreError(MaasError):
    """What processes or machines share the client-side rate limit in cannot be used."""


class LedgerError(MaasError):
    """The ledger cannot be read or written."""


class LedgerBusyError(LedgerError):
    """Another process or thread is writing to the ledger just now."""


class DamagedLedgerError(LedgerError):
    """The ledger's file is damaged, or its log, in which its events were, is gone."""


class OlderLedgerError(LedgerError):
    """The ledger is one of an older version of this package, and cannot be read before it is updated."""


class InvalidEventError(LedgerError):
    """An event holds what no ledger can store; nothing is wrong with the ledger."""


class GatewayError(MaasError):
    """A call failed; carried up to the provider, which turns it into LiteLLM's exception.

    Attributes:
        failure: Why.
        payload: What came with the error and is not one itself, such as a usage report; None where nothing did.
    """

    def __init__(self, failure: Failure, payload: Mapping[str, Any] | None = None) -> None:
        super().__init__(failure.message, failure.hint)
        self.failure = failure
        self.payload = payload

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class UnsupportedParameterError(MaasError, ValueError):
    """A parameter that the model's family refuses, when the caller did not ask for parameters to be dropped.

    Attributes:
        parameter: Its name.
    """

    def __init__(self, model: str, parameter: str, why: str) -> None:
        super().__init__(
            f"{model} refuses {parameter} ({why})",
            f"leave it out, or pass drop_params=True to have it dropped, or extra_body={{{parameter!r}: …}} to send it "
            "all the same",
        )
        self.parameter = parameter
