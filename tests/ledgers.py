"""What the tests of spend share: events, what a ledger holds, and programs that get in its way."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litellm_maas.ledger.event import Event
from litellm_maas.ledger.sqlite import SqliteLedger

NOON = dt.datetime(2026, 11, 2, 12, tzinfo=dt.timezone.utc)
HOUR = dt.timedelta(hours=1)


def event(event_id: str = "e1", micro_credits: int | None = 1_000_000, **fields: Any) -> Event:
    """An event of a priced call."""
    usual: dict[str, Any] = {
        "started_at": NOON,
        "ended_at": NOON + dt.timedelta(seconds=1),
        "operation": "chat",
        "route": "provider",
        "status": "ok",
        "requested_model": "trio",
        "model": "openai/gpt-4o",
        "input_tokens": 10,
        "output_tokens": 5,
        "usage_source": "reported",
        "basis": "unpriced" if micro_credits is None else "custom",
    }
    return Event(event_id=event_id, micro_credits=micro_credits, **{**usual, **fields})


def random_event(pick: random.Random, event_id: str) -> Event:
    """An event of anything that can occur, within a few hours of noon."""
    started_at = NOON + dt.timedelta(microseconds=pick.randint(0, 4 * 3_600_000_000))
    basis = pick.choice(["official", "custom", "estimate", "plan", "unpriced"])
    read, written = pick.randint(0, 10**6), pick.randint(0, 10**5)
    text = ["minh", "Nguyễn Văn A", 'it\'s "quoted"', "a\nb", "🦆", ""]
    return event(
        event_id,
        None if basis == "unpriced" else pick.randint(0, 10**12),
        started_at=started_at,
        ended_at=started_at + dt.timedelta(microseconds=pick.randint(0, 10**7)),
        operation=pick.choice(["chat", "embedding", "image"]),
        route=pick.choice(["provider", "base_url"]),
        status=pick.choice(["ok", "failed", "cancelled", "cache_hit", "blocked"]),
        model=pick.choice(["openai/gpt-4o", "qwen/qwen3-27b"]),
        input_tokens=read,
        cached_tokens=pick.randint(0, read),
        output_tokens=written,
        reasoning_tokens=pick.randint(0, written),
        images=pick.choice([0, 0, 3]),
        image_size=pick.choice([None, "1024x1024"]),
        image_quality=pick.choice([None, "high"]),
        usage_source=pick.choice(["reported", "estimated", "none"]),
        saved_micro_credits=pick.randint(-(10**6), 10**6),
        basis=basis,
        price_source=pick.choice([None, "official list"]),
        response_id=pick.choice([None, "chatcmpl-1"]),
        call_id=pick.choice([None, "call-1"]),
        trace_id=pick.choice([None, "trace-1"]),
        attempt=pick.randint(1, 4),
        host=pick.choice([None, "maas.vn", "127.0.0.1:5000"]),
        user=pick.choice([None, *text]),
        end_user=pick.choice([None, *text]),
        team_id=pick.choice([None, *text]),
        team=pick.choice([None, *text]),
        key_alias=pick.choice([None, *text]),
        session_id=pick.choice([None, *text]),
        tags=tuple(pick.sample(text, pick.randint(0, 3))),
        anomalies=pick.choice([(), ("9 cached exceed 5 input tokens",)]),
        http_status=pick.choice([None, 200, 503]),
        error_class=pick.choice([None, "ServiceUnavailableError"]),
    )


def rows(path: Path) -> list[Event]:
    """The events of a ledger, as they are in force."""
    return list(SqliteLedger(path, read_only=True).events())


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
