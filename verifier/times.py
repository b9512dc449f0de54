"""Times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso_time(time_us: int) -> str:
    """RFC 3339, UTC, with the milliseconds that Envoy logs, of µs since the epoch."""
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_us // 1000 % 1000:03d}Z"
