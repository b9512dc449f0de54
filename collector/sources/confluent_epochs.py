"""Has librdkafka check that the log was not cut and filled again before a position.

It asks a broker so (KIP-320) when it seeks, not when it is given a partition with an offset, and
refuses to seek before it fetches. So each partition that begins with a known leader epoch is
sought as soon as that works, and what it brings before is dropped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from collector.sources.protocol import Partition, Record


class EpochCheck:
    """Leader epochs of the records before the positions of one consumer, where known."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._known: dict[Partition, int] = {}
        self._waiting: dict[Partition, TopicPartition] = {}

    def set(self, partition: Partition, leader_epoch: int | None) -> None:
        """The epoch of the record before a position; None: not known."""
        self.forget(partition)
        if leader_epoch is not None:
            self._known[partition] = leader_epoch

    def forget(self, partition: Partition) -> None:
        """Nothing is known, and nothing is to be checked."""
        self._known.pop(partition, None)
        self._waiting.pop(partition, None)

    def want(self, offsets: Mapping[Partition, int]) -> None:
        """Has partitions checked that are given to librdkafka with these offsets."""
        for partition, offset in offsets.items():
            epoch = self._known.get(partition)
            if epoch is not None:
                place = TopicPartition(*partition, offset, leader_epoch=epoch)
                self._waiting[partition] = place

    def seek(self) -> None:
        """Seeks what waits, as far as it is fetched by now. Call it before each poll."""
        for partition, place in tuple(self._waiting.items()):
            with contextlib.suppress(KafkaException):
                self._consumer.seek(place)
                del self._waiting[partition]

    def waits(self, partition: Partition) -> bool:
        """Whether what a partition brings is not checked yet."""
        return partition in self._waiting

    def learn(self, records: Mapping[Partition, list[Record]]) -> dict[Partition, int]:
        """The epochs of the last records of each partition; librdkafka has them by its positions.

        Args:
            records: What one poll brought.
        """
        found: dict[Partition, int] = {}
        with contextlib.suppress(KafkaException):
            for place in self._consumer.position([TopicPartition(*p) for p in records]):
                partition, epoch = Partition(place.topic, place.partition), place.leader_epoch
                if epoch is not None and place.offset == records[partition][-1].offset + 1:
                    found[partition] = epoch
        for partition in records:
            self.set(partition, found.get(partition))
        return found
