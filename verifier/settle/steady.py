"""A wall clock that does not jump ahead: what time it is for settling. Pure.

Somebody sets a host's clock an hour ahead, and an idle partition seems to be complete an hour
ahead: windows would settle before their lines are there. So a step ahead is not followed until
something else shows the new time: lines that ended then. A step back is followed at once, as
waiting makes no verdict wrong; also by who started while the clock was ahead.
"""

from __future__ import annotations

from typing import Final

STEP_US: Final = 2_000_000
"""Between two looks, a clock that is off by more than that has jumped; drift is far below."""
BEHIND_S: Final = 600.0
"""A clock that stays behind for so long is right: the time before was not. Until then it may go
back to where it was, and is followed at once."""


class SteadyTime:
    """Follows a clock, but for its jumps ahead. It knows nothing of jumps before its first look."""

    def __init__(self) -> None:
        self._now_us: int | None = None
        self._looked_s = 0.0
        self._behind_s: float | None = None

    def look(self, clock_us: int, steady_s: float, newest_us: int | None) -> int:
        """What time it is, in µs since the epoch; never more than the clock says.

        Args:
            clock_us: The wall clock.
            steady_s: A clock that never jumps, and counts from anywhere, in seconds.
            newest_us: The latest time at which any line ended; None: there is none.
        """
        if self._now_us is None:
            now_us = clock_us
        else:
            now_us = self._now_us + round((steady_s - self._looked_s) * 1e6)
            if self._is_believed(clock_us, now_us, steady_s):
                now_us = clock_us
            elif newest_us is not None and newest_us > now_us:
                # Up to there the jump is true.
                now_us = min(newest_us, max(now_us, clock_us))
        self._now_us, self._looked_s = now_us, steady_s
        return min(now_us, clock_us)

    def _is_believed(self, clock_us: int, now_us: int, steady_s: float) -> bool:
        """Whether the clock has not jumped, or has been behind for so long that it is right."""
        if clock_us >= now_us - STEP_US:
            self._behind_s = None
            return clock_us <= now_us + STEP_US
        if self._behind_s is None:
            self._behind_s = steady_s
        return steady_s - self._behind_s >= BEHIND_S
