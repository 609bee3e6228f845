"""Probing models from the command line: what it may cost is said before, what it cost after."""

from __future__ import annotations

from collections.abc import Sequence

import click
from pydantic import SecretStr

from litellm_maas.cli import price_book, tables
from litellm_maas.doctor.probe import Probe, Prober
from litellm_maas.errors import MaasError
from litellm_maas.pricing.credits import shown
from litellm_maas.spend.credit_watch import notes_file
from litellm_maas.spend.place import place
from litellm_maas.spend.recorder import Recorder
from litellm_maas.wire.endpoints import Endpoint


def probe(
    endpoint: Endpoint | None, key: SecretStr | None, models: Sequence[str], *, yes: bool, once: bool = False
) -> list[Probe]:
    """Probe models, after asking; what each showed.

    Args:
        endpoint: Where to.
        key: The key.
        models: The model ids.
        yes: Do not ask.
        once: Only whether each answers: one call, not three.

    Raises:
        MaasError: There is no key, or no base URL.
        Abort: The answer was no.
    """
    if endpoint is None or key is None:
        raise MaasError("nothing can be probed without a key and a base URL: set MAAS_API_KEY; litellm-maas doctor")
    recorder = Recorder(notes_file(place()))
    try:
        prober = Prober(endpoint, key, price_book.in_force(), recorder)
        _ask(prober, models, yes=yes, once=once)
        found = [prober.probe(model, once=once) for model in models]
    finally:
        recorder.close()
    spent = sum(each.micro_credits or 0 for each in found)
    unknown = sum(each.micro_credits is None for each in found)
    more = f", and {tables.counted(unknown, 'model')} without a price" if unknown else ""
    click.echo(f"The probes cost {shown(spent)}{more}; they are in the ledger with the tag doctor.", err=True)
    return found


def _ask(prober: Prober, models: Sequence[str], *, yes: bool, once: bool) -> None:
    costs = [prober.worst_case(model, once=once) for model in models]
    unknown = costs.count(None)
    more = f", and what {unknown} of them cost is not known" if unknown else ""
    most = shown(sum(cost or 0 for cost in costs))
    click.echo(f"Probing {tables.counted(len(models), 'model')} costs at most {most}{more}.", err=True)
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
