"""The table of F1 to F36 is complete and true: its words are ours, and its tests exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.facts import both
from tests.facts.table import Row, rows
from verifier.pairing.lines import Reason, Verdict

HERE = Path(__file__).parent
REASONS = {reason.value.format(mirror="v1") for reason in Reason}
VERDICTS = {verdict.value for verdict in Verdict} | {"none"}


def functions(path: Path) -> set[str]:
    """The names of all functions of a module."""
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_case_has_its_row() -> None:
    """F1 to F36, in order."""
    assert [row.name for row in rows()] == [f"F{number}" for number in range(1, 37)]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_row_says_what_we_say(row: Row) -> None:
    """Its verdicts and reasons are words of the product."""
    assert set(row.verdicts) <= VERDICTS
    assert set(row.reasons) <= REASONS
    assert row.tests


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_rows_tests_exist(row: Row) -> None:
    """Each is a function of a module, or a scenario that the lab recorded."""
    for test in row.tests:
        file, _, function = test.partition("::")
        if function:
            assert function in functions(HERE / file), test
        else:
            scenario = file.removeprefix("test_envoy.py[").removesuffix("]")
            assert scenario in both.scenarios(), test


def test_every_recorded_scenario_stands_for_a_case() -> None:
    """What the lab records is there for a reason."""
    named = {test for row in rows() for test in row.tests}

    unnamed = [name for name in both.scenarios() if f"test_envoy.py[{name}]" not in named]

    assert unnamed == []
