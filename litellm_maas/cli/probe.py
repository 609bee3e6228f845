"""Probing models from the command line: what it may cost is said before, what it cost after."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import click
from pydantic import SecretStr

from litellm_maas import settings
from litellm_maas.balance.low_balance import notes_file
from litellm_maas.cli import tables
from litellm_maas.doctor.probe import Probe, Prober
from litellm_maas.errors import MaasError
from litellm_maas.gateway.endpoint import Endpoint
from litellm_maas.ledger.location import resolve_location
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.pricing.credits import format_credits
from litellm_maas.runtime import runtime
from litellm_maas.settings import RateLimit
from litellm_maas.tracking import current_prices

_LIMIT = RateLimit(10)
"""Requests a minute of an account (vendor documentation, read 2026-10)."""
_CALLS = 3
"""What a whole probe of a model makes."""


def probe(endpoint: Endpoint | None, key: SecretStr | None, models: Sequence[str], *, yes: bool) -> list[Probe]:
    """Probe models, after asking, and return what each showed.

    Args:
        endpoint: Where to.
        key: The key.
        models: The model ids.
        yes: Do not ask.

    Raises:
        MaasError: There is no key, or no base URL.
        Abort: The answer was no.
    """
    if endpoint is None or key is None:
        raise MaasError("probing needs a key and a base URL", "set MAAS_API_KEY, or see litellm-maas doctor")
    recorder = Recorder(notes_file(resolve_location()))
    try:
        prober = Prober(endpoint, key, current_prices.current(), recorder)
        with _paced() as limit:
            _ask(prober, models, limit, yes=yes)
            found = list(_probed(prober, models))
    finally:
        recorder.close()
    spent = sum(each.micro_credits or 0 for each in found)
    unknown = sum(each.micro_credits is None for each in found)
    more = f", and {tables.counted(unknown, 'model')} without a price" if unknown else ""
    click.echo(f"The probes cost {format_credits(spent)}{more}; they are in the ledger with the tag doctor.", err=True)
    if refused := [each.model for each in found if each.answer is None]:
        click.echo(
            f"{tables.counted(len(refused), 'model')} could not be probed because of the account's rate limit:"
            f" {', '.join(map(tables.printable, refused))}. Try again later.",
            err=True,
        )
    return found


def _probed(prober: Prober, models: Sequence[str]) -> Iterator[Probe]:
    to = tables.console(stderr=True)
    with to.status("", spinner="line") if to.is_terminal else contextlib.nullcontext() as status:
        for number, model in enumerate(models, 1):
            if status is not None:
                status.update(f"{number} of {len(models)}: {tables.printable(model)}")
            yield prober.probe(model)


@contextlib.contextmanager
def _paced() -> Iterator[RateLimit | None]:
    """Keep to the account's documented limit, unless MAAS_RPM says otherwise, and yield it."""
    before = runtime.rate_limit
    # Calls of other programs are waited for too, where they keep a rate limit themselves.
    runtime.rate_limit = before or _LIMIT
    try:
        yield settings.rate_limit(runtime.rate_limit)
    finally:
        runtime.rate_limit = before


def _ask(prober: Prober, models: Sequence[str], limit: RateLimit | None, *, yes: bool) -> None:
    costs = [prober.estimate_max_cost(model) for model in models]
    unknown = costs.count(None)
    more = f", and what {unknown} of them cost is not known" if unknown else ""
    most = format_credits(sum(cost or 0 for cost in costs))
    click.echo(f"Probing {tables.counted(len(models), 'model')} costs at most {most}{more}.", err=True)
    calls = len(models) * _CALLS
    if limit is not None and calls > limit.requests:
        minutes = -(-calls // limit.requests) - 1
        click.echo(
            f"It takes about {tables.counted(minutes, 'minute')}: the account's limit is {limit.requests} requests a "
            "minute (MAAS_RPM).",
            err=True,
        )
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
