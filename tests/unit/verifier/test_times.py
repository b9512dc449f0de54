"""Times as users write them."""

from __future__ import annotations

import pytest

from collector.errors import UsageError
from verifier.times import iso_time, read_duration, read_moment

NOW = 1_760_000_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90_000_000), ("15m", 900_000_000), ("1h", 3_600_000_000), ("7d", 604_800_000_000)],
)
def test_durations(text: str, expected: int) -> None:
    """A number and its unit, in µs."""
    assert read_duration("--wait", text) == expected
    assert read_moment("--since", text, NOW) == NOW - expected


@pytest.mark.parametrize("text", ["2026-11-22T15:00:00Z", "2026-11-22T16:00:00+01:00"])
def test_moments_with_a_zone(text: str) -> None:
    """A time is read with its zone."""
    assert iso_time(read_moment("--since", text, NOW)) == "2026-11-22T15:00:00.000Z"


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1 h", "1w", "2026-11-22T15:00:00", "now"])
def test_everything_else_is_refused_by_name(text: str) -> None:
    """What is neither is refused: a time without a zone, too."""
    with pytest.raises(UsageError, match="--since must be a duration back from now"):
        read_moment("--since", text, NOW)


def test_a_wait_is_a_duration() -> None:
    """A wait has no use for a time."""
    with pytest.raises(UsageError, match="--wait must be a duration with its unit"):
        read_duration("--wait", "2026-11-22T15:00:00Z")
