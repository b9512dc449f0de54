"""What is written about a stretch of records of one partition: one batch. Plain data.

Every line is counted exactly once, as stored, ignored or quarantined; heartbeats are lines that
are ignored and counted besides. A piece of a line counts as ignored when it comes, its line when
its last piece comes; one that is given up counts as quarantined from then on, instead.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from collector.envelopes.joining import HeldPiece, Place
from collector.hosts import HostTable
from collector.observation import Observation
from collector.records import Identity
from collector.sources.protocol import Partition

SIGN_US: Final = 5_000_000
"""Signs of a node's life are told apart by so much."""
PREFIX_BYTES: Final = 4_096
"""Of a quarantined value, kept for people."""


class Poison(msgspec.Struct, frozen=True):
    """A quarantined line or value: where, why, and enough of it to find it again.

    Attributes:
        offset: Of its record.
        item: Position within the record, from 0.
        reason: Why, in words.
        prefix: How it begins, not redacted yet.
        length: How many bytes it has.
        sha256: Over all of them.
        record_us: The record's time, µs since the epoch.
        identity: Who wrote it, as far as its envelope could be read.
    """

    offset: int
    item: int
    reason: str
    prefix: bytes
    length: int
    sha256: bytes
    record_us: int
    identity: Identity


def poison_of(
    value: bytes, reason: str, offset: int, item: int, record_us: int, identity: Identity
) -> Poison:
    """What is kept of a line or value that cannot be used."""
    digest, prefix = sha256(value).digest(), value[:PREFIX_BYTES]
    return Poison(offset, item, reason, prefix, len(value), digest, record_us, identity)


class Seen(msgspec.Struct, gc=False):
    """An observation, where it was read, and its line, should the database refuse it.

    Attributes:
        offset: Of its record.
        item: Position within the record, from 0.
        observation: What is stored.
        text: The whole line.
        record_us: The record's time, µs since the epoch.
    """

    offset: int
    item: int
    observation: Observation
    text: str
    record_us: int

    def refused(self, why: str) -> Poison:
        """What is kept of it where the database does not take it, for a reason."""
        line = self.text.encode("utf-8", "replace")
        place = self.offset, self.item, self.record_us, self.observation.pod
        return poison_of(line, why, *place)


class Wild(msgspec.Struct):
    """The lines of one pod whose times are too far from their records', in one batch.

    Attributes:
        lines: How many.
        first_us: Time of the first such record.
        last_us: Time of the last one.
        off_us: How far the last line was ahead; below zero: behind.
    """

    lines: int
    first_us: int
    last_us: int
    off_us: int


class Batch(msgspec.Struct):
    """What one transaction writes about a partition.

    Attributes:
        partition: Whose records.
        from_offset: Where reading began.
        to_offset: The offset to read next.
        records: How many records there were.
        read: Lines; always stored + ignored + quarantined.
        heartbeats: How many of the ignored lines were heartbeats.
        skewed: Lines whose clock was too wild to move the watermark.
        leader_epoch: The broker's, of the last record; None: not known.
        watermark_us: Largest sane end time of all access logs, also of unwatched hosts.
        held: Pieces of lines that wait for their rest from now on; counted as ignored.
        unheld: Places of pieces that wait no longer.
        nodes: Until when the log path of a (cluster, node) is known to be alive, µs.
        signs: The numbers of the stretches of `SIGN_US` in which it showed that, since the epoch.
        wild: Clocks that are too far from the record's time.
        replayed: How many records this takes out of quarantine; a replay covers no offsets.
        stop_reason: Why the partition stops after this batch; empty: it goes on.
    """

    partition: Partition
    from_offset: int
    to_offset: int
    policy_version_id: int = 0
    records: int = 0
    read: int = 0
    ignored: int = 0
    heartbeats: int = 0
    skewed: int = 0
    leader_epoch: int | None = None
    watermark_us: int | None = None
    held: list[HeldPiece] = []
    unheld: list[Place] = []
    nodes: dict[tuple[str, str], int] = {}
    signs: dict[tuple[str, str], set[int]] = {}
    wild: dict[tuple[str, str, str], Wild] = {}
    seen: list[Seen] = []
    poison: list[Poison] = []
    replayed: int = 0
    stop_reason: str = ""

    @property
    def stored(self) -> int:
        """Lines that are stored as observations."""
        return len(self.seen)

    @property
    def pieces(self) -> int:
        """How many more pieces wait after this batch than before it; may be negative."""
        return len(self.held) - len(self.unheld)

    @property
    def quarantined(self) -> int:
        """Lines and values that cannot be used."""
        return len(self.poison)


class Totals(msgspec.Struct):
    """The sums of the batches that were written.

    Attributes:
        records: Of Kafka; all others are lines.
        has_logs: Whether any line was an access log, of a watched host or not.
    """

    records: int = 0
    read: int = 0
    stored: int = 0
    ignored: int = 0
    quarantined: int = 0
    has_logs: bool = False

    def add(self, batch: Batch) -> None:
        """Adds a batch."""
        self.records += batch.records
        self.read += batch.read
        self.stored += batch.stored
        self.ignored += batch.ignored
        self.quarantined += batch.quarantined
        if batch.seen or batch.skewed or batch.watermark_us is not None:
            self.has_logs = True


class Watch(msgspec.Struct, frozen=True):
    """What is looked for at the moment.

    Attributes:
        hosts: Watched hosts.
        policy_version_id: The newest policy version among them, 0: none.
    """

    hosts: HostTable
    policy_version_id: int
