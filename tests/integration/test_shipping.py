"""Shipping that goes wrong never makes a false missing or a false matched; a small, fast form.

All of it is `python -m tests.shipping`, whose table is in MEASURED.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from collector.db.engine import open_engine
from tests.shipping.run import CASES, Case, by_check, live

pytestmark = [pytest.mark.integration, pytest.mark.no_cover]
FAST = ("10 % of lines dropped", "20 s of each node dropped", "dead, and back without the rest")
FEW = [
    pytest.param(case, id=case.name, marks=() if case.name in FAST else pytest.mark.slow)
    for case in CASES
    if case.copies == 1
]


@pytest.fixture
def engine(migrated_sqlite_url: str) -> Iterator[Engine]:
    """A migrated database."""
    found = open_engine(migrated_sqlite_url)
    yield found
    found.dispose()


@pytest.mark.parametrize("case", FEW)
def test_nothing_false_is_said_of_badly_shipped_traffic(
    case: Case, engine: Engine, tmp_path: Path
) -> None:
    """Live and by `check`, alike; what is unverifiable has reasons; what is lost is found."""
    found = live(case, "toggled", engine)

    assert not found.wrong, found
    if case.name == "nothing":
        assert found.missing == found.lost > 0
    if case.by_files:
        checked = by_check(case, "toggled", tmp_path)
        assert not checked.wrong, checked
        assert found.agrees(checked)
