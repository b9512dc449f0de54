"""Fixed slices of event time, with their start and without their end. Pure. Times in µs.

The size may be changed by the operator at any time; what is settled keeps the size it had, so
that windows never overlap.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

SECOND_US = 1_000_000


class Span(NamedTuple):
    """From a time up to, and without, another."""

    start_us: int
    end_us: int


class Grid:
    """Which window a time lies in.

    Args:
        sizes: Pairs (from when, size), in order; the first holds for everything before, too.
    """

    def __init__(self, sizes: Iterable[tuple[int, int]]) -> None:
        self._sizes = list(sizes)

    @classmethod
    def read(cls, text: str) -> Grid:
        """The grid as `to_text` wrote it."""
        return cls((start, size) for start, size in json.loads(text))

    def to_text(self) -> str:
        """JSON."""
        return json.dumps(self._sizes)

    def resized(self, from_us: int, size_us: int) -> Grid:
        """This grid with windows of another size from a time on."""
        if self._sizes[-1][1] == size_us:
            return self
        return Grid([*(pair for pair in self._sizes if pair[0] < from_us), (from_us, size_us)])

    def _size(self, time_us: int) -> tuple[int | None, int, int | None]:
        """(from, size, until) in force at a time."""
        found = 0
        while found + 1 < len(self._sizes) and self._sizes[found + 1][0] <= time_us:
            found += 1
        begin = self._sizes[found][0] if found else None
        until = self._sizes[found + 1][0] if found + 1 < len(self._sizes) else None
        return begin, self._sizes[found][1], until

    def window(self, time_us: int) -> Span:
        """The window of a time. It is cut short where the size changes."""
        begin, size, until = self._size(time_us)
        start = time_us // size * size
        end = start + size
        return Span(
            start if begin is None else max(start, begin),
            end if until is None else min(end, until),
        )

    def windows(self, span: Span) -> Iterator[Span]:
        """The windows that cover a span, in order."""
        time_us = span.start_us
        while time_us < span.end_us:
            found = self.window(time_us)
            yield found
            time_us = found.end_us

    def floor(self, time_us: int) -> int:
        """The end of the last window that is over at a time."""
        return self.window(time_us).start_us


def due_until(watermark_us: int, grace_us: int, grid: Grid) -> int:
    """Up to when windows are due: those that ended a grace before the watermark."""
    return grid.floor(watermark_us - grace_us)


def joined(windows: Iterable[Span], limit: int) -> Iterator[list[Span]]:
    """Windows in order, neighbours of equal size together, at most `limit` in a group."""
    group: list[Span] = []
    for window in windows:
        if group and not _continues(group, window, limit):
            yield group
            group = []
        group.append(window)
    if group:
        yield group


def _continues(group: list[Span], window: Span, limit: int) -> bool:
    last = group[-1]
    size = last.end_us - last.start_us
    return (
        len(group) < limit
        and window.start_us == last.end_us
        and window.end_us - window.start_us == size
    )
