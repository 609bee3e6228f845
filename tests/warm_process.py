"""Processes that begin with LiteLLM imported: forks of one interpreter that has done nothing else.

To import LiteLLM takes longer than most of what is tried in a process of its own. What such a process does, and how it
ends, is that of a fresh one: this package is not imported yet, and its environment and standard streams are its own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import IO

# Each request is forked twice: the first fork waits for the second, which is the program, and tells how it ended.
_SERVER = """
import json, os, signal, socket, sys, tempfile
import litellm

def told(server):
    while True:
        message, fds, _, _ = socket.recv_fds(server, 1_000_000, 4)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            server.close()
            if program := os.fork():
                os.write(fds[3], f"{program}\\n".encode())
                for fd in (0, 1, 2, *fds[:3]):
                    os.close(fd)
                os.write(fds[3], f"{os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])}\\n".encode())
                os._exit(0)
            for fd in range(3):
                os.dup2(fds[fd], fd)
            for fd in fds:
                os.close(fd)
            return json.loads(message)
        for fd in fds:
            os.close(fd)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
told = told(socket.socket(fileno=int(sys.argv[1])))
sys.argv[1:] = []
os.environ.clear()
os.environ.update(told["environment"])
os.chdir(told["cwd"])
tempfile.tempdir = None
sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ
sys.path[1:1] = filter(None, told["environment"].get("PYTHONPATH", "").split(os.pathsep))
exec(compile(told["code"], "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
"""


class WarmProcess:
    """A process, with what the tests use of `subprocess.Popen`."""

    def __init__(self, code: str, environment: Mapping[str, str], cwd: Path) -> None:
        stdin, self._to_stdin = os.pipe()
        self._from_stdout, stdout = os.pipe()
        self._status, status = os.pipe()
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - it is open as long as this is
        request = {"code": textwrap.dedent(code), "environment": dict(environment), "cwd": str(cwd)}
        given = [stdin, stdout, self._errors.fileno(), status]
        socket.send_fds(_server(), [json.dumps(request).encode()], given)
        for fd in (stdin, stdout, status):
            os.close(fd)
        self.stdin: IO[str] = os.fdopen(self._to_stdin, "w")
        self.stdout: IO[str] = os.fdopen(self._from_stdout)
        self._outcome = os.fdopen(self._status)
        self.pid = int(self._outcome.readline())
        self.returncode: int | None = None

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        self.wait()
        for file in (self.stdout, self._outcome, self._errors):
            file.close()

    @property
    def stderr(self) -> IO[str]:
        """What it has printed to standard error, from the beginning."""
        self._errors.seek(0)
        return self._errors

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end."""
        if self.returncode is None:
            self.returncode = int(self._outcome.readline())
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """Close its input and wait for its end; what it printed, and what to standard error."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        printed = self.stdout.read()
        self.wait()
        return printed, self.stderr.read()


@functools.cache
def _server() -> socket.socket:
    ours, its = socket.socketpair()
    environment = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
    environment["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(its.fileno())],
        env=environment,
        pass_fds=[its.fileno()],
        stdin=subprocess.DEVNULL,
    )
    its.close()

    def stop() -> None:
        ours.close()
        server.wait(10)

    atexit.register(stop)
    return ours


def run_warm(code: str, **environment: str) -> str:
    """What a process prints in which LiteLLM is imported already, and nothing else."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAAS_")}
    everything = {**inherited, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **environment}
    with WarmProcess(code, everything, Path.cwd()) as process:
        printed, complaint = process.communicate()
    assert process.returncode == 0, complaint
    return printed.strip()
