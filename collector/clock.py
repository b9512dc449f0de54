"""Time as an argument: everything that asks for the time is given a clock."""

from __future__ import annotations

import time
from threading import Event
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from; tests bring their own."""

    def now_us(self) -> int:
        """Wall clock: microseconds since the epoch, UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back. For time-outs and intervals."""
        ...

    def wait(self, stop: Event, seconds: float) -> bool:
        """Waits for so long, or until `stop` is set; returns whether it is set."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_us(self) -> int:
        """See `Clock`."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def wait(self, stop: Event, seconds: float) -> bool:
        """See `Clock`."""
        return stop.wait(seconds)
