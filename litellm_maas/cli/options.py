"""Options that several commands have, and what they mean."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from click.shell_completion import CompletionItem

from litellm_maas import settings
from litellm_maas.cli import completion
from litellm_maas.errors import MaasError
from litellm_maas.ledger import periods
from litellm_maas.ledger.event import Status
from litellm_maas.ledger.filters import Filters
from litellm_maas.ledger.location import as_typed, resolve_location
from litellm_maas.ledger.periods import DEFAULT_ZONE, Period
from litellm_maas.ledger.query import SpendQuery, parse_period

_Command = TypeVar("_Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def strip_prefix(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return a model id as the gateway and the ledger have it; people write it as LiteLLM does."""
    return value and Filters.parse(model=value).model


def host_name(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return a host as it is recorded; people copy base URLs."""
    return value and Filters.parse(host=value).host


def model_ids(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a model id."""
    return completion.model_ids(incomplete)


model = click.option(
    "--model", metavar="ID", callback=strip_prefix, shell_complete=model_ids, help="Only calls to this model id."
)
host = click.option("--host", metavar="HOST", callback=host_name, help="Only calls to this host.")


csv_for = click.option(
    "--csv-for",
    type=click.Choice(["excel"]),
    help="Write CSV that Excel opens as it is meant: VND, local dates, and ; between the cells where the locale "
    "(LC_ALL, LANG) writes 0,5.",
)


def is_named(ledger: str | None) -> bool:
    """Return whether a ledger was named, by an option or in the environment."""
    return ledger is not None or settings.ledger() is not None


def refuse_missing(ledger: str | None) -> None:
    """Refuse a ledger that was named by an option and is not there.

    Raises:
        MaasError: It is not there.
    """
    found = resolve_location(ledger)
    if ledger is not None and isinstance(found, Path) and not found.exists():
        raise MaasError(f"there is no ledger {found}", "check the name after --ledger")


def ledger_option(command: _Command) -> _Command:
    """Add `--ledger`."""
    return click.option("--ledger", metavar="PATH", help="The ledger; default: MAAS_LEDGER, or your data folder.")(
        command
    )


def period(command: _Command) -> _Command:
    """Add `--since`, `--until`, `--month` and `--timezone`."""
    for option in (
        click.option("--timezone", default=DEFAULT_ZONE, show_default=True, help="The zone that days are meant in."),
        click.option("--month", metavar="MONTH", help="That month alone: 2026-10, this, or last."),
        click.option("--until", metavar="TIME", help="The end: a day or a month is included, a time is not."),
        click.option(
            "--since",
            metavar="TIME",
            help="The beginning: 2026-11-01, 2026-11, 2026-11-01T15:30, yesterday, 'last week', 7d, 2h.",
        ),
    ):
        command = option(command)
    return command


def filters(command: _Command) -> _Command:
    """Add `--model`, `--user` and the other filters; they arrive as `filters`."""
    named = {
        "--user": "Only calls of this user; through a proxy, the owner of the key.",
        "--end-user": "Only calls through a proxy that name this end user.",
        "--team": "Only calls of the team with this alias or id.",
        "--key": "Only calls with the proxy key of this alias.",
        "--session": "Only calls of this session.",
        "--tag": "Only calls with this tag.",
    }
    for option in (
        host,
        click.option("--status", type=click.Choice(get_args(Status)), help="Only calls that ended so."),
        *(click.option(name, metavar="NAME", help=text) for name, text in reversed(named.items())),
        model,
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class ReportQuery(SpendQuery):
    """Name a ledger, and the events of it that somebody asked for on the command line.

    Attributes:
        is_named: Whether the ledger was named, by an option or in the environment.
        typed: What was typed, by option.
    """

    is_named: bool = False
    typed: tuple[tuple[str, str], ...] = ()

    @property
    def is_missing(self) -> bool:
        """Return whether the ledger was named, and is a file that is not there."""
        return self.is_named and isinstance(self.ledger, Path) and not self.ledger.exists()

    def command(self, *words: str, since: str | None = None, without: str | None = None) -> str:
        """Return a command line that asks for the same ledger, period and filters.

        Args:
            words: What follows `litellm-maas spend`.
            since: The beginning of the period, where none was typed.
            without: A filter that is left out.
        """
        added = f" --since {since}" if since is not None and self.period == Period(None, None) else ""
        typed = "".join(f" --{name} {shlex.quote(text)}" for name, text in self.typed if name != without)
        return f"litellm-maas spend {' '.join(words)}{added}{typed}"


def parse_query(
    ledger: str | None,
    since: str | None,
    until: str | None,
    month: str | None,
    timezone: str,
    **named: str | None,
) -> ReportQuery:
    """Return what the options mean.

    Raises:
        SettingsError: One of them cannot be understood, or the period ends before it begins, or is yet to come.
    """
    if month is not None and (since is not None or until is not None):
        raise click.UsageError("--month is a period of its own, without --since and --until")
    now = periods.now(periods.zone(timezone))
    filters_ = Filters.parse(**named)
    typed: dict[str, str | None] = {"since": since, "until": until, "month": month}
    typed |= {"timezone": timezone if timezone != DEFAULT_ZONE else None}
    typed |= {name.replace("_", "-"): value for name, value in filters_.given()}
    typed |= {"ledger": as_typed(ledger)}
    return ReportQuery(
        resolve_location(ledger),
        now,
        parse_period(since, until, month, now),
        timezone,
        filters_,
        is_named(ledger),
        tuple((name, text) for name, text in typed.items() if text is not None),
    )
