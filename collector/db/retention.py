"""Drops what is older than it has to be, a little at a time: nobody waits for it for long.

Tables with a number that counts up lose their rows in the order of it, a portion in a transaction.
Lines are partitions on PostgreSQL (`collector.db.upkeep`); on SQLite they go batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import compress, takewhile
from operator import itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    delete,
    func,
    literal_column,
    select,
)

from collector.db.engine import writing
from collector.db.kept import QUARANTINE, note, note_dropped
from collector.db.signs import forget as forget_signs
from collector.db.tables import batch, observation, quarantine

ROWS_AT_ONCE: Final = 2_000
"""Rows dropped in one transaction; with their indexes some tens of milliseconds on SQLite."""

Rest = Callable[[], bool]
"""Called between portions, so that others get their turn; returns whether to stop."""


class Aging(msgspec.Struct, frozen=True, kw_only=True):
    """A table whose old rows go.

    Attributes:
        table: It has a column `id` that counts up in the order of time.
        rows: Selects (id, when it was written in µs), in any order.
        keep_us: How long rows are kept; 0: for ever.
        in_order: Whether no row may go before all rows with lower numbers went.
        before_drop: Called in the transaction that drops rows, before it does, with their numbers
            and the time before which they were written.
    """

    table: Table
    rows: Select[Any]
    keep_us: int
    in_order: bool = False
    before_drop: Callable[[Connection, Sequence[int], int], object] = lambda *_: None

    @property
    def name(self) -> str:
        """Of the table."""
        return self.table.name


def collectors_tables(batches_us: int, quarantine_us: int) -> list[Aging]:
    """The collector's own tables and how long their rows are kept, µs."""
    return [
        Aging(table=batch, rows=select(batch.c.id, batch.c.committed_us), keep_us=batches_us),
        Aging(
            table=quarantine,
            rows=select(quarantine.c.id, quarantine.c.at_us),
            keep_us=quarantine_us,
            before_drop=lambda connection, _ids, before_us: note(connection, QUARANTINE, before_us),
        ),
    ]


def drop_rows(engine: Engine, aging: Aging, before_us: int, rest: Rest) -> int:
    """Drops the rows that were written before a time; returns how many.

    Ends at the first portion without any: a row whose clock was ahead does not hold up the rest.
    """
    dropped, last_id = 0, -1
    while True:
        with writing(engine) as connection:
            portion = _portion(connection, aging, last_id)
            old = _old(portion, before_us, in_order=aging.in_order)
            if old:
                aging.before_drop(connection, old, before_us)
                connection.execute(delete(aging.table).where(aging.table.c.id.in_(old)))
        if not old:
            return dropped
        dropped, last_id = dropped + len(old), old[-1] if aging.in_order else portion[-1][0]
        if rest():
            return dropped


def _old(portion: Sequence[Any], before_us: int, *, in_order: bool) -> list[int]:
    numbers, found = [row[0] for row in portion], [row[1] < before_us for row in portion]
    if in_order:
        return [number for number, _ in takewhile(itemgetter(1), zip(numbers, found, strict=True))]
    return list(compress(numbers, found))


def count_rows(connection: Connection, aging: Aging, before_us: int) -> int:
    """How many rows `drop_rows` would drop."""
    rows = aging.rows.subquery()
    at_us = list(rows.c)[1]
    query = select(func.count()).select_from(rows).where(at_us < before_us)
    return connection.scalar(query) or 0


def _portion(connection: Connection, aging: Aging, after_id: int) -> list[Any]:
    key = aging.table.c.id
    query = aging.rows.where(key > after_id).order_by(key).limit(ROWS_AT_ONCE)
    return list(connection.execute(query))


def forget_nodes(engine: Engine, before_us: int, signs_before_us: int) -> None:
    """Forgets nodes whose logs were alive for the last time before then; of them nobody asks.

    When exactly nodes were heard is asked only of times of which lines are kept.
    """
    with writing(engine) as connection:
        forget_signs(connection, before_us, signs_before_us)


def drop_summaries(engine: Engine, column: Column[int], before_us: int) -> None:
    """Drops the rows of a column's table whose time is before then: a few at each run."""
    with writing(engine) as connection:
        connection.execute(delete(column.table).where(column < before_us))


# --- the lines of SQLite


def drop_lines(engine: Engine, before_us: int, rest: Rest) -> int:
    """Drops the lines of batches that were written before a time; returns how many."""
    dropped = 0
    for number, committed_us in _old_batches(engine, before_us):
        while True:
            with writing(engine) as connection:
                note_dropped(connection, committed_us + 1)
                gone = _drop_portion(connection, number)
            dropped += gone
            if rest():
                return dropped
            if gone < ROWS_AT_ONCE:
                break
    return dropped


def _drop_portion(connection: Connection, number: int) -> int:
    rowid: ColumnElement[int] = literal_column("rowid")
    rows = select(rowid).select_from(observation).where(observation.c.batch_id == number)
    done = connection.execute(delete(observation).where(rowid.in_(rows.limit(ROWS_AT_ONCE))))
    return done.rowcount


def count_lines(engine: Engine, before_us: int) -> int:
    """How many lines `drop_lines` would drop."""
    numbers = {number for number, _ in _old_batches(engine, before_us)}
    c = observation.c
    with engine.connect() as connection:
        counts = connection.execute(select(c.batch_id, func.count()).group_by(c.batch_id))
        return sum(number for batch_id, number in counts if batch_id in numbers)


def _old_batches(engine: Engine, before_us: int) -> Iterator[tuple[int, int]]:
    """The batches with lines that were written before a time, and when, in order."""
    first = select(func.min(observation.c.batch_id)).scalar_subquery()
    query = (
        select(batch.c.id, batch.c.committed_us)
        .where(batch.c.id >= first, batch.c.committed_us < before_us, batch.c.stored > 0)
        .order_by(batch.c.id)
    )
    with engine.connect() as connection:
        found = connection.execute(query).all()
    yield from ((row[0], row[1]) for row in found)


def oldest_line_us(connection: Connection) -> int | None:
    """When the first stored line was written, µs; None: there is none."""
    first = select(func.min(observation.c.batch_id)).scalar_subquery()
    return connection.scalar(select(batch.c.committed_us).where(batch.c.id == first))


def tidy_file(engine: Engine) -> None:
    """Empties SQLite's log of writes into the file, if no reader needs it just now.

    Freed pages are used again by what is written next, so that the file stays as large as the
    lines that are kept.
    """
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        raw.execute("PRAGMA busy_timeout = 0")  # the check-point would hold up writers
        try:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.invalidate()  # with its time-out
