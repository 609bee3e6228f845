"""Tell what to know about a total beside its sum, with the command to type next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from litellm_maas.cli import tables
from litellm_maas.cli.options import ReportQuery
from litellm_maas.did_you_mean import nearest
from litellm_maas.ledger.access import PendingEvents
from litellm_maas.ledger.location import PostgresLocation
from litellm_maas.ledger.reports import SpendTotal

_MOST_MODELS = 5
_MOST_NAMES = 8

_HOW_TO_RECORD = (
    "litellm_maas.track_spend()                       in a program, once",
    "MAAS_TRACK_SPEND=1                               for every program that imports litellm_maas",
    "litellm.callbacks = [litellm_maas.spend_logger]  in a proxy's config: callbacks: [litellm_maas.spend_logger]",
)


@dataclass(frozen=True, slots=True)
class Hint:
    """Pair a hint with the commands that follow from it."""

    text: str
    commands: tuple[str, ...] = ()


def notes(total: SpendTotal, unpriced: dict[str, int], asked: ReportQuery, since: str | None) -> Iterator[Hint]:
    """Yield the hints on a total.

    Args:
        total: The total.
        unpriced: Calls without a price, by model.
        asked: What was asked for.
        since: The first day of the period, where nobody typed one.
    """
    if total.unpriced_calls:
        yield Hint(
            f"{tables.counted(total.unpriced_calls, 'call')} without a price {_are(total.unpriced_calls)} not in the "
            f"sums: {_models(unpriced)}. Put their price into your own file (MAAS_PRICES; an example comes with "
            "litellm-maas config init), then:",
            (asked.command("reprice", since=since),),
        )
    if total.estimated_calls:
        yield Hint(
            f"{tables.counted(total.estimated_calls, 'call')} with estimated tokens: the gateway's own count never "
            "came, mostly because a stream was abandoned. They are in the sums, as estimates. To see them:",
            (asked.command("export", "--only estimated", since=since),),
        )
    if total.anomalies:
        yield Hint(
            f"{tables.counted(total.anomalies, 'call')} with a usage report that cannot be true. Impossible counts "
            "are not priced; cached tokens beyond the input are cut down to it. To see them:",
            (asked.command("export", "--only anomalies", since=since),),
        )
    if "estimate" in total.by_basis:
        yield Hint(
            f"{tables.money(total.by_basis['estimate'])} of it is a guess from LiteLLM's dollar prices, because your "
            "price file has `estimate` switched on and no list prices these models."
        )
    if total.saved_micro_credits > 0:
        yield Hint(f"Cached tokens saved {tables.money(total.saved_micro_credits)} against the input price.")
    elif total.saved_micro_credits < 0:
        yield Hint(
            f"Cached tokens cost {tables.money(-total.saved_micro_credits)} more than plain ones: a list prints "
            "a cache price above the input price. To see which:",
            ("litellm-maas prices",),
        )


def nothing_recorded(ledger: Path | PostgresLocation) -> Hint:
    """Return the hint on a ledger that is empty, or that nobody has named."""
    return Hint(f"No spend is recorded in {ledger} yet. Enable recording with one of:", _HOW_TO_RECORD)


def missing_note(ledger: Path | PostgresLocation) -> Hint:
    """Return the hint on a ledger that was named, by --ledger or MAAS_LEDGER, and is missing."""
    return Hint(
        f"There is no ledger {ledger}. Check its name; if nothing is recorded yet, enable recording with one of:",
        _HOW_TO_RECORD,
    )


def unknown_note(what: str, written: str, known: Iterable[str], asked: ReportQuery) -> Hint | None:
    """Return the hint on a filter that no call in the ledger matches, whatever the period.

    Args:
        what: The filter.
        written: What was asked for.
        known: What the ledger has.
        asked: What was asked for beside it.
    """
    known = list(dict.fromkeys(filter(None, known)))
    if written in known:
        return None
    nothing = f"No call {_with(what)} {tables.named(written) or '(none)'} is recorded"
    if (near := nearest(written, known)) is not None:
        return Hint(f"{nothing}; did you mean {tables.named(near)}?")
    option = what.replace("_", "-")
    if not known:
        return Hint(f"{nothing}, nor any other {option}.")
    if len(known) <= _MOST_NAMES:
        return Hint(f"{nothing}; there are: {', '.join(map(tables.named, sorted(known)))}.")
    return Hint(f"{nothing}; to see what is recorded:", (asked.command(f"--by {what}", without=option),))


def hosts_note(hosts: Iterable[str], asked: ReportQuery, since: str | None) -> Hint | None:
    """Return the hint on a total over more than one host: of two accounts, or of a sandbox and an account."""
    named = sorted(filter(None, hosts))
    if len(named) < 2 or asked.filters.host is not None:
        return None
    shown = ", ".join(map(tables.printable, named[:_MOST_MODELS])) + f" and {len(named) - _MOST_MODELS} more" * (
        len(named) > _MOST_MODELS
    )
    return Hint(
        f"Calls of {len(named)} hosts are in these sums ({shown}). To see each:",
        (asked.command("--by host", since=since),),
    )


def waiting_note(waiting: PendingEvents) -> Hint | None:
    """Return the hint on events that are not in the ledger yet."""
    texts = [f"{each.message}. {each.when}" for each in waiting.remarks]
    commands = tuple(each.command for each in waiting.remarks)
    if not waiting.events and waiting.problem is None:
        return Hint(" ".join(texts), commands) if texts else None
    events = tables.counted(waiting.events, "event")
    why = f" ({waiting.problem})" if waiting.problem else " (unreadable files)"
    return Hint(
        f"{events} queued beside the ledger {_are(waiting.events)} not in the sums{why}. They are recorded by the next "
        "call or command that can write to the ledger." + "".join(f" {text}" for text in texts),
        commands,
    )


def say_beside(*remarks: Hint | None) -> None:
    """Print hints on standard error, beside data."""
    for note in remarks:
        if note is not None:
            click.echo("\n  ".join((note.text, *note.commands)), err=True)


def _with(what: str) -> str:
    return {"model": "of", "tag": "with the tag", "status": "with the status", "host": "to"}.get(
        what, f"of the {what.replace('_', ' ')}"
    )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _models(unpriced: dict[str, int]) -> str:
    most = sorted(unpriced.items(), key=lambda pair: (-pair[1], pair[0]))
    named = [f"{tables.printable(model)} ({tables.number(calls)})" for model, calls in most[:_MOST_MODELS]]
    if len(most) > _MOST_MODELS:
        named.append(f"{len(most) - _MOST_MODELS} models more")
    return ", ".join(named)
