"""Times and lists as people say them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from collector.words import first_of

MINUTE_S: Final = 60.0
HOUR_S: Final = 3_600.0
DAY_S: Final = 86_400.0
MOST_NAMES: Final = 5


def duration(seconds: float) -> str:
    """A time as people say it."""
    for size, unit in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def names(found: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    return first_of(found, MOST_NAMES)
