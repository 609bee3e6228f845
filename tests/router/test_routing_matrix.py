"""What each way of falling back makes of each failure: every cell from a run, compared with what is promised."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers import ROOT
from tests.router import routing_matrix
from tests.router.routing_matrix import FIRST, MODES, ROWS, SHORT, TIMEOUT, TRIO, WAYS, Bench, Cell, Cells, Row

SDK = "SDK `fallbacks=`"
OURS = [pytest.param(way, marks=pytest.mark.proxy if way == "proxy" else ()) for way in WAYS if way != SDK]
FIRST_NAME, SECOND_NAME, _ = (SHORT[model] for model in TRIO)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench for the whole file."""
    with routing_matrix.bench(tmp_path_factory.mktemp("matrix")) as running:
        yield running


@pytest.fixture(scope="module")
def cells() -> Cells:
    """The cells that were run so far."""
    return {}


@pytest.fixture(autouse=True)
def recording(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spend is recorded, although every test starts with a clean environment."""
    monkeypatch.setenv("MAAS_LEDGER", str(bench.ledgers["here"]))
    monkeypatch.setenv("MAAS_TRACK_SPEND", "1")


def cell_of(bench: Bench, cells: Cells, row: Row, way: str, mode: str) -> Cell:
    """A cell, run once."""
    if (row.name, way, mode) not in cells:
        cells[row.name, way, mode] = bench.run(row, way, mode)
    return cells[row.name, way, mode]


@pytest.mark.parametrize("way", OURS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_is_promised(bench: Bench, cells: Cells, row: Row, way: str) -> None:
    """The next model answers, or the caller hears why not, after no more requests than that takes."""
    for mode in row.modes:
        cell = cell_of(bench, cells, row, way, mode)
        asked = () if row.address else (FIRST_NAME,)
        if row.then == "next":
            assert (cell.answer, cell.error) == (SECOND_NAME, None), mode
            assert cell.requests == (*asked, SECOND_NAME), mode
            assert cell.again == (SECOND_NAME,) if row.rests else cell.again == cell.requests, mode
            assert len(cell.recorded) == 2, mode
            assert cell.recorded[1] == f"{SECOND_NAME} ok", mode
        elif row.name == "credits exhausted":
            assert cell.requests == tuple(SHORT.values()), mode
            # All of them rest, and the one that has rested longest is asked whether it is well again.
            assert cell.again == (FIRST_NAME,), mode
        else:
            assert cell.error is not None, mode
            assert cell.requests == asked, mode
            assert cell.again == ((SECOND_NAME,) if row.rests else asked), mode
        assert cell.recorded[0].startswith(f"{FIRST_NAME} failed"), mode
        waited = TIMEOUT if row.name.startswith("silence") else 0.0
        assert waited <= cell.seconds < waited + 5.0, mode


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_litellm_does_by_itself(bench: Bench, cells: Cells, row: Row) -> None:
    """`fallbacks=` of a call is LiteLLM's own: it goes on after any error, and comes too late for a stream."""
    for mode in row.modes:
        cell = cell_of(bench, cells, row, SDK, mode)
        asked = () if row.address else (FIRST_NAME,)
        if mode == "stream":
            assert cell.error is not None
            assert cell.requests == asked
        elif row.name != "credits exhausted":
            assert (cell.answer, cell.error) == (SECOND_NAME, None)
            assert cell.requests == (*asked, SECOND_NAME)
        assert cell.again == cell.requests


def test_the_tables_are_of_today(bench: Bench, cells: Cells) -> None:
    """The tables in docs/routing.md say what a run says, but for the times, and for what cannot run."""
    for row in ROWS:
        for mode in row.modes:
            for way in bench.ways:
                cell_of(bench, cells, row, way, mode)
    document = (ROOT / "docs" / "routing.md").read_text(encoding="utf-8")
    printed = [line[: len(bench.ways) + 1] for line in table(between(document, "routing matrix"))]
    assert printed == table(routing_matrix.summary(cells)), "run scripts/routing-matrix"
    for mode in MODES:
        found = table(between(document, f"routing matrix, {mode}"))
        printed = [line[:-1] for line in found if line[1] in ("way", "---", *bench.ways)]
        assert printed == [line[:-1] for line in table(routing_matrix.details(cells, mode))], (
            "run scripts/routing-matrix"
        )


def test_the_matrix_has_every_failure() -> None:
    """The matrix has at least the twenty failures that were promised, of which none is there twice."""
    assert len({row.name for row in ROWS}) == len(ROWS) >= 20
    assert {row.fault.model for row in ROWS if row.fault} == {FIRST, None}


def between(text: str, name: str) -> str:
    """What stands between two marks."""
    return text.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- end of {name} -->")[0].strip()


def table(text: str) -> list[list[str]]:
    """The cells of a table, line by line."""
    return [line.strip("| ").split(" | ") for line in text.splitlines()]
