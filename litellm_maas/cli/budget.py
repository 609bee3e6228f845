"""Provide `litellm-maas budget`: set budgets in the ledger, and show their state."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from litellm_maas import settings
from litellm_maas.budgets.budget import FILTERS, Budget
from litellm_maas.budgets.enforcement import BudgetEnforcer
from litellm_maas.budgets.reservations import BudgetStatus, BudgetStore
from litellm_maas.cli import budget_names, completion, options, tables
from litellm_maas.did_you_mean import nearest
from litellm_maas.errors import MaasError
from litellm_maas.ledger import access, periods, spools
from litellm_maas.ledger.location import PostgresLocation, resolve_location
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.tracking import current_prices
from litellm_maas.yaml_file import message_and_hint

_LAYOUTS = (
    ("per", "resets", "spent", "reserved", "limit", "used"),
    ("resets", "spent", "limit", "used"),
    ("spent", "limit", "used"),
    ("limit", "used"),
)
"""What is shown beside the name, the more the more room there is."""


def names() -> list[str]:
    """Return the names of the budgets of the ledger and of MAAS_BUDGETS; none if they cannot be read."""
    try:
        return [each.name for each in _budgets(None)]
    except MaasError:
        return []


def _complete(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return completion.budgets(incomplete)


@click.group(name="budget", epilog="Example: litellm-maas budget set 200000 --per day")
def command() -> None:
    """Limit what may be spent, and show what is left.

    A budget applies wherever spend is recorded in its ledger: in Python, on a proxy, in agents, in several processes at
    once. With a ledger in PostgreSQL it applies to the programs of this machine.
    """


@command.command(
    name="set",
    short_help="Set a budget, or replace the one of the same name.",
    epilog="Example: litellm-maas budget set 200000 --per day --user minh",
)
@click.argument("credits", metavar="CREDITS")
@click.option("--name", help="What to call it; by default what it limits.")
@click.option("--per", default="month", show_default=True, help="hour, day, week, month, total, or 'rolling 24h'.")
@click.option(
    "--model", callback=options.strip_prefix, shell_complete=options.model_ids, help="Only calls to this model id."
)
@click.option("--tag", help="Only calls with this tag.")
@click.option("--user", help="Only calls of this user; through a proxy, the owner of the key.")
@click.option("--end-user", help="Only calls through a proxy that name this end user; any client may name any.")
@click.option("--team", help="Only calls of the team with this alias or id.")
@click.option("--key", help="Only calls with the proxy key of this alias.")
@click.option("--host", help="Only calls to this host.")
@click.option("--action", default="block", show_default=True, help="block, warn, or downgrade:MODEL.")
@click.option(
    "--allow-unpriced", is_flag=True, help="Let models without a price be called; what they cost does not count."
)
@click.option(
    "--warn-at",
    "warn_at",
    default="50,80,100",
    show_default=True,
    help="Percentages of the limit at which an alert is given.",
)
@click.option("--timezone", default=None, help="The zone whose days and months are meant; Asia/Ho_Chi_Minh by default.")
@options.ledger_option
def set_command(ledger: str | None, **given: Any) -> None:
    """Set a budget of so many CREDITS (200000, 1,530,000 or 1.530.000), or replace the one of the same name."""
    given["warn_at"] = [part.strip() for part in given["warn_at"].split(",") if part.strip()]
    given["name"] = given["name"] or _named(given)
    try:
        made = Budget(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]).replace("_", "-") if first["loc"] else "budget"
        message, hint = message_and_hint(first)
        raise MaasError(f"{field}: {message}", hint) from None
    known = current_prices.known_models()
    with SqliteLedger(_file(ledger)) as opened:
        BudgetStore(opened).set(made)
        unknown = list(budget_names.unknown(opened, made))
    click.echo(
        f"Budget {made.name!r}: {tables.money(made.limit, exact=True)} per {made.per}, {made.describe()}; "
        f"{made.action}."
    )
    for model in {made.model, made.cheaper_model} - {None, *known}:
        near = nearest(str(model), known)
        fix = f"did you mean {near}?" if near else "litellm-maas models lists those that are."
        click.echo(f"Warning: no model {model} is known; {fix} The budget is set as written.", err=True)
    for text in unknown:
        click.echo(f"Warning: {text} The budget is set as written.", err=True)


@command.command(
    name="remove",
    short_help="Remove a budget from the ledger.",
    epilog="Example: litellm-maas budget remove user:minh/day",
)
@click.argument("name", shell_complete=_complete)
@options.ledger_option
def remove_command(name: str, ledger: str | None) -> None:
    """Remove a budget from the ledger."""
    stays = any(each.name == name for each in BudgetEnforcer().configured_budgets())
    with _store(ledger, writable=True) as store:
        if store is None or not store.remove(name):
            if stays:
                raise MaasError(f"budget {name!r} is not in the ledger, but in {settings.budgets()}", "remove it there")
            known = ", ".join(repr(found.name) for found in store.budgets()) if store is not None else ""
            raise MaasError(f"there is no budget {name!r} in the ledger", f"there is: {known or 'none'}")
    click.echo(f"Budget {name!r} is removed.")
    if stays:
        click.echo(
            f"The one of the same name in {settings.budgets()} is the current one now; remove it there too.", err=True
        )


@command.command(
    name="list",
    short_help="List the budgets of the ledger and of MAAS_BUDGETS.",
    epilog="Example: litellm-maas budget list --json",
)
@options.as_json
@options.ledger_option
def list_command(ledger: str | None, *, as_json: bool) -> None:
    """List the budgets, those of the file that MAAS_BUDGETS names included."""
    found = _budgets(ledger)
    if not found:
        options.refuse_missing(ledger)
    if as_json:
        tables.print_json([_plain(each) for each in found])
        return
    if not found:
        click.echo("No budgets. Set one with: litellm-maas budget set 200000 --per day")
        for other in _other_files(ledger):
            click.echo(f"There are some for another database: litellm-maas budget list --ledger {other}", err=True)
        return
    table = tables.table(["budget", "limits", "per", "action"], ["credits"])
    for each in found:
        table.add_row(each.name, each.describe(), each.per, each.action, tables.money(each.limit, exact=True))
    tables.console().print(table)


@command.command(
    name="status",
    short_help="Show what is spent; exit status 1 if one that blocks is used up.",
    epilog="Example: litellm-maas budget status",
)
@click.argument("name", required=False, shell_complete=_complete)
@options.as_json
@options.ledger_option
def status_command(name: str | None, ledger: str | None, *, as_json: bool) -> None:
    """Show what is spent of the budgets, or of one. Exit status 1 if one that blocks is used up."""
    access.flush(resolve_location(ledger))
    own = BudgetEnforcer().configured_budgets()
    with _store(ledger, writable=True) as store:
        found = [each for each in (own if store is None else store.budgets(own)) if name in (None, each.name)]
        states = [BudgetStatus(each, 0, 0) for each in found] if store is None else store.status(found)
    if not found:
        options.refuse_missing(ledger)
    if name is not None and not states:
        raise MaasError(f"there is no budget {name!r}", "see: litellm-maas budget list")
    if as_json:
        tables.print_json([_plain_state(state) for state in states])
    elif not states:
        click.echo("No budgets. Set one with: litellm-maas budget set 200000 --per day")
    else:
        _show(states)
    if any(state.budget.action == "block" and state.spent >= state.budget.limit for state in states):
        sys.exit(1)


def _show(states: list[BudgetStatus]) -> None:
    to = tables.console()
    # Names fold where there is no room for them even so, numbers never.
    fitting = (each for each in _LAYOUTS if tables.width(_table(states, each), to) <= to.width)
    to.print(_table(states, next(fitting, _LAYOUTS[-1])))


def _table(states: list[BudgetStatus], columns: Sequence[str]) -> Table:
    table = tables.table(["budget"], columns)
    for state in states:
        used = 100 * state.spent // state.budget.limit
        style = "red" if used >= 100 else "yellow" if used >= 80 else "green"
        resets_at = state.resets_at
        cells: dict[str, str | Text] = {
            "per": state.budget.per,
            "resets": "-" if resets_at is None else periods.clock(resets_at),
            "spent": tables.money(state.spent),
            "reserved": tables.money(state.reserved),
            "limit": tables.money(state.budget.limit, exact=True),
            "used": Text(f"{used} %", style=style),
        }
        table.add_row(state.budget.name, *(cells[column] for column in columns))
    return table


def _plain(each: Budget) -> dict[str, Any]:
    # In JSON an amount is a number; the exact one is in micro-credits.
    number = int(each.credits) if each.credits == int(each.credits) else float(each.credits)
    return {**json.loads(each.model_dump_json()), "credits": number, "limit_micro_credits": each.limit}


def _plain_state(state: BudgetStatus) -> dict[str, Any]:
    resets_at = state.resets_at
    return {
        **_plain(state.budget),
        "spent_micro_credits": state.spent,
        "reserved_micro_credits": state.reserved,
        "resets_at": None if resets_at is None else resets_at.astimezone(dt.timezone.utc).isoformat(),
    }


def _named(given: dict[str, Any]) -> str:
    filters = [given["model"]] if given["model"] else []
    filters += [
        f"{name.replace('_', '-')}:{given[name]}" for name in FILTERS if name != "model" and given[name] is not None
    ]
    # It is typed after `status` and `remove`, so it has nothing that a shell would take apart.
    return "/".join([*filters, given["per"].replace(" ", "-")])


def _budgets(named: str | None) -> list[Budget]:
    own = BudgetEnforcer().configured_budgets()
    with _store(named) as store:
        return list(own if store is None else store.budgets(own))


@contextmanager
def _store(named: str | None, *, writable: bool = False) -> Iterator[BudgetStore | None]:
    """Yield the budgets of a ledger; None where there is no ledger. Makes no file."""
    with access.open_ledger(_file(named), writable=writable) as ledger:
        yield BudgetStore(ledger) if isinstance(ledger, SqliteLedger) else None


def _other_files(named: str | None) -> list[Path]:
    """Return the files whose budgets are set for other databases."""
    where = resolve_location(named)
    return (
        [other.path for other in spools.others(where) if other.budgets] if isinstance(where, PostgresLocation) else []
    )


def _file(named: str | None) -> Path:
    where = resolve_location(named)
    return spools.ready(where, make=False) if isinstance(where, PostgresLocation) else where
