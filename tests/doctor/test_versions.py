"""The LiteLLM that is supported: pyproject.toml, README.md, the doctor and scripts/test-matrix say the same."""

from __future__ import annotations

import os
import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from litellm_maas import supported
from litellm_maas.doctor import versions
from tests.helpers import ROOT, run

FLOOR, NEWEST = Version(supported.FLOOR), Version(supported.NEWEST_TRIED)


def tried() -> list[Version]:
    """The versions that `scripts/test-matrix` tries."""
    (listed,) = re.findall(r"^tried=\((.*?)\)$", (ROOT / "scripts" / "test-matrix").read_text(), re.MULTILINE)
    return [Version(version) for version in listed.split()]


def test_the_floor_and_the_newest_are_tried() -> None:
    """The matrix begins at the floor and ends at the newest version that the doctor takes for tried."""
    assert tried() == sorted(set(tried()))
    assert (tried()[0], tried()[-1]) == (FLOOR, NEWEST)


def test_what_pip_installs_is_what_the_doctor_takes() -> None:
    """The range of pyproject.toml is the doctor's, and takes every version that is tried and no malicious one."""
    (written,) = re.findall(r'"(litellm\[mcp\].*?)"', (ROOT / "pyproject.toml").read_text())
    assert written == supported.REQUIREMENT
    allowed = Requirement(written).specifier
    assert all(allowed.contains(version) for version in tried())
    assert not any(allowed.contains(version) for version in supported.MALICIOUS)
    assert not allowed.contains("2.0")


def test_the_readme_states_the_range() -> None:
    """The README names the floor, the ceiling and the oldest Python beside the installation."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[2].split())
    assert f"LiteLLM {supported.FLOOR} or newer, below 2" in readme
    assert "Python 3.10 or newer" in readme
    assert f"tried up to {supported.NEWEST_TRIED}" in readme


def next_of(version: Version, part: int) -> str:
    """The version after another one, in one of its three parts."""
    return ".".join(str(number + 1 if index == part else number) for index, number in enumerate(version.release))


@pytest.mark.parametrize(
    ("version", "status", "says"),
    [
        *((str(version), "ok", f"{supported.FLOOR} to {supported.NEWEST_TRIED} were tried") for version in tried()),
        (f"{NEWEST}.post1", "ok", "were tried"),
        (next_of(NEWEST, 2), "warning", f"newer than {NEWEST}"),
        (next_of(NEWEST, 1), "warning", f"newer than {NEWEST}"),
        (f"{next_of(NEWEST, 1)}rc1", "warning", f"newer than {NEWEST}"),
        ("1.99.4", "error", "is not supported"),
        ("2.0.0", "error", "is not supported"),
        ("nonsense", "error", "is not supported"),
    ],
)
def test_which_versions_are_right(monkeypatch: pytest.MonkeyPatch, version: str, status: str, says: str) -> None:
    """A version that was tried is right, a newer one worth a look with what to do, and any other one is wrong."""
    monkeypatch.setattr(metadata, "version", lambda _: version)
    found = versions.litellm()
    assert (found.status, found.message.startswith(version)) == (status, True)
    assert says in found.message
    if status == "warning":
        assert f'pip install "litellm[mcp]=={NEWEST}"' in (found.fix or "")


@pytest.mark.process
@pytest.mark.parametrize(
    ("version", "says"),
    [("1.81.10", "1.81.10 is older"), ("1.97.0", "is older"), ("1.107.0", "was a malicious release")],
)
def test_an_unsupported_litellm_is_said_at_import(tmp_path: Path, version: str, says: str) -> None:
    """Importing the package beside a LiteLLM that it cannot work with ends in one sentence, before LiteLLM runs."""
    about = tmp_path / f"litellm-{version}.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(f"Metadata-Version: 2.1\nName: litellm\nVersion: {version}\n")
    (tmp_path / "litellm.py").write_text("raise SystemExit('LiteLLM was imported')\n")
    code = """
        try:
            import litellm_maas
        except ImportError as error:
            print(error)
    """
    printed = run(code, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert printed.startswith(f"litellm-maas needs LiteLLM {supported.FLOOR} or newer, and the installed {version}")
    assert says in printed
    assert "pip install -U" in printed
