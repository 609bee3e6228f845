"""Making `maas/` known to LiteLLM, through its public registries wherever it has one."""

from __future__ import annotations

import logging
import threading
from typing import Any

import litellm
from litellm.utils import custom_llm_setup

from litellm_maas import _litellm_compat
from litellm_maas.errors import SettingsError
from litellm_maas.provider import model_map
from litellm_maas.provider.exceptions import PROVIDER
from litellm_maas.provider.handler import maas

logger = logging.getLogger("litellm_maas")

# Held for the lists alone, and by one thread twice: what enters them compares the prefix.
_lock = threading.RLock()


def _is_prefix(name: object) -> bool:
    # Not by `==`, which asks `_Prefix` where it can; and what is no string at all is neither equal nor unequal here.
    return str.__eq__(PROVIDER, name) is True


class _Prefix(str):
    """The prefix in LiteLLM's lists of providers, which LiteLLM compares with a model's before it looks the model up.

    That is the one moment before a call at which a plugin can notice that the map of models was replaced, or the list
    of custom providers: LiteLLM notes the prefix in a second list, which stays.
    """

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        if not _is_prefix(other):
            return False
        _enter(replacing=False)
        try:
            model_map.ensure_declared()
        except SettingsError as error:  # the next call raises it
            logger.debug("the models are not declared again: %s", error)
        return True

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


_ENTRY: Any = {"provider": _Prefix(PROVIDER), "custom_handler": maas}


def register() -> None:
    """Register the provider `maas` and its models with LiteLLM.

    Importing the package does this once, and the next look-up or call of a `maas/` model does it again where something
    replaced `litellm.model_cost` or `litellm.custom_provider_map`, or reloaded LiteLLM. Entries of other providers are
    kept, and repeating it is cheap.

    Raises:
        SettingsError: `MAAS_VND_PER_USD` is not a positive number.
    """
    _enter(replacing=True)
    _litellm_compat.declare_reasoning_params(PROVIDER)
    model_map.declare()


def _enter(*, replacing: bool) -> None:
    """Enter `maas` into LiteLLM's list of custom providers, where it is missing.

    Args:
        replacing: Also in the place of another handler of that prefix, which otherwise stays.
    """
    with _lock:
        entries: list[Any] = litellm.custom_provider_map
        ours = [index for index, entry in enumerate(entries) if _is_prefix(entry["provider"])]
        if not ours:
            entries.append(_ENTRY)
        elif not replacing:
            return
        else:
            entries[ours[-1]] = _ENTRY
        custom_llm_setup()  # type: ignore[no-untyped-call]  # LiteLLM leaves it untyped
