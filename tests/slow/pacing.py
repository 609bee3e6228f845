"""Four processes under one limit of 60 requests a minute, for two minutes of real time."""

from __future__ import annotations

import bisect
import os
import sys
import tempfile

from litellm_maas.sandbox import Sandbox
from tests.resilience.workers import run_together

LIMIT, MINUTES = 60, 2
WORKER = """
import sys, time
import litellm, litellm_maas
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    litellm.completion(model="maas/openai/gpt-4o", messages=[{"role": "user", "content": "Xin chào"}])
"""


def main() -> None:
    """Run, print, and exit with 0 only if the limit held and was used."""
    with Sandbox(rpm=LIMIT) as sandbox, tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **sandbox.environment(), "MAAS_RPM": str(LIMIT), "XDG_DATA_HOME": folder}
        command = [sys.executable, "-c", WORKER, str(MINUTES * 60)]
        exit_codes = run_together(command, environment, 4)
        times = sorted(request.at for request in sandbox.requests)
        refused = len(times) - len(sandbox.bill.charges)
    most = max(bisect.bisect_left(times, begin + 60) - index for index, begin in enumerate(times))
    # The burst after the last whole window belongs to the next one, which has only begun.
    rounds = [begin for index, begin in enumerate(times) if index % LIMIT == 0]
    used = LIMIT * (len(rounds) - 1) / ((rounds[-1] - rounds[0]) / 60 * LIMIT)
    print(f"{len(times)} requests of {len(exit_codes)} processes; {refused} refused by the gateway")
    print(f"most in any minute: {most} of {LIMIT}; used: {used:.1%} of the limit")
    failed = any(exit_codes)
    sys.exit(failed or refused > 0 or most > LIMIT or used < 0.95)


if __name__ == "__main__":
    main()
