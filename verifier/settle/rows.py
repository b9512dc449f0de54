"""Reads the rows of keys: all that their episodes in a span are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    LargeBinary,
    bindparam,
    func,
    select,
    text,
)

from collector.db.tables import observation
from verifier.settle.chains import LONGEST_US, chains, needed
from verifier.settle.clocks import RIGHT, Clocks
from verifier.settle.simple_keys import reach_us
from verifier.settle.windows import Span
from verifier.settle.written import started
from verifier.tables import LONG_LINE

KEYS_AT_ONCE: Final = 10_000
"""Bounds memory, and the parameters of a statement (SQLite: 32766)."""

Rows = dict[bytes, list[Any]]


def keys_in(connection: Connection, hosts: Collection[int], span: Span) -> list[bytes]:
    """The keys with a line that starts in a span."""
    c = observation.c
    query = select(c.key).where(*started(connection, span), c.host_id.in_(hosts))
    return list(connection.scalars(query.distinct()))


def read_rows(
    connection: Connection,
    keys: Sequence[bytes],
    span: Span,
    horizon_us: int,
    clocks: Clocks = RIGHT,
) -> Iterator[tuple[bytes, list[Any]]]:
    """Each key with the rows of all chains that have a line in the span, and perhaps more.

    Keys come in a stable order, rows with their times by most others' clocks.
    """
    ordered = sorted(keys)
    for begin in range(0, len(ordered), KEYS_AT_ONCE):
        some = ordered[begin : begin + KEYS_AT_ONCE]
        found = _read_closed(connection, some, span, horizon_us, clocks)
        yield from ((key, found[key]) for key in some if key in found)


def _read_closed(
    connection: Connection, keys: Sequence[bytes], span: Span, horizon_us: int, clocks: Clocks
) -> Rows:
    """Reads around the span, then further for the keys whose chains reach the edge."""
    reach = reach_us(horizon_us)
    window = Span(span.start_us - reach, span.end_us + reach)
    found: Rows = {}
    todo: Collection[bytes] = keys
    while todo:
        earliest = span.start_us - 2 * LONGEST_US - horizon_us
        fresh = _read(connection, todo, window, Span(earliest, window.start_us), clocks)
        found.update(fresh)
        wider = {
            key: wanted
            for key, rows in fresh.items()
            if (wanted := needed(chains(rows, horizon_us), span, horizon_us)) is not None
            and (wanted.start_us < window.start_us or wanted.end_us > window.end_us)
        }
        window = _union(window, wider.values())
        todo = wider.keys()
    return found


def _union(window: Span, wanted: Iterable[Span]) -> Span:
    spans = [window, *wanted]
    return Span(min(span.start_us for span in spans), max(span.end_us for span in spans))


def _read(
    connection: Connection,
    keys: Collection[bytes],
    span: Span,
    long_span: Span,
    clocks: Clocks,
) -> Rows:
    """The rows of keys that start in a span, and the long ones that started before it."""
    more_us = clocks.most_us
    span = Span(span.start_us - more_us, span.end_us + more_us)
    long_span = Span(long_span.start_us - more_us, span.start_us)
    found: Rows = {}
    of_keys = _is_among(connection, sorted(keys))
    for where in (
        started(connection, span),
        [text(LONG_LINE), *started(connection, long_span)],
    ):
        for row in connection.execute(select(observation).where(of_keys, *where)):
            found.setdefault(row.key, []).append(clocks.set(row))
    return found


def _is_among(connection: Connection, keys: Sequence[bytes]) -> ColumnElement[bool]:
    """Whether a row has one of many keys."""
    key = observation.c.key
    if connection.dialect.name != "postgresql":
        return key.in_(keys)
    # A hash join; a long IN list is searched from its beginning for every row.
    array = bindparam("keys", keys, ARRAY(LargeBinary))
    return key.in_(select(func.unnest(array)))
