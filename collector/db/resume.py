"""An operator has a stopped partition read on; who, why and from where is kept for ever."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, func, insert, select

from collector.db import positions
from collector.db.quarantine import Gap, insert_gap
from collector.db.tables import STOPPED, batch, position, resumption
from collector.errors import UsageError
from collector.sources.protocol import Partition


class Stopped(msgspec.Struct, frozen=True):
    """A partition that waits for an operator.

    Attributes:
        partition: Which one.
        reason: Why it stopped.
        next_offset: Where it stopped.
        topic_id: The identity of the topic whose records were read.
        watermark_us: The latest end time in what was read, µs since the epoch; None: none.
    """

    partition: Partition
    reason: str
    next_offset: int
    topic_id: str | None
    watermark_us: int | None


class Resumption(msgspec.Struct, frozen=True):
    """How a partition is read on.

    Attributes:
        to_offset: From where.
        topic_id: The topic's identity now.
        same_log: Whether these are the offsets of the records that were read before: what lies
            between is then a gap, and counted.
        who: Who says so.
        why: Why.
    """

    to_offset: int
    topic_id: str | None
    same_log: bool
    who: str
    why: str


def stopped(connection: Connection) -> list[Stopped]:
    """All stopped partitions, sorted."""
    c = position.c
    query = select(position).where(c.state == STOPPED).order_by(c.topic, c.partition)
    return [
        Stopped(
            Partition(row.topic, row.partition),
            row.reason,
            row.next_offset,
            row.topic_id,
            row.watermark_us,
        )
        for row in connection.execute(query)
    ]


def went_back(
    connection: Connection, partition: Partition, since_us: int, topic_id: str | None
) -> bool:
    """Whether offsets may name other records than at a time, µs since the epoch.

    Args:
        connection: A reading transaction.
        partition: Which one.
        since_us: When they were read.
        topic_id: The topic's identity now.
    """
    known = connection.scalar(
        select(position.c.topic_id).where(
            position.c.topic == partition.topic, position.c.partition == partition.number
        )
    )
    c = resumption.c
    back = select(c.id).where(
        c.topic == partition.topic,
        c.partition == partition.number,
        c.at_us >= since_us,
        c.to_offset < c.from_offset,
    )
    return known != topic_id or connection.scalar(back.limit(1)) is not None


def resume(connection: Connection, found: Stopped, how: Resumption, now_us: int) -> None:
    """Has a partition read on; a running collector notices within seconds.

    Raises:
        UsageError: It is not stopped any more, or stopped elsewhere since `found` was read.
    """
    where = found.partition
    if found not in stopped(connection):
        raise UsageError(f"{where} is not stopped any more, or it stopped anew; look again")
    if not positions.clear(connection, where, how.to_offset, how.topic_id, now_us):
        raise UsageError(f"{where} is not stopped")
    if how.same_log and how.to_offset > found.next_offset:
        reason = f"passed over by {how.who}: {how.why or found.reason}"
        # Between what was read last and now; the records' own times nobody knows.
        gap = Gap(found.next_offset, how.to_offset, reason, found.watermark_us, now_us)
        insert_gap(connection, where, gap, now_us)
    of_partition = (batch.c.topic == where.topic, batch.c.partition == where.number)
    last = connection.scalar(select(func.max(batch.c.id)).where(*of_partition))
    connection.execute(
        insert(resumption).values(
            topic=where.topic,
            partition=where.number,
            at_us=now_us,
            reason=found.reason,
            from_offset=found.next_offset,
            to_offset=how.to_offset,
            topic_id=how.topic_id,
            batch_id=last or 0,
            who=how.who,
            why=how.why,
        )
    )
