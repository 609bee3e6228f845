"""Draw bars in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from litellm_maas.cli.tables import supports_chars

_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Bar:
    """One value of a chart.

    Attributes:
        label: What it is the value of.
        value: The value; below 0 counts as 0.
        shown: The value as people write it.
    """

    label: str
    value: int
    shown: str


def draw_bars(to: Console, bars: Sequence[Bar]) -> None:
    """Draw each value as a bar, the largest as wide as there is room for."""
    amounts = max(len(bar.shown) for bar in bars)
    labels = min(max(cell_len(bar.label) for bar in bars), max(to.width - amounts - 12, 8))
    room = max(to.width - labels - amounts - 4, 4)
    most = max([1, *(bar.value for bar in bars)])
    for bar in bars:
        drawn = _bar(-(-max(bar.value, 0) * room * 8 // most))
        label, amount = set_cell_size(bar.label, labels), f"{bar.shown:>{amounts}}"
        to.print(Text.assemble(f"{label}  ", (f"{drawn:<{room}}", "cyan"), f"  {amount}"), soft_wrap=True)


def _bar(eighths: int) -> str:
    if not supports_chars(_EIGHTHS):
        return "#" * (eighths // 8)
    return _EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
