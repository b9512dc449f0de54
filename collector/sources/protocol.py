"""Where records come from, as narrow as the collector needs it.

The collector keeps its own offsets in the database. A source therefore never decides where to
begin: it announces partitions, holds them still, and starts one where `begin` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from collector.errors import Retryable


class Partition(NamedTuple):
    """One partition of a topic (or one file, which has the partition 0)."""

    topic: str
    number: int

    def __str__(self) -> str:
        """`topic/3`."""
        return f"{self.topic}/{self.number}"


class Stuck(Retryable):
    """The source looks healthy and brings nothing; another one must take its place."""


class Undecodable(Retryable):
    """Records cannot be unpacked, of which partition is not known; the source is of no more use."""


class Record(msgspec.Struct, gc=False):
    """One record.

    Attributes:
        offset: Its position in the partition.
        timestamp_us: Its time as Kafka has it, µs since the epoch; 0: it has none.
        value: Its bytes; empty for a record without value.
        key: Its key; empty for a record without one.
        headers: Names and values, in their order; a value may be empty.
    """

    offset: int
    timestamp_us: int
    value: bytes
    key: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()


class Bounds(NamedTuple):
    """What a partition holds: from the first offset to the one that comes next."""

    begin: int
    end: int


class Polled(msgspec.Struct):
    """What one poll brought. Handle it in the order of the fields.

    Attributes:
        revoked: No longer ours: nothing of them may be written any more.
        assigned: Ours from now on, and held still until `begin`.
        broken: Cannot be read on, with the reason in words: the offset lies before the first
            record or beyond the end.
        records: By partition, in the order of their offsets; only of partitions that began.
        leader_epochs: The broker's leader epoch of the last record of partitions, where known.
    """

    revoked: tuple[Partition, ...] = ()
    assigned: tuple[Partition, ...] = ()
    broken: dict[Partition, str] = {}
    records: dict[Partition, list[Record]] = {}
    leader_epochs: dict[Partition, int] = {}


def known_epoch(told: int | None) -> int | None:
    """A leader epoch as clients tell it: they say -1 where a broker has none."""
    return told if told is not None and told >= 0 else None


class RecordSource(Protocol):
    """A source of records. All methods are called by one thread.

    Raises, from any method: `collector.errors.Retryable` when the servers do not answer now,
    `collector.errors.Refused` when they refuse us.
    """

    def poll(self, timeout_s: float) -> Polled:
        """Waits at most so long for records. Also keeps the membership of a group alive."""
        ...

    def begin(self, partition: Partition, offset: int, leader_epoch: int | None = None) -> None:
        """Reads an assigned partition from this offset on, the next poll on.

        Args:
            partition: Which one.
            offset: The next one to read.
            leader_epoch: Of the record before. Brokers tell by it whether the log was cut before
                that offset and filled again, which breaks the partition; None: not known.
        """
        ...

    def halt(self, partition: Partition) -> None:
        """Holds one partition still until the next `begin`. Unknown ones are ignored."""
        ...

    def pause(self) -> None:
        """Holds back the records of all partitions; polls go on and bring events only."""
        ...

    def resume(self) -> None:
        """Ends `pause`."""
        ...

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """What partitions hold now, asked of the servers."""
        ...

    def read_to(self, partition: Partition) -> int | None:
        """The offset after everything delivered or skipped over; None: not known.

        Records that readers never see (transaction markers, compacted ones) move it too.
        """
        ...

    def topic_id(self, topic: str) -> str | None:
        """The broker's identity of a topic, another one when it is created again; None: none."""
        ...

    def commit_hint(self, offsets: Mapping[Partition, int]) -> None:
        """Tells lag tools how far we are. May fail in silence: it decides nothing."""
        ...

    def close(self) -> None:
        """Leaves the group and closes all connections. Idempotent, never raises."""
        ...
