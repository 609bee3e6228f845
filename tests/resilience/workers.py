"""Processes that begin at the same moment."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping, Sequence


def run_together(command: Sequence[str], environment: Mapping[str, str], count: int) -> list[int]:
    """Run a command in several processes and return their exit codes; none outlives this call.

    Each has to print `ready` and wait for a line, so that none begins before all of them can.
    """
    with contextlib.ExitStack() as stack:
        workers = []
        for _ in range(count):
            worker = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(worker)
            stack.callback(worker.kill)
            workers.append(worker)
        for worker in workers:
            assert worker.stdout
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin
            worker.stdin.write("go\n")
            worker.stdin.flush()
        for worker in workers:
            worker.communicate()
        return [worker.returncode for worker in workers]
