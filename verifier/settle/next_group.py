"""Which windows are settled next."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import Final

from sqlalchemy import Connection, func, select

from collector.db.tables import batch
from verifier.settle.kinds import kinds_in
from verifier.settle.windows import SECOND_US, Grid, Span, joined

_FARTHEST_US: Final = 24 * 3_600 * SECOND_US
"""Of a policy without traffic, so much is looked at together."""


def next_group(
    connection: Connection,
    hosts: Collection[int],
    grid: Grid,
    span: Span,
    more_us: int,
    limit: int,
) -> list[Span]:
    """The next windows with lines; windows without any are passed over.

    Args:
        connection: In the settling transaction.
        hosts: Numbers of the policy's hosts.
        grid: Its windows.
        span: What is due.
        more_us: How far off clocks are at most.
        limit: Most windows.
    """
    begin = span.start_us
    if begin < 0:
        first = connection.scalar(select(func.min(batch.c.min_start_us)))
        if first is None:
            return []
        begin = first
    wide = Span(begin - more_us, span.end_us + more_us)
    first = _first_us(connection, hosts, wide)
    if first is None:
        return []
    first_us = max(first - more_us, begin) if more_us else first
    windows = grid.windows(Span(grid.window(first_us).start_us, span.end_us))
    return next(joined(islice(windows, limit), limit))


def _first_us(connection: Connection, hosts: Collection[int], span: Span) -> int | None:
    """The second of a span's first line. Looks far ahead only where nothing is near."""
    begin, step_us = span.start_us, SECOND_US
    while begin < span.end_us:
        end = min(begin + step_us, span.end_us)
        seconds = (kind.second for kind in kinds_in(connection, hosts, Span(begin, end)))
        first = min(seconds, default=None)
        if first is not None:
            return max(first * SECOND_US, begin)
        step_us, begin = min(8 * step_us, _FARTHEST_US), end
    return None
