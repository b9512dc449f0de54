"""Finds what new batches touch: windows that are settled already, and who was alive when.

A batch is new when it lies beyond the cursor of its partition. The cursor moves in the settling
transaction, whose snapshot shows every batch below it: nothing that was committed out of order is
skipped, and a restart finds the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.tables import batch, observation, position
from collector.records import Role
from collector.sources.protocol import Partition
from verifier.settle.around import FEW_KEYS, around
from verifier.settle.clocks import RIGHT, Clocks
from verifier.settle.kinds import kinds_of
from verifier.settle.progress import Progress
from verifier.settle.silence import HOUR_US
from verifier.settle.windows import SECOND_US
from verifier.settle.written import written_with
from verifier.tables import pod_hour, resettle, settled_batch

_IDS_AT_ONCE: Final = 5_000
_HOURS_KEPT: Final = 48
"""Of each pod: its latest."""


class NewBatch(msgspec.Struct, frozen=True):
    """A batch that is not settled yet, and when its stored lines start."""

    id: int
    topic: str
    partition: int
    to_offset: int
    min_start_us: int | None


def new_batches(connection: Connection) -> list[NewBatch]:
    """The batches beyond the cursors."""
    cursors = {(row.topic, row.partition): row for row in connection.execute(select(settled_batch))}
    found = []
    for place in connection.execute(select(position)):
        cursor = cursors.get((place.topic, place.partition))
        query = select(
            batch.c.id, batch.c.topic, batch.c.partition, batch.c.to_offset, batch.c.min_start_us
        ).where(batch.c.topic == place.topic, batch.c.partition == place.partition)
        if cursor is not None:
            query = query.where(batch.c.id > cursor.batch_id)
            if cursor.topic_id == place.topic_id and place.next_offset >= cursor.to_offset:
                # Batches of before are behind this offset: the index finds the new ones.
                query = query.where(batch.c.to_offset >= cursor.to_offset)
        rows = connection.execute(query.order_by(batch.c.id))
        found += [NewBatch(*row) for row in rows]
    return found


def advance(connection: Connection, batches: Sequence[NewBatch]) -> None:
    """Moves the cursors over batches."""
    topic_ids = {
        (row.topic, row.partition): row.topic_id for row in connection.execute(select(position))
    }
    last: dict[tuple[str, int], NewBatch] = {}
    for one in batches:
        last[one.topic, one.partition] = one
    dialect = _dialect(connection)
    for place, one in sorted(last.items()):
        moved = {
            "topic_id": topic_ids.get(place),
            "to_offset": one.to_offset,
            "batch_id": one.id,
        }
        connection.execute(
            dialect.insert(settled_batch)
            .values(topic=place[0], partition=place[1], **moved)
            .on_conflict_do_update(index_elements=["topic", "partition"], set_=moved)
        )


def look_back(connection: Connection, where: Partition, to_offset: int) -> None:
    """Has batches found that begin before what is settled: a truncated partition is read on."""
    c = settled_batch.c
    connection.execute(
        update(settled_batch)
        .where(c.topic == where.topic, c.partition == where.number, c.to_offset > to_offset)
        .values(to_offset=to_offset)
    )


def note_pods(connection: Connection, batches: Sequence[NewBatch]) -> None:
    """Notes how many requests pods received by hour. Senders' names may look like a mirror's."""
    seen: Counter[tuple[int, int]] = Counter()
    for kind in kinds_of(connection, [one.id for one in batches if one.min_start_us is not None]):
        if kind.role == Role.SERVER:
            seen[kind.pod_id, kind.second * SECOND_US // HOUR_US * HOUR_US] += kind.lines
    if not seen:
        return
    c = pod_hour.c
    query = select(c.pod_id, c.hour_us).where(c.hour_us.in_(sorted({hour for _, hour in seen})))
    new = seen.keys() - {(row[0], row[1]) for row in connection.execute(query)}
    statement = _dialect(connection).insert(pod_hour)
    more = {"arrivals": c.arrivals + statement.excluded.arrivals}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["pod_id", "hour_us"], set_=more),
        [
            {"pod_id": pod, "hour_us": hour, "arrivals": count}
            for (pod, hour), count in sorted(seen.items())
        ],
    )
    for pod in sorted({pod for pod, _ in new}):
        kept = select(c.hour_us).where(c.pod_id == pod).order_by(c.hour_us.desc())
        oldest = connection.scalar(kept.offset(_HOURS_KEPT - 1).limit(1))
        if oldest is not None:
            connection.execute(delete(pod_hour).where(c.pod_id == pod, c.hour_us < oldest))


def touched(
    connection: Connection,
    policy: str,
    batches: Sequence[NewBatch],
    hosts: Collection[int],
    progress: Progress,
    horizon_us: int,
    clocks: Clocks = RIGHT,
) -> set[int]:
    """The starts of settled windows that new lines about a policy may change.

    Args:
        connection: The settling transaction.
        policy: Its name.
        batches: The new batches.
        hosts: Numbers of the policy's hosts.
        progress: How far it is settled.
        horizon_us: Its longest horizon.
        clocks: How far the clocks of its pods are ahead.
    """
    until_us = progress.settled_to_us + clocks.most_us
    late = [
        one.id for one in batches if one.min_start_us is not None and one.min_start_us < until_us
    ]
    if not late or not hosts:
        return set()
    seconds = _late_seconds(connection, late, hosts, until_us)
    if not seconds:
        return set()
    keys = _late_keys(connection, late, hosts, until_us)
    return around(connection, policy, seconds, keys, progress, horizon_us, clocks)


def _late_seconds(
    connection: Connection, late: Sequence[int], hosts: Collection[int], until_us: int
) -> list[int]:
    """The seconds in which late lines start, in order."""
    return sorted(
        {
            kind.second
            for kind in kinds_of(connection, late)
            if kind.host_id in hosts and kind.second * SECOND_US < until_us
        }
    )


def _late_keys(
    connection: Connection, late: Sequence[int], hosts: Collection[int], until_us: int
) -> list[bytes]:
    """The keys of late lines; one more than `FEW_KEYS` at most."""
    c = observation.c
    found: set[bytes] = set()
    for ids in portions(late):
        query = select(c.key).where(
            *written_with(connection, ids), c.host_id.in_(hosts), c.start_us < until_us
        )
        found.update(connection.scalars(query.distinct().limit(FEW_KEYS + 1)))
        if len(found) > FEW_KEYS:
            break
    return sorted(found)


def enqueue(connection: Connection, policy: str, starts: Iterable[int]) -> None:
    """Has windows settled again, in this tick or a later one."""
    _insert_new(
        connection, resettle, [{"policy": policy, "start_us": start} for start in sorted(starts)]
    )


def queued(connection: Connection, policy: str, limit: int) -> list[int]:
    """The starts of the first windows to settle again."""
    c = resettle.c
    query = select(c.start_us).where(c.policy == policy).order_by(c.start_us).limit(limit)
    return list(connection.scalars(query))


def dequeue(connection: Connection, policy: str, starts: Collection[int]) -> None:
    """They are settled again."""
    c = resettle.c
    for some in portions(list(starts)):
        connection.execute(delete(resettle).where(c.policy == policy, c.start_us.in_(some)))


def queue_length(connection: Connection) -> int:
    """How many windows wait to be settled again."""
    return connection.scalar(select(func.count()).select_from(resettle)) or 0


def _insert_new(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        statement = _dialect(connection).insert(table).on_conflict_do_nothing()
        connection.execute(statement, rows)


def _dialect(connection: Connection) -> Any:
    return postgresql if connection.dialect.name == "postgresql" else sqlite


def portions(ids: Sequence[int]) -> Iterable[list[int]]:
    """Numbers in lists that fit into a statement."""
    for begin in range(0, len(ids), _IDS_AT_ONCE):
        yield list(ids[begin : begin + _IDS_AT_ONCE])
