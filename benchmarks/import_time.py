"""What `import litellm_maas` adds to `import litellm`: milliseconds, the median of several fresh interpreters.

python benchmarks/import_time.py [--runs 9]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

TARGET = 50.0
CODE = """
import time, litellm
started = time.perf_counter()
import litellm_maas
print((time.perf_counter() - started) * 1000)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    # With byte code, as an installed package has it; the first run writes it and is not counted.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    times = []
    for _ in range(runs + 1):
        done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
        times.append(float(done.stdout.split()[-1]))
    del times[0]
    print(f"import litellm_maas adds {statistics.median(times):.1f} ms (best {min(times):.1f}), target {TARGET:.0f} ms")


if __name__ == "__main__":
    main()
