"""The table of error rates in MEASURED.md is what the simulation prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulate import CASES, HEAD, RATES, row
from verifier.statistics.sequential import FALSE_ALARMS_A_YEAR

MEASURED = (Path(__file__).parents[2] / "MEASURED.md").read_text()


def rows() -> list[list[str]]:
    """The cells of the table."""
    lines = MEASURED.partition(HEAD + "\n")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_case_is_in_the_table_with_an_error_within_the_stated_one() -> None:
    """No row is left out, and none alarms more often than it may."""
    assert [row[:2] for row in rows()] == [[case.name, str(r)] for case in CASES for r in RATES]
    assert all(float(row[2]) <= FALSE_ALARMS_A_YEAR for row in rows())


@pytest.mark.parametrize(("case", "rate"), [(CASES[0], 10), (CASES[3], 1000)])
def test_the_simulation_prints_the_same_figures_again(case: object, rate: int) -> None:
    """A part of the table, made anew, is word for word the part that is printed."""
    assert row(next(one for one in CASES if one is case), rate) in MEASURED.splitlines()
