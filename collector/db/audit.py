"""Whether what the collectors wrote adds up: every record counted once, no offset skipped.

Reads one snapshot of the database and changes nothing. What retention dropped is not missed:
chains of batches begin at the oldest one that is kept, and rows are counted only where they must
still be.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, or_, select, tuple_

from collector.db.kept import QUARANTINE, ingested_from, kept_from
from collector.db.tables import batch, observation, piece, position, quarantine, resumption
from collector.sources.protocol import Partition

MOST_FAULTS: Final = 20
"""Of a partition: the first ones tell what went wrong."""
NOWHERE: Final = Partition("", 0)
"""Takes the faults of lines of which no partition is known."""
_ROWS_AT_ONCE: Final = 5_000
_COUNTED: Final = (
    "records", "read", "stored", "ignored", "heartbeats", "quarantined", "replayed", "pieces",
)  # fmt: skip


class Account(msgspec.Struct):
    """What the batches of a partition say.

    Attributes:
        topic: Its topic, or `file:` and the file.
        partition: Its number.
        from_offset: Where the oldest kept batch begins.
        next_offset: Where reading goes on, by the position.
        advanced: Offsets that the batches cover.
        records: Records among them; the rest are transaction markers and compacted records.
        read: Lines; stored + repeated + ignored + quarantined.
        stored: Lines in `observation` that were not there before.
        repeated: Lines in `observation` that say again what an earlier one said: a shipper sent
            them twice. Told as far as lines are kept; they count once in verdicts.
        ignored: Lines that are none of ours.
        heartbeats: How many of these are heartbeats.
        quarantined: Lines that nobody could read, and records in gaps.
        replayed: How many of these were read after all, and so are counted twice in `read`.
        gaps: Records that were passed over.
        pieces: How many of the ignored lines are pieces that wait for their rest.
        resumed: How often an operator had it read on.
        fault_count: How many things do not fit.
        faults: The first of them, in words.
    """

    topic: str
    partition: int
    from_offset: int = 0
    next_offset: int | None = None
    advanced: int = 0
    records: int = 0
    read: int = 0
    stored: int = 0
    repeated: int = 0
    ignored: int = 0
    heartbeats: int = 0
    quarantined: int = 0
    replayed: int = 0
    gaps: int = 0
    pieces: int = 0
    resumed: int = 0
    fault_count: int = 0
    faults: list[str] = []

    def fault(self, what: str) -> None:
        """Notes that something does not fit."""
        self.fault_count += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(what)


class Cutoffs(msgspec.Struct, frozen=True):
    """What was written before these times may have been dropped, µs since the epoch."""

    lines_us: int = 0
    quarantine_us: int = 0


def cutoffs_of(connection: Connection) -> Cutoffs:
    """Where retention was, by its own notes."""
    return Cutoffs(ingested_from(connection), kept_from(connection, QUARANTINE) or 0)


def audit(connection: Connection, cutoffs: Cutoffs) -> list[Account]:
    """The accounts of all partitions, sorted.

    Args:
        connection: A reading transaction: one snapshot.
        cutoffs: Where retention may have been.
    """
    rows = _rows(connection)
    poison = _poison(connection)
    resumed = _resumptions(connection)
    accounts: dict[Partition, Account] = {}
    for where, batches in groupby(_batches(connection), lambda one: Partition(*one[1:3])):
        jumps = resumed.get(where, {})
        account = accounts[where] = Account(*where, resumed=len(jumps))
        written: dict[int, int] = {}
        expected: int | None = None
        for one in batches:
            _add(account, one)
            _follow(account, one, expected)
            expected = jumps.get(one.id, one.to_offset)
            found = rows.pop(one.id, 0)
            if found != one.stored and one.committed_us >= cutoffs.lines_us:
                account.fault(f"batch {one.id}: stored {one.stored} lines, {found} are there")
            written[one.committed_us] = written.get(one.committed_us, 0) + one.quarantined
        _compare_poison(account, written, poison.get(where, {}), cutoffs)
        account.next_offset = expected
    _compare_positions(connection, accounts)
    _compare_replayed(connection, accounts, cutoffs)
    _compare_pieces(connection, accounts)
    _part_repeated(connection, accounts)
    _strays(accounts, rows, connection.scalar(select(func.min(batch.c.id))))
    return [accounts[where] for where in sorted(accounts)]


def _batches(connection: Connection) -> Iterator[Any]:
    c = batch.c
    query = select(
        c.id, c.topic, c.partition, c.from_offset, c.to_offset, c.records, c.read, c.stored,
        c.ignored, c.quarantined, c.heartbeats, c.replayed, c.pieces, c.committed_us,
    ).order_by(c.topic, c.partition, c.id)  # fmt: skip
    return iter(connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)))


def _rows(connection: Connection) -> dict[int, int]:
    """How many lines each batch has."""
    c = observation.c
    found = connection.execute(select(c.batch_id, func.count()).group_by(c.batch_id))
    return {row[0]: row[1] for row in found}


def _part_repeated(connection: Connection, accounts: dict[Partition, Account]) -> None:
    """Counts stored lines that repeat an earlier one apart from the others.

    The database looks for identities that are there twice first: its sorting and hashing have
    bounded memory, and only few lines remain to be put in order.
    """
    c = observation.c
    identity = (c.pod_id, c.line_id)
    several = select(*identity).group_by(*identity).having(func.count() > 1)
    place = func.row_number().over(
        partition_by=identity, order_by=(c.batch_id, c.record_offset, c.item)
    )
    lines = select(c.batch_id, place.label("place")).where(tuple_(*identity).in_(several))
    found = lines.subquery()
    query = (
        select(batch.c.topic, batch.c.partition, func.count())
        .join(found, found.c.batch_id == batch.c.id)
        .where(found.c.place > 1)
        .group_by(batch.c.topic, batch.c.partition)
    )
    for row in connection.execute(query):
        account = accounts[Partition(row[0], row[1])]
        account.repeated = int(row[2])
        account.stored -= account.repeated


def _poison(connection: Connection) -> dict[Partition, dict[int, int]]:
    """Quarantined records by partition and the time of their transaction."""
    c = quarantine.c
    query = select(c.topic, c.partition, c.at_us, func.sum(c.records))
    found: dict[Partition, dict[int, int]] = {}
    for row in connection.execute(query.group_by(c.topic, c.partition, c.at_us)):
        found.setdefault(Partition(row[0], row[1]), {})[row[2]] = int(row[3])
    return found


def _resumptions(connection: Connection) -> dict[Partition, dict[int, int]]:
    """Where reading went on after which batch."""
    found: dict[Partition, dict[int, int]] = {}
    for row in connection.execute(select(resumption).order_by(resumption.c.id)):
        found.setdefault(Partition(row.topic, row.partition), {})[row.batch_id] = row.to_offset
    return found


def _add(account: Account, one: Any) -> None:
    if not account.advanced and not account.read:
        account.from_offset = one.from_offset
    account.advanced += one.to_offset - one.from_offset
    for name in _COUNTED:
        setattr(account, name, getattr(account, name) + getattr(one, name))


def _follow(account: Account, one: Any, expected: int | None) -> None:
    """A batch begins where the one before ended, and holds what it says."""
    span = one.to_offset - one.from_offset
    if expected is not None and one.from_offset > expected:
        missing = one.from_offset - expected
        account.fault(f"batch {one.id} begins at {one.from_offset}: {missing} offsets are skipped")
    if expected is not None and one.from_offset < expected:
        twice = expected - one.from_offset
        account.fault(f"batch {one.id} begins at {one.from_offset}: {twice} offsets are read twice")
    if not 0 <= one.records <= span:
        account.fault(f"batch {one.id}: {one.records} records in {span} offsets")
    if one.read != one.stored + one.ignored + one.quarantined:
        account.fault(f"batch {one.id}: {one.read} lines are not stored + ignored + quarantined")


def _compare_poison(
    account: Account, written: dict[int, int], found: dict[int, int], cutoffs: Cutoffs
) -> None:
    """Every quarantined line is there, and counted by the batch of its transaction."""
    first_us = max(cutoffs.quarantine_us, min(written, default=0))
    for at_us in sorted(written.keys() | found.keys()):
        said, there = written.get(at_us, 0), found.get(at_us, 0)
        if said != there and at_us >= first_us:
            account.fault(f"batches of {at_us} µs: {said} lines quarantined, {there} are there")


def _compare_positions(connection: Connection, accounts: dict[Partition, Account]) -> None:
    """The last batch ends where the position says that reading goes on."""
    found = {Partition(row.topic, row.partition): row for row in connection.execute(_POSITIONS)}
    for where, account in accounts.items():
        ended, account.next_offset = account.next_offset, None
        if where not in found:
            account.fault("there are batches, and no position")
            continue
        account.next_offset = found[where].next_offset
        if ended != account.next_offset:
            account.fault(f"the last batch ends at {ended}, the position is {account.next_offset}")
    for where, row in found.items():
        if where not in accounts:
            begun = row.next_offset
            accounts[where] = Account(*where, from_offset=begun, next_offset=begun)


_POSITIONS: Final = select(position.c.topic, position.c.partition, position.c.next_offset)


def _compare_replayed(
    connection: Connection, accounts: dict[Partition, Account], cutoffs: Cutoffs
) -> None:
    """What batches took out of quarantine is marked there; and the gaps are counted."""
    c = quarantine.c
    gaps = select(c.topic, c.partition, func.sum(c.records)).where(c.length == 0)
    for row in connection.execute(gaps.group_by(c.topic, c.partition)):
        if account := accounts.get(Partition(row[0], row[1])):
            account.gaps = int(row[2])
    marked = select(c.replayed_batch_id, func.sum(c.records)).where(c.replayed_us.is_not(None))
    marked = marked.group_by(c.replayed_batch_id)
    found = {row[0]: int(row[1]) for row in connection.execute(marked)}
    query = select(batch.c.id, batch.c.topic, batch.c.partition, batch.c.replayed)
    counted = or_(batch.c.replayed > 0, batch.c.id.in_(select(c.replayed_batch_id)))
    for one in connection.execute(query.where(counted)):
        there = found.get(one.id, 0)
        if there > one.replayed or (there < one.replayed and not cutoffs.quarantine_us):
            accounts[Partition(one.topic, one.partition)].fault(
                f"batch {one.id}: replayed {one.replayed} records, {there} are marked so"
            )


def _compare_pieces(connection: Connection, accounts: dict[Partition, Account]) -> None:
    """As many pieces wait as the batches say, where all batches are there."""
    c = piece.c
    query = select(c.topic, c.partition, func.count()).group_by(c.topic, c.partition)
    found = {Partition(row[0], row[1]): int(row[2]) for row in connection.execute(query)}
    for where, account in accounts.items():
        there = found.get(where, 0)
        # Who goes back forgets pieces, and the first batches may be dropped with theirs.
        if there > account.pieces >= 0 and not account.resumed:
            account.fault(f"{account.pieces} pieces of lines wait, {there} are there")


def _strays(
    accounts: dict[Partition, Account], rows: dict[int, int], oldest_batch: int | None
) -> None:
    """Lines that belong to no batch, although older batches are kept."""
    for batch_id, count in sorted(rows.items()):
        if oldest_batch is None or batch_id >= oldest_batch:
            stray = accounts.setdefault(NOWHERE, Account(*NOWHERE))
            stray.fault(f"{count} lines belong to batch {batch_id}, which is not there")
