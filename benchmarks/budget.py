"""What a budget costs a call: asking for room before it, and giving the room up after it, beside the recording itself.

The ledger holds so many events already; between two calls another process's events come in, as on a busy proxy.

    python benchmarks/budget.py [--calls 3000] [--events 100000]
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import functools
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from recording import event, fill

import _litellm_maas_cli  # noqa: F401 - the package registers with LiteLLM on import, but not under its command
from litellm_maas.budgets.budget import Budget
from litellm_maas.budgets.enforcement import Reservation
from litellm_maas.ledger.event import new_id
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.runtime import runtime
from litellm_maas.steps import run
from litellm_maas.tracking.attribution import Attribution

TARGET = 150.0
"""Microseconds, p50, for the check before a call."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        fill(path, options.events)
        budgets = [
            Budget(name="all", credits=10**9, per="month"),
            Budget(name="user", credits=10**9, per="day", user="user-3"),
            Budget(name="tag", credits=10**9, per="rolling 24h", tag="app"),
        ]
        for count in (1, 3):
            runtime.budgets.configured = tuple(budgets[:count])
            _measure(path, count, options.calls)
            runtime.budgets.close()


def _measure(path: Path, count: int, calls: int) -> None:
    chance, now = random.Random(1), dt.datetime.now(dt.timezone.utc)
    recorder, other = Recorder(path), Recorder(path)
    identity = Attribution(user="user-3", tags=("app",))
    checks, recordings, settlements = [], [], []
    for number in range(calls + 1):
        made = dataclasses.replace(event(now, chance), event_id=new_id(), user="user-3")
        if number % 3 == 0:
            other.record(event(now, chance))
        reservations: list[Reservation] = []
        check = _timed(functools.partial(_ask, reservations, path, identity))
        recording = _timed(functools.partial(recorder.record, made))
        settlement = _timed(reservations[0].release)
        if number:  # the first adds everything up
            checks.append(check)
            recordings.append(recording)
            settlements.append(settlement)
    print(f"{count} budget{'s' if count > 1 else ''} (µs){'p50':>14}{'p99':>10}")
    for name, times in (("check", checks), ("recording", recordings), ("giving up", settlements)):
        target = f"   target {TARGET:g}" if name == "check" else ""
        print(f"  {name:<20}{median(times):>8.1f}{quantiles(times, n=100)[98]:>10.1f}{target}")
    print(f"  check : recording   {median(checks) / median(recordings):>8.2f}x")
    recorder.close()
    other.close()


def _ask(reservations: list[Reservation], path: Path, identity: Attribution) -> None:
    reservation = run(runtime.budgets.reserve(path, "openai/gpt-4o", identity, lambda: 1_000_000))
    assert isinstance(reservation, Reservation)
    reservations.append(reservation)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e6


if __name__ == "__main__":
    main()
