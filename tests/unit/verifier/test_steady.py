"""Clocks that jump: no time is believed that nothing else shows."""

from __future__ import annotations

import pytest

from verifier.settle.lease import Seen, Standby
from verifier.settle.steady import SteadyTime

HOUR = 3_600_000_000
SECOND = 1_000_000
NOW = 1_760_000_000 * SECOND


@pytest.fixture
def time() -> SteadyTime:
    """A time that was looked at once, when the steady clock stood at 100 s."""
    found = SteadyTime()
    assert found.look(NOW, 100.0, None) == NOW
    return found


def test_a_clock_that_only_drifts_is_followed(time: SteadyTime) -> None:
    """Clocks are corrected by small amounts all the time."""
    assert time.look(NOW + 10 * SECOND + 1_500_000, 110.0, None) == NOW + 11_500_000


@pytest.mark.parametrize("jump", [HOUR, 24 * 365 * HOUR])
def test_a_jump_ahead_is_not_followed(time: SteadyTime, jump: int) -> None:
    """Time goes on as if nothing had happened, for as long as the clock is wrong."""
    for second in range(1, 100):
        told = time.look(NOW + jump + second * SECOND, 100.0 + second, NOW)
        assert told == NOW + second * SECOND


def test_a_jump_back_is_followed_at_once(time: SteadyTime) -> None:
    """Also by who looked first while the clock was ahead; waiting makes no verdict wrong."""
    for second in range(1, 100):
        clock = NOW - HOUR + second * SECOND
        assert time.look(clock, 100.0 + second, NOW) == clock


def test_a_jump_back_that_was_wrong_is_mended_at_once(time: SteadyTime) -> None:
    """For ten minutes the time before is remembered."""
    time.look(NOW - HOUR, 100.0, None)

    assert time.look(NOW + 300 * SECOND, 400.0, None) == NOW + 300 * SECOND


def test_a_clock_that_stays_behind_was_ahead_before(time: SteadyTime) -> None:
    """From then on, a step ahead to where it was is a jump like any other."""
    back = NOW - HOUR
    time.look(back, 100.0, None)
    time.look(back + 600 * SECOND, 700.0, None)

    assert time.look(NOW + 601 * SECOND, 701.0, None) == back + 601 * SECOND


def test_a_jump_that_is_taken_back_leaves_no_trace(time: SteadyTime) -> None:
    """The clock is right again, and followed again."""
    time.look(NOW + HOUR, 101.0, None)

    assert time.look(NOW + 20 * SECOND + 7, 120.0, None) == NOW + 20 * SECOND + 7


def test_lines_show_that_a_jump_was_right(time: SteadyTime) -> None:
    """The clock was an hour behind, and was put right: other hosts' lines tell so."""
    assert time.look(NOW + HOUR, 101.0, NOW + HOUR - SECOND) == NOW + HOUR - SECOND
    assert time.look(NOW + HOUR + 2 * SECOND, 103.0, None) == NOW + HOUR + 2 * SECOND


def test_lines_do_not_show_more_than_the_clock(time: SteadyTime) -> None:
    """A pod that is ahead of everybody moves nothing."""
    assert time.look(NOW - HOUR, 101.0, NOW + HOUR) == NOW - HOUR
    assert time.look(NOW + HOUR, 102.0, NOW + 2 * HOUR) == NOW + HOUR


def test_who_renews_the_lease_is_not_silent() -> None:
    """Every sign of life changes it, whatever the clock it was written by said."""
    standby = Standby(10 * SECOND)

    for second in range(100):
        assert not standby.is_silent(Seen("a", 1, NOW + second % 3), 100.0 + second)


def test_a_lease_that_nobody_renews_is_silent_whenever_it_expires() -> None:
    """It was written by a clock that was a year ahead."""
    standby = Standby(10 * SECOND)
    seen = Seen("a", 1, NOW + 24 * 365 * HOUR)

    assert not standby.is_silent(seen, 100.0)
    assert not standby.is_silent(seen, 110.0)
    assert standby.is_silent(seen, 110.1)
