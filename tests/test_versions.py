"""The LiteLLM that is supported: pyproject.toml, README.md, the doctor and scripts/test-matrix say the same."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from litellm_maas.doctor import versions
from tests.installed import ROOT

FLOOR, NEWEST = Version(versions.FLOOR), Version(versions.NEWEST_TRIED)


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
    assert written == versions.REQUIREMENT
    allowed = Requirement(written).specifier
    assert all(allowed.contains(version) for version in tried())
    assert not any(allowed.contains(version) for version in versions.MALICIOUS)
    assert not allowed.contains("2.0")


def test_the_readme_states_the_range() -> None:
    """The README names the floor, the ceiling and the oldest Python beside the installation."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[2].split())
    assert f"LiteLLM {versions.FLOOR} or newer, below 2" in readme
    assert "Python 3.10 or newer" in readme
    assert f"tried up to {versions.NEWEST_TRIED}" in readme


def next_of(version: Version, part: int) -> str:
    """The version after another one, in one of its three parts."""
    return ".".join(str(number + 1 if index == part else number) for index, number in enumerate(version.release))


@pytest.mark.parametrize(
    ("version", "colour", "says"),
    [
        *((str(version), "green", f"{versions.FLOOR} to {versions.NEWEST_TRIED} were tried") for version in tried()),
        (f"{NEWEST}.post1", "green", "were tried"),
        (next_of(NEWEST, 2), "yellow", f"newer than {NEWEST}"),
        (next_of(NEWEST, 1), "yellow", f"newer than {NEWEST}"),
        (f"{next_of(NEWEST, 1)}rc1", "yellow", f"newer than {NEWEST}"),
        ("1.99.4", "red", "is not supported"),
        ("2.0.0", "red", "is not supported"),
        ("nonsense", "red", "is not supported"),
    ],
)
def test_which_versions_are_right(monkeypatch: pytest.MonkeyPatch, version: str, colour: str, says: str) -> None:
    """A version that was tried is right, a newer one worth a look with what to do, and any other one is wrong."""
    monkeypatch.setattr(metadata, "version", lambda _: version)
    found = versions.litellm()
    assert (found.colour, found.what.startswith(version)) == (colour, True)
    assert says in found.what
    if colour == "yellow":
        assert f'pip install "litellm[mcp]=={NEWEST}"' in (found.mend or "")
