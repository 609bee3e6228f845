"""Provide `litellm-maas prices`: the price lists, and what a call would cost by them."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from litellm_maas.catalogue import catalogue
from litellm_maas.cli import options, tables
from litellm_maas.errors import MaasError, SettingsError
from litellm_maas.ledger import periods
from litellm_maas.pricing import price_file
from litellm_maas.pricing.comparison import Compared
from litellm_maas.pricing.cost import cost
from litellm_maas.pricing.price_book import Basis, PriceBook
from litellm_maas.pricing.price_file import VENDOR_ZONE, PriceEntry, PriceFile, PriceList
from litellm_maas.pricing.usage import Usage
from litellm_maas.tracking import current_prices

_KINDS = ("input", "cached", "output")


@click.group(name="prices", invoke_without_command=True, epilog="Example: litellm-maas prices")
@options.as_json
@click.pass_context
def command(context: click.Context, /, *, as_json: bool) -> None:
    """Show the price lists, and what a call would cost.

    Prices are credits (1 credit = 1 VND) per 1,000,000 tokens. Your own file, named in MAAS_PRICES, goes first.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_command, as_json=as_json)
    elif as_json:
        raise click.UsageError(f"write --json after {context.invoked_subcommand}, where it belongs")


@command.command(name="list", short_help="List today's prices.", epilog="Example: litellm-maas prices list --json")
@options.as_json
def list_command(*, as_json: bool) -> None:
    """List today's prices."""
    book = current_prices.current()
    today = dt.datetime.now(VENDOR_ZONE).date()
    in_force = [(basis, each) for basis, each in book.lists() if each.is_active_on(today)]
    rows: dict[str, tuple[Basis, PriceList, PriceEntry]] = {}
    for basis, price_list in in_force:
        for model_id, entry in price_list.models.items():
            rows.setdefault(model_id, (basis, price_list, entry))
    if as_json:
        unidentified = [_plain(basis, each, entry) for basis, each in in_force for entry in each.unidentified]
        listed = [{"id": model_id, **_plain(*row)} for model_id, row in rows.items()]
        tables.print_json({"models": listed, "unidentified": unidentified})
        return
    _show_list(rows, [price_list for _, price_list in in_force])


@command.command(
    name="show",
    short_help="Show the prices of one model over time.",
    epilog="Example: litellm-maas prices show openai/gpt-4o",
)
@click.argument("model_id", metavar="ID", shell_complete=options.model_ids)
@options.as_json
def show_command(*, model_id: str, as_json: bool) -> None:
    """Show the prices of one model over time."""
    model_id, book = model_id.removeprefix("maas/"), current_prices.current()
    history = [(basis, each, each.models[model_id]) for basis, each in book.lists() if model_id in each.models]
    if not history:
        raise _unknown(model_id, book)
    if as_json:
        tables.print_json({"id": model_id, "prices": [_plain(*row) for row in history]})
        return
    table = tables.table(["from", "to", "basis"], _KINDS)
    for basis, price_list, entry in history:
        days = (str(day) if day else "-" for day in (price_list.first_day, price_list.end_day))
        table.add_row(*days, basis, *_amounts(entry))
    to = tables.console()
    to.print(Text(model_id, style="bold"))
    to.print(table)
    for _, price_list, entry in history:
        inferred = "; the list prints names, the id is inferred" if price_list.ids == "inferred" else ""
        printed = f", as {entry.name}" if entry.name else ""
        to.print(Text(f"{price_list.name}: {price_list.source}{printed}{inferred}."))
        for line in (*_images(entry), *filter(None, (entry.note, price_list.note))):
            to.print(Text(f"  {line}"))


@command.command(
    name="check",
    short_help="Check a price file of your own against the official prices.",
    epilog="Example: litellm-maas prices check my-prices.yaml",
)
@click.argument("file", type=click.Path(path_type=Path))
@options.as_json
def check_command(*, file: Path, as_json: bool) -> None:
    """Check a price file of your own, and show its prices beside the official ones.

    A mistake is shown with its file, line and field, with exit status 1. What is 10 times lower or higher than the
    official price, and an id that nobody knows, is a warning.
    """
    from litellm_maas.doctor import own_prices  # noqa: PLC0415 - the other commands need none of it

    content = price_file.read(file, PriceFile)
    rows = own_prices.compared(content)
    warnings = list(own_prices.warnings(rows))
    if as_json:
        tables.print_json({"file": str(file), "models": list(map(_compared, rows)), "warnings": warnings})
        return
    if rows:
        _show_compared(rows)
    for warning in warnings:
        click.echo(f"{click.style('warning', fg='yellow')}: {tables.printable(warning)}")
    estimate = f", estimates at {content.estimate.vnd_per_usd} VND per dollar" if content.estimate else ""
    lists, models = tables.counted(len(content.lists), "list"), len({row.model_id for row in rows})
    ok = "OK" if not warnings else f"OK but for {tables.counted(len(warnings), 'warning')}"
    click.echo(f"{ok}: {lists} with prices of {tables.counted(models, 'model')}{estimate}.")


@command.command(
    name="cost",
    short_help="Show what a call would cost.",
    epilog="Example: litellm-maas prices cost openai/gpt-4o --input 1000 --output 200",
)
@click.argument("model_id", metavar="ID", shell_complete=options.model_ids)
@click.option("--input", "input_tokens", type=click.IntRange(min=0), default=0, help="Input tokens, cached included.")
@click.option("--cached", type=click.IntRange(min=0), default=0, help="How many of them come from the cache.")
@click.option("--output", type=click.IntRange(min=0), default=0, help="Output tokens, reasoning included.")
@click.option("--images", type=click.IntRange(min=0), default=0, help="Images.")
@click.option("--size", help="Their size, such as 1024x1024.")
@click.option("--quality", help="Their quality, such as high.")
@click.option("--at", metavar="TIME", help="When; a date (2026-08-02) or a time, in Asia/Ho_Chi_Minh.")
@options.as_json
def cost_command(*, model_id: str, input_tokens: int, cached: int, at: str | None, as_json: bool, **used: Any) -> None:
    """Show what a call would cost."""
    if cached > input_tokens:
        raise SettingsError(
            f"--cached {cached} is more than --input {input_tokens}", "cached tokens are a part of them"
        )
    model_id, book = model_id.removeprefix("maas/"), current_prices.current()
    now = periods.now(VENDOR_ZONE)
    when = now if at is None else periods.moment(at, now)
    usage = Usage(
        input_tokens,
        cached,
        used["output"],
        images=used["images"],
        image_size=used["size"],
        image_quality=used["quality"],
    )
    found = cost(model_id, usage, when, "payg", book)
    if found.micro_credits is None:
        raise _no_price(model_id, when, book)
    if as_json:
        tables.print_json(
            {
                "id": model_id,
                "at": when.isoformat(),
                **found.as_dict(),
                "saved_micro_credits": found.saved_micro_credits,
                "price_source": found.price_source,
            }
        )
        return
    click.echo(f"{tables.money(found.micro_credits)} ({found.basis}: {found.price_source})")
    saved = found.saved_micro_credits
    if saved > 0:
        click.echo(f"Cached tokens save {tables.money(saved)} of the input price.")
    elif saved < 0:
        click.echo(f"Cached tokens cost {tables.money(-saved)} more than the input price.")


@command.command(
    name="schema",
    short_help="Print the JSON Schema of a price file.",
    epilog="Example: litellm-maas prices schema > prices.schema.json",
)
def schema_command() -> None:
    """Print the JSON Schema of a price file, for editors that check while you type."""
    tables.print_json(price_file.json_schema())


def _show_list(rows: dict[str, tuple[Basis, PriceList, PriceEntry]], lists: Iterable[PriceList]) -> None:
    has_own = any(basis != "official" for basis, _, _ in rows.values())
    table = tables.table(["model", *(["basis"] if has_own else [])], _KINDS)
    notes, images = [], []
    for model_id, (basis, price_list, entry) in rows.items():
        name = Text(model_id)
        if price_list.ids == "inferred":
            name.append("*", style="dim")
        if entry.note:
            notes.append(f"{model_id}: {entry.note}")
            name.append(f" ({len(notes)})", style="dim")
        table.add_row(name, *([basis] if has_own else []), *_amounts(entry))
        images += [f"{model_id}: {line}" for line in _images(entry)]
    to = tables.console()
    to.print(table)
    to.print(Text("\nVND per 1,000,000 tokens; where no cache price is listed, cached tokens cost the input price."))
    for line in (*images, *(f"({position}) {note}" for position, note in enumerate(notes, 1))):
        to.print(Text(line))
    for price_list in lists:
        to.print(Text(f"\n{price_list.name}: {price_list.source}"))
        if price_list.ids == "inferred":
            to.print(Text("* It prints names only; ids are inferred from ids seen in use."))
        if price_list.unidentified:
            names = ", ".join(entry.name or "?" for entry in price_list.unidentified)
            to.print(Text(f"Listed with a price, but with no known id: {names}."))


def _show_compared(rows: list[Compared]) -> None:
    table = tables.table(["your price, and the official one"], _KINDS)
    images: list[str] = []
    price_list = None
    for row in rows:
        if row.price_list is not price_list:
            price_list = row.price_list
            table.add_row(Text(f"{tables.printable(price_list.name)} ({_days(price_list)})", style="bold"))
        model_id = tables.printable(row.model_id)
        table.add_row(Text(model_id), *_amounts(row.entry))
        if row.entry.input is not None:
            official = ("-", "-", "-") if row.official is None else _amounts(row.official)
            table.add_row(Text("  official", style="dim"), *(Text(amount, style="dim") for amount in official))
        images += (f"{model_id}: {line}" for line in _images(row.entry))
        images += (f"  official: {line}" for line in (_images(row.official) if row.official else ()))
    to = tables.console()
    to.print(table)
    to.print(Text("\nVND per 1,000,000 tokens; - where there is no price."))
    for line in images:
        to.print(Text(line))
    to.print()


def _days(price_list: PriceList) -> str:
    first, last = price_list.first_day, price_list.end_day and price_list.end_day - dt.timedelta(days=1)
    if first and last:
        return f"{first} … {last}"
    return f"from {first} on" if first else f"until {last}" if last else "at all times"


def _compared(row: Compared) -> dict[str, Any]:
    official = None if row.official is None else _plain_amounts(row.official)
    return {"id": row.model_id, "list": row.price_list.name, **_plain_amounts(row.entry), "official": official}


def _plain_amounts(entry: PriceEntry) -> dict[str, Any]:
    amounts: dict[str, Decimal | None] = {kind: getattr(entry, kind) for kind in _KINDS}
    images = {size: {quality: _json_number(price) for quality, price in qualities.items()}
              for size, qualities in (entry.images or {}).items()}  # fmt: skip
    plain = {kind: None if amount is None else _json_number(amount) for kind, amount in amounts.items()}
    return {**plain, "images": images or None}


def _amounts(entry: PriceEntry) -> Iterator[str]:
    for kind in _KINDS:
        amount: Decimal | None = getattr(entry, kind)
        yield "-" if amount is None else tables.number(_json_number(amount))


def _images(entry: PriceEntry) -> Iterator[str]:
    for size, qualities in (entry.images or {}).items():
        each = ", ".join(f"{quality} {tables.number(_json_number(price))}" for quality, price in qualities.items())
        yield f"an image of {size}: {each} VND"


def _plain(basis: Basis, price_list: PriceList, entry: PriceEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        **_plain_amounts(entry),
        "basis": basis,
        "ids": price_list.ids,
        "list": price_list.name,
        "from": price_list.first_day and price_list.first_day.isoformat(),
        "to": price_list.end_day and price_list.end_day.isoformat(),
        "source": price_list.source,
        "note": entry.note,
    }


def _json_number(amount: Decimal) -> float:
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _unknown(model_id: str, book: PriceBook) -> MaasError:
    """Return the error for an id that no list has: its near misses, or why there is no price for it."""
    printed = {entry.name: entry for _, each in book.lists() for entry in each.unidentified if entry.name}
    if (name := next((name for name in printed if name.lower() == model_id.lower()), None)) is not None:
        return MaasError(
            f"the vendor lists {name} with a price, but its id is not known",
            "put the id that works for you with that price into a file of your own (MAAS_PRICES)",
        )
    if catalogue().model(model_id).known:
        return MaasError(
            f"no official price exists for {model_id}",
            "put one into a file of your own (MAAS_PRICES; begin with: litellm-maas config init)",
        )
    ids = dict.fromkeys(known for _, each in book.lists() for known in each.models)
    tails = {known.rpartition("/")[2].lower(): known for known in ids}
    near = [known for known in ids if model_id and model_id.lower() in known.lower()]
    near += difflib.get_close_matches(model_id, ids, cutoff=0.5)
    near += [tails[tail] for tail in difflib.get_close_matches(model_id.rpartition("/")[2].lower(), tails)]
    if near:
        return MaasError(f"no list has a price for {model_id}", f"did you mean {', '.join(dict.fromkeys(near[:4]))}?")
    return MaasError(f"no list has a price for {model_id}", "`litellm-maas prices` lists those that have one")


def _no_price(model_id: str, when: dt.datetime, book: PriceBook) -> MaasError:
    """Return the error where a list has the model, but not on that day or not for what was asked."""
    price = book.price(model_id, when)
    see = f"see `litellm-maas prices show {model_id}`"
    if price is not None:
        return MaasError(f"{price.source} has {model_id}, but no price for every kind of token or image asked for", see)
    if any(model_id in each.models for _, each in book.lists()):
        return MaasError(f"no list has a price for {model_id} on {when:%Y-%m-%d}", see)
    return _unknown(model_id, book)
