"""What processes take, over the run: memory, descriptors, threads; and whether that stays flat."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LEAST: Final = 8
"""Samples on each side without which nothing is said."""
LONG_S: Final = 600.0
"""Caches and pools fill in the first minutes of a life: shorter ones are shown and not judged."""


class Sample(NamedTuple):
    """What one process took at a time.

    Attributes:
        at_s: Of the run, in real seconds.
        memory: Resident, bytes.
    """

    at_s: float
    memory: float
    descriptors: float
    threads: float


TOLERATED: Final = {"memory": (0.15, 12e6), "descriptors": (0.0, 6.0), "threads": (0.0, 3.0)}
"""How much more at the end than after the first third: a share, and an amount."""


def look(pid: int, at_s: float) -> Sample | None:
    """A sample of a process; None: it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    return Sample(at_s, int(fields[21]) * _PAGE, descriptors, int(fields[17]))


class Growth(NamedTuple):
    """How a figure changed: its median in the second quarter of a process's life, and the last."""

    what: str
    before: float
    after: float

    @property
    def is_flat(self) -> bool:
        """Whether it grew by no more than is tolerated."""
        share, amount = TOLERATED[self.what]
        return self.after <= self.before * (1 + share) + amount


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """What became of each figure; nothing of a process that did not live long enough to tell."""
    quarter = len(samples) // 4
    if quarter < _LEAST:
        return []
    before, after = samples[quarter : 2 * quarter], samples[-quarter:]
    return [
        Growth(
            what,
            statistics.median(getattr(one, what) for one in before),
            statistics.median(getattr(one, what) for one in after),
        )
        for what in TOLERATED
    ]
