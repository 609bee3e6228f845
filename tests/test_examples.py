"""The examples: what holds for all of them, and runs of those without a framework; `scripts/test-agents` runs all."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from pathlib import Path

import pytest

from litellm_maas.sandbox import Fault, Sandbox
from tests.helpers import ROOT
from tests.warm_process import WarmProcess

EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
PINS = sorted((EXAMPLES / "requirements").glob("*.txt"))
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
# LiteLLM's malicious releases.
NEVER = {"1.82.7", "1.82.8", "1.107.0"}


def pinned(file: Path) -> dict[str, str]:
    """The versions in a file of pins, which holds nothing else."""
    lines = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {
        line[1].lower().replace("_", "-"): line[2] for line in lines if line or pytest.fail(f"{file.name}: {lines}")
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example(script: Path) -> None:
    """An example is short, hides no package behind its name, and stands in the README with the versions of its run."""
    assert 10 <= len([line for line in script.read_text(encoding="utf-8").splitlines() if line.strip()]) <= 25
    assert importlib.util.find_spec(script.stem) is None
    (row,) = re.findall(rf"^\| `{script.name}` \| (.*?) \|", README, re.MULTILINE)
    versions = dict(pair.split() for pair in row.split(", "))
    known = [pins for pins in map(pinned, PINS) if versions.items() <= pins.items()]
    assert known, f"{row}: not what examples/requirements say"


def test_where_metadata_belongs() -> None:
    """The places that the README names for session and tags are those of the examples and of the runs of frameworks."""
    named = set(re.findall(r'`(\w+)\((\w+)=(?:…|{"metadata": …})\)`', README))
    assert len(named) == len(SCRIPTS) - 2  # all but those without a framework
    runs = EXAMPLES.parent / "tests" / "slow" / "in_environment" / "agent_cases.py"
    written = set()
    for file in (*SCRIPTS, runs):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                given = (each.arg for each in node.keywords if "metadata" in (each.arg, *_texts(each.value)))
                written |= {(ast.unparse(node.func).rpartition(".")[2], name) for name in given}
    assert named <= written


def _texts(node: ast.expr) -> list[object]:
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]


@pytest.mark.parametrize("file", PINS, ids=lambda file: file.stem)
def test_pins(file: Path) -> None:
    """Pins are names and versions, and never a malicious release of LiteLLM."""
    assert pinned(file)["litellm"] not in NEVER


@pytest.mark.process
@pytest.mark.parametrize("name", ["python_call", "python_router"])
def test_a_run(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """With its first model down, an example is answered by the next one, and says what it was billed."""
    sandbox.faults.add(Fault(status=503, body={"message": "down"}, times=None, model="openai/gpt-4o"))
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "MAAS_LEDGER": str(tmp_path / "ledger.db")}
    code = f"import runpy; runpy.run_path({str(EXAMPLES / name)!r} + '.py', run_name='__main__')"
    with WarmProcess(code, environment, tmp_path) as process:
        printed, complaint = process.communicate()
    assert process.returncode == 0, complaint
    assert "answer: qwen/qwen3.6-flash heard: Xin chào!" in printed
    spent = f"{len(sandbox.requests)} calls, {sandbox.bill.micro_credits / 1_000_000} VND, 0 calls of unknown price"
    assert printed.rstrip().endswith(spent)
