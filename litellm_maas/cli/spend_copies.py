"""Provide `litellm-maas spend backup | restore | resend`: copy a ledger, and send a spool again."""

from __future__ import annotations

from pathlib import Path

import click

from litellm_maas.cli import options, tables
from litellm_maas.cli.spend_hints import waiting_note
from litellm_maas.errors import MaasError
from litellm_maas.ledger import access, backup
from litellm_maas.ledger.access import PendingEvents
from litellm_maas.ledger.backup import Copied
from litellm_maas.ledger.forward import forward
from litellm_maas.ledger.location import PostgresLocation, resolve_location

_WAIT = 60.0
"""Seconds to wait for another sender of the same events."""

_file = click.Path(dir_okay=False, path_type=Path)


@click.command(
    name="backup",
    short_help="Copy the ledger, also while programs record.",
    epilog="Example: litellm-maas spend backup ledger-copy.db",
)
@click.argument("file", type=_file)
@click.option("--force", is_flag=True, help="Overwrite the file if it is there already.")
@options.ledger_option
def backup_command(*, file: Path, force: bool, ledger: str | None) -> None:
    """Copy the ledger into FILE, as it is at this moment. Programs may go on recording."""
    path = _ledger_file(ledger, "pg_dump --schema=litellm_maas")
    waiting = access.flush(path)
    if not path.exists():
        raise MaasError(f"there is no ledger at {path}", "name one with --ledger or MAAS_LEDGER")
    copied = backup.back_up(path, file, overwrite=force)
    click.echo(f"Copied {path} to {file}: {_held(copied)}.")
    _say(waiting)


@click.command(
    name="restore",
    short_help="Put a copy in the place of the ledger.",
    epilog="Example: litellm-maas spend restore ledger-copy.db",
)
@click.argument("file", type=_file)
@options.ledger_option
def restore_command(*, file: Path, ledger: str | None) -> None:
    """Put the copy FILE in the place of the ledger. Programs may go on recording.

    What the ledger held until then is kept in a file beside it.
    """
    path = _ledger_file(ledger, "pg_restore")
    if not file.exists():
        raise MaasError(f"there is no file {file}", "name a copy that `litellm-maas spend backup` has made")
    done = backup.restore(file, path)
    click.echo(f"Restored {path} from {file}: {_held(done.now)}.")
    if done.kept is not None:
        held = "unreadable" if done.before is None else _held(done.before)
        click.echo(f"What the ledger held until now ({held}) is kept in {done.kept}.", err=True)


@click.command(
    name="resend",
    short_help="Send everything to the PostgreSQL ledger again.",
    epilog="Example: litellm-maas spend resend",
)
@click.option("--from", "other", type=_file, help="Another spool, of an older address, to be sent too.")
@options.ledger_option
def resend_command(*, other: Path | None, ledger: str | None) -> None:
    """Send all that this machine has recorded to the PostgreSQL ledger again. What is there already stays once."""
    where = resolve_location(ledger)
    if not isinstance(where, PostgresLocation):
        raise MaasError(f"{where} is a file, not a database", "name a database with --ledger or MAAS_LEDGER")
    if other is not None and not other.exists():
        raise MaasError(f"there is no spool {other}", "litellm-maas doctor names those that are")
    sent = forward(where, wait=_WAIT, again=True, taking=other)
    click.echo(f"{tables.counted(sent, 'event')} sent to {where}.")
    _say(access.flush(where))


def _say(waiting: PendingEvents) -> None:
    if (note := waiting_note(waiting)) is not None:
        click.echo("\n  ".join((note.text, *note.commands)), err=True)


def _ledger_file(named: str | None, instead: str) -> Path:
    where = resolve_location(named)
    if isinstance(where, PostgresLocation):
        raise MaasError(
            f"{where} is a database, which {instead} is for",
            f"the file in front of it is named by --ledger {where.outbox_path}",
        )
    return where


def _held(copied: Copied) -> str:
    return f"{tables.counted(copied.events, 'event')} ({tables.money(copied.micro_credits)})"


commands = (backup_command, restore_command, resend_command)
