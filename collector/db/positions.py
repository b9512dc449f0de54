"""How far each partition is read, and who may write about it.

A claim counts the owner's epoch up; every write names the epoch and the offset it continues
from, and must hit exactly one row. Whoever was replaced, or repeats a write, hits none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, and_, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.tables import RUNNING, STOPPED, position
from collector.errors import Fenced
from collector.sources.protocol import Bounds, Partition

_CALM: Final = {"unclean": 0, "attempt_offset": None, "attempts": 0}
"""Of a partition that is read on."""


class Claim(msgspec.Struct, frozen=True):
    """The right to write about a partition, until somebody else claims it.

    Attributes:
        partition: Which one.
        epoch: The owner's epoch: the fence.
        next_offset: Where to read on.
        topic_id: The broker's id of the topic when it was first read, None: it had none.
        stopped: Why the partition must not be read; empty: it may.
        unclean: How many owners before us vanished, one after the other, without reading on.
        attempt: The offset that was tried alone when the last one vanished, and how often.
        leader_epoch: The broker's leader epoch of the last record read; None: not known.
    """

    partition: Partition
    epoch: int
    next_offset: int
    topic_id: str | None = None
    stopped: str = ""
    unclean: int = 0
    attempt: tuple[int | None, int] = (None, 0)
    leader_epoch: int | None = None


def _is(partition: Partition) -> Any:
    return and_(position.c.topic == partition.topic, position.c.partition == partition.number)


def is_known(connection: Connection, partition: Partition) -> bool:
    """Whether the partition was ever read."""
    return connection.scalar(select(position.c.topic).where(_is(partition))) is not None


def create(
    connection: Connection, partition: Partition, offset: int, topic_id: str | None, now_us: int
) -> None:
    """Writes down where reading begins, unless another replica did so first."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(position)
        .values(
            topic=partition.topic,
            partition=partition.number,
            next_offset=offset,
            topic_id=topic_id,
            owner_epoch=0,
            updated_us=now_us,
        )
        .on_conflict_do_nothing()
    )


def claim(connection: Connection, partition: Partition, owner: str, now_us: int) -> Claim:
    """Takes a known partition over; whoever had it is fenced from now on.

    An owner that did not give it back has vanished, unless it was ourselves; that is counted until
    somebody reads on.
    """
    unclean = case(
        (position.c.owner.is_(None), 0),
        (position.c.owner == owner, position.c.unclean),
        else_=position.c.unclean + 1,
    )
    found = connection.execute(
        update(position)
        .where(_is(partition))
        .values(
            owner=owner, owner_epoch=position.c.owner_epoch + 1, unclean=unclean, updated_us=now_us
        )
        .returning(
            position.c.owner_epoch,
            position.c.next_offset,
            position.c.topic_id,
            position.c.state,
            position.c.reason,
            position.c.unclean,
            position.c.attempt_offset,
            position.c.attempts,
            position.c.leader_epoch,
        )
    ).one()
    stopped = (found.reason or "stopped") if found.state == STOPPED else ""
    attempt = (found.attempt_offset, found.attempts)
    place = (found.next_offset, found.topic_id, stopped)
    return Claim(partition, found.owner_epoch, *place, found.unclean, attempt, found.leader_epoch)


def advance(
    connection: Connection,
    held: Claim,
    offsets: tuple[int, int],
    watermark_us: int | None,
    now_us: int,
    leader_epoch: int | None = None,
) -> None:
    """Moves the position over a batch, in the batch's own transaction.

    Args:
        connection: In the transaction that also writes the rows.
        held: The right to do so.
        offsets: From which offset, and the next one to read.
        watermark_us: Largest sane end time in the batch, if any.
        now_us: Wall clock.
        leader_epoch: Of the last record; None: not known.

    Raises:
        Fenced: Another owner claimed the partition, it is stopped, or the batch is not the next.
    """
    from_offset, to_offset = offsets
    values: dict[str, Any] = {"next_offset": to_offset, "updated_us": now_us, **_CALM}
    if to_offset > from_offset:
        values["leader_epoch"] = leader_epoch
    if watermark_us is not None:
        known = func.coalesce(position.c.watermark_us, watermark_us)
        larger = func.greatest if connection.dialect.name == "postgresql" else func.max
        values["watermark_us"] = larger(known, watermark_us)
    _write_one(
        connection, held, values, position.c.next_offset == from_offset, position.c.state == RUNNING
    )


def hold(connection: Connection, partition: Partition) -> int:
    """The next offset of a partition, which stays so until the end of this transaction.

    Raises:
        Fenced: There is no such partition.
    """
    query = select(position.c.next_offset).where(_is(partition)).with_for_update()
    found = connection.scalar(query)
    if found is None:
        raise Fenced(f"{partition} was never read")
    return int(found)


def note_attempt(connection: Connection, held: Claim, offset: int | None, tries: int) -> None:
    """Writes down what is tried alone, before it is; None: nothing. Raises Fenced."""
    _write_one(connection, held, {"attempt_offset": offset, "attempts": tries})


def suspect(connection: Connection, claims: Iterable[Claim]) -> None:
    """What these partitions bring next cannot be unpacked in the ordinary way."""
    for held in sorted(claims, key=lambda one: one.partition):
        connection.execute(
            update(position)
            .where(_is(held.partition), position.c.owner_epoch == held.epoch)
            .values(
                unclean=position.c.unclean + 1,
                attempt_offset=position.c.next_offset,
                attempts=case(
                    (position.c.attempt_offset == position.c.next_offset, position.c.attempts),
                    else_=0,
                ),
            )
        )


def stop(connection: Connection, held: Claim, reason: str, now_us: int) -> None:
    """Stops a partition until an operator clears it. Raises Fenced."""
    _write_one(connection, held, {"state": STOPPED, "reason": reason, "updated_us": now_us})


def _write_one(connection: Connection, held: Claim, values: dict[str, Any], *more: Any) -> None:
    done = connection.execute(
        update(position)
        .where(_is(held.partition), position.c.owner_epoch == held.epoch, *more)
        .values(values)
    )
    if done.rowcount != 1:
        raise Fenced(f"{held.partition}: epoch {held.epoch} is over")


def give_back(connection: Connection, held: Claim) -> None:
    """Leaves a partition, unless another owner has it: it is nobody's until the next claim."""
    connection.execute(
        update(position)
        .where(_is(held.partition), position.c.owner_epoch == held.epoch)
        .values(owner=None)
    )


def record_ends(
    connection: Connection, claims: Iterable[Claim], bounds: Mapping[Partition, Bounds], now_us: int
) -> None:
    """Writes down how far the partitions reach by the broker's word: evidence of lag."""
    for held in sorted(claims, key=lambda one: one.partition):
        found = bounds.get(held.partition)
        if found is not None:
            connection.execute(
                update(position)
                .where(_is(held.partition), position.c.owner_epoch == held.epoch)
                .values(end_offset=found.end, end_checked_us=now_us, updated_us=now_us)
            )


def standing(connection: Connection, partition: Partition) -> tuple[int, int] | None:
    """Epoch and next offset of a partition, as they are; None when it is stopped or unknown."""
    found = _row(connection, partition)
    if found is None or found.state == STOPPED:
        return None
    return found.owner_epoch, found.next_offset


def is_free(connection: Connection, partition: Partition, owner: str, quiet_us: int) -> bool:
    """Whether it may be claimed again: not stopped, and ours or not touched since `quiet_us`.

    One that is ours by its row, and fenced us, lost its last moves with a failed database.
    """
    found = _row(connection, partition)
    if found is None or found.state == STOPPED:
        return False
    return found.owner in (None, owner) or bool(found.updated_us < quiet_us)


def _row(connection: Connection, partition: Partition) -> Row[Any] | None:
    return connection.execute(select(position).where(_is(partition))).one_or_none()


def clear(
    connection: Connection, partition: Partition, offset: int, topic_id: str | None, now_us: int
) -> bool:
    """An operator's decision: a stopped partition is read again, from this offset.

    Returns:
        Whether there was such a stopped partition.
    """
    done = connection.execute(
        update(position)
        .where(_is(partition), position.c.state == STOPPED)
        .values(
            state=RUNNING,
            reason="",
            next_offset=offset,
            topic_id=topic_id,
            leader_epoch=None,
            owner=None,
            owner_epoch=position.c.owner_epoch + 1,
            **_CALM,
            end_offset=None,
            end_checked_us=None,
            updated_us=now_us,
        )
    )
    return done.rowcount == 1
