"""`litellm-maas credits`: how many are left, how fast they go, and what the console took that nobody recorded."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from litellm_maas import settings
from litellm_maas.cli import options, tables
from litellm_maas.cli.spend_notes import waiting_note
from litellm_maas.errors import SettingsError
from litellm_maas.pricing import amounts
from litellm_maas.spend import console, credit_watch, opening, periods
from litellm_maas.spend.balance import Balance, Drift
from litellm_maas.spend.console import ConsoleNote, NoteKind
from litellm_maas.spend.place import place
from litellm_maas.spend.sqlite import SqliteLedger

_BEGIN = ("litellm-maas credits set 1530000     what the console shows now", "litellm-maas credits topup 2000000")
_KINDS: dict[NoteKind, str] = {"reading": "reading", "topup": "top-up"}
_AT = click.option("--at", metavar="TIME", help="When: 2026-11-01T15:30, 2h (ago); default: now. Times are Vietnam's.")


@click.group(name="credits", invoke_without_command=True)
@options.as_json
@options.where
@click.pass_context
def command(context: click.Context, /, *, as_json: bool, ledger: str | None) -> None:
    """Show the balance as it should be now, and when it is used up.

    The vendor has no way to ask for the balance. Note what the console shows (`set`) and what you top up (`topup`); the
    ledger knows the rest. From the second reading on the drift between console and ledger is shown: above 0, the
    console took more, for an application that is not recorded or by another price.

    The notes are kept in the ledger's file. With a ledger in PostgreSQL they are kept on this machine, in the file in
    front of it: note them, and look at them, on one machine.

    A warning is given once a day (log, hook and MAAS_WEBHOOK) when credits may be gone within MAAS_CREDITS_WARN_HOURS
    (6), or are below MAAS_CREDITS_WARN_BELOW; while spend is recorded, without this command too.
    """
    if context.invoked_subcommand is not None:
        if as_json or ledger is not None:
            raise click.UsageError(f"write the options after {context.invoked_subcommand}, where they belong")
        return
    where = place(ledger)
    now = periods.now(periods.zone(periods.DEFAULT_ZONE))
    waiting = opening.replay(where)
    found = credit_watch.standing(where, now)
    warnings = [] if found is None else list(credit_watch.warnings(found, now))
    # What is said now comes out as a log line anyway.
    unsaid = [each for each in warnings if not credit_watch.say_once_a_day(where, each, now)]
    if as_json:
        tables.print_json(_as_json(found, warnings) if found is not None else {"balance_micro_credits": None})
    to = tables.console(stderr=as_json)
    if found is None:
        tables.say(to, f"No reading of the console is noted in {credit_watch.notes_file(where)}. Begin with:", *_BEGIN)
    elif not as_json:
        _show(to, found)
        for each in unsaid:
            tables.say(to, each["text"])
    if (note := waiting_note(waiting)) is not None:
        tables.say(to, note.text)


@command.command(name="set")
@click.argument("amount")
@_AT
@options.where
def set_command(*, amount: str, at: str | None, ledger: str | None) -> None:
    """Note that the console shows AMOUNT credits: 1530000, 1,530,000 or 1.530.000."""
    _note("reading", amount, at, ledger)


@command.command(name="topup")
@click.argument("amount")
@_AT
@options.where
def topup_command(*, amount: str, at: str | None, ledger: str | None) -> None:
    """Note that AMOUNT credits were added: 2000000, 2,000,000 or 2.000.000."""
    _note("topup", amount, at, ledger)


@command.command(name="list")
@options.as_json
@options.where
def list_command(*, as_json: bool, ledger: str | None) -> None:
    """List what was noted, with the numbers that `remove` takes."""
    with opening.opened(credit_watch.notes_file(place(ledger))) as file:
        notes = [] if file is None else console.notes(file)
    if as_json:
        tables.print_json([_note_as_json(each) for each in notes])
        return
    table = tables.table(["number", "time", "what"], ["credits"])
    for each in notes:
        table.add_row(str(each.number), _local(each.at), _KINDS[each.kind], tables.money(each.micro_credits))
    if notes:
        tables.console().print(table)
    else:
        tables.say(tables.console(), "Nothing is noted yet. Begin with:", *_BEGIN)


@command.command(name="remove")
@click.argument("number", type=int)
@options.where
def remove_command(*, number: int, ledger: str | None) -> None:
    """Remove a note that was a mistake."""
    with opening.opened(credit_watch.notes_file(place(ledger)), writable=True) as file:
        if not isinstance(file, SqliteLedger):
            raise SettingsError(f"there is no note {number}, as nothing is noted; begin with: {_BEGIN[0]}")
        console.remove(file, number)
    click.echo(f"Note {number} is removed.")


def _note(kind: NoteKind, amount: str, at: str | None, ledger: str | None) -> None:
    micro_credits = amounts.parsed(amount)
    now = periods.now(periods.zone(periods.DEFAULT_ZONE))
    moment = now if at is None else periods.moment(at, now)
    if moment > now:
        raise SettingsError(f"--at {at} is in the future; note what was, with the time at which it was")
    if kind == "topup" and not micro_credits:
        raise SettingsError("a top-up of 0 credits is none")
    with contextlib.closing(SqliteLedger(credit_watch.notes_file(place(ledger)))) as file:
        number = console.note(file, kind, moment.astimezone(dt.timezone.utc), micro_credits)
    click.echo(f"Noted as {number}: {_KINDS[kind]} of {tables.money(micro_credits)} at {_local(moment)}.")


def _show(to: Console, found: Balance) -> None:
    burn, forecast = found.burn, found.forecast
    left = found.micro_credits
    rows: list[tuple[str, str, str]] = [
        ("left", tables.money(left), "by the last reading, top-ups and the ledger"),
        ("  last reading", tables.money(found.reading.micro_credits), _local(found.reading.at)),
        ("  topped up since", tables.money(found.topups), ""),
        ("  spent since", tables.money(found.spent), _unpriced(found.unpriced_calls)),
        (
            "  not yet collected",
            tables.money(found.uncollected),
            f"the console may show {tables.money(left + found.uncollected)}",
        ),
        ("spent in the last hour", tables.money(burn.last_hour), ""),
        ("spent per hour", tables.money(burn.per_hour), "mean of 24 hours, or since the first call"),
        ("spent per day", tables.money(burn.per_day), _of_days(burn.days)),
        ("gone", "", _gone(forecast.at, found.expires_at)),
        (
            "  at the earliest",
            "",
            f"{_gone(forecast.earliest, found.expires_at)}: as on the dearest day, or in the last hour",
        ),
        ("  at the latest", "", f"{_gone(forecast.latest, found.expires_at)}: as on the cheapest day"),
        ("expire", "", "not known: no top-up is noted" if found.expires_at is None else _local(found.expires_at)),
    ]
    table = tables.table(["credits"], ["amount"])
    table.add_column("", overflow="fold")
    for what, amount, remark in rows:
        table.add_row(what, amount, Text(remark, style="dim" if amount else ""), style="bold" if what == "left" else "")
    to.print(table)
    if found.unsure:
        tables.say(
            to,
            f"{tables.money(found.unsure)} were spent in the five minutes before the last reading. If the console had "
            "not collected them yet, so much less is left.",
        )
    if found.drifts:
        _show_drifts(to, found.drifts)


def _show_drifts(to: Console, drifts: tuple[Drift, ...]) -> None:
    to.print()
    table = tables.table(["from one reading", "to the next"], ["console took", "recorded", "drift"])
    for each in drifts:
        amounts_ = map(tables.money, (each.taken, each.recorded, each.micro_credits))
        table.add_row(_local(each.since), _local(each.until), *amounts_, style="red" if each.is_real else "")
    to.print(table)
    last = drifts[-1]
    if not last.is_real:
        tables.say(to, "What the console took lately is what the ledger has, as far as five-minute cycles let one see.")
    elif last.at_least > 0:
        unpriced = tables.counted(last.unpriced_calls, "recorded call")
        calls = f" {unpriced} without a price may be a part of it." * bool(last.unpriced_calls)
        tables.say(
            to,
            f"The console took at least {tables.money(last.at_least)} that the ledger does not know: an application "
            f"that is not recorded, another price than the ledger's, or a reading mistyped.{calls} To look further:",
            "litellm-maas spend --by model",
            "litellm-maas prices",
        )
    else:
        tables.say(
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
        "reading": _note_as_json(found.reading),
        "topups_micro_credits": found.topups,
        "spent_micro_credits": found.spent,
        "not_yet_collected_micro_credits": found.uncollected,
        "unsure_micro_credits": found.unsure,
        "unpriced_calls": found.unpriced_calls,
        "burn_micro_credits": {
            name: getattr(burn, name) for name in ("last_hour", "per_hour", "per_day", "dearest_day", "cheapest_day")
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
        "console_took_micro_credits": each.taken,
        "recorded_micro_credits": each.recorded,
        "drift_micro_credits": each.micro_credits,
        "at_least_micro_credits": each.at_least,
        "at_most_micro_credits": each.at_most,
        "unpriced_calls": each.unpriced_calls,
    }


def _note_as_json(each: ConsoleNote) -> dict[str, Any]:
    return {"number": each.number, "kind": each.kind, "at": _iso(each.at), "micro_credits": each.micro_credits}


def _unpriced(calls: int) -> str:
    return f"and {tables.counted(calls, 'call')} without a price" if calls else ""


def _of_days(days: int) -> str:
    return "mean of 24 hours" if days == 1 else f"mean of {days} times 24 hours"


def _gone(at: dt.datetime | None, expires_at: dt.datetime | None) -> str:
    if at is not None and expires_at is not None and at > expires_at:
        return "after they expire"
    return "not in sight" if at is None else _local(at)


def _local(at: dt.datetime) -> str:
    return f"{at.astimezone(periods.zone(periods.DEFAULT_ZONE)):%Y-%m-%d %H:%M}"


def _iso(at: dt.datetime | None) -> str | None:
    return None if at is None else at.astimezone(dt.timezone.utc).isoformat(timespec="seconds")
