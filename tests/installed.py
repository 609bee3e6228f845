"""The package as a user gets it: the built wheel in an environment that holds nothing else but what it depends on."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

from tests.helpers import ROOT

# As it was before a test changed it: whoever installs keeps what was downloaded in the user's own cache.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _run(*command: object) -> None:
    done = subprocess.run(
        [str(part) for part in command], env=_ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    _run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, in the versions of the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    versions = (f"{each.name}=={each.version}" for each in metadata.distributions() if each.name != "litellm-maas")
    (folder / "versions.txt").write_text("\n".join(sorted(versions)))
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        install: tuple[object, ...] = (uv, "pip", "install", "--system-certs", "--python", python)
    else:
        install = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--quiet")
    _run(*install, "--constraint", folder / "versions.txt", wheel)
    return python
