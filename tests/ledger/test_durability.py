"""Each row of the table of losses in docs/durability.md, tried with real processes, whose bill is the truth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.ledger.durability_cases import CALLS, LOSSES, PROCESSES, Loss, Trial, can_mount, table, tried

NEEDS_MOUNT = {loss.event for loss in LOSSES if loss.prefix(Path()) != []}


@pytest.fixture(params=LOSSES, ids=lambda loss: loss.id)
def loss(request: pytest.FixtureRequest, tmp_path: Path) -> Loss:
    """Each row of the table."""
    found: Loss = request.param
    if found.event in NEEDS_MOUNT and not can_mount(tmp_path):
        pytest.skip("no file system can be mounted here")
    return found


@pytest.mark.process
@pytest.mark.timeout(300)
def test_loss(loss: Loss, tmp_path: Path) -> None:
    """What the table promises is what happens, to the micro-credit where it says kept."""
    trial = tried(loss, tmp_path)
    assert "Traceback" not in trial.complaint or loss.outcome == "estimated", trial.complaint
    assert {event.usage_source for event in trial.events if event.status == "ok"} <= {"reported"}
    billed = [event.event_id for event in trial.events]
    assert len(billed) == len(set(billed))
    CHECKS[loss.outcome](loss, trial)


def _kept(loss: Loss, trial: Trial) -> None:
    if "deleted" in loss.event:
        # Of the two halves of the bill, the first went with the file.
        assert 2 * trial.at_once == trial.bill
        assert len(trial.events) == 4
        return
    assert trial.at_once == trial.in_the_end == trial.bill > 0
    assert trial.replayed == 0
    if loss.event.startswith(str(PROCESSES)):
        assert len(trial.events) == PROCESSES * CALLS


def _queued(loss: Loss, trial: Trial) -> None:
    assert trial.in_the_end == trial.bill > 0
    assert trial.complaint.count("spend is not being recorded") == 1
    if trial.said:  # the program that saw the disk full, and then not full any more
        assert int(trial.said) == 4
    else:
        assert (trial.at_once, trial.replayed) == (0, 4)


def _estimated(loss: Loss, trial: Trial) -> None:
    aborted = [event for event in trial.events if event.status == "cancelled"]
    assert aborted
    assert len(aborted) == len(trial.events)
    assert {(event.usage_source, event.basis) for event in aborted} == {("estimated", "official")}
    charges = {charge.response_id: charge for charge in trial.charges}
    assert set(charges) == {event.response_id for event in aborted if event.response_id}
    for event in aborted:
        if event.response_id and "process ends" not in loss.event:
            charge = charges[event.response_id]
            # The sandbox bills what it writes until it notices that nobody reads.
            assert event.output_tokens <= charge.output_tokens + 5
            assert "half read" not in loss.event or abs(event.output_tokens - 20) <= 2
            assert abs(event.input_tokens - charge.input_tokens) <= 5


def _lost(loss: Loss, trial: Trial) -> None:
    assert [event.status for event in trial.events] == ["ok"]
    assert 0 < trial.in_the_end < trial.bill


CHECKS = {"kept": _kept, "queued": _queued, "estimated": _estimated, "lost": _lost}


def test_durability_page_has_this_table() -> None:
    """The table in docs/durability.md is the one that is tried here."""
    page = (ROOT / "docs" / "durability.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- loss table -->\n(.*?)\n<!-- end of loss table -->", page, re.DOTALL)
    assert found is not None, "paste what scripts/loss-table prints between the markers"
    assert found.group(1) == table()


def test_readme_has_every_outcome() -> None:
    """The README's summary has a row for each outcome in the table, and no other."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    summary = readme.partition("<!-- loss summary -->")[2].partition("<!-- end of loss summary -->")[0]
    assert sorted(re.findall(r"\| \*\*(.*?)\*\*", summary)) == sorted({loss.outcome for loss in LOSSES})
