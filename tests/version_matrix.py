"""The table of `scripts/test-matrix`: what became of which tests on which LiteLLM, from the reports of pytest."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

COLUMNS = {
    "contract": r"tests\.contract\.",
    "streams": r"tests\.(provider|gateway)\.test_stream",
    "features": r"tests\.provider\.test_features",
    "failures": r"tests\.gateway\.test_failures",
    "recording": r"tests\.tracking\.test_recording",
    "router": r"tests\.router\.test_router",
    "routing matrix": r"tests\.router\.test_routing_matrix",
}


class Run:
    """The tests of one version.

    Attributes:
        outcomes: How many of a column passed, failed or were skipped.
        failures: The names of those that failed.
    """

    def __init__(self, report: Path) -> None:
        self.outcomes: dict[str, Counter[str]] = {column: Counter() for column in COLUMNS}
        self.failures: list[str] = []
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
            name = f"{case.get('classname')}.{case.get('name')}"
            outcome = _outcome(case)
            for column, pattern in COLUMNS.items():
                self.outcomes[column][outcome] += bool(re.match(pattern, name))
            if outcome == "failed":
                self.failures.append(name)


def _outcome(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"


def lines(folder: Path, versions: list[str]) -> Iterator[str]:
    """The table as Markdown, and below it what failed."""
    yield f"| LiteLLM | {' | '.join(COLUMNS)} |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    failures = []
    for version in versions:
        if not (report := folder / f"{version}.xml").exists():
            yield f"| {version} |{' did not run |' * len(COLUMNS)}"
            continue
        run = Run(report)
        yield f"| {version} | {' | '.join(map(_cell, run.outcomes.values()))} |"
        failures += [f"{version}: {name}" for name in run.failures]
    yield ""
    yield "passed / failed (skipped: they need a proxy, and there is none of that version here)"
    yield from failures


def _cell(outcomes: Counter[str]) -> str:
    skipped = f" ({outcomes['skipped']})" if outcomes["skipped"] else ""
    return f"{outcomes['passed']} / {outcomes['failed']}{skipped}"


if __name__ == "__main__":
    print("\n".join(lines(Path(sys.argv[1]), sys.argv[2:])))
