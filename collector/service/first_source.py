"""How long the first source may take: what never worked is a wrong setting, not an outage."""

from __future__ import annotations

from collector.clock import Clock
from collector.errors import MirrorproofError, UsageError


class FirstSource:
    """Waits for the first source of a process.

    Args:
        clock: Where the time comes from.
        limit_s: How long it may take, seconds; 0: for ever.
    """

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._since_s: float | None = clock.monotonic()

    def came(self) -> None:
        """There is one: from now on, whatever fails is waited for."""
        self._since_s = None

    def failed(self, error: MirrorproofError) -> None:
        """Raises UsageError when there never was a source, for too long: a setting is wrong."""
        if self._since_s is None:
            return
        if isinstance(error, UsageError):
            raise error
        if not self._limit_s or self._clock.monotonic() - self._since_s < self._limit_s:
            return
        raise UsageError(
            f"{error}; given up after {self._limit_s:g} s (kafka.start_timeout_s): "
            "correct the settings, or start what is missing and try again"
        ) from error
