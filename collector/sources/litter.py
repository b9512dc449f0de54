"""What kafka-python leaves behind while a broker is away, taken away.

The socket of a connection that was refused is closed by nobody: it hangs in a cycle of the error
that came of it until Python looks for garbage, which it does by what is made, and little is made
while nothing can be read. Several attempts a second would use up the process's descriptors in
minutes (kafka-python 3.0, `kafka/net/inet.py`).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

_EVERY_S: Final = 5.0


class Litter:
    """Looks for garbage now and then.

    Args:
        monotonic: Steady seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic: Final = monotonic
        self._last_s = monotonic()

    def take_away(self) -> None:
        """Called while nothing is read, when there is time for it; mostly does nothing."""
        now_s = self._monotonic()
        if now_s - self._last_s >= _EVERY_S:
            self._last_s = now_s
            gc.collect()
