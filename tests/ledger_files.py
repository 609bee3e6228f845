"""Ledgers in files: what one holds, and programs that get in its way."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger


def rows(path: Path) -> list[Event]:
    """The events of a ledger, as they are in force."""
    return list(SqliteLedger(path, read_only=True).events())


def recorded(path: Path, events: Iterable[Event]) -> SqliteLedger:
    """A ledger that holds these events."""
    ledger = SqliteLedger(path)
    for each in events:
        ledger.insert(each)
    return ledger


def total(path: Path) -> int:
    """The micro-credits of a ledger."""
    return sum(found.micro_credits or 0 for found in rows(path))


@contextlib.contextmanager
def program(code: str, *arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A Python program that has said that it is ready, for as long as the block lasts."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == "ready\n", process.stderr and process.stderr.read()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.communicate()


HOLD_LOCK = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    print("ready", flush=True)
    sys.stdin.read()
    connection.execute("ROLLBACK")
"""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program writes to a ledger, and does not come to an end, for as long as the block lasts."""
    with program(HOLD_LOCK, path):
        yield


@contextlib.contextmanager
def unguarded(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of somebody who ignores that rows are never changed."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
