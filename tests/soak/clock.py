"""One clock for many processes, which runs as fast as it is told, and jumps for single ones.

A process has a file that its clock is read from, mapped into memory: when the run began by the
machine's steady clock, what time it was then, how fast time goes, and by how much the wall clock
of this process is wrong. The steady clock of a machine is the same for all of its processes.
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path
from threading import Event
from typing import Final

_FORM: Final = struct.Struct("=dqdq")
"""Steady seconds and µs since the epoch at the beginning, seconds a second, µs wrong."""


class SettableClock:
    """See `collector.clock.Clock`; both of its faces go at the rate.

    Args:
        file: Written by `write`.
    """

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._bytes = mmap.mmap(opened.fileno(), _FORM.size)

    def now_us(self) -> int:
        """See `Clock`."""
        began_s, epoch_us, rate, wrong_us = _FORM.unpack_from(self._bytes)
        return int(epoch_us + (time.monotonic() - began_s) * rate * 1e6) + int(wrong_us)

    def monotonic(self) -> float:
        """See `Clock`."""
        began_s, _, rate, _ = _FORM.unpack_from(self._bytes)
        return float((time.monotonic() - began_s) * rate)

    def wait(self, stop: Event, seconds: float) -> bool:
        """See `Clock`."""
        return stop.wait(seconds / float(_FORM.unpack_from(self._bytes)[2]))

    def jump(self, wrong_us: int) -> None:
        """The wall clock is wrong by so much from now on; 0: right again."""
        began_s, epoch_us, rate, _ = _FORM.unpack_from(self._bytes)
        _FORM.pack_into(self._bytes, 0, began_s, epoch_us, rate, wrong_us)


def write(file: Path, began_s: float, epoch_us: int, rate: float) -> SettableClock:
    """Makes a clock that was at a time when the machine's steady clock was at another.

    Args:
        file: Of the clock; processes that are given it go by it.
        began_s: By `time.monotonic`.
        epoch_us: What time it was then, µs.
        rate: How many seconds pass in one.
    """
    file.write_bytes(_FORM.pack(began_s, epoch_us, rate, 0))
    return SettableClock(file)
