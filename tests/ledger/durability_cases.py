"""What becomes of a call's row when something goes wrong around it: the table of docs/durability.md, and its trials.

Each loss is tried with real processes against a sandbox, whose own bill is the truth.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from litellm_maas.ledger.event import Event
from litellm_maas.ledger.recorder import Recorder
from litellm_maas.sandbox import Answer, Charge, Choice, Fault, Sandbox
from tests.ledger_files import locked, rows, total
from tests.warm_process import WarmProcess

Program = WarmProcess | subprocess.Popen[str]

KEY = "vn-loss-0123456789abcdef0123456789"
LONG = Answer((Choice(" ".join(map(str, range(1000, 1400)))),))
SLOW = Fault(chunk_delay=0.02, times=None, model="openai/gpt-4o")
PROCESSES, CALLS = 4, 500
PRELUDE = """
    import asyncio, gc, os, shutil, sys, threading, time
    import litellm, litellm_maas
    litellm.suppress_debug_info = True
    CALL = {"model": "maas/openai/gpt-4o", "messages": [{"role": "user", "content": "Xin chào"}]}

    def ready():
        print("ready", flush=True)
        sys.stdin.readline()

    def call():
        return litellm.completion(**CALL)

    def stream():
        return litellm.completion(stream=True, **CALL)

    async def acall(**other):
        return await litellm.acompletion(**{**CALL, **other})

    async def astream(events=10**9):
        response = await litellm.acompletion(stream=True, **CALL)
        async for _ in response:
            if not (events := events - 1):
                return response

    async def many(number):
        await asyncio.gather(*(acall() for _ in range(number)))

    def one_of_each():
        call()
        list(stream())
        asyncio.run(acall())
        asyncio.run(astream())
"""


@dataclasses.dataclass(frozen=True)
class Loss:
    """A row of the table.

    Attributes:
        event: What happens.
        outcome: What becomes of the rows of the calls concerned.
        why: The reason, for the reader of the table.
        code: The program that it happens to. Where it calls `ready()`, it waits for what `meanwhile` does.
        meanwhile: What others do to it: from `ready()` on, until the program may go on.
        slow: Whether the sandbox streams slowly, a long answer to each call.
        prefix: The command that the program is started by.
    """

    event: str
    outcome: Literal["kept", "queued", "estimated", "lost"]
    why: str
    code: str
    meanwhile: Callable[[Program, Path], None] | None = None
    slow: bool = False
    prefix: Callable[[Path], list[str]] = lambda _: []

    @property
    def id(self) -> str:
        """Its name among the tests."""
        return self.event.replace("`", "")


@dataclasses.dataclass(frozen=True)
class Trial:
    """How a loss went.

    Attributes:
        status: The exit status of the program.
        said: What it printed after it was ready.
        complaint: What it printed to standard error.
        at_once: The ledger's total when the program had ended, in micro-credits.
        in_the_end: The same, once the next process has replayed what waited.
        charges: What the sandbox has billed.
        events: The rows in the end.
        replayed: How many of them had waited.
    """

    status: int
    said: str
    complaint: str
    at_once: int
    in_the_end: int
    charges: tuple[Charge, ...]
    events: list[Event]
    replayed: int

    @property
    def bill(self) -> int:
        """The sum of what was billed."""
        return sum(charge.micro_credits or 0 for charge in self.charges)


def _send(number: signal.Signals) -> Callable[[Program, Path], None]:
    return lambda process, _: process.send_signal(number)


def _lock_for_five_seconds(process: Program, ledger: Path) -> None:
    with locked(ledger):
        _go_on(process)
        time.sleep(5)


def _delete(process: Program, ledger: Path) -> None:
    ledger.unlink()
    _go_on(process)


def _go_on(process: Program) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _namespace(mount: str, folder: Path) -> list[str]:
    unshare = shutil.which("unshare") or "unshare"
    return [unshare, "--map-root-user", "--mount", "sh", "-c", f'cd "{folder}" && {mount} && exec "$@"', "sh"]


def _full_disk(folder: Path) -> list[str]:
    return _namespace("mount -t tmpfs -o size=8m none disk", folder)


def _read_only(folder: Path) -> list[str]:
    return _namespace("mount --bind disk disk && mount -o remount,bind,ro disk", folder)


def can_mount(folder: Path) -> bool:
    """Whether this machine lets a process mount file systems that only it sees."""
    with contextlib.suppress(OSError):
        (folder / "disk").mkdir(exist_ok=True)
        return subprocess.run([*_full_disk(folder), "true"], capture_output=True, check=False).returncode == 0
    return False


LOSSES = (
    Loss(
        "`kill -9` right after a response",
        "kept",
        "a row is committed before the caller has the response, or the last chunk of a stream",
        "one_of_each(); ready()",
        _send(signal.SIGKILL),
    ),
    Loss(
        "SIGTERM right after a response", "kept", "the same", "one_of_each(); ready()", _send(signal.SIGTERM)
    ),
    Loss("`os._exit` right after a response", "kept", "the same", "one_of_each(); os._exit(0)"),
    Loss(
        "`asyncio.run` ends after 50 calls at once",
        "kept",
        "the same; LiteLLM's callbacks alone lose 19 of 50",
        "asyncio.run(many(50))",
    ),
    Loss(
        "SystemExit in a coroutine",
        "kept",
        "the same",
        """
        async def main():
            await many(10)
            raise SystemExit(0)
        asyncio.run(main())
        """,
    ),
    Loss(
        "`asyncio.run` ends with 50 calls still in flight",
        "estimated",
        "each is recorded as cancelled, by what was sent and received",
        """
        async def main():
            begun, all_have = set(), asyncio.Event()
            async def read():
                async for chunk in await litellm.acompletion(stream=True, **CALL):
                    begun.add(chunk.id)
                    if len(begun) == 40:
                        all_have.set()
            calls = [asyncio.ensure_future(acall(model="maas/openai/gpt-4o-mini")) for _ in range(10)]
            calls += [asyncio.ensure_future(read()) for _ in range(40)]
            await all_have.wait()
            assert not any(call.done() for call in calls)
        asyncio.run(main())
        """,
        slow=True,
    ),
    Loss(
        "a stream is abandoned half read",
        "estimated",
        "it is recorded as cancelled when it is closed, by what had been received",
        """
        response = stream()
        for _ in range(20):
            next(response)
        del response
        gc.collect()

        async def main():
            response = await astream(20)
            await response.aclose()
            await astream(20)
            gc.collect()
            await asyncio.sleep(0.2)
        asyncio.run(main())
        """,
        slow=True,
    ),
    Loss(
        "the process ends with streams half read",
        "estimated",
        "they are recorded as cancelled at the end, by what had been read",
        """
        left = stream()
        for _ in range(20):
            next(left)
        asyncio.run(astream(20))
        loop = asyncio.new_event_loop()
        left_too = loop.run_until_complete(astream(20))
        loop.close()
        """,
        slow=True,
    ),
    Loss(
        "`kill -9` or SIGTERM in the middle of a call",
        "lost",
        "nothing runs in a killed process; calls that had returned are kept",
        """
        call()
        response = stream()
        for _ in range(20):
            next(response)
        ready()
        """,
        _send(signal.SIGTERM),
        slow=True,
    ),
    Loss(
        "fork after import",
        "kept",
        "each process opens the ledger for itself",
        """
        call()
        half_read = stream()
        next(half_read)
        child = os.fork()
        for _ in range(5):
            call()
        asyncio.run(many(5))
        if not child:
            # The parent's stream is not the child's to record.
            del half_read
            gc.collect()
            os._exit(0)
        list(half_read)
        os.wait()
        """,
    ),
    Loss(
        f"{PROCESSES} processes write {CALLS} calls each",
        "kept",
        "SQLite lets one process write at a time; the others wait, at most 5 s, and off the event loop",
        f"""
        async def main():
            for _ in range({CALLS // 50}):
                await many(50)

        others = 0
        while others < {PROCESSES - 1} and (child := os.fork()):
            others += 1
        asyncio.run(main())
        if not child:
            os._exit(0)
        for _ in range(others):
            os.wait()
        """,
    ),
    Loss(
        "another program locks the ledger for 5 s",
        "kept",
        "writers wait, off the event loop; after 5 s a row is queued, and flushed later",
        """
        call()
        ready()
        threads = [threading.Thread(target=call) for _ in range(5)]
        for thread in threads:
            thread.start()
        asyncio.run(many(10))
        for thread in threads:
            thread.join()
        call()
        """,
        _lock_for_five_seconds,
    ),
    Loss(
        "the disk is full",
        "queued",
        "rows are queued in the temporary folder, or in memory, and flushed when there is space",
        """
        call()
        with open("disk/ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(1024))
            except OSError:
                pass
        one_of_each()
        from litellm_maas.runtime import runtime
        print(runtime.tracker.recorder().queued)
        os.remove("disk/ballast")
        call()
        runtime.close()
        shutil.copy("disk/ledger.db", "copy.db")
        """,
        prefix=_full_disk,
    ),
    Loss(
        "the ledger's folder is read-only",
        "queued",
        "the same, when it can be written again",
        "one_of_each()",
        prefix=_read_only,
    ),
    Loss(
        "the ledger file is deleted while in use",
        "kept",
        "the next row begins a new file; the rows of the old one are gone with it",
        """
        one_of_each()
        ready()
        one_of_each()
        """,
        _delete,
    ),
)  # fmt: skip


def tried(loss: Loss, folder: Path) -> Trial:
    """Try a loss in a folder, which is left behind with the ledger in it."""
    (folder / "disk").mkdir(exist_ok=True)
    ledger = folder / "disk" / "ledger.db"
    with Sandbox(key=KEY) as sandbox, _temporary_folder(folder):
        if loss.slow:
            sandbox.faults.add(SLOW)
            sandbox.faults.add(Fault(delay=60, times=None, model="openai/gpt-4o-mini"))
            sandbox.script(*[LONG] * 60)
        status, said, complaint = _run(loss, folder, ledger, sandbox)
        # What the sandbox writes to a connection that is gone, it bills when it notices.
        _until_still(sandbox)
        if (copy := folder / "copy.db").exists():
            ledger = copy
        at_once = total(ledger) if ledger.exists() else 0
        with contextlib.closing(Recorder(ledger)) as next_process:
            replayed = next_process.flush()
        events = rows(ledger)
        return Trial(
            status,
            said,
            complaint,
            at_once,
            sum(event.micro_credits or 0 for event in events),
            sandbox.bill.charges,
            events,
            replayed,
        )


def _run(loss: Loss, folder: Path, ledger: Path, sandbox: Sandbox) -> tuple[int, str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAAS_", "OPENAI_"))}
    environment = {
        **inherited,
        **sandbox.environment(),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "MAAS_TRACK_SPEND": "1",
        "MAAS_LEDGER": str(ledger),
        "NO_PROXY": "*",
        "TMPDIR": str(folder / "temporary"),
    }
    code = "import warnings; warnings.simplefilter('ignore')\n" + textwrap.dedent(PRELUDE) + textwrap.dedent(loss.code)
    with _started(loss.prefix(folder), code, environment, folder) as process:
        assert process.stdout is not None
        if loss.meanwhile is not None:
            said = process.stdout.readline()
            assert said == "ready\n", process.stderr and process.stderr.read()
            loss.meanwhile(process, ledger)
        said, complaint = process.communicate()
        return process.wait(), said, complaint


def _started(prefix: list[str], code: str, environment: dict[str, str], folder: Path) -> Program:
    if not prefix:
        return WarmProcess(code, environment, folder)
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def _temporary_folder(folder: Path) -> Iterator[None]:
    """The program's temporary folder is also that of the process that replays."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder / "temporary")
    (folder / "temporary").mkdir(exist_ok=True)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _until_still(sandbox: Sandbox) -> None:
    for _ in range(100):
        charges = len(sandbox.bill.charges)
        time.sleep(0.1)
        chats = [request for request in sandbox.requests if (request.body or {}).get("model") == "openai/gpt-4o"]
        if charges == len(sandbox.bill.charges) == len(chats):
            return


def table() -> str:
    """The table as Markdown."""
    lines = ["| what happens | the rows | why |", "|---|---|---|"]
    lines += [f"| {loss.event} | **{loss.outcome}** | {loss.why} |" for loss in LOSSES]
    return "\n".join(lines)
