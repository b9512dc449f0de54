"""Who wrote lines when, to the second, of a span or of some batches: the first, cheap look.

Collectors note it with each batch; of batches without a note it is asked of their lines. Both say
the same. Seconds are whole: what a span cuts is told, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from collector.db.presence import SECOND_US, KindInSecond, read_kinds
from collector.db.sign_tables import presence
from collector.db.tables import batch, observation
from verifier.settle.windows import Span
from verifier.settle.written import meets, written_with

_AT_ONCE: Final = 1_000
"""Batches in a statement, and their notes in memory."""


def kinds_in(connection: Connection, hosts: Collection[int], span: Span) -> Iterator[KindInSecond]:
    """The kinds of the lines about some hosts that start in the seconds of a span.

    Args:
        connection: A reading transaction.
        hosts: Numbers of the hosts.
        span: By the lines' own clocks.
    """
    first, end = span.start_us // SECOND_US, -(-span.end_us // SECOND_US)
    whole, wanted = Span(first * SECOND_US, end * SECOND_US), frozenset(hosts)
    batches = select(batch.c.id).where(batch.c.stored > 0, *meets(whole)).order_by(batch.c.id)
    for kind in kinds_of(connection, list(connection.scalars(batches))):
        if first <= kind.second < end and kind.host_id in wanted:
            yield kind


def kinds_of(connection: Connection, batches: Sequence[int]) -> Iterator[KindInSecond]:
    """The kinds of the lines of some batches."""
    for begin in range(0, len(batches), _AT_ONCE):
        some = batches[begin : begin + _AT_ONCE]
        # Not as a join: this way the index is taken, whatever the planner believes.
        query = select(presence.c.id, presence.c.kinds).where(presence.c.id.in_(some))
        noted = {row.id: row.kinds for row in connection.execute(query)}
        for kinds in noted.values():
            yield from read_kinds(kinds)
        if bare := [number for number in some if number not in noted]:
            yield from _asked(connection, bare)


def _asked(connection: Connection, batches: Sequence[int]) -> Iterator[KindInSecond]:
    """The same, of the lines of batches themselves."""
    c = observation.c
    kind = ((c.start_us // SECOND_US).label("at_s"), c.host_id, c.role, c.pod_id, c.destination_id)
    lines = select(*kind, func.count()).where(*written_with(connection, batches))
    for row in connection.execute(lines.group_by(*kind)):
        yield KindInSecond(*row)
