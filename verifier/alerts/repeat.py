"""Receivers that must hear again and again what still holds: pure."""

from __future__ import annotations

import msgspec

from verifier.incidents.event import Event, Status


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """How long an accepted message is sent again, as long as its incident has no newer one.

    Attributes:
        every_us: Between two times; also the longest wait after a failure.
        resolved_us: A resolution, from when it was accepted first. Others: until a newer one.
    """

    every_us: int
    resolved_us: int

    def next_us(self, event: Event, delivered_us: int, now_us: int) -> int | None:
        """When to send again what was accepted first at `delivered_us`; None: never."""
        over = event.status == Status.RESOLVED and now_us - delivered_us >= self.resolved_us
        return None if over or event.test else now_us + self.every_us
