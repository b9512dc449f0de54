"""What the database knows of a range of offsets that is read again, and how it takes it in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, func, insert, or_, select, update

from collector.db.kept import ingested_from
from collector.db.quarantine import mark_replayed
from collector.db.tables import batch, observation, position, quarantine, resumption
from collector.errors import Fenced, UsageError
from collector.reread import Change, Spot, Waiting
from collector.sources.protocol import Partition

_IDS_AT_ONCE: Final = 1_000


def read_before(connection: Connection, where: Partition) -> tuple[int, str | None]:
    """Up to which offset a partition is read, and of which topic. Raises UsageError: never."""
    c = position.c
    query = select(c.next_offset, c.topic_id).where(*_of(position, where))
    found = connection.execute(query).one_or_none()
    if found is None:
        known = connection.execute(select(c.topic, c.partition).order_by(c.topic, c.partition))
        names = ", ".join(f"{row.topic}/{row.partition}" for row in known.fetchmany(20))
        raise UsageError(f"{where} was never read; there are: {names or 'none yet'}")
    return found.next_offset, found.topic_id


def cover(connection: Connection, where: Partition, begin: int, end: int) -> int:
    """Makes sure that it is known what became of a range of offsets, and that it is still there.

    Returns:
        The number of the last batch before this log: offsets may have been given twice.

    Raises:
        UsageError: Lines of it were dropped, or nobody counted it.
    """
    c = resumption.c
    back = select(func.max(c.batch_id)).where(*_of(resumption, where), c.to_offset < c.from_offset)
    after_id = connection.scalar(back) or 0
    kept_us, expected = ingested_from(connection), begin
    for row in connection.execute(_covering(where, begin, end, after_id)):
        if row.from_offset > expected:
            break
        if row.committed_us < kept_us:
            raise UsageError(
                f"lines of {where} up to offset {row.to_offset} are no longer kept "
                f"(retention.lines_days): begin at --from-offset {row.to_offset}"
            )
        expected = max(expected, row.to_offset)
    if expected < end:
        raise UsageError(
            f"what became of offset {expected} of {where} is not known any more "
            "(retention.batches_days), or reading began later: begin after it"
        )
    return after_id


def _covering(where: Partition, begin: int, end: int, after_id: int) -> Any:
    c = batch.c
    return (
        select(c.id, c.from_offset, c.to_offset, c.committed_us)
        .where(
            *_of(batch, where),
            c.to_offset > begin,
            c.from_offset < end,
            c.from_offset < c.to_offset,
            c.id > after_id,
        )
        .order_by(c.from_offset)
    )


def stored_spots(
    connection: Connection, where: Partition, begin: int, end: int, after_id: int
) -> frozenset[Spot]:
    """Where the stored lines of a range of offsets stand, also those that were read again."""
    b, c = batch.c, observation.c
    late = select(b.id, b.committed_us).where(
        *_of(batch, where), b.id > after_id, b.from_offset == b.to_offset, b.stored > 0
    )
    rows = [(row.id, row.committed_us) for row in connection.execute(late)]
    rows += [
        (row.id, row.committed_us)
        for row in connection.execute(_covering(where, begin, end, after_id))
    ]
    found: set[Spot] = set()
    for first in range(0, len(rows), _IDS_AT_ONCE):
        some = rows[first : first + _IDS_AT_ONCE]
        query = select(c.record_offset, c.item).where(
            c.batch_id.in_([number for number, _ in some]),
            c.ingested_us >= min(time_us for _, time_us in some),
            c.ingested_us <= max(time_us for _, time_us in some),
            c.record_offset >= begin,
            c.record_offset < end,
        )
        found.update((row[0], row[1]) for row in connection.execute(query))
    return frozenset(found)


def waiting_in(connection: Connection, where: Partition, begin: int, end: int) -> list[Waiting]:
    """What waits in quarantine of a range of offsets."""
    c = quarantine.c
    query = (
        select(c.id, c.record_offset, c.records, c.length, c.sha256)
        .where(
            *_of(quarantine, where),
            c.replayed_us.is_(None),
            c.record_offset < end,
            # A gap begins before it, perhaps.
            or_(c.record_offset >= begin, c.length == 0),
        )
        .order_by(c.record_offset, c.id)
    )
    return [
        Waiting(row.id, row.record_offset, row.records, not row.length, bytes(row.sha256))
        for row in connection.execute(query)
        if row.record_offset + row.records > begin
    ]


def settle_entries(
    connection: Connection,
    change: Change,
    batch_id: int,
    times: tuple[int, int] | None,
    now_us: int,
) -> None:
    """Takes what was read out of quarantine; of gaps, the parts that were.

    Raises:
        Fenced: Somebody else did it just now.
    """
    for number in change.done:
        mark_replayed(connection, number, batch_id, now_us)
    for number, begin, end in change.filled:
        _fill(connection, number, (begin, end), times)
        mark_replayed(connection, number, batch_id, now_us)


def _fill(
    connection: Connection, number: int, part: tuple[int, int], times: tuple[int, int] | None
) -> None:
    """Makes a gap's row that of one part of it; what is left has rows of its own."""
    c, (begin, end) = quarantine.c, part
    row = connection.execute(select(quarantine).where(c.id == number)).mappings().one_or_none()
    if row is None:
        raise Fenced(f"entry {number} of quarantine is gone")
    first_us, last_us = times or (None, None)
    gap = {name: value for name, value in row.items() if name != "id"}
    before = begin - row["record_offset"]
    after = row["record_offset"] + row["records"] - end
    rest: list[dict[str, Any]] = []
    if before > 0:
        rest.append(gap | {"records": before, "until_us": first_us or row["until_us"]})
    if after > 0:
        left = {"record_offset": end, "records": after, "record_us": last_us or row["record_us"]}
        rest.append(gap | left)
    if rest:
        connection.execute(insert(quarantine), rest)
        own = {"record_offset": begin, "records": end - begin}
        connection.execute(update(quarantine).where(c.id == number).values(own))


def _of(table: Any, where: Partition) -> Iterable[Any]:
    return table.c.topic == where.topic, table.c.partition == where.number
