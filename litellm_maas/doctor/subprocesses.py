"""Programs that are started beside the other checks, because they load LiteLLM, which takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litellm_maas.doctor.check import Check, failed, passed, skipped, warned
from litellm_maas.supported import REQUIREMENT

_PATIENCE = 120.0
"""Seconds for a program."""
_REINSTALL = f'{sys.executable} -m pip install --force-reinstall "{REQUIREMENT}"'


def start_self_test() -> subprocess.Popen[str]:
    """Start the self-test: with LiteLLM as any program has it, and without the key or any setting."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAAS_", "OPENAI_"))}
    return _start(["-c", "from litellm_maas.doctor.selftest import main; main()"], environment)


def self_test(process: subprocess.Popen[str]) -> Iterator[Check]:
    """Run the self-test, and yield what it found."""
    found, problem = _last_line(process)
    if isinstance(found, list):
        yield from (Check(**each) for each in found)
        return
    yield failed("provider", f"a program that imports litellm_maas fails: {problem}", _fix(problem))
    yield skipped("callback", "provider")


def start_config_check(file: Path) -> subprocess.Popen[str]:
    """Start the check of a config, as `litellm-maas config check` makes it."""
    code = "import sys; from _litellm_maas_cli import main; sys.argv[0] = 'litellm-maas'; main()"
    return _start(["-c", code, "config", "check", "--json", str(file)], dict(os.environ))


def config(process: subprocess.Popen[str], file: Path) -> Iterator[Check]:
    """Check a config, and yield one line for each finding."""
    findings, problem = _last_line(process)
    if not isinstance(findings, list):
        yield failed("config", f"{file} cannot be checked: {problem}", f"litellm-maas config check {file}")
        return
    for each in findings:
        where = f"{each['file']}:{each['line']}" if each["line"] else each["file"]
        make = failed if each["severity"] == "error" else warned
        yield make("config", f"{where}: {each['field']}: {each['message']}", each["hint"] or f"correct it in {where}")
    if not findings:
        yield passed("config", f"{file}: nothing is wrong")


def _start(arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    # LiteLLM would otherwise try to download its price map.
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", **environment, "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(  # noqa: S603 - this Python, and words that stand here
        [sys.executable, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def _last_line(process: subprocess.Popen[str]) -> tuple[Any, str]:
    """Return the JSON that a program printed last, or why there is none."""
    try:
        out, said = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None, f"it did not end within {_PATIENCE:g} s"
    start = max(out.rfind("\n["), 0)
    try:
        return json.loads(out[start:]), ""
    except ValueError:
        return None, (said.strip().splitlines() or [f"exit status {process.returncode}"])[-1]


def _fix(problem: str) -> str:
    if "is not a package" in problem or "circular import" in problem:
        return "rename your own file litellm.py (or litellm_maas.py): Python takes it for the package"
    return _REINSTALL
