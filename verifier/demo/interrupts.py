"""How the demo is told to end: once politely by Ctrl-C, at once by a second one or by SIGTERM."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final, Self

_AT_ONCE: Final = (signal.SIGTERM, signal.SIGHUP)
_SIGNAL_STATUS: Final = 128  # plus the signal's number: what shells report of a killed program


class Interrupts:
    """Handles signals while it is entered; the handlers before it come back afterwards.

    Attributes:
        requested: Set by the first Ctrl-C: come to an end, with the comparison.
    """

    def __init__(self) -> None:
        self.requested: Final = threading.Event()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Handlers belong to the main thread; a test may run the demo in another one.
        if threading.current_thread() is threading.main_thread():
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._ask)
            for number in _AT_ONCE:
                self._before[number] = signal.signal(number, self._end)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested.is_set():
            self._end(number, frame)
        self.requested.set()

    def _end(self, number: int, _frame: FrameType | None) -> None:
        raise SystemExit(_SIGNAL_STATUS + number)
