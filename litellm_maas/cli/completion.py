"""Complete model ids, groupings and names of budgets in a shell. Never raises: a shell cannot show an error."""

from __future__ import annotations

from collections.abc import Iterable

from click.shell_completion import CompletionItem

_PREFIX = "maas/"


def model_ids(incomplete: str) -> list[CompletionItem]:
    """Complete a model id of the catalogue, with the prefix `maas/` or without."""
    from litellm_maas.catalogue import catalogue  # noqa: PLC0415 - only where it is asked for

    prefix = _PREFIX if incomplete.startswith(_PREFIX) else ""
    return _of((prefix + each for each in catalogue().ids()), incomplete)


def groups(incomplete: str) -> list[CompletionItem]:
    """Complete the last name of a list such as `model,day`."""
    from litellm_maas.ledger.reports import GROUPS  # noqa: PLC0415 - the same

    written, comma, _ = incomplete.rpartition(",")
    return _of((f"{written}{comma}{each}" for each in GROUPS), incomplete)


def budgets(incomplete: str) -> list[CompletionItem]:
    """Complete the name of a budget of the ledger or of the file that MAAS_BUDGETS names."""
    from litellm_maas.cli.budget import names  # noqa: PLC0415 - the same

    return _of(names(), incomplete)


def _of(known: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(each) for each in known if each.startswith(incomplete)]
