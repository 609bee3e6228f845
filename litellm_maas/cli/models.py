"""`litellm-maas models`: what the key can see, joined with the catalogue and the price list."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from litellm_maas.errors import MaasError
from litellm_maas.models import catalogue
from litellm_maas.pricing import book
from litellm_maas.wire import gateway
from litellm_maas.wire.endpoints import resolve_endpoint, resolve_key
from litellm_maas.wire.failures import GatewayError
from litellm_maas.wire.requests import Timeouts, WireRequest


@click.command(name="models")
@click.option("--offline", is_flag=True, help="List the shipped catalogue instead of asking the gateway.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, offline: bool, as_json: bool) -> None:
    """List the models that the key can see, with their prices.

    Prices are credits (1 credit = 1 VND) per 1,000,000 tokens. The gateway lists models that then answer 404 or 403:
    being listed does not mean being callable.
    """
    rows = [_row(model_id) for model_id in (catalogue().ids() if offline else _listed())]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    table = Table(box=None, header_style="bold", collapse_padding=True, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("takes", no_wrap=True)
    for heading in ("context", "input", "cached", "output"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["id"],
            "+".join(row["input_modalities"]) if row["mode"] == "chat" else row["mode"],
            _shown(row["max_input_tokens"]),
            *(_shown(row["price"][kind] if row["price"] else None) for kind in ("input", "cached", "output")),
        )
    Console().print(table)
    click.echo("Prices: VND per 1,000,000 tokens; - where none is published.")


def _listed() -> list[str]:
    key = resolve_key(None)
    if key is None:
        raise MaasError("no API key: set MAAS_API_KEY, or list the shipped catalogue with --offline")
    request = WireRequest(resolve_endpoint(None), key, "/models", "models", None, Timeouts(first_byte=30.0))
    try:
        payload = json.loads(gateway.send(request).body)
        return [str(entry["id"]) for entry in payload["data"]]
    except GatewayError as error:
        raise MaasError(f"{error.failure.reason}. {error.failure.hint}") from None
    except (ValueError, KeyError, TypeError):
        raise MaasError(f"{request.url} answered something else than a list of models; check MAAS_API_BASE") from None


def _row(model_id: str) -> dict[str, Any]:
    model = catalogue().model(model_id)
    found = book.official().price(model_id, dt.datetime.now(dt.timezone.utc))
    price = None
    if found is not None:
        entry = found.entry
        price = {
            kind: None if value is None else float(value)
            for kind, value in (("input", entry.input), ("cached", entry.cached), ("output", entry.output))
        }
    return {
        "id": model_id,
        "mode": model.mode,
        "input_modalities": list(model.input),
        "max_input_tokens": model.max_input_tokens if model.size_known else None,
        "in_catalogue": model.known,
        "price": price,
        "price_basis": "unpriced" if found is None else found.basis,
    }


def _shown(number: float | None) -> str:
    return "-" if number is None else f"{number:,.10g}"
