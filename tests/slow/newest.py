"""Whether the newest LiteLLM of the registry was tried; `scripts/test-matrix` runs this."""

from __future__ import annotations

import json
import subprocess
import sys

from packaging.version import Version

from litellm_maas import supported


def test_the_newest_litellm_was_tried() -> None:
    """What pip would install today is no newer than the newest version that was tried."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"]
    command += ["--no-deps", "--ignore-installed", "--report", "-", supported.REQUIREMENT.replace("[mcp]", "")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["install"]
    newest = found["metadata"]["version"]
    assert Version(newest) <= Version(supported.NEWEST_TRIED), (
        f"LiteLLM {newest} is there: add it to scripts/test-matrix, make what fails right, and set NEWEST_TRIED in "
        "litellm_maas/supported.py"
    )
