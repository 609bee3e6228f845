"""Provide `litellm-maas credits`: the balance, when it runs out, and the drift between console and ledger."""

from __future__ import annotations

import contextlib
import datetime as dt
import shlex
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from litellm_maas import settings
from litellm_maas.balance import low_balance, readings
from litellm_maas.balance.forecast import Balance, Drift
from litellm_maas.balance.readings import BalanceEntry, EntryKind
from litellm_maas.cli import options, tables
from litellm_maas.cli.spend_hints import waiting_note
from litellm_maas.errors import SettingsError
from litellm_maas.ledger import access, periods
from litellm_maas.ledger.location import resolve_location
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.pricing.credits import parse_credits

_KINDS: dict[EntryKind, str] = {"reading": "reading", "topup": "top-up"}
_HOST = click.option("--host", metavar="HOST", callback=options.host_name, help="Only the account at this host.")
_AT = click.option("--at", metavar="TIME", help="When: 2026-11-01T15:30, 2h (ago); default: now. Times are Vietnam's.")


@click.group(name="credits", invoke_without_command=True, epilog="Example: litellm-maas credits --host maas.example.vn")
@_HOST
@options.as_json
@options.ledger_option
@click.pass_context
def command(context: click.Context, /, *, host: str | None, as_json: bool, ledger: str | None) -> None:
    """Show the balance as it should be now, and when it runs out.

    The vendor has no way to ask for the balance. Record what the console shows (`set`) and what you top up (`topup`);
    the ledger adds what was spent. With two or more readings the drift between console and ledger is shown: a positive
    value means that the console charged more than the ledger recorded.

    With --host an entry is of the account at that host, and only calls to it count; without, of all hosts together.

    Entries are kept in the ledger's file. With a ledger in PostgreSQL they are kept on this machine, in the file in
    front of it, so use one machine for them.

    An alert is sent once a day (log, hook and MAAS_ALERT_WEBHOOK) when credits may run out within
    MAAS_CREDITS_WARN_HOURS (6), are below MAAS_CREDITS_WARN_BELOW, or expire within 7 days; while spend is recorded,
    without this command too.
    """
    if context.invoked_subcommand is not None:
        if as_json or host is not None or ledger is not None:
            raise click.UsageError(f"write the options after {context.invoked_subcommand}, where they belong")
        return
    where = resolve_location(ledger)
    now = periods.now(periods.zone(periods.DEFAULT_ZONE))
    waiting = access.flush(where)
    found = low_balance.current_balance(where, now, host)
    if as_json and len(found) > 1:
        raise SettingsError(
            f"there are readings of more than one account ({', '.join(map(_account, found))})", "name one with --host"
        )
    to = tables.console(stderr=as_json)
    if not found:
        options.refuse_missing(ledger)
        at = f" for {host}" if host else ""
        tables.print_hint(to, f"There is no reading{at} in {low_balance.notes_file(where)}. Begin with:", *_begin(host))
        if as_json:
            tables.print_json({"balance_micro_credits": None})
    for each in found:
        warnings = list(low_balance.warnings(each, now))
        # What is said now comes out as a log line anyway.
        unsaid = [warning["text"] for warning in warnings if not low_balance.alert_once_per_day(where, warning, now)]
        if as_json:
            tables.print_json(_as_json(each, warnings))
        else:
            _show(to, each, unsaid, title=_account(each) if len(found) > 1 else None)
    if (note := waiting_note(waiting)) is not None:
        tables.print_hint(to, note.text)


@command.command(
    name="set",
    short_help="Record the balance that the console shows.",
    epilog="Example: litellm-maas credits set 1530000 --at 2026-11-20T09:00",
)
@click.argument("amount")
@_AT
@_HOST
@options.ledger_option
def set_command(*, amount: str, at: str | None, host: str | None, ledger: str | None) -> None:
    """Record that the console shows AMOUNT credits: 1530000, 1,530,000 or 1.530.000."""
    _note("reading", amount, at, host, ledger)


@command.command(name="topup", short_help="Record a top-up.", epilog="Example: litellm-maas credits topup 2000000")
@click.argument("amount")
@_AT
@_HOST
@options.ledger_option
def topup_command(*, amount: str, at: str | None, host: str | None, ledger: str | None) -> None:
    """Record that AMOUNT credits were added: 2000000, 2,000,000 or 2.000.000."""
    _note("topup", amount, at, host, ledger)


@command.command(
    name="list",
    short_help="List the readings and top-ups, with their ids.",
    epilog="Example: litellm-maas credits list",
)
@options.as_json
@options.ledger_option
def list_command(*, as_json: bool, ledger: str | None) -> None:
    """List the readings and top-ups, with the ids that `remove` takes."""
    with access.open_ledger(low_balance.notes_file(resolve_location(ledger))) as file:
        notes = [] if file is None else readings.entries(file)
    if as_json:
        tables.print_json([_note_as_json(each) for each in notes])
        return
    hosts = ["host"] if any(each.host for each in notes) else []
    table = tables.table(["id", "time", "what", *hosts], ["credits"])
    for each in notes:
        row = [str(each.id), _local(each.at), _KINDS[each.kind], *([tables.printable(each.host)] if hosts else [])]
        table.add_row(*row, tables.money(each.micro_credits, exact=True))
    if notes:
        tables.console().print(table)
    else:
        options.refuse_missing(ledger)
        tables.print_hint(tables.console(), "No reading and no top-up yet. Begin with:", *_begin())


@command.command(
    name="remove", short_help="Remove a reading or a top-up.", epilog="Example: litellm-maas credits remove 3"
)
@click.argument("entry", metavar="ID", type=int)
@options.ledger_option
def remove_command(*, entry: int, ledger: str | None) -> None:
    """Remove a reading or a top-up that was a mistake."""
    with access.open_ledger(low_balance.notes_file(resolve_location(ledger)), writable=True) as file:
        if not isinstance(file, SqliteLedger):
            raise SettingsError(f"there is no entry {entry}, as there is none at all", f"begin with: {_begin()[0]}")
        readings.remove(file, entry)
    click.echo(f"Entry {entry} is removed.")


def _begin(host: str | None = None) -> tuple[str, ...]:
    at = f" --host {shlex.quote(host)}" if host else ""
    return (
        f"litellm-maas credits set 1530000{at}     what the console shows now",
        f"litellm-maas credits topup 2000000{at}",
    )


def _note(kind: EntryKind, amount: str, at: str | None, host: str | None, ledger: str | None) -> None:
    micro_credits = parse_credits(amount)
    now = periods.now(periods.zone(periods.DEFAULT_ZONE))
    moment = now if at is None else periods.moment(at, now)
    if moment > now:
        raise SettingsError(f"--at {at} is in the future", "give the time at which it was")
    if kind == "topup" and not micro_credits:
        raise SettingsError("a top-up must be more than 0 credits", "write what was added")
    with contextlib.closing(SqliteLedger(low_balance.notes_file(resolve_location(ledger)))) as file:
        number = readings.add_entry(file, kind, moment.astimezone(dt.timezone.utc), micro_credits, host or "")
    of = f"{_KINDS[kind]} of {tables.money(micro_credits, exact=True)}{f' at {host}' if host else ''}"
    click.echo(f"Recorded as entry {number}: {of}, {_local(moment)}.")


def _account(found: Balance) -> str:
    return found.host or "all hosts together"


def _show(to: Console, found: Balance, warnings: Sequence[str], *, title: str | None) -> None:
    if title is not None:
        to.print(Text(f"\n{title}", style="bold"))
    burn, forecast = found.burn, found.forecast
    left = found.micro_credits
    rows: list[tuple[str, str, str]] = [
        ("left", tables.money(left), "by the last reading, top-ups and the ledger"),
        ("  last reading", tables.money(found.reading.micro_credits), _local(found.reading.at)),
        ("  topped up since", tables.money(found.topups), ""),
        ("  spent since", tables.money(found.spent), _unpriced(found.unpriced_calls)),
        *(
            [("  expired", tables.money(found.expired), "unspent a year after the last top-up")]
            if found.expired
            else []
        ),
        (
            "  pending",
            tables.money(found.pending),
            f"not yet debited; the console may show {tables.money(left + found.pending)}",
        ),
        ("spent in the last hour", tables.money(burn.last_hour), ""),
        ("spent per hour", tables.money(burn.per_hour), "mean of 24 hours, or since the first call"),
        ("spent per day", tables.money(burn.per_day), _of_days(burn.days)),
        ("runs out", "", _end(forecast.at, found)),
        (
            "  at the earliest",
            "",
            f"{_end(forecast.earliest, found)}: at the rate of the costliest day or the last hour",
        ),
        ("  at the latest", "", f"{_end(forecast.latest, found)}: at the rate of the cheapest day"),
        ("expires", "", "not known: there is no top-up" if found.expires_at is None else _local(found.expires_at)),
    ]
    table = tables.table(["credits"], ["amount"])
    table.add_column("", overflow="fold")
    for what, amount, remark in rows:
        table.add_row(what, amount, Text(remark, style="dim" if amount else ""), style="bold" if what == "left" else "")
    to.print(table)
    if not found.host and len(found.hosts) > 1:
        tables.print_hint(
            to,
            f"Calls of {len(found.hosts)} hosts are in what was spent "
            f"({', '.join(map(tables.printable, found.hosts))}). To note the balance of one account alone:",
            f"litellm-maas credits set AMOUNT --host {shlex.quote(found.hosts[-1])}",
        )
    if found.uncertainty:
        tables.print_hint(
            to,
            f"{tables.money(found.uncertainty)} were spent in the five minutes before the last reading. If the "
            "console had not debited them yet, so much less is left.",
        )
    if found.drifts:
        _show_drifts(to, found.drifts)
    for warning in warnings:
        tables.print_hint(to, warning)


def _show_drifts(to: Console, drifts: tuple[Drift, ...]) -> None:
    to.print()
    table = tables.table(["from one reading", "to the next"], ["debited", "recorded", "drift"])
    for each in drifts:
        amounts_ = map(tables.money, (each.debited, each.recorded, each.micro_credits))
        table.add_row(_local(each.since), _local(each.until), *amounts_, style="red" if each.is_real else "")
    to.print(table)
    last = drifts[-1]
    if not last.is_real:
        tables.print_hint(
            to, "The console debited what the ledger recorded, within the five minutes of a billing cycle."
        )
    elif last.at_least > 0:
        unpriced = tables.counted(last.unpriced_calls, "recorded call")
        calls = f" {unpriced} without a price may be a part of it." * bool(last.unpriced_calls)
        tables.print_hint(
            to,
            f"The console debited at least {tables.money(last.at_least)} more than the ledger recorded: an unrecorded "
            f"application, another price, or a mistyped reading.{calls} To look further:",
            "litellm-maas spend --by model",
            "litellm-maas prices",
        )
    else:
        tables.print_hint(
            to,
            f"The console debited at least {tables.money(-last.at_most)} less than the ledger recorded: a lower price "
            "in your contract, a missing top-up, or a mistyped reading. To look further:",
            "litellm-maas credits list",
            "litellm-maas prices",
        )


def _as_json(found: Balance, warnings: list[dict[str, Any]]) -> dict[str, Any]:
    burn, forecast = found.burn, found.forecast
    return {
        "balance_micro_credits": found.micro_credits,
        "host": found.host or None,
        "reading": _note_as_json(found.reading),
        "topups_micro_credits": found.topups,
        "spent_micro_credits": found.spent,
        "expired_micro_credits": found.expired,
        "pending_micro_credits": found.pending,
        "uncertainty_micro_credits": found.uncertainty,
        "unpriced_calls": found.unpriced_calls,
        "burn_micro_credits": {
            "last_hour": burn.last_hour,
            "per_hour": burn.per_hour,
            "per_day": burn.per_day,
            "max_day": burn.max_day,
            "min_day": burn.min_day,
        },
        "days": burn.days,
        "runs_out_at": {name: _iso(getattr(forecast, name)) for name in ("at", "earliest", "latest")},
        "expires_at": _iso(found.expires_at),
        "drifts": [_drift_as_json(each) for each in found.drifts],
        "alerts": [each["text"] for each in warnings],
        "warn_hours": settings.credits_warn_hours(),
    }


def _drift_as_json(each: Drift) -> dict[str, Any]:
    return {
        "since": _iso(each.since),
        "until": _iso(each.until),
        "topups_micro_credits": each.topups,
        "debited_micro_credits": each.debited,
        "recorded_micro_credits": each.recorded,
        "drift_micro_credits": each.micro_credits,
        "at_least_micro_credits": each.at_least,
        "at_most_micro_credits": each.at_most,
        "unpriced_calls": each.unpriced_calls,
    }


def _note_as_json(each: BalanceEntry) -> dict[str, Any]:
    return {"id": each.id, "kind": each.kind, "at": _iso(each.at), "micro_credits": each.micro_credits,
            "host": each.host or None}  # fmt: skip


def _unpriced(calls: int) -> str:
    return f"and {tables.counted(calls, 'call')} without a price" if calls else ""


def _of_days(days: int) -> str:
    return "mean of 24 hours" if days == 1 else f"mean of {days} times 24 hours"


def _end(at: dt.datetime | None, found: Balance) -> str:
    if at is None:
        return "never at this rate"
    return _local(at) + ", when they expire" * (at == found.expires_at)


def _local(at: dt.datetime) -> str:
    return periods.clock(at.astimezone(periods.zone(periods.DEFAULT_ZONE)))


def _iso(at: dt.datetime | None) -> str | None:
    return None if at is None else at.astimezone(dt.timezone.utc).isoformat(timespec="seconds")
