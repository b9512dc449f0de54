"""How far event time is complete, from how far each partition is read. Pure.

Only partitions hold time back. One that is not known to be read to its end, by fresh word of the
broker, stands at the largest end time that it brought; one that is read to its end is idle and
moves on with the broker's clock. So a collector that restarts with a backlog raises no false
alarm, and traffic that stops does not keep the last windows open.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

FOREVER_US: Final = 1 << 62
"""The watermark of what is read for good: nothing will ever follow."""


class PartitionState(msgspec.Struct, frozen=True, kw_only=True):
    """How far one partition is read; times in µs since the epoch.

    Attributes:
        name: For people.
        next_offset: What is read next.
        watermark_us: Largest sane end time that it brought; None: it brought none.
        end_offset: What the broker would give next, when it was asked; None: never asked.
        end_checked_us: When the broker was asked.
        stopped: Whether it waits for an operator.
        finished: Whether it is a file that was read to its end: nothing follows.
    """

    name: str
    next_offset: int
    watermark_us: int | None = None
    end_offset: int | None = None
    end_checked_us: int | None = None
    stopped: bool = False
    finished: bool = False


class EvidenceRules(msgspec.Struct, frozen=True):
    """How long evidence counts, in µs.

    Attributes:
        max_age_us: How old the broker's word may be.
        allowance_us: How long a line may take from its end to the broker.
    """

    max_age_us: int
    allowance_us: int


class Watermark(msgspec.Struct, frozen=True):
    """Up to when event time is complete, and which partition holds it there.

    Attributes:
        time_us: None: nothing is known to be complete. `FOREVER_US`: all is read for good.
        held_by: The partition that is furthest behind; empty: there is none.
    """

    time_us: int | None
    held_by: str = ""


def is_read_to_end(state: PartitionState, now_us: int, rules: EvidenceRules) -> bool:
    """Whether the broker's fresh word says that there is nothing left to read."""
    if state.stopped or state.end_offset is None or state.end_checked_us is None:
        return False
    fresh = state.end_checked_us >= now_us - rules.max_age_us
    return fresh and state.next_offset >= state.end_offset


def partition_watermark(state: PartitionState, now_us: int, rules: EvidenceRules) -> int | None:
    """Up to when one partition is complete; None: not known at all.

    What reaches an idle partition after the broker was asked ended at most `allowance_us` earlier.
    """
    if state.finished:
        return FOREVER_US
    if not is_read_to_end(state, now_us, rules) or state.end_checked_us is None:
        return state.watermark_us
    # A collector's clock may be ahead of the database's; time must not be.
    idle_us = min(state.end_checked_us, now_us) - rules.allowance_us
    return idle_us if state.watermark_us is None else max(state.watermark_us, idle_us)


def global_watermark(
    states: Iterable[PartitionState], now_us: int, rules: EvidenceRules
) -> Watermark:
    """The least of all partitions' watermarks; none without partitions."""
    least: Watermark | None = None
    for state in states:
        time_us = partition_watermark(state, now_us, rules)
        if time_us is None:
            return Watermark(None, state.name)
        if least is None or least.time_us is None or time_us < least.time_us:
            least = Watermark(time_us, state.name)
    return least or Watermark(None)
