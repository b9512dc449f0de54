"""How often one caller may ask: a bucket of tokens for each. Pure but for its state."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final

_MOST_CALLERS: Final = 10_000
"""Buckets that are kept; whoever has not asked for longest is forgotten, with a full bucket."""


class Rates:
    """Shared by the threads of the API.

    Args:
        per_s: Tokens that come back each second.
        burst: What a bucket holds.
    """

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s: Final = per_s
        self._burst: Final = burst
        self._lock = Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, now_s: float) -> float:
        """Takes a token of a caller.

        Args:
            caller: Who asks.
            now_s: Any clock that never goes back, seconds.

        Returns:
            0: it may ask; else after how many seconds it may.
        """
        with self._lock:
            tokens, at_s = self._buckets.pop(caller, (float(self._burst), now_s))
            tokens = min(float(self._burst), tokens + (now_s - at_s) * self._per_s)
            wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self._per_s
            self._buckets[caller] = (tokens - (0 if wait_s else 1), now_s)
            if len(self._buckets) > _MOST_CALLERS:
                self._buckets.popitem(last=False)
        return wait_s
