"""Every command and every snippet of the README does what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from litellm_maas.sandbox import Sandbox
from litellm_maas.spend import budget
from tests.proxy_process import MASTER_KEY, running_proxy
from tests.support import MESSAGES

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent
# What another test covers: the wheel is built and installed in tests/test_wheel.py.
COVERED_ELSEWHERE = ("pip install litellm-maas", "export MAAS_API_KEY=")


# What each Python snippet prints, in their order.
PRINTED = ("heard: Xin chào!", "VND official", "heard: Xin chào!", "heard: Xin chào!")


def blocks(language: str) -> list[str]:
    """The code blocks in a language."""
    return [code for found, code in BLOCKS if found == language]


def run(command: list[str], sandbox: Sandbox, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the sandbox in the place of the gateway, and a data folder of the test's own."""
    environment = {**os.environ, **sandbox.environment(), "LITELLM_LOCAL_MODEL_COST_MAP": "True", **variables}
    environment |= {"PATH": f"{BIN}{os.pathsep}{environment['PATH']}", "XDG_DATA_HOME": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.parametrize(("code", "prints"), list(zip(blocks("python"), PRINTED, strict=True)))
def test_python(sandbox: Sandbox, tmp_path: Path, code: str, prints: str) -> None:
    """A Python snippet runs and prints what it is there to show."""
    done = run([sys.executable, "-c", code], sandbox, tmp_path)
    assert done.returncode == 0, done.stderr
    assert prints in done.stdout


@pytest.mark.parametrize("code", blocks("bash"))
def test_commands(sandbox: Sandbox, tmp_path: Path, code: str) -> None:
    """Command lines run and print something, one after the other, with what they export, after a call or two."""
    if "litellm-maas spend" in code:
        ((snippet, _),) = [pair for pair in zip(blocks("python"), PRINTED, strict=True) if "official" in pair[1]]
        assert run([sys.executable, "-c", snippet], sandbox, tmp_path).returncode == 0
    exported: dict[str, str] = {}
    for line in filter(str.strip, code.splitlines()):
        words = shlex.split(line, comments=True)
        if line.startswith(COVERED_ELSEWHERE):
            continue
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            exported[name] = value
            continue
        done = run(words, sandbox, tmp_path, **exported)
        assert done.returncode == 0, done.stderr
        assert done.stdout, line


@pytest.mark.parametrize("code", blocks("yml"))
def test_budget_files(tmp_path: Path, code: str) -> None:
    """A file of budgets is one."""
    file = tmp_path / "budgets.yaml"
    file.write_text(code)
    assert budget.read(file)


@pytest.mark.parametrize("code", blocks("yaml"))
def test_proxy_configs(sandbox: Sandbox, tmp_path: Path, code: str) -> None:
    """A proxy config starts a proxy that serves its models."""
    file = tmp_path / "config.yaml"
    file.write_text(code)
    model = yaml.safe_load(code)["model_list"][0]["model_name"]
    with running_proxy(file, {**sandbox.environment(), "LITELLM_MASTER_KEY": MASTER_KEY}) as url:
        body = {"model": model, "messages": MESSAGES}
        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        reply = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30, trust_env=False)
    assert reply.json()["choices"][0]["message"]["content"] == "openai/gpt-4o heard: Xin chào"


def test_what_is_named_exists() -> None:
    """Scripts, files and commands that the README names are there."""
    for script in set(re.findall(r"`(scripts/[\w-]+)`", README)):
        assert os.access(Path(__file__).parent.parent / script, os.X_OK), script
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (Path(__file__).parent.parent / link).exists(), link


def test_the_first_call_is_within_ten_lines() -> None:
    """Install, key and first call take at most ten lines."""
    first = README.split("## Install, key, first call")[1].split("## ")[0]
    code = [line for _, block in re.findall(r"^```(\w+)\n(.*?)^```", first, re.MULTILINE | re.DOTALL) for line in block.splitlines()]  # fmt: skip  # noqa: E501
    assert len([line for line in code if line.strip()]) <= 10
