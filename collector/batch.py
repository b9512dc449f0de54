"""From the records of one partition to what is written about them: one batch. Pure.

Every line is counted exactly once, as stored, ignored or quarantined; heartbeats are lines that
are ignored and counted besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

import msgspec

from collector.envelopes.unwrap import Heartbeat, RawLine, shipper_time_us, unwrap
from collector.formats.parse import Ignored, parse_line
from collector.hosts import HostTable
from collector.observation import Observation, observe
from collector.poison import PoisonLimits, Toll
from collector.records import AccessLog, Identity
from collector.sources.protocol import Partition, Record

MAX_SKEW_US: Final = 60_000_000
"""An end time further than this after its record's time is a wrong clock, not the future."""
PREFIX_BYTES: Final = 4_096
"""Of a quarantined value, kept for people."""
_NUL: Final = "holds a NUL, which no proxy writes: the log was damaged"


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


class Seen(msgspec.Struct, gc=False):
    """An observation, where it was read, and its line, should the database refuse it."""

    offset: int
    item: int
    observation: Observation
    text: str


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
        watermark_us: Largest sane end time of all access logs, also of unwatched hosts.
        nodes: Until when the log path of a (cluster, node) is known to be alive, µs.
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
    watermark_us: int | None = None
    nodes: dict[tuple[str, str], int] = {}
    seen: list[Seen] = []
    poison: list[Poison] = []
    stop_reason: str = ""

    @property
    def stored(self) -> int:
        """Lines that are stored as observations."""
        return len(self.seen)

    @property
    def quarantined(self) -> int:
        """Lines and values that cannot be used."""
        return len(self.poison)


class Totals(msgspec.Struct):
    """The sums of the batches that were written.

    Attributes:
        has_logs: Whether any line was an access log, of a watched host or not.
    """

    read: int = 0
    stored: int = 0
    ignored: int = 0
    quarantined: int = 0
    has_logs: bool = False

    def add(self, batch: Batch) -> None:
        """Adds a batch."""
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


class Reader:
    """Reads records into batches.

    Args:
        secret: Key of the request keys, shared by all replicas.
        containers: Containers whose lines count; empty: all.
        identity_of: What is known of the writers of a partition's lines, without envelopes.
        limits: When poison stops a partition.
    """

    def __init__(
        self,
        secret: bytes,
        containers: Iterable[str],
        identity_of: Callable[[Partition], Identity],
        limits: PoisonLimits,
    ) -> None:
        self._secret = secret
        self._containers = frozenset(containers)
        self._identity_of = identity_of
        self._limits = limits
        self._tolls: dict[Partition, Toll] = {}

    def forget(self, partition: Partition) -> None:
        """Begins to count poison anew, for a partition that is read again."""
        self._tolls.pop(partition, None)

    def read(
        self, partition: Partition, offset: int, records: list[Record], watch: Watch, now_us: int
    ) -> Batch:
        """One batch of these records, which follow each other.

        It ends early, with a `stop_reason`, when too much poison came for too long.

        Args:
            partition: Whose records.
            offset: The first one to read; records may begin later, where Kafka has gaps.
            records: In the order of their offsets.
            watch: What is looked for.
            now_us: Wall clock.
        """
        batch = Batch(partition, offset, offset, watch.policy_version_id)
        toll = self._tolls.setdefault(partition, Toll())
        counted = 0
        for record in records:
            before, poison = batch.read, len(batch.poison)
            self._read_record(batch, record, watch, min(record.timestamp_us or now_us, now_us))
            batch.records += 1
            batch.to_offset = record.offset + 1
            if len(batch.poison) == poison:
                continue
            toll.add_good(before - counted, self._limits)
            counted = batch.read
            bad = len(batch.poison) - poison
            why = toll.add_bad(counted - before, bad, self._limits)
            if why:
                batch.stop_reason = f"{why}; the last one: {batch.poison[-1].reason}"
                break
        toll.add_good(batch.read - counted, self._limits)
        return batch

    def _read_record(self, batch: Batch, record: Record, watch: Watch, record_us: int) -> None:
        identity = self._identity_of(batch.partition)
        for item, piece in enumerate(unwrap(record.value, identity)):
            batch.read += 1
            if isinstance(piece, RawLine):
                self._read_line(batch, record.offset, item, piece, watch, record_us)
            elif isinstance(piece, Heartbeat):
                batch.ignored += 1
                batch.heartbeats += 1
                _see_node(batch, piece.identity, min(piece.time_us or record_us, record_us))
            else:
                where = record.offset, item, record_us, identity
                batch.poison.append(poison_of(record.value, piece.reason, *where))

    def _read_line(
        self, batch: Batch, offset: int, item: int, line: RawLine, watch: Watch, record_us: int
    ) -> None:
        pod = line.identity
        if pod.container and self._containers and pod.container not in self._containers:
            batch.ignored += 1
            return
        log = parse_line(line.text)
        if isinstance(log, AccessLog):
            _see_time(batch, pod, log.end_us, record_us)
            observation = observe(log, line.text, pod, watch.hosts, self._secret)
            if observation is None:
                batch.ignored += 1
            elif "\0" in line.text:
                value = line.text.encode("utf-8", "replace")
                batch.poison.append(poison_of(value, _NUL, offset, item, record_us, pod))
            else:
                batch.seen.append(Seen(offset, item, observation, line.text))
        elif isinstance(log, Ignored):
            batch.ignored += 1
            if pod.node:
                _see_node(batch, pod, min(shipper_time_us(line.time) or record_us, record_us))
        else:
            value = line.text.encode("utf-8", "replace")
            batch.poison.append(poison_of(value, log.reason, offset, item, record_us, pod))


def _see_time(batch: Batch, pod: Identity, end_us: int, record_us: int) -> None:
    """Event time goes on, and with it what is known to be complete of that node's logs."""
    if end_us > record_us + MAX_SKEW_US:
        batch.skewed += 1
        return
    if batch.watermark_us is None or end_us > batch.watermark_us:
        batch.watermark_us = end_us
    if pod.node:
        _see_node(batch, pod, end_us)


def _see_node(batch: Batch, identity: Identity, alive_us: int) -> None:
    key = (identity.cluster, identity.node)
    if identity.node and alive_us > batch.nodes.get(key, 0):
        batch.nodes[key] = alive_us


def poison_of(
    value: bytes, reason: str, offset: int, item: int, record_us: int, identity: Identity
) -> Poison:
    """What is kept of a line or value that cannot be used."""
    digest, prefix = sha256(value).digest(), value[:PREFIX_BYTES]
    return Poison(offset, item, reason, prefix, len(value), digest, record_us, identity)
