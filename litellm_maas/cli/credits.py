"""`litellm-maas credits`: how many are left, when they run out, and what the console took that nobody recorded."""

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


@click.group(name="credits", invoke_without_command=True)
@_HOST
@options.as_json
@options.ledger_option
@click.pass_context
def command(context: click.Context, /, *, host: str | None, as_json: bool, ledger: str | None) -> None:
    """Show the balance as it should be now, and when it runs out.

    The vendor has no way to ask for the balance. Note what the console shows (`set`) and what you top up (`topup`); the
    ledger knows the rest. With two or more readings the drift between console and ledger is shown: a positive value
    means that the console charged more than the ledger recorded.

    With --host a note belongs to the account at that host, and only calls to it count; without, to all hosts together.

    The notes are kept in the ledger's file. With a ledger in PostgreSQL they are kept on this machine, in the file in
    front of it: note them, and look at them, on one machine.

    An alert is given once a day (log, hook and MAAS_ALERT_WEBHOOK) when credits may run out within
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
            f"balances of more than one account are noted ({', '.join(map(_account, found))})", "name one with --host"
        )
    to = tables.console(stderr=as_json)
    if not found:
        options.refuse_missing(ledger)
        at = f" for {host}" if host else ""
        tables.print_hint(to, f"No balance is noted{at} in {low_balance.notes_file(where)}. Begin with:", *_begin(host))
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


@command.command(name="set", short_help="Note the balance that the console shows.")
@click.argument("amount")
@_AT
@_HOST
@options.ledger_option
def set_command(*, amount: str, at: str | None, host: str | None, ledger: str | None) -> None:
    """Note that the console shows AMOUNT credits: 1530000, 1,530,000 or 1.530.000."""
    _note("reading", amount, at, host, ledger)


@command.command(name="topup", short_help="Note that credits were added.")
@click.argument("amount")
@_AT
@_HOST
@options.ledger_option
def topup_command(*, amount: str, at: str | None, host: str | None, ledger: str | None) -> None:
    """Note that AMOUNT credits were added: 2000000, 2,000,000 or 2.000.000."""
    _note("topup", amount, at, host, ledger)


@command.command(name="list")
@options.as_json
@options.ledger_option
def list_command(*, as_json: bool, ledger: str | None) -> None:
    """List what was noted, with the numbers that `remove` takes."""
    with access.open_ledger(low_balance.notes_file(resolve_location(ledger))) as file:
        notes = [] if file is None else readings.entries(file)
    if as_json:
        tables.print_json([_note_as_json(each) for each in notes])
        return
    hosts = ["host"] if any(each.host for each in notes) else []
    table = tables.table(["number", "time", "what", *hosts], ["credits"])
    for each in notes:
        row = [str(each.id), _local(each.at), _KINDS[each.kind], *([tables.printable(each.host)] if hosts else [])]
        table.add_row(*row, tables.money(each.micro_credits, exact=True))
    if notes:
        tables.console().print(table)
    else:
        options.refuse_missing(ledger)
        tables.print_hint(tables.console(), "Nothing is noted yet. Begin with:", *_begin())


@command.command(name="remove")
@click.argument("number", type=int)
@options.ledger_option
def remove_command(*, number: int, ledger: str | None) -> None:
    """Remove a note that was a mistake."""
    with access.open_ledger(low_balance.notes_file(resolve_location(ledger)), writable=True) as file:
        if not isinstance(file, SqliteLedger):
            raise SettingsError(f"there is no note {number}, as nothing is noted", f"begin with: {_begin()[0]}")
        readings.remove(file, number)
    click.echo(f"Note {number} is removed.")


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
        raise SettingsError(f"--at {at} is in the future", "note what was, with the time at which it was")
    if kind == "topup" and not micro_credits:
        raise SettingsError("a top-up must be more than 0 credits", "write what was added")
    with contextlib.closing(SqliteLedger(low_balance.notes_file(resolve_location(ledger)))) as file:
        number = readings.add_entry(file, kind, moment.astimezone(dt.timezone.utc), micro_credits, host or "")
    of = f"{_KINDS[kind]} of {tables.money(micro_credits, exact=True)}{f' at {host}' if host else ''}"
    click.echo(f"Noted as {number}: {of}, {_local(moment)}.")


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
            "  not yet collected",
            tables.money(found.pending),
            f"the console may show {tables.money(left + found.pending)}",
        ),
        ("spent in the last hour", tables.money(burn.last_hour), ""),
        ("spent per hour", tables.money(burn.per_hour), "mean of 24 hours, or since the first call"),
        ("spent per day", tables.money(burn.per_day), _of_days(burn.days)),
        ("run out", "", _end(forecast.at, found)),
        (
            "  at the earliest",
            "",
            f"{_end(forecast.earliest, found)}: at the rate of the costliest day or the last hour",
        ),
        ("  at the latest", "", f"{_end(forecast.latest, found)}: at the rate of the cheapest day"),
        ("expire", "", "not known: no top-up is noted" if found.expires_at is None else _local(found.expires_at)),
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
            "console had not collected them yet, so much less is left.",
        )
    if found.drifts:
        _show_drifts(to, found.drifts)
    for warning in warnings:
        tables.print_hint(to, warning)


def _show_drifts(to: Console, drifts: tuple[Drift, ...]) -> None:
    to.print()
    table = tables.table(["from one reading", "to the next"], ["console took", "recorded", "drift"])
    for each in drifts:
        amounts_ = map(tables.money, (each.debited, each.recorded, each.micro_credits))
        table.add_row(_local(each.since), _local(each.until), *amounts_, style="red" if each.is_real else "")
    to.print(table)
    last = drifts[-1]
    if not last.is_real:
        tables.print_hint(
            to, "What the console took lately is what the ledger has, as far as five-minute cycles let one see."
        )
    elif last.at_least > 0:
        unpriced = tables.counted(last.unpriced_calls, "recorded call")
        calls = f" {unpriced} without a price may be a part of it." * bool(last.unpriced_calls)
        tables.print_hint(
            to,
            f"The console took at least {tables.money(last.at_least)} that the ledger does not know: an application "
            f"that is not recorded, another price than the ledger's, or a reading mistyped.{calls} To look further:",
            "litellm-maas spend --by model",
            "litellm-maas prices",
        )
    else:
        tables.print_hint(
            to,
            f"The console took at least {tables.money(-last.at_most)} less than the ledger has: a price that is lower "
            "on your contract, a top-up not noted, or a reading mistyped. To look further:",
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
        "not_yet_collected_micro_credits": found.pending,
        "unsure_micro_credits": found.uncertainty,
        "unpriced_calls": found.unpriced_calls,
        "burn_micro_credits": {
            "last_hour": burn.last_hour,
            "per_hour": burn.per_hour,
            "per_day": burn.per_day,
            "dearest_day": burn.max_day,
            "cheapest_day": burn.min_day,
        },
        "days": burn.days,
        "zero_at": {name: _iso(getattr(forecast, name)) for name in ("at", "earliest", "latest")},
        "expires_at": _iso(found.expires_at),
        "drifts": [_drift_as_json(each) for each in found.drifts],
        "warnings": [each["text"] for each in warnings],
        "warn_hours": settings.credits_warn_hours(),
    }


def _drift_as_json(each: Drift) -> dict[str, Any]:
    return {
        "since": _iso(each.since),
        "until": _iso(each.until),
        "topups_micro_credits": each.topups,
        "console_took_micro_credits": each.debited,
        "recorded_micro_credits": each.recorded,
        "drift_micro_credits": each.micro_credits,
        "at_least_micro_credits": each.at_least,
        "at_most_micro_credits": each.at_most,
        "unpriced_calls": each.unpriced_calls,
    }


def _note_as_json(each: BalanceEntry) -> dict[str, Any]:
    return {"number": each.id, "kind": each.kind, "at": _iso(each.at), "micro_credits": each.micro_credits,
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
