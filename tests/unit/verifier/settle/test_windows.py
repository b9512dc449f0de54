"""Windows: slices of event time that never overlap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifier.settle.windows import Grid, Span, due_until, joined

SECOND = 1_000_000


def test_a_window_has_its_start_and_not_its_end() -> None:
    """The first microsecond of the next window is not in it."""
    grid = Grid([(0, 10)])

    assert grid.window(10) == Span(10, 20)
    assert grid.window(19) == Span(10, 20)
    assert grid.window(20) == Span(20, 30)


def test_times_before_the_epoch_have_windows_too() -> None:
    """A wild clock is no reason to fail."""
    assert Grid([(0, 10)]).window(-1) == Span(-10, 0)


def test_a_window_is_due_a_grace_after_its_end() -> None:
    """Not a microsecond earlier."""
    grid = Grid([(0, 10)])

    assert due_until(39, 30, grid) == 0
    assert due_until(40, 30, grid) == 10


def test_a_new_size_leaves_settled_windows_as_they_are() -> None:
    """The windows meet where the size changes."""
    grid = Grid([(0, 10)]).resized(30, 25)

    assert list(grid.windows(Span(10, 80))) == [
        Span(10, 20), Span(20, 30), Span(30, 50), Span(50, 75), Span(75, 100),
    ]  # fmt: skip


def test_a_grid_survives_the_database() -> None:
    """It is written as text and read back."""
    grid = Grid([(0, 10)]).resized(30, 25)

    assert Grid.read(grid.to_text()).window(55) == grid.window(55)


@given(
    st.lists(st.tuples(st.integers(-100, 100), st.integers(1, 40)), max_size=4),
    st.integers(-200, 200),
)
def test_every_time_lies_in_exactly_one_window(changes: list[tuple[int, int]], time: int) -> None:
    """Whatever sizes there were: windows cover all times and never overlap."""
    grid = Grid([(0, 10)])
    for start, size in changes:
        grid = grid.resized(start, size)

    window = grid.window(time)

    assert window.start_us <= time < window.end_us
    assert grid.window(window.start_us) == window
    assert grid.window(window.end_us - 1) == window


def test_neighbours_are_joined_up_to_a_limit() -> None:
    """Gaps, other sizes and the limit end a group."""
    windows = [Span(0, 10), Span(10, 20), Span(20, 30), Span(40, 50), Span(50, 55)]

    assert list(joined(windows, 2)) == [
        [Span(0, 10), Span(10, 20)], [Span(20, 30)], [Span(40, 50)], [Span(50, 55)],
    ]  # fmt: skip
