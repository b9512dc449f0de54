"""When a partition stops for what it brings: too much that nobody can read. Pure."""

from __future__ import annotations

from typing import Final

import msgspec


class PoisonLimits(msgspec.Struct, frozen=True):
    """When a partition is stopped for what it brings.

    Attributes:
        row: Quarantined lines in a row, without one good.
        share: Share of quarantined lines, 0 to 1, among
        window: so many lines or more, of late.
    """

    row: int = 1_000
    share: float = 0.9
    window: int = 10_000


ENDLESS: Final = PoisonLimits(row=1 << 62, share=1.0, window=1 << 62)
"""For what people read again: it stops nowhere."""


class Toll(msgspec.Struct):
    """What a partition brought of late."""

    streak: int = 0
    lines: int = 0
    bad: int = 0

    def add_good(self, lines: int, limits: PoisonLimits) -> None:
        """Counts lines of records without poison."""
        if lines:
            self.streak = 0
            self.lines += lines
            while self.lines >= 2 * limits.window:
                self.lines, self.bad = self.lines // 2, self.bad // 2

    def add_bad(self, lines: int, bad: int, limits: PoisonLimits) -> str:
        """Counts the lines of a record with poison.

        Returns:
            Why the partition stops; empty: it goes on.
        """
        self.add_good(lines - bad, limits)
        self.streak += bad
        self.lines += bad
        self.bad += bad
        if self.streak >= limits.row:
            return f"{self.streak} lines in a row could not be read"
        if self.lines >= limits.window and self.bad >= limits.share * self.lines:
            return f"{self.bad} of {self.lines} lines could not be read"
        return ""
