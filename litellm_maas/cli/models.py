"""Provide `litellm-maas models`: what the key can see, with the catalogue and the price list beside it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from litellm_maas.catalogue import catalogue
from litellm_maas.cli import options, tables
from litellm_maas.errors import GatewayError, LedgerError, MaasError
from litellm_maas.gateway import client
from litellm_maas.gateway.endpoint import resolve_endpoint, resolve_key
from litellm_maas.gateway.request import GatewayRequest, Timeouts
from litellm_maas.ledger import access
from litellm_maas.ledger.location import resolve_location
from litellm_maas.ledger.model_status import callable_models
from litellm_maas.pricing.price_book import PriceBook
from litellm_maas.runtime import runtime
from litellm_maas.tracking import current_prices

_NUMBERS = ("context", "input", "cached", "output")
_COLUMNS = ("takes", *_NUMBERS, "basis", "callable")
_DROPPED = ("takes", "context", "basis", "cached", "callable")
"""What is left out where there is no room, the first first."""


@click.command(name="models", epilog="Example: litellm-maas models --offline")
@click.option("--offline", is_flag=True, help="List the shipped catalogue instead of asking the gateway.")
@options.ledger_option
@options.as_json
def command(*, offline: bool, ledger: str | None, as_json: bool) -> None:
    """List the models that the key can see, with their prices, and whether they can be called.

    Prices are credits (1 credit = 1 VND) per 1,000,000 tokens. The gateway lists models that then answer 404 or 403:
    being listed does not mean being callable. That is known of models that were called within 30 days, by what their
    last calls came to in the ledger; `litellm-maas doctor --probe MODEL` calls one, and shows more of it.
    """
    ids = list(catalogue().ids()) if offline else _listed()
    known = _attempts(ledger)
    book = current_prices.current()
    rows = [_row(model_id, book, known.get(model_id, "unknown")) for model_id in ids]
    if as_json:
        tables.print_json(rows)
    else:
        _show(tables.console(), rows)


def _show(to: Console, rows: list[dict[str, Any]]) -> None:
    # A column that says the same of all models says nothing.
    seldom = {"basis": ("official", "unpriced"), "callable": ("unknown",)}
    wanted = [
        name for name in _COLUMNS if name not in seldom or not {_of(row, name) for row in rows} <= {*seldom[name]}
    ]
    columns, dropped = list(wanted), []
    for name in (each for each in _DROPPED if each in wanted):
        if tables.width(_table(rows, columns), to) <= to.width:
            break
        columns.remove(name)
        dropped.append(name)
    # Ids fold where even the narrowest is too wide; numbers are never cut off.
    to.print(_table(rows, columns))
    to.print("Prices: VND per 1,000,000 tokens; - where none is known.")
    if "callable" in dropped:
        refused = [f"{row['id']} ({row['callable']})" for row in rows if row["callable"] not in ("yes", "unknown")]
        if refused:
            to.print(f"Not callable at the last attempt: {', '.join(refused)}.")
    if "callable" not in wanted:
        to.print("Which of them can be called is not known yet: litellm-maas doctor --probe MODEL")
    if dropped:
        to.print(f"Not shown at {to.width} columns: {', '.join(dropped)}. Widen the terminal, or use --json.")


def _of(row: dict[str, Any], column: str) -> str:
    return str(row["price_basis" if column == "basis" else column])


def _table(rows: list[dict[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", collapse_padding=True, pad_edge=False)
    table.add_column("model", overflow="fold")
    for heading in columns:
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left", no_wrap=True)
    for row in rows:
        cells = {
            "takes": "+".join(row["input_modalities"]) if row["type"] == "chat" else row["type"],
            "context": _shown(row["max_input_tokens"]),
            **{kind: _shown(row["price"][kind] if row["price"] else None) for kind in ("input", "cached", "output")},
            "basis": row["price_basis"],
            "callable": row["callable"],
        }
        table.add_row(row["id"], *(cells[heading] for heading in columns))
    return table


def _attempts(ledger: str | None) -> dict[str, str]:
    try:
        with access.open_ledger(resolve_location(ledger)) as found:
            return {} if found is None else callable_models(found, dt.datetime.now(dt.timezone.utc))
    except LedgerError as error:
        click.echo(f"Unknown which models can be called: {error}", err=True)
        return {}


def _listed() -> list[str]:
    key = resolve_key(None)
    if key is None:
        raise MaasError("no API key", "set MAAS_API_KEY, or list the shipped catalogue with --offline")
    request = GatewayRequest(resolve_endpoint(None), key, "/models", "models", None, Timeouts(first_byte=30.0))
    try:
        payload = json.loads(client.send(request, runtime.clients).body)
        return [str(entry["id"]) for entry in payload["data"]]
    except GatewayError as error:
        raise MaasError(str(error)) from None
    except (ValueError, KeyError, TypeError):
        raise MaasError(f"{request.url} did not answer with a list of models", "check MAAS_API_BASE") from None


def _row(model_id: str, book: PriceBook, callable_: str) -> dict[str, Any]:
    model = catalogue().model(model_id)
    found = book.price(model_id, dt.datetime.now(dt.timezone.utc))
    price = None
    if found is not None:
        entry = found.entry
        price = {
            kind: None if value is None else float(value)
            for kind, value in (("input", entry.input), ("cached", entry.cached), ("output", entry.output))
        }
    return {
        "id": model_id,
        "type": model.mode,
        "input_modalities": list(model.input),
        "max_input_tokens": model.max_input_tokens if model.size_known else None,
        "in_catalogue": model.known,
        "price": price,
        "price_basis": "unpriced" if found is None else found.basis,
        "callable": callable_,
    }


def _shown(number: float | None) -> str:
    return "-" if number is None else f"{number:,.10g}"
