"""How long to wait before the next try: longer each time, and never all replicas at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

FIRST_S: Final = 0.1
LONGEST_S: Final = 10.0
"""A server that came back is used again within so long."""


class Backoff:
    """Remembers failures in a row and when the next try is due. Times are monotonic seconds.

    Args:
        spread: A number between 0 and 1, drawn for each wait.
    """

    def __init__(self, spread: Callable[[], float] = random.random) -> None:
        self._spread = spread
        self._due_s = 0.0
        self.failures = 0

    def failed(self, now_s: float) -> float:
        """Counts a failure; returns how long to wait, in seconds."""
        longest = min(LONGEST_S, FIRST_S * 2.0 ** min(self.failures, 20))
        wait_s = longest * (0.5 + 0.5 * self._spread())
        self.failures += 1
        self._due_s = now_s + wait_s
        return wait_s

    def succeeded(self) -> bool:
        """Ends the row of failures; returns whether there was one."""
        was_failing = self.failures > 0
        self.failures = 0
        self._due_s = 0.0
        return was_failing

    def due(self, now_s: float) -> bool:
        """Whether it is time for the next try."""
        return now_s >= self._due_s
