"""A clock that tests turn by hand."""

from __future__ import annotations

from threading import Event

from tests.lines import START_US


class HandClock:
    """See `collector.clock.Clock`; waiting takes no time."""

    def __init__(self, now_us: int = START_US + 10_000_000) -> None:
        self._now_us = now_us
        self._monotonic = 1000.0

    def advance(self, seconds: float) -> None:
        """Lets time pass, on both faces of the clock."""
        self._now_us += int(seconds * 1_000_000)
        self._monotonic += seconds

    def now_us(self) -> int:
        """See `Clock`."""
        return self._now_us

    def monotonic(self) -> float:
        """See `Clock`."""
        return self._monotonic

    def wait(self, stop: Event, seconds: float) -> bool:
        """See `Clock`."""
        self.advance(seconds)
        return stop.is_set()
