"""Presence: whether a side is logged around a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifier.settle.presence import Moments
from verifier.settle.windows import SECOND_US, Span

SECONDS = st.lists(st.integers(900, 1_100), max_size=6)


def test_a_side_is_logged_for_half_a_minute_after_a_line() -> None:
    """And for five seconds before it."""
    moments = Moments([1_000])

    assert not moments.logged(995 * SECOND_US - 1)
    assert moments.logged(995 * SECOND_US)
    assert moments.logged(1_030 * SECOND_US)
    assert not moments.logged(1_031 * SECOND_US)


@given(SECONDS, st.integers(930, 1_070), st.integers(1, 60))
def test_a_whole_span_is_what_each_of_its_times_is(
    seconds: list[int], start: int, length: int
) -> None:
    """Yes or no where all of them agree, else neither."""
    moments = Moments(seconds)
    span = Span(start * SECOND_US, (start + length) * SECOND_US)
    edges = (0, 1, SECOND_US - 1)
    times = [second * SECOND_US + edge for second in range(start, start + length) for edge in edges]

    answers = {moments.logged(time) for time in times}

    assert moments.throughout(span) is (answers.pop() if len(answers) == 1 else None)
