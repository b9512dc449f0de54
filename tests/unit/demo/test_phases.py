from __future__ import annotations

import pytest

from verifier.demo.phases import PLAN, phase_at


def test_the_shares_of_the_phases_make_a_whole() -> None:
    """A round is filled, no more and no less."""
    assert sum(phase.share for phase in PLAN) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("elapsed_s", "name"),
    [
        (0, "mirrored"),
        (34.9, "mirrored"),
        (35.1, "mirror removed"),
        (50.1, "mirror restored"),
        (65.1, "5 % of live traffic leaks to v1"),
        (99.99, "weights restored"),
        (100.1, "mirrored"),
        (235.1, "mirror removed"),
    ],
)
def test_phases_follow_each_other_and_start_again(elapsed_s: float, name: str) -> None:
    """In a round of 100 s each phase begins at its share of it."""
    assert phase_at(elapsed_s, 100).name == name


def test_the_demo_begins_and_ends_with_the_route_that_the_policy_asks_for() -> None:
    """So that the first and the last windows are proven."""
    assert PLAN[0].route == PLAN[-1].route
    assert PLAN[0].route.mirror_percent == 100
    assert PLAN[0].route.v1_weight == 0
