"""Has a range settled again, as new revisions: after a policy was corrected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from collector.db.tables import batch
from collector.errors import UsageError
from verifier.settle.late import enqueue
from verifier.settle.windows import SECOND_US, Grid, Span
from verifier.tables import resettle, settled_policy

LONGEST_WINDOW_US: Final = 3600 * SECOND_US
"""As the settings allow."""


def enqueue_range(connection: Connection, policies: Sequence[str], span: Span) -> int:
    """Queues the settled windows of policies that meet a span; returns how many.

    Whoever has the lease settles them; a window of which the same is to be said gets no revision,
    nor does one of which lines may be dropped.

    Args:
        connection: In a write transaction.
        policies: Their names; none: all that were ever settled.
        span: µs since the epoch.

    Raises:
        UsageError: Nothing was ever settled of such a policy.
    """
    rows = {row.policy: row for row in connection.execute(select(settled_policy))}
    for name in policies:
        if name not in rows:
            known = ", ".join(sorted(rows)) or "none yet"
            msg = f"no policy {name!r} was ever settled; there are: {known}"
            raise UsageError(msg)
    first_us = connection.scalar(select(func.min(batch.c.min_start_us)))
    if first_us is None:
        return 0
    count = 0
    for name in policies or sorted(rows):
        row = rows[name]
        begin, end = max(span.start_us, first_us), min(span.end_us, row.settled_to_us)
        starts = [window.start_us for window in Grid.read(row.sizes).windows(Span(begin, end))]
        enqueue(connection, name, starts)
        count += len(starts)
    return count


def waiting(connection: Connection, policies: Sequence[str], span: Span) -> int:
    """How many windows of policies in a span wait to be settled again; no policies: of all.

    Windows are of any size, so that one that begins just before the span counts, too.
    """
    c = resettle.c
    query = select(func.count()).where(
        c.start_us > span.start_us - LONGEST_WINDOW_US, c.start_us < span.end_us
    )
    if policies:
        query = query.where(c.policy.in_(policies))
    return connection.scalar(query) or 0
