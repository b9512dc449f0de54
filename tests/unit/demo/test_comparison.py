from __future__ import annotations

import pytest

from verifier.demo.comparison import agree, compare
from verifier.demo.ledger import Truth

TRUTH = Truth(calls=112, requests=100, mirrored=90, missing=10, leaked=12)


def test_equal_figures_agree() -> None:
    """All figures of the applications are those of the verifier."""
    rows = compare(TRUTH, {"matched": 90, "missing": 10, "leak": 12})

    assert agree(rows)
    assert [(row.counted, row.said) for row in rows] == [
        (100, 100),
        (90, 90),
        (10, 10),
        (12, 12),
        (0, 0),
    ]


@pytest.mark.parametrize(
    "verdicts",
    [
        {"matched": 89, "missing": 11, "leak": 12},
        {"matched": 90, "missing": 10, "leak": 11},
        {"matched": 90, "missing": 9, "leak": 12},
        {"matched": 90, "missing": 9, "unverifiable": 1, "leak": 12},
        {"matched": 90, "missing": 10, "leak": 12, "orphan": 1},
        {"matched": 90, "missing": 10, "leak": 12, "duplicate": 1},
        {"matched": 90, "missing": 10, "leak": 12, "ambiguous": 1},
        {},
    ],
)
def test_any_difference_is_seen(verdicts: dict[str, int]) -> None:
    """A figure that is off by one, or a verdict that the demo cannot earn, is a difference."""
    assert not agree(compare(TRUTH, verdicts))
