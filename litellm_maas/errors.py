"""The errors this package raises itself.

A failed call raises LiteLLM's own exceptions (see `litellm_maas.provider.exceptions`), because those are what
routers, proxies and agents catch. Everything else that can go wrong is one of these::

    MaasError
    ├── SettingsError            an environment variable or an argument that cannot be used
    ├── UnsupportedLiteLLMError  the installed LiteLLM is too old, or a malicious release
    ├── ConfigFileError          a YAML file with a mistake in it: names file, line and field
    ├── RateLimitStoreError      what shares the rate limit cannot be used
    └── LedgerError              the ledger cannot be read or written
        ├── LedgerBusyError      another process or thread writes to it just now
        ├── DamagedLedgerError
        ├── OlderLedgerError     it has to be updated first
        └── InvalidEventError    an event that no ledger can store
"""

from __future__ import annotations

from pathlib import Path


class MaasError(Exception):
    """Anything that this package found wrong outside a call to the gateway. The message says what to do next."""


class SettingsError(MaasError, ValueError):
    """A setting (environment variable, argument) has a value that cannot be used."""


class UnsupportedLiteLLMError(MaasError, ImportError):
    """The installed LiteLLM is too old for this package, or a malicious release."""


class ConfigFileError(MaasError, ValueError):
    """A data file has a mistake.

    Attributes:
        file: The file that was read.
        line: The 1-based line of the mistake, or None where it has no single line.
        field: The dotted path of the field, such as ``lists.0.models.openai/gpt-4o.input``; empty for the whole file.
        message: What is wrong and how to fix it, without the location.
    """

    def __init__(self, file: Path, line: int | None, field: str, problem: str) -> None:
        self.file = file
        self.line = line
        self.field = field
        self.message = problem
        where = f"{file}:{line}" if line is not None else str(file)
        super().__init__(f"{where}: {field}: {problem}" if field else f"{where}: {problem}")


class LedgerError(MaasError):
    """The ledger cannot be read or written. The message says why, and what to do."""


class LedgerBusyError(LedgerError):
    """Another process or thread is writing to the ledger just now."""


class DamagedLedgerError(LedgerError):
    """The ledger's file is damaged, or its log, in which its events were, is gone."""


class OlderLedgerError(LedgerError):
    """The ledger is one of an older version of this package, and cannot be read before it is updated."""


class InvalidEventError(LedgerError):
    """An event holds what no ledger can store; nothing is wrong with the ledger."""


class RateLimitStoreError(MaasError):
    """The store of the rate limit cannot be used."""
