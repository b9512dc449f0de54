"""A broker in memory: the fake that the contract tests hold against the real ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from collector.errors import Refused, Retryable
from collector.sources.protocol import Bounds, Partition, Polled, Record


class MemoryBroker:
    """Topics in memory. Shared by the sources that read from it."""

    def __init__(self) -> None:
        self.logs: dict[Partition, list[Record]] = {}
        self.begins: dict[Partition, int] = {}
        self.topic_ids: dict[str, str] = {}
        self.hints: dict[Partition, int] = {}
        self.leader_epoch = 0
        self.epochs: dict[tuple[Partition, int], int] = {}
        self.down = False
        self.refuses = False
        self.mute = False

    def create_topic(self, topic: str, partitions: int = 1, topic_id: str = "id-1") -> None:
        """Creates a topic; one that exists is emptied and begins at 0 again."""
        self.topic_ids[topic] = topic_id
        for number in range(partitions):
            self.logs[Partition(topic, number)] = []
            self.begins[Partition(topic, number)] = 0

    def append(
        self,
        partition: Partition,
        value: bytes,
        timestamp_us: int = 0,
        key: bytes = b"",
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> int:
        """Adds a record and returns its offset."""
        log = self.logs[partition]
        offset = log[-1].offset + 1 if log else self.begins[partition]
        log.append(Record(offset, timestamp_us, value, key, headers))
        self.epochs[partition, offset] = self.leader_epoch
        return offset

    def truncate(self, partition: Partition, end: int) -> None:
        """Loses the records from an offset on; what comes next is of another leader."""
        self.logs[partition] = [r for r in self.logs[partition] if r.offset < end]
        self.leader_epoch += 1

    def end_of_epoch(self, partition: Partition, leader_epoch: int) -> int:
        """The offset after the last record of an epoch, or of those before."""
        log = self.logs[partition]
        later = [r.offset for r in log if self.epochs.get((partition, r.offset), 0) > leader_epoch]
        return min(later, default=self.bounds(partition).end)

    def expire(self, partition: Partition, before: int) -> None:
        """Forgets the records below an offset, as retention does."""
        self.begins[partition] = before
        self.logs[partition] = [r for r in self.logs[partition] if r.offset >= before]

    def bounds(self, partition: Partition) -> Bounds:
        """What a partition holds."""
        begin, log = self.begins[partition], self.logs[partition]
        return Bounds(begin, log[-1].offset + 1 if log else begin)


class MemorySource:
    """Reads partitions of a `MemoryBroker`. Rebalances are made by `assign` and `revoke`."""

    def __init__(
        self, broker: MemoryBroker, partitions: Iterable[Partition], max_records: int = 5_000
    ) -> None:
        self._broker = broker
        self._max_records = max_records
        self._next: dict[Partition, int | None] = {}
        self._after: dict[Partition, int | None] = {}
        self._assigned: list[Partition] = []
        self._revoked: list[Partition] = []
        self._paused = False
        self.closed = False
        self.assign(partitions)

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Gives partitions to this source; announced by its next poll."""
        for partition in partitions:
            self._next[partition] = None
            self._assigned.append(partition)

    def revoke(self, partitions: Iterable[Partition]) -> None:
        """Takes partitions away; announced by its next poll."""
        for partition in partitions:
            del self._next[partition]
            self._revoked.append(partition)

    def poll(self, timeout_s: float) -> Polled:
        """See `RecordSource`."""
        if self._broker.refuses:
            raise Refused("broker in memory: refuses us")
        polled = Polled(tuple(self._revoked), tuple(self._assigned))
        self._revoked, self._assigned = [], []
        if self._broker.down or self._paused:
            return polled
        for partition, offset in self._next.items():
            if offset is not None:
                self._read(partition, offset, polled)
        return polled

    def _read(self, partition: Partition, offset: int, polled: Polled) -> None:
        begin, end = self._broker.bounds(partition)
        if not begin <= offset <= end:
            polled.broken[partition] = f"offset {offset} is outside of {begin} to {end}"
            self._next[partition] = None
            return
        epoch = self._after.get(partition)
        if epoch is not None and self._broker.end_of_epoch(partition, epoch) < offset:
            polled.broken[partition] = f"the log was truncated, below {offset}"
            self._next[partition] = None
            return
        log = [r for r in self._broker.logs[partition] if r.offset >= offset]
        found = log[: self._max_records]
        if found:
            polled.records[partition] = found
            self._next[partition] = found[-1].offset + 1
            epoch = self._broker.epochs.get((partition, found[-1].offset), 0)
            polled.leader_epochs[partition] = self._after[partition] = epoch

    def poll_nothing(self, timeout_s: float) -> Polled:
        """A poll that looks healthy and brings nothing, as of a client that hangs."""
        return Polled()

    def poll_only_news(self, timeout_s: float) -> Polled:
        """The same, of a client that still takes part in its group."""
        polled = Polled(tuple(self._revoked), tuple(self._assigned))
        self._revoked, self._assigned = [], []
        return polled

    def begin(self, partition: Partition, offset: int, leader_epoch: int | None = None) -> None:
        """See `RecordSource`."""
        if partition in self._next:
            self._next[partition] = offset
            self._after[partition] = leader_epoch

    def halt(self, partition: Partition) -> None:
        """See `RecordSource`."""
        if partition in self._next:
            self._next[partition] = None

    def pause(self) -> None:
        """See `RecordSource`."""
        self._paused = True

    def resume(self) -> None:
        """See `RecordSource`."""
        self._paused = False

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """See `RecordSource`."""
        if self._broker.down or self._broker.mute:
            raise Retryable("broker in memory: down")
        return {partition: self._broker.bounds(partition) for partition in partitions}

    def read_to(self, partition: Partition) -> int | None:
        """See `RecordSource`."""
        return self._next.get(partition)

    def topic_id(self, topic: str) -> str | None:
        """See `RecordSource`."""
        return self._broker.topic_ids.get(topic)

    def commit_hint(self, offsets: Mapping[Partition, int]) -> None:
        """See `RecordSource`."""
        self._broker.hints.update(offsets)

    def close(self) -> None:
        """See `RecordSource`."""
        self.closed = True
