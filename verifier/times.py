"""Times as people read and write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from collector.errors import UsageError

_DURATION: Final = re.compile(r"(\d{1,9})([smhd])")
_UNITS_US: Final = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def iso_time(time_us: int) -> str:
    """RFC 3339, UTC, with the milliseconds that Envoy logs, of µs since the epoch."""
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_us // 1000 % 1000:03d}Z"


def time_or_none(time_us: int | None) -> str | None:
    """As `iso_time`; None stays."""
    return None if time_us is None else iso_time(time_us)


def read_duration(name: str, text: str) -> int:
    """A duration such as `90s`, `15m`, `1h` or `7d`, in µs.

    Raises:
        UsageError: It is something else; `name` says of what.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        msg = f"{name} must be a duration with its unit, such as 90s, 15m, 1h or 7d; is {text!r}"
        raise UsageError(msg)
    return int(match[1]) * _UNITS_US[match[2]]


def read_moment(name: str, text: str, now_us: int) -> int:
    """A moment in µs since the epoch: a duration back from now, or a time with its zone.

    Raises:
        UsageError: It is neither; `name` says of what.
    """
    if _DURATION.fullmatch(text):
        return now_us - read_duration(name, text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        msg = (
            f"{name} must be a duration back from now, such as 1h, or a time with its zone, "
            f"such as 2026-11-22T15:00:00Z; is {text!r}"
        )
        raise UsageError(msg)
    return round(moment.timestamp() * 1_000_000)
