"""Who wrote lines when, to the second, of a span or of some batches: the first, cheap look.

Collectors note it with each batch; of batches without a note it is asked of their lines. Both say
the same. Seconds are whole: what a span cuts is told, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, select

from collector.db.presence import SECOND_US, KindInSecond, read_kinds
from collector.db.sign_tables import presence
from collector.db.tables import batch, observation
from verifier.settle.windows import Span
from verifier.settle.written import meets, written_with

_AT_ONCE: Final = 1_000
"""Batches in memory, and in a statement: of a policy without traffic many are looked at."""


def kinds_in(connection: Connection, hosts: Collection[int], span: Span) -> Iterator[KindInSecond]:
    """The kinds of the lines about some hosts that start in the seconds of a span.

    Args:
        connection: A reading transaction.
        hosts: Numbers of the hosts.
        span: By the lines' own clocks.
    """
    first, end = span.start_us // SECOND_US, -(-span.end_us // SECOND_US)
    whole = Span(first * SECOND_US, end * SECOND_US)
    for kind in _kinds(connection, meets(whole)):
        if first <= kind.second < end and kind.host_id in hosts:
            yield kind


def kinds_of(connection: Connection, batches: Sequence[int]) -> Iterator[KindInSecond]:
    """The kinds of the lines of some batches."""
    for begin in range(0, len(batches), _AT_ONCE):
        yield from _kinds(connection, [batch.c.id.in_(batches[begin : begin + _AT_ONCE])])


def _kinds(connection: Connection, where: Sequence[ColumnElement[bool]]) -> Iterator[KindInSecond]:
    noted = select(batch.c.id, presence.c.kinds).outerjoin_from(
        batch, presence, presence.c.id == batch.c.id
    )
    bare: list[int] = []
    query = noted.where(batch.c.stored > 0, *where).execution_options(yield_per=_AT_ONCE)
    for number, kinds in connection.execute(query):
        if kinds is None:
            bare.append(number)
        else:
            yield from read_kinds(kinds)
    for begin in range(0, len(bare), _AT_ONCE):
        yield from _asked(connection, bare[begin : begin + _AT_ONCE])


def _asked(connection: Connection, batches: Sequence[int]) -> Iterator[KindInSecond]:
    """The same, of the lines of batches themselves."""
    c = observation.c
    kind = ((c.start_us // SECOND_US).label("at_s"), c.host_id, c.role, c.pod_id, c.destination_id)
    lines = select(*kind, func.count()).where(*written_with(connection, batches))
    for row in connection.execute(lines.group_by(*kind)):
        yield KindInSecond(*row)
