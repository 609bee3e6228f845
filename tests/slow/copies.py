"""A ledger that is copied, backed up and put back while programs write to it, and its log after 40,000 short lives.

What is wanted: each backup is sound and of one moment, what was recorded after a restore is in the ledger, a plain copy
of all three files holds everything up to then, and the log stays small however few events each process records.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from litellm_maas.ledger.recorder import Recorder
from litellm_maas.ledger.sqlite import SqliteLedger
from litellm_maas.ledger.verify import verify
from tests.factories import event
from tests.ledger.test_copies import writers
from tests.ledger_files import program, rows

BACKUPS, PAUSE = 10, 0.01
WORKERS, EVENTS = 40, 1000
LARGEST_LOG, LOG_AFTERWARDS = 64 * 1024 * 1024, 2 * 1024 * 1024
SHORT = """
    import sys
    import _litellm_maas_cli  # so that LiteLLM, which takes seconds, is not imported
    from pathlib import Path
    from litellm_maas.ledger.recorder import Recorder
    from tests.factories import event
    print("ready", flush=True)
    sys.stdin.readline()
    recorder = Recorder(Path(sys.argv[1]))
    for number in range(int(sys.argv[3])):
        recorder.record(event(f"{sys.argv[2]}-{number}", 1))
    recorder.close()
"""


def spend(ledger: Path, *arguments: object) -> str:
    """What `litellm-maas spend` says about a ledger."""
    command = [sys.executable, "-m", "litellm_maas", "spend", *map(str, arguments), "--ledger", str(ledger)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def sound(path: Path) -> int:
    """How many events a ledger holds that has no fault."""
    with SqliteLedger(path) as ledger:
        complaints = verify(ledger)
        assert complaints == [], complaints
    return len(rows(path))


def copied(folder: Path) -> bool:
    """Backups and a restore while four programs record; whether all that ought to be there is."""
    ledger = folder / "ledger.db"
    with writers(ledger, 4, PAUSE) as said:
        began = time.monotonic()
        for number in range(BACKUPS):
            spend(ledger, "backup", folder / f"backup-{number}.db")
        each = (time.monotonic() - began) / BACKUPS
        plain = folder / "plain"
        plain.mkdir()
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{ledger}{suffix}", plain)
        alone = folder / "alone.db"
        shutil.copy(ledger, alone)
        last = folder / f"backup-{BACKUPS - 1}.db"
        spend(ledger, "restore", last)
    counts = [sound(folder / f"backup-{number}.db") for number in range(BACKUPS)]
    print(f"{BACKUPS} backups while 4 programs record, {each:.1f} s each: {counts} events, all sound")
    with SqliteLedger(plain / "ledger.db") as opened:
        found = len(list(opened.events()))
    print(f"a plain copy of all three files meanwhile: {found} events; of ledger.db alone: {_single_forwarder(alone)}")
    (kept,) = folder.glob("ledger.db.before-*")
    before, now = sound(kept), sound(ledger)
    # What was recorded up to the restore is in the kept file, and what came afterwards in the ledger.
    written = sum(number + 2 for number, _, _ in said)
    gone = before - counts[-1]
    print(
        f"restored: {before} events until then, kept; {counts[-1]} put back; {now - counts[-1]} recorded since; "
        f"{written} recorded in all, {written - gone - now} missing"
    )
    return counts == sorted(counts) and found >= counts[-1] and written - gone == now


def _single_forwarder(path: Path) -> str:
    try:
        return f"{len(rows(path))} events"
    except Exception as error:  # noqa: BLE001 - whatever it says is what is shown
        return str(error)


def log_after_short_lives(folder: Path) -> bool:
    """The log beside a program that keeps the ledger open, after workers that each record little, two at a time."""
    ledger = folder / "ledger.db"
    log, largest = Path(f"{ledger}-wal"), 0
    long_lived = Recorder(ledger)
    long_lived.record(event("before", 1))
    for pair in range(0, WORKERS, 2):
        with program(SHORT, ledger, pair, EVENTS) as one, program(SHORT, ledger, pair + 1, EVENTS) as other:
            for process in (one, other):
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            while one.poll() is None or other.poll() is None:
                largest = max(largest, log.stat().st_size)
                time.sleep(0.02)  # the size of a file tells nobody when it changes
    long_lived.record(event("after", 1))  # with which the log begins anew
    now, held = log.stat().st_size, ledger.stat().st_size
    long_lived.close()
    count = sound(ledger)
    print(
        f"{count} events of {WORKERS} short-lived processes: the log was {largest / 2**20:.1f} MB at most, with "
        f"the next event it is {now / 2**20:.1f} MB, the ledger {held / 2**20:.1f} MB"
    )
    return count == WORKERS * EVENTS + 2 and largest < LARGEST_LOG and now < LOG_AFTERWARDS


def main() -> None:
    """Run, print, and exit with 0 only if nothing is missing and the log stayed small."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        is_right = copied(Path(one))
        is_right &= log_after_short_lives(Path(other))
    print("all is right" if is_right else "SOMETHING IS WRONG")
    sys.exit(not is_right)


if __name__ == "__main__":
    main()
