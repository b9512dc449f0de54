"""What records that are read again change: what was not stored yet is, and nothing twice. Pure.

Every line of a range was counted once: stored, ignored, quarantined, or as part of a gap. What is
stored already stays. A line that was ignored and can be read now is taken from the ignored ones
(their count goes down by as many as the stored go up), one that was quarantined leaves quarantine,
and the records of a gap are counted as what they turn out to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import groupby

import msgspec

from collector.batch import Batch, Seen
from collector.sources.protocol import Partition, Record

Spot = tuple[int, int]
"""Offset of a record and a line's position in it."""
Place = tuple[int, bytes]
"""Offset of a record and the hash of a line or value of it."""
ReadRecords = Callable[[Sequence[Record]], Batch]


class Waiting(msgspec.Struct, frozen=True):
    """An entry of quarantine that nobody has read since.

    Attributes:
        id: Its number.
        offset: Of its record; of a gap, the first one's.
        records: More than one: of a gap.
        is_gap: Whether it stands for records that nobody read.
        sha256: Of the line or value.
    """

    id: int
    offset: int
    records: int
    is_gap: bool
    sha256: bytes

    def part(self, begin: int, end: int) -> tuple[int, int]:
        """Which of its offsets lie in a range; may be empty."""
        return max(self.offset, begin), min(self.offset + self.records, end)


class Stretch(msgspec.Struct, frozen=True):
    """Records that follow each other and were counted alike; see `read_again`.

    Attributes:
        batch: What they hold.
        is_new: Whether none of them was counted as read: of a gap, or a quarantined value.
        values: The entries of quarantine that are such values, by offset and hash.
    """

    batch: Batch
    is_new: bool
    values: Mapping[Place, int]


class Found(msgspec.Struct):
    """What a portion of records holds.

    Attributes:
        begin, end: The offsets that were read.
        stretches: In the order of their offsets.
        times: First and last time of the records, µs; None: there are none.
        waiting: The entries of quarantine about them, when they were read.
    """

    begin: int
    end: int
    stretches: list[Stretch]
    times: tuple[int, int] | None
    waiting: Sequence[Waiting]

    @property
    def seen(self) -> list[Seen]:
        """All lines that could be stored."""
        return [seen for one in self.stretches for seen in one.batch.seen]

    @property
    def read(self) -> int:
        """All lines."""
        return sum(one.batch.read for one in self.stretches)


class Change(msgspec.Struct):
    """What is written about a portion.

    Attributes:
        batch: The new lines; it covers no offsets, and its ignored lines may be below zero.
        repeated: Lines that were stored before.
        unreadable: Lines that still cannot be read.
        done: Entries of quarantine that were read, by number.
        filled: Parts of gaps that were read: number of the entry, first offset, next offset.
    """

    batch: Batch
    repeated: int = 0
    unreadable: int = 0
    done: list[int] = []
    filled: list[tuple[int, int, int]] = []

    @property
    def is_news(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.batch.seen or self.batch.poison or self.done or self.filled)


def read_again(
    records: Sequence[Record], span: tuple[int, int], waiting: Sequence[Waiting], read: ReadRecords
) -> Found:
    """Reads a portion of records, those apart that were never counted.

    Args:
        records: In the order of their offsets.
        span: The offsets that were read, with those that have no record.
        waiting: The entries of quarantine about them.
        read: Reads records that follow each other.
    """
    entries = {(one.offset, one.sha256): one.id for one in waiting if not one.is_gap}
    offsets = {offset for offset, _ in entries}
    gaps = [one.part(*span) for one in waiting if one.is_gap]
    values: dict[Place, int] = {}
    for record in records:
        if record.offset in offsets:
            place = record.offset, sha256(record.value).digest()
            if place in entries:
                values[place] = entries[place]
    new = {offset for offset, _ in values}

    def is_new(record: Record) -> bool:
        return record.offset in new or any(b <= record.offset < e for b, e in gaps)

    stretches = []
    for is_stretch_new, some in groupby(records, is_new):
        own = list(some)
        among = {
            place: n for place, n in values.items() if own[0].offset <= place[0] <= own[-1].offset
        }
        stretches.append(Stretch(read(own), is_stretch_new, among))
    times = [record.timestamp_us for record in records if record.timestamp_us > 0]
    return Found(*span, stretches, (min(times), max(times)) if times else None, waiting)


def change_of(
    where: Partition,
    found: Found,
    stored: frozenset[Spot],
    refused: Mapping[Spot, str],
) -> Change:
    """What a portion changes.

    Args:
        where: The partition.
        found: What was read.
        stored: Where the lines stand that are stored already.
        refused: Lines that the database does not take, with the reason.
    """
    lines = {(one.offset, one.sha256): one.id for one in found.waiting if not one.is_gap}
    change = Change(Batch(where, 0, 0))
    for one in found.stretches:
        change.batch.policy_version_id = one.batch.policy_version_id
        _add_signs(change.batch, one)
        if one.is_new:
            _count(change, one, stored, refused)
        else:
            _take(change, one.batch, stored, refused, lines)
    into = change.batch
    into.read = into.stored + into.ignored + into.quarantined
    change.filled = [
        (entry.id, *part)
        for entry in found.waiting
        if entry.is_gap and (part := entry.part(found.begin, found.end))[0] < part[1]
    ]
    into.replayed = len(change.done) + sum(end - begin for _, begin, end in change.filled)
    return change


def _take(
    change: Change,
    read: Batch,
    stored: frozenset[Spot],
    refused: Mapping[Spot, str],
    lines: Mapping[Place, int],
) -> None:
    """Lines that were counted before, one by one."""
    change.unreadable += read.quarantined
    for seen in read.seen:
        spot = seen.offset, seen.item
        entry = lines.get((seen.offset, _digest(seen.text)))
        if spot in stored:
            change.repeated += 1
        elif spot in refused:
            change.unreadable += 1
        else:
            change.batch.seen.append(seen)
            if entry is None or entry in change.done:
                change.batch.ignored -= 1  # as which it was counted
            else:
                change.done.append(entry)


def _count(
    change: Change, one: Stretch, stored: frozenset[Spot], refused: Mapping[Spot, str]
) -> None:
    """Records that were never counted as read: all that is in them is counted now."""
    into, read = change.batch, one.batch
    into.ignored += read.ignored
    into.heartbeats += read.heartbeats
    into.skewed += read.skewed
    for seen in read.seen:
        spot = seen.offset, seen.item
        if spot in stored:
            change.repeated += 1
        elif spot in refused:
            into.poison.append(seen.refused(refused[spot]))
            change.unreadable += 1
        else:
            into.seen.append(seen)
    still = {(poison.offset, poison.sha256) for poison in read.poison} & one.values.keys()
    change.unreadable += len(read.poison)
    into.poison += [p for p in read.poison if (p.offset, p.sha256) not in still]
    change.done += [number for place, number in one.values.items() if place not in still]


def _add_signs(into: Batch, one: Stretch) -> None:
    """Which nodes' logs were alive then; to say it twice changes nothing, but for wild clocks."""
    for node, alive_us in one.batch.nodes.items():
        into.nodes[node] = max(alive_us, into.nodes.get(node, 0))
    for node, numbers in one.batch.signs.items():
        into.signs[node] = into.signs.get(node, set()) | numbers
    if one.is_new:
        into.wild |= one.batch.wild


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "replace")).digest()
