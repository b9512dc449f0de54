"""When lines that start at a time can have been written: what names the partitions to look in.

Partitions of PostgreSQL are slices of the time of ingestion, and lines are asked for by their
start. Each batch says when its lines start, and all of them were ingested when it was committed.
So the batches that meet a span tell when the lines of the span were ingested: every one of them,
also late lines and those of wild clocks. Without that, each question would be put to every
partition there is, and a tick would cost the more the longer the history is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, false, func, or_, select

from collector.db.partitions import HOUR_US
from collector.db.tables import batch, observation
from verifier.settle.windows import Span

_MOST: Final = 8
"""Stretches that are told apart; where there are more, one goes from the first to the last."""

Condition = ColumnElement[bool]


def started(connection: Connection, span: Span) -> list[Condition]:
    """What is true of the lines that start in a span, and of no others.

    Args:
        connection: A reading transaction.
        span: By the lines' own clocks.
    """
    start = observation.c.start_us
    return [start >= span.start_us, start < span.end_us, *written(connection, span)]


def written(connection: Connection, span: Span) -> list[Condition]:
    """What is true of all lines that start in a span, and says when they were ingested."""
    return _within(connection, meets(span))


def meets(span: Span) -> list[Condition]:
    """What is true of batches with lines that start in a span, and perhaps of more."""
    c = batch.c
    return [c.max_start_us >= span.start_us, c.min_start_us < span.end_us]


def written_with(connection: Connection, batches: Sequence[int]) -> list[Condition]:
    """What is true of the lines of some batches, and of no others."""
    return [
        observation.c.batch_id.in_(batches),
        *_within(connection, [batch.c.id.in_(batches)]),
    ]


def _within(connection: Connection, where: Iterable[Condition]) -> list[Condition]:
    """That a line was ingested when one of some batches was committed, or between them."""
    if connection.dialect.name != "postgresql":
        return []  # no partitions
    at_us = batch.c.committed_us
    hour = (at_us // HOUR_US).label("hour")
    query = select(func.min(at_us), func.max(at_us)).where(*where).group_by(hour).order_by(hour)
    found = _joined((row[0], row[1]) for row in connection.execute(query))
    if not found:
        return [false()]
    ingested = observation.c.ingested_us
    return [or_(*(ingested.between(first, last) for first, last in found))]


def _joined(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Stretches in order, as one where they are near each other."""
    found: list[tuple[int, int]] = []
    for first, last in stretches:
        if found and first - found[-1][1] < HOUR_US:
            found[-1] = found[-1][0], last
        else:
            found.append((first, last))
    return found if len(found) <= _MOST else [(found[0][0], found[-1][1])]
