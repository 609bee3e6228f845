"""How long `litellm-maas doctor` takes where everything is right: seconds, the median of several runs.

python benchmarks/doctor.py [--runs 5]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 3.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    # In a program of its own, as the gateway is: it takes no time away from what is measured.
    serve = "from litellm_maas.cli.sandbox import command; command(['--port', '0', '--rpm', '0'])"
    code = f"import _litellm_maas_cli; {serve}"
    sandbox = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert sandbox.stdout is not None
    exported = dict(sandbox.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(2))
    with sandbox, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as at_the_end:
        at_the_end.callback(sandbox.terminate)
        # With byte code, as an installed package has it; the first run writes it and is not counted.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {**exported, "XDG_DATA_HOME": folder}
        times = [measure(environment) for _ in range(runs + 1)][1:]
    print(f"doctor takes {statistics.median(times):.2f} s (best {min(times):.2f}), target {TARGET:.0f} s")


def measure(environment: dict[str, str]) -> float:
    """The seconds of one run, in which every line was green."""
    command = str(Path(sys.executable).with_name("litellm-maas"))
    began = time.perf_counter()
    done = subprocess.run([command, "doctor", "--json"], env=environment, capture_output=True, text=True, check=True)
    took = time.perf_counter() - began
    assert {check["status"] for check in json.loads(done.stdout)["checks"]} == {"ok"}, done.stdout
    return took


if __name__ == "__main__":
    main()
