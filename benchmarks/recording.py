"""What recording costs a call, and how long a report takes over a large ledger.

The first table is the time of `Recorder.record`, which a call waits for, beside a bare SQLite insert of the same row
into a table without indexes: with one process and with four that write to the same ledger at once. The second is
`litellm-maas spend` over a ledger of so many events, start-up included, beside a full scan of the same events.

    python benchmarks/recording.py [--events 5000] [--rows 1000000 10000000]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import multiprocessing
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import _litellm_maas_cli  # noqa: F401 - the package registers with LiteLLM on import, but not under its command
from litellm_maas.ledger import schema
from litellm_maas.ledger.base import INSERT_EVENT, to_row
from litellm_maas.ledger.event import FIELDS, Event, new_id
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.ledger.sqlite import SqliteLedger

MODELS = ("openai/gpt-4o", "qwen/qwen3.6-flash", "z-ai/glm-5.2", "minimax/minimax-m3", "gemini/gemini-2.5-flash")
TARGETS = {"p50": 100.0, "p99": 1000.0}
LIMITS = {1_000_000: 1.0, 10_000_000: 3.0}


def event(started_at: dt.datetime, chance: random.Random) -> Event:
    """One event, as a call of an application leaves it."""
    tokens, person = chance.randrange(20_000), chance.randrange(20)
    return Event(
        event_id=new_id(),
        started_at=started_at,
        ended_at=started_at + dt.timedelta(seconds=2),
        operation="chat",
        route="provider",
        status="ok",
        requested_model="maas",
        model=chance.choice(MODELS),
        host="maas-llm-aiplatform-hcm.api.vngcloud.vn",
        input_tokens=tokens,
        cached_tokens=tokens // 3,
        output_tokens=chance.randrange(2000),
        usage_source="reported",
        micro_credits=tokens * 70_888,
        basis="official",
        price_source="official list",
        response_id=f"chatcmpl-{new_id()}",
        call_id=new_id(),
        trace_id=new_id(),
        user=f"user-{person}",
        team_id=f"id-{person % 4}",
        team=f"team-{person % 4}",
        key_alias=f"key-{person % 5}",
        tags=("app",),
        http_status=200,
    )


def record(path: Path, count: int, seed: int, results: Any) -> None:
    """Microseconds of each recording."""
    chance, recorder = random.Random(seed), Recorder(path)
    now = dt.datetime.now(dt.timezone.utc)
    events = [event(now, chance) for _ in range(count)]
    recorder.record(event(now, chance))
    times = []
    for each in events:
        started = time.perf_counter()
        recorder.record(each)
        times.append((time.perf_counter() - started) * 1e6)
        # As calls do, the next one comes later: nobody's budget of calls is spent in a tight loop.
        time.sleep(0.0005)
    recorder.close()
    results.put(times)


def bare(path: Path, count: int) -> list[float]:
    """Microseconds of each insert into a table that has nothing but its columns."""
    chance, now = random.Random(1), dt.datetime.now(dt.timezone.utc)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"CREATE TABLE events ({schema.columns()}, UNIQUE (event_id))")
    times = []
    for each in [to_row(event(now, chance)) for _ in range(count)]:
        started = time.perf_counter()
        connection.execute(INSERT_EVENT, each)
        times.append((time.perf_counter() - started) * 1e6)
        time.sleep(0.0005)
    connection.close()
    return times


def recordings(folder: Path, count: int) -> None:
    """The first table."""
    print(
        f"{'recording':<24}{'p50':>9}{'p99':>10}{'max':>11}   (µs; targets {TARGETS['p50']:g} and {TARGETS['p99']:g})"
    )
    base = bare(folder / "bare.db", count)
    show("a bare insert", base)
    for processes in (1, 4):
        results: Any = multiprocessing.Queue()
        path = folder / f"{processes}.db"
        SqliteLedger(path).close()
        workers = [
            multiprocessing.Process(target=record, args=(path, count, seed, results)) for seed in range(processes)
        ]
        for worker in workers:
            worker.start()
        times = [each for _ in workers for each in results.get()]
        for worker in workers:
            worker.join()
        show(f"{processes} process{'es' if processes > 1 else ''}", times)
        print(f"{'':<24}{median(times) / median(base):>8.1f}x")
        with SqliteLedger(path) as ledger:
            (row,) = ledger.query("SELECT count(*) FROM events")
            assert row[0] == processes * (count + 1), "an event is missing"


def show(name: str, times: list[float]) -> None:
    """One line."""
    print(f"{name:<24}{median(times):>9.1f}{quantiles(times, n=100)[98]:>10.1f}{max(times):>11.1f}")


def fill(path: Path, rows: int) -> None:
    """A ledger of so many events over two years, made by SQLite itself out of 500 different ones."""
    SqliteLedger(path).close()
    chance = random.Random(7)
    end = dt.datetime.now(dt.timezone.utc)
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("journal_mode = WAL", "synchronous = OFF", "cache_size = -400000"):
        connection.execute(f"PRAGMA {statement}")
    (trigger,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'events_add_up'").fetchone()
    connection.execute(f"CREATE TEMP TABLE samples ({schema.columns()})")
    into = INSERT_EVENT.replace("INTO events", "INTO samples").partition(" ON CONFLICT")[0]
    connection.executemany(into, [to_row(event(end, chance)) for _ in range(500)])
    others = ", ".join(f'"{name}"' for name in FIELDS if name not in ("event_id", "started_at"))
    connection.execute("BEGIN")
    connection.execute("DROP TRIGGER events_add_up")
    connection.execute(
        f"""WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
        INSERT INTO events (event_id, started_at, {others})
        SELECT printf('%032x', n), ended_at - (? - n) * ?, {others}
        FROM numbers CROSS JOIN samples ON samples.rowid = 1 + n * 7919 % 500""",
        (rows, rows, int(730 * 86_400e6 / rows)),
    )
    for statement in schema.add_to_hourly("FROM events WHERE true"):
        connection.execute(statement)
    connection.execute(trigger)
    connection.execute("COMMIT")
    connection.close()


def reports(folder: Path, rows: int) -> None:
    """The second table."""
    path = folder / f"{rows}.db"
    fill(path, rows)
    environment = {**os.environ, "MAAS_LEDGER": str(path)}
    command = [str(Path(sys.executable).with_name("litellm-maas")), "spend"]
    for arguments in ((), ("--by", "model", "--since", "2020-01-01"), ("--by", "day", "--since", "90d")):
        times = []
        for _ in range(3):
            started = time.perf_counter()
            done = subprocess.run([*command, *arguments], env=environment, capture_output=True, check=True)
            times.append(time.perf_counter() - started)
        assert b"VND" in done.stdout, done.stdout
        name = " ".join(("spend", *arguments))
        target = f"target {LIMITS[rows]:g} s" if rows in LIMITS else ""
        print(f"{rows:>10,} events  {name:<42}{median(times):>7.2f} s   {target}")
    started = time.perf_counter()
    connection = sqlite3.connect(path)
    connection.execute("SELECT sum(micro_credits) FROM events").fetchone()
    connection.close()
    print(f"{rows:>10,} events  {'a full scan of the events':<42}{time.perf_counter() - started:>7.2f} s")
    path.unlink()


def imports() -> None:
    """Whether a report loads LiteLLM."""
    code = (
        "import sys, json, _litellm_maas_cli as cli\ntry:\n    cli.main()\n"
        "finally:\n    print(json.dumps('litellm' in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, check=False)
    spend = subprocess.run([sys.executable, "-c", code, "spend"], capture_output=True, check=False)
    loaded = [json.loads(each.stderr.splitlines()[-1]) for each in (done, spend)]
    print(f"litellm imported by --help: {loaded[0]}, by spend: {loaded[1]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recordings(Path(folder), options.events)
        for rows in options.rows:
            reports(Path(folder), rows)
    imports()


if __name__ == "__main__":
    main()
