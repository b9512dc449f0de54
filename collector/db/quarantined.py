"""Looks into quarantine: what is there, counted and filtered."""

from __future__ import annotations

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select

from collector.db.tables import quarantine
from collector.sources.protocol import Partition


class Filter(msgspec.Struct, frozen=True):
    """Which rows are meant; None: any.

    Attributes:
        since_us: Quarantined then or later, µs since the epoch.
        reason: Part of the reason.
        topic: The topic's whole name.
        partition: The partition's number.
        waiting: Only what was not replayed.
    """

    since_us: int | None = None
    reason: str | None = None
    topic: str | None = None
    partition: int | None = None
    waiting: bool = True


class Entry(msgspec.Struct, frozen=True):
    """One row of quarantine; see `collector.db.tables.quarantine`. Times in µs since the epoch."""

    id: int
    topic: str
    partition: int
    record_offset: int
    item: int
    reason: str
    prefix: bytes
    length: int
    sha256: bytes
    at_us: int
    records: int
    record_us: int | None
    until_us: int | None
    identity: str
    replayed_us: int | None
    replayed_batch_id: int | None

    @property
    def where(self) -> Partition:
        """Its partition."""
        return Partition(self.topic, self.partition)

    @property
    def is_gap(self) -> bool:
        """Whether it stands for records that nobody read."""
        return not self.length


class Count(msgspec.Struct, frozen=True):
    """How many lines there are for a reason, gaps by their records."""

    reason: str
    lines: int
    last_us: int


_COLUMNS = [quarantine.c[name] for name in Entry.__struct_fields__]


def _matches(wanted: Filter) -> list[ColumnElement[bool]]:
    c = quarantine.c
    found: list[ColumnElement[bool]] = []
    if wanted.since_us is not None:
        found.append(c.at_us >= wanted.since_us)
    if wanted.reason is not None:
        found.append(c.reason.contains(wanted.reason, autoescape=True))
    if wanted.topic is not None:
        found.append(c.topic == wanted.topic)
    if wanted.partition is not None:
        found.append(c.partition == wanted.partition)
    if wanted.waiting:
        found.append(c.replayed_us.is_(None))
    return found


def counts(connection: Connection, wanted: Filter) -> list[Count]:
    """How many of each reason, the most first."""
    c = quarantine.c
    lines = func.sum(c.records)
    query = select(c.reason, lines, func.max(c.at_us)).where(*_matches(wanted))
    rows = connection.execute(query.group_by(c.reason).order_by(lines.desc(), c.reason))
    return [Count(row[0], int(row[1]), row[2]) for row in rows]


def entries(
    connection: Connection, wanted: Filter, limit: int, *, before_id: int | None = None
) -> list[Entry]:
    """The newest rows first, at most so many; those that were written before a row."""
    query = select(*_COLUMNS).where(*_matches(wanted)).order_by(quarantine.c.id.desc())
    if before_id is not None:
        query = query.where(quarantine.c.id < before_id)
    return [Entry(*row) for row in connection.execute(query.limit(limit))]


def ids(connection: Connection, wanted: Filter, limit: int) -> list[int]:
    """The rows' ids in the order of their records, at most so many."""
    c = quarantine.c
    query = select(c.id).where(*_matches(wanted))
    order = (c.topic, c.partition, c.record_offset, c.id)
    return list(connection.scalars(query.order_by(*order).limit(limit)))


def entry(connection: Connection, number: int) -> Entry | None:
    """One row by its id; None: there is none."""
    row = connection.execute(select(*_COLUMNS).where(quarantine.c.id == number)).one_or_none()
    return None if row is None else Entry(*row)
