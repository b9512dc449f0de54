from __future__ import annotations

import pytest

from verifier.demo.comparison import agree, compare, tell_delays
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


def test_how_long_lost_copies_waited_is_told() -> None:
    """Median and longest, beside what windows, grace and tick allow."""
    assert tell_delays([5.0, 6.5, 7.5], 2, 5.5, 0.25) == (
        "From a lost copy to its finding: 6.5 s in the median, 7.5 s at most; "
        "a window of 2 s, a grace of 5.5 s and a tick of 0.25 s are 7.75 s."
    )
    assert tell_delays([], 2, 5.5, 0.25) == ""
