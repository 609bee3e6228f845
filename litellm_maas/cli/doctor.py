"""Provide `litellm-maas doctor`: what is wrong with a set-up, and the exact fix."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from litellm_maas.cli import options, tables
from litellm_maas.doctor import subprocesses, versions
from litellm_maas.doctor.check import Check, Status, skipped
from litellm_maas.errors import MaasError

_LEAST_ROOM = 20
"""Columns that a text is wrapped in at least."""
_MARKS: dict[Status, tuple[str, str, str]] = {
    "ok": ("✓", "ok", "green"),
    "warning": ("!", "warning", "yellow"),
    "error": ("✗", "ERROR", "red"),
    "skipped": ("!", "skipped", "yellow"),
}
"""The mark of a status, the word where a terminal has no such mark, and its colour."""


@click.command(name="doctor", epilog="Example: litellm-maas doctor --config proxy.yaml")
@click.argument("models", nargs=-1, shell_complete=options.model_ids)
@click.option("--probe", is_flag=True, help="Make the smallest real calls to MODELS; default: those in use.")
@click.option("--yes", is_flag=True, help="Probe without asking what it may cost.")
@click.option("--config", "config_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A router's or a proxy's config to check too.")  # fmt: skip  # noqa: E501
@click.option("--quick", is_flag=True, help="Without the self-test, which loads LiteLLM for seconds.")
@click.option("--timeout", type=click.FloatRange(0, 3600, min_open=True), default=10.0, show_default=True, help="Seconds for each step on the way to the gateway.")  # fmt: skip  # noqa: E501
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *,
    models: tuple[str, ...],
    probe: bool,
    yes: bool,
    config_file: Path | None,
    quick: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Check this set-up: one line per check, and for each error the exact fix.

    Nothing is called that costs credits, unless you ask to --probe: that makes three small calls to each model, shows
    what they may cost, asks, and records what they did. The key is sent to the base URL and nowhere else. Events that
    wait beside the ledger are recorded. Exits with 1 if there is an error.
    """
    if models and not probe:
        raise click.UsageError("models are named for --probe")
    python, litellm = versions.python(), versions.litellm()
    # Started before anything else: it takes the longest.
    self_test = subprocesses.start_self_test() if not quick and litellm.status == "ok" else None
    config = subprocesses.start_config_check(config_file) if config_file and litellm.status == "ok" else None
    from litellm_maas.doctor import runner  # noqa: PLC0415 - the same
    from litellm_maas.tracking import current_prices  # noqa: PLC0415 - while the programs load LiteLLM

    try:
        book = current_prices.current()
    except MaasError:
        book = None  # the file has a line of its own
    checks, access = runner.run_checks(runner.Options(config_file, timeout, book))
    checks = [python, litellm, *checks]
    if self_test is not None:
        checks += subprocesses.self_test(self_test)
    if config_file is not None:
        checks += [skipped("config", "litellm")] if config is None else subprocesses.config(config, config_file)
    to = tables.console(stderr=as_json and probe)
    if not as_json or probe:
        _show(to, checks)
    probes: list[Any] = []
    if probe:
        from litellm_maas.cli import probe as probing  # noqa: PLC0415 - only where it is asked for

        names = [name.removeprefix("maas/") for name in models] or access.models
        found = probing.probe(access.endpoint, access.key, names, yes=yes)
        probes = [each.as_dict() for each in found]
        probed = [each.check() for each in found]
        checks += probed
        if not as_json:
            _show(to, probed)
    if not as_json:
        to.print(f"\n{_summary(checks)}")
    else:
        tables.print_json({"checks": [check.as_dict() for check in checks], "probes": probes})
    if any(check.status == "error" for check in checks):
        sys.exit(1)


def _show(to: Console, checks: Sequence[Check]) -> None:
    marks = {
        status: (mark if tables.supports_chars(mark) else word, colour)
        for status, (mark, word, colour) in _MARKS.items()
    }
    width = max((len(check.name) for check in checks), default=0)
    for check in checks:
        mark = Text.assemble(marks[check.status], f" {check.name:{width}}  ")
        lines = _lines(to, tables.printable(check.message), len(mark.plain))
        to.print(Text.assemble(mark, f"\n{' ' * len(mark.plain)}".join(lines)), soft_wrap=True)
        if check.fix is not None and check.status != "skipped":
            # On one line, so that a command can be copied.
            to.print(Text(f"    {tables.printable(check.fix)}", style="cyan"), soft_wrap=True)


def _lines(to: Console, text: str, indent: int) -> list[str]:
    """Return a text in lines for the terminal, cut between words; in one where a program reads it."""
    room = to.width - indent
    if not to.is_terminal or room < _LEAST_ROOM:
        return [text]
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [text]


def _summary(checks: Sequence[Check]) -> str:
    """Return how many checks found what."""
    count = Counter(check.status for check in checks)
    if count.keys() <= {"ok"}:
        return "Everything is all right."
    parts = [
        tables.counted(count["error"], "error"),
        tables.counted(count["warning"], "warning"),
        f"{count['skipped']} skipped",
        f"{count['ok']} ok",
    ]
    return ", ".join(parts) + "."
