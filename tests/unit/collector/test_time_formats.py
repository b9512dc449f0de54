"""Formats of START_TIME, with what a real Envoy 1.40 wrote for them."""

from __future__ import annotations

import re

import pytest

from collector.formats.time_format import TimeError, compile_time, time_kind

MOMENT = 1_795_377_150_000_000
"""2026-11-22T19:52:30Z"""


@pytest.mark.parametrize(
    ("text", "written", "more_us"),
    [
        (None, "2026-11-22T19:52:30.124Z", 124_000),
        ("%s.%3f", "1795377150.124", 124_000),
        ("%s%3f", "1795377150124", 124_000),
        ("%s", "1795377150", 0),
        ("%s.%f", "1795377150.124522000", 124_522),
        ("%Y/%m/%dT%H:%M:%S%z", "2026/11/22T19:52:30+0000", 0),
        ("%Y-%m-%dT%H:%M:%E3S%Ez", "2026-11-22T19:52:30.124+00:00", 124_000),
        ("%Y-%m-%dT%H:%M:%E*S%E*z", "2026-11-22T19:52:30.124522+00:00:00", 124_522),
        ("%E4Y-%j %I:%M:%S.%6f %p", "2026-326 07:52:30.124522 PM", 124_522),
        ("%d/%b/%Y:%H:%M:%S %z", "22/Nov/2026:19:52:30 +0000", 0),
        ("%c", "Sun Nov 22 19:52:30 2026", 0),
        ("%F%ET%T %Z", "2026-11-22T19:52:30 UTC", 0),
        ("%D %r", "11/22/26 07:52:30 PM", 0),
        ("%e %B %y %k:%M:%S 100%%", "22 November 26 19:52:30 100%", 0),
    ],
)
def test_what_envoy_writes_is_read(text: str | None, written: str, more_us: int) -> None:
    """Down to the microsecond, where it is written; and its characters are foreseen."""
    assert compile_time(text)(written) == MOMENT + more_us
    kind, size = time_kind(text)
    assert re.fullmatch(f"{kind}*", written, re.ASCII)
    assert size in (0, len(written))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (None, "2026-11-23T04:52:30.124+0900"),
        ("%Y-%m-%d %H:%M:%E3S %Ez", "2026-11-23 04:52:30.124 +09:00"),
        ("%s.%3f", "1795377150.124"),
        ("%F %T.%3f%z", "2026-11-22 14:52:30.124-0500"),
    ],
)
def test_local_times_with_their_zone_are_read(text: str | None, written: str) -> None:
    """START_TIME_LOCAL; without a zone it is refused."""
    assert compile_time(text, local=True)(written) == MOMENT + 124_000


@pytest.mark.parametrize("text", ["%F %T", "%Y-%m-%dT%H:%M:%E3S"])
def test_local_times_without_their_zone_are_refused(text: str) -> None:
    """They may be hours off."""
    with pytest.raises(TimeError, match="hours off"):
        compile_time(text, local=True)


@pytest.mark.parametrize("text", ["%H:%M:%S", "%F", "%Y-%m %T", "%F %H:%M", "%3f", "x"])
def test_formats_without_a_whole_moment_are_refused(text: str) -> None:
    """Date, hour, minute and second must be there."""
    with pytest.raises(TimeError, match="shows no date and time"):
        compile_time(text)


@pytest.mark.parametrize("text", ["%Q %s", "%E20S %s", "%s %", "%s %-d"])
def test_unknown_specifiers_are_refused(text: str) -> None:
    """What they write is not known."""
    with pytest.raises(TimeError, match="unknown specifier"):
        compile_time(text)


@pytest.mark.parametrize(
    "written", ["", "x", "31/Foo/2026:19:52:30 +0000", "31/Feb/2026:19:52:30 +0000",
                "22/Nov/2026:25:52:30", "٢٢/Nov/2026:19:52:30 +0000"],
)  # fmt: skip
def test_impossible_times_are_an_error(written: str) -> None:
    """Of the right form or not."""
    with pytest.raises((ValueError, OverflowError)):
        compile_time("%d/%b/%Y:%H:%M:%S %z")(written)
