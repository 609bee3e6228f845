"""The scripts' environments are made when there is a reason to, and what takes time is said."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests import version_matrix as matrix
from tests.helpers import ROOT

# Notes what it is asked to install, and installs nothing.
PYTHON = """#!/usr/bin/env bash
all="$*"
case "$all" in
    -c*) exit "${TOO_OLD:-0}" ;;
    -V* | --version) echo "Python ${VERSION:-3.12.0}" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *freeze*) echo "litellm==1.2.3" ;;
    *" uv") [[ -z ${UV:-} ]] && exit 1; cp "$UV" "$(dirname "$0")/uv" ;;
    *pip*) echo "pip: ${all#*install }" | grep -v 'pip>=' >>"$NOTES"; echo "what pip said"; exit "${FAILS:-0}" ;;
esac
"""
UV = """#!/usr/bin/env bash
[[ -z ${UV_FAILS:-} ]] || exit 2
all="$*"
echo "uv: ${all#*/bin/python }" >>"$NOTES"
"""


class Clone:
    """A clone with nothing in it but what the environments are made from, and a Python that installs nothing."""

    def __init__(self, folder: Path) -> None:
        (folder / "scripts").mkdir(parents=True)
        for name in ("scripts/environment", "constraints.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)
        for name, script in (("python", PYTHON), ("uv", UV)):
            (folder / name).write_text(script)
            (folder / name).chmod(0o755)
        self.folder = folder
        self.notes = folder / "notes"

    def run(self, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command after sourcing the functions."""
        variables = {"PYTHON": str(self.folder / "python"), "NOTES": str(self.notes), **variables}
        return subprocess.run(
            ["/usr/bin/env", "bash", "-c", f"source scripts/environment; {command}"],
            cwd=self.folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def installed(self, command: str, **variables: str) -> list[str]:
        """What a command that succeeds installs."""
        self.notes.write_text("")
        done = self.run(command, **variables)
        assert done.returncode == 0, done.stderr
        return self.notes.read_text().splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh clone."""
    return Clone(tmp_path / "clone")


@pytest.mark.parametrize("what", ["environment", "newest"])
def test_made_once(clone: Clone, what: str) -> None:
    """An environment is made once, and again for another pyproject.toml, Python, folder or wish."""
    make = f"{what} .venv --group dev"
    assert clone.installed(make)
    assert clone.installed(make) == []
    with (clone.folder / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert clone.installed(make)
    assert clone.installed(f"{what} .venv --group test")
    assert clone.installed(f"{what} .venv --group test", VERSION="3.13.0")
    assert clone.installed(f"{what} .venv --group test", VERSION="3.13.0") == []
    clone.folder = clone.folder.rename(clone.folder.with_name("moved"))
    clone.notes = clone.folder / "notes"
    assert clone.installed(f"{what} .venv --group test", VERSION="3.13.0")


def test_pins(clone: Clone) -> None:
    """The pins are those of constraints.txt, or of the file that is named; other pins make another environment."""
    assert clone.installed("environment .venv x") == ["pip: --constraint constraints.txt x"]
    with (clone.folder / "constraints.txt").open("a") as file:
        file.write("x==1\n")
    assert clone.installed("environment .venv x") == ["pip: --constraint constraints.txt x"]
    (clone.folder / "own.txt").write_text("x==2\n")
    assert clone.installed("environment .venv x", CONSTRAINTS="own.txt") == ["pip: --constraint own.txt x"]


def test_the_newest(clone: Clone) -> None:
    """Without pins a user's installation comes first, what tests need does not change it, and a day later it is old."""
    asked = ["pip: --editable .", "pip: --constraint .venv/as-users-get-it.txt --editable . x"]
    assert clone.installed("newest .venv x") == asked
    assert (clone.folder / ".venv" / "as-users-get-it.txt").read_text() == "litellm==1.2.3\n"
    (clone.folder / "constraints.txt").write_text("")
    assert clone.installed("newest .venv x") == []
    hours = 3600
    for age, made in ((23 * hours, []), (25 * hours, asked)):
        os.utime(clone.folder / ".venv" / ".made-from", (time.time() - age,) * 2)
        assert clone.installed("newest .venv x") == made


def test_uv_is_used_where_it_can_be(clone: Clone) -> None:
    """What uv installs, pip does not; what it cannot install, pip does."""
    uv = str(clone.folder / "uv")
    assert clone.installed("environment .venv x", UV=uv) == ["uv: --constraint constraints.txt x"]
    assert clone.installed("environment .venv y", UV=uv, UV_FAILS="1") == ["pip: --constraint constraints.txt y"]


@pytest.mark.parametrize("what", ["environment", "newest"])
def test_a_failure_is_shown(clone: Clone, what: str) -> None:
    """If an installation fails, so does the script, with what pip said; the next run tries again."""
    done = clone.run(f"{what} .venv x; echo went on", FAILS="3")
    assert done.returncode != 0
    assert re.search(r"\d s: failed\n(.*\n)*what pip said\n", done.stderr)
    assert not done.stdout
    assert clone.installed(f"{what} .venv x")


def test_steps_in_a_log(clone: Clone) -> None:
    """In a log each step is one line with its seconds, without a terminal's codes and without what went well."""
    done = clone.run("step 'a step' echo noise; step another false")
    assert done.returncode == 1
    assert re.fullmatch(r"  a step +\d s\n  another +\d s: failed\n", done.stderr)
    assert not done.stdout


def test_no_python(clone: Clone) -> None:
    """Without a Python that is new enough, the script says what it needs."""
    done = clone.run("environment .venv x", TOO_OLD="1", PATH=only_bash(clone))
    assert done.returncode == 1
    assert done.stderr == "Python 3.10 or newer is needed; set PYTHON to one.\n"


def only_bash(clone: Clone) -> str:
    """A PATH with what the functions need but Python."""
    folder = clone.folder / "programs"
    folder.mkdir()
    for name in ("bash", "dirname", "cat", "cksum", "rm", "env"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return str(folder)


REPORT = """<testsuites><testsuite>
<testcase classname="tests.contract.test_litellm" name="a"/>
<testcase classname="tests.provider.test_streams" name="b[1]"><failure/></testcase>
<testcase classname="tests.gateway.test_stream_bytes" name="c"/>
<testcase classname="tests.provider.test_features" name="d"><skipped/></testcase>
<testcase classname="tests.provider.test_features" name="e"/>
<testcase classname="tests.router.test_router_budgets" name="f"><error/></testcase>
<testcase classname="tests.router.test_routing_matrix" name="g"/>
</testsuite></testsuites>"""


def test_the_table_of_the_matrix(tmp_path: Path) -> None:
    """The table has a cell for each version and kind of test, and below it the names of what failed."""
    (tmp_path / "1.2.3.xml").write_text(REPORT)
    head, _, first, second, *rest = matrix.lines(tmp_path, ["1.2.3", "1.3.0"])
    assert head == "| LiteLLM | contract | streams | features | failures | recording | router | routing matrix |"
    assert first == "| 1.2.3 | 1 / 0 | 1 / 1 | 1 / 0 (1) | 0 / 0 | 0 / 0 | 0 / 1 | 1 / 0 |"
    assert second.startswith("| 1.3.0 | did not run |")
    assert rest[-2:] == ["1.2.3: tests.provider.test_streams.b[1]", "1.2.3: tests.router.test_router_budgets.f"]
