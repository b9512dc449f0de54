"""Times of lines."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.formats.timestamps import parse_time
from tests.examples import MANY

SECOND = 1_795_360_302_000_000  # 2026-11-22T15:11:42Z


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-11-22T15:11:42.902Z", 902_000),
        ("2026-11-22T15:11:42Z", 0),
        ("2026-11-22T15:11:42.9Z", 900_000),
        ("2026-11-22T15:11:42.000001Z", 1),
        ("2026-11-22T15:11:42.123456789Z", 123_456),
        ("2026-11-22T15:11:42.902+00:00", 902_000),
    ],
)
def test_utc_times_of_any_precision(text: str, micros: int) -> None:
    """Read twice: the second time comes from the cache."""
    assert parse_time(text) == parse_time(text) == SECOND + micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "+00:00",
        "2026",
        "2026-11-22Z",
        "2026-11-22T15:11Z",
        "2026-11-22T15:11:42",
        "2026-11-22T15:11:42.902+01:00",
        "2026-11-22T15:11:42.902-00:00",
        "2026-11-22T15:11:42.Z",
        "2026-11-22T15:11:42,902Z",
        "2026-11-22T15:11:42.9x2Z",
        "2026-11-22T15:11:42.٣٣٣Z",
        "2026-11-22T15:11:42.²Z",
        "2026-13-22T15:11:42.902Z",
        "2026-11-22T15:11:60.902Z",
        "2026-11-22T25:11:42.902Z",
        "0000-00-00T00:00:00.000Z",
        "x" * 100_000 + "Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """A local time without its zone would be hours off."""
    with pytest.raises(ValueError, match=r".*"):
        parse_time(text)


@settings(max_examples=100 * MANY)
@given(st.integers(0, 4_000_000_000_000))
def test_every_millisecond_is_read_exactly(milliseconds: int) -> None:
    """As Envoy writes it."""
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    text = when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03}Z"

    assert parse_time(text) == milliseconds * 1000


@settings(max_examples=100 * MANY)
@given(st.text(max_size=30).map(lambda text: text + "Z"))
def test_no_text_raises_anything_but_value_error(text: str) -> None:
    """The parser counts on it."""
    with contextlib.suppress(ValueError):
        assert isinstance(parse_time(text), int)
