"""Pieces of split lines that wait for their rest, between batches and over restarts."""

from __future__ import annotations

from sqlalchemy import Connection, and_, bindparam, delete, insert, select

from collector.batch import Batch
from collector.db.tables import piece
from collector.envelopes.joining import HeldPiece
from collector.sources.protocol import Partition


def waiting(connection: Connection, partition: Partition, next_offset: int) -> list[HeldPiece]:
    """The pieces that wait in a partition, in the order in which they came.

    Pieces that will be read again, since an operator went back in the partition, are forgotten.
    """
    mine = and_(piece.c.topic == partition.topic, piece.c.partition == partition.number)
    connection.execute(delete(piece).where(mine, piece.c.record_offset >= next_offset))
    found = connection.execute(
        select(piece).where(mine).order_by(piece.c.record_offset, piece.c.item)
    )
    return [
        HeldPiece(
            row.record_offset,
            row.item,
            row.stream,
            row.time,
            row.text.decode("utf-8", "replace"),
            row.record_us,
            bool(row.spoiled),
        )
        for row in found
    ]


def write(connection: Connection, one: Batch) -> None:
    """Writes what a batch changes, in the batch's own transaction."""
    where = {"topic": one.partition.topic, "partition": one.partition.number}
    if one.unheld:
        connection.execute(
            delete(piece).where(
                and_(
                    piece.c.topic == where["topic"],
                    piece.c.partition == where["partition"],
                    piece.c.record_offset == bindparam("at_offset"),
                    piece.c.item == bindparam("at_item"),
                )
            ),
            [{"at_offset": offset, "at_item": item} for offset, item in one.unheld],
        )
    if one.held:
        connection.execute(
            insert(piece),
            [
                {
                    **where,
                    "record_offset": held.offset,
                    "item": held.item,
                    "stream": held.stream,
                    "time": held.time,
                    "text": held.text.encode("utf-8", "replace"),
                    "record_us": held.record_us,
                    "spoiled": int(held.spoiled),
                }
                for held in one.held
            ],
        )
