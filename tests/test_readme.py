"""Every command and every snippet of the README does what it says."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from litellm_maas.budgets import budget
from litellm_maas.sandbox import Sandbox
from tests.installed import ROOT
from tests.proxy_process import MASTER_KEY, running_proxy
from tests.support import MESSAGES

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
# The scripts are what runs these tests and one of its steps, `pip install .` is what the fixture `installed` does, and
# tests/test_wheel.py looks at the extra.
COVERED_ELSEWHERE = ("scripts/", "pip install .", "pip install '.[proxy]'", "export MAAS_API_KEY=")


# What each Python snippet prints, in their order.
PRINTED = ("heard: Xin chào!", "VND official", "heard: Xin chào!", "heard: Xin chào!")


def blocks(language: str) -> list[str]:
    """The code blocks in a language."""
    return [code for found, code in BLOCKS if found == language]


class Reader:
    """Does what the README says, with the package as a user gets it, and the sandbox in the place of the gateway."""

    def __init__(self, python: Path, sandbox: Sandbox, folder: Path) -> None:
        self._folder = folder
        self._python = python
        self.environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.environment |= {**sandbox.environment(), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        self.environment["PATH"] = f"{python.parent}{os.pathsep}{self.environment['PATH']}"

    def command(self, words: list[str]) -> str:
        """What a command prints in the checkout."""
        return self._run(words, ROOT)

    def python(self, code: str) -> str:
        """What a program prints, in a folder where the checkout is not to be found."""
        return self._run([str(self._python), "-c", code], self._folder)

    def _run(self, command: list[str], folder: Path) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=folder, capture_output=True, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def reader(installed: Path, sandbox: Sandbox, tmp_path: Path) -> Reader:
    """Somebody who reads the README and does what it says."""
    return Reader(installed, sandbox, tmp_path)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("code", "prints"), list(zip(blocks("python"), PRINTED, strict=True)))
def test_python(reader: Reader, code: str, prints: str) -> None:
    """A Python snippet runs and prints what it is there to show."""
    assert prints in reader.python(code)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("code", blocks("bash"))
def test_commands(reader: Reader, code: str) -> None:
    """Command lines run and print something, one after the other, with what they export, after a call or two."""
    if "litellm-maas spend" in code:
        ((snippet, _),) = [pair for pair in zip(blocks("python"), PRINTED, strict=True) if "official" in pair[1]]
        reader.python(snippet)
    for line in filter(str.strip, code.splitlines()):
        words = shlex.split(line, comments=True)
        if line.startswith(COVERED_ELSEWHERE):
            continue
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            reader.environment[name] = value.replace("$PWD", str(ROOT))
            continue
        assert reader.command(words), line


@pytest.mark.parametrize("code", blocks("yml"))
def test_budget_files(tmp_path: Path, code: str) -> None:
    """A file of budgets is one."""
    file = tmp_path / "budgets.yaml"
    file.write_text(code)
    assert budget.read(file)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("code", blocks("yaml"))
def test_the_checker_likes_the_proxy_configs(reader: Reader, tmp_path: Path, code: str) -> None:
    """`litellm-maas config check` has nothing to say about a proxy config of the README."""
    file = tmp_path / "config.yaml"
    file.write_text(code)
    reader.environment["LITELLM_MASTER_KEY"] = MASTER_KEY
    assert json.loads(reader.command(["litellm-maas", "config", "check", "--json", str(file)])) == []


@pytest.mark.proxy
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


@pytest.mark.parametrize("code", blocks("python"))
def test_linters_leave_the_import(code: str) -> None:
    """A snippet that imports the package for its effect alone says so, or a linter would take the import out."""
    used = any(isinstance(node, ast.Name) and node.id == "litellm_maas" for node in ast.walk(ast.parse(code)))
    for line in re.findall(r"^import .*litellm_maas\b.*$", code, re.MULTILINE):
        assert used or "# noqa: F401" in line


def test_no_index_is_asked_for_the_package() -> None:
    """No command installs `litellm-maas` by its name, which is on no index yet."""
    texts = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*"), *ROOT.glob("litellm_maas/**/*.py")]
    for file in filter(Path.is_file, texts):
        assert not re.findall(r"pip install [^`\n]*litellm-maas", file.read_text(encoding="utf-8")), file


def test_what_is_named_exists() -> None:
    """Scripts, files and commands that the README names are there."""
    for script in set(re.findall(r"`(scripts/[\w-]+)`", README)):
        assert os.access(ROOT / script, os.X_OK), script
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_first_call_is_within_ten_lines() -> None:
    """Install, key and first call take at most ten lines."""
    first = README.split("## Install, key, first call")[1].split("## ")[0]
    code = [line for _, block in re.findall(r"^```(\w+)\n(.*?)^```", first, re.MULTILINE | re.DOTALL) for line in block.splitlines()]  # fmt: skip  # noqa: E501
    assert len([line for line in code if line.strip()]) <= 10
