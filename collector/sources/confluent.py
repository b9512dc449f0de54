"""Records from Kafka by confluent-kafka (librdkafka), several times as fast as kafka-python.

A partition is given to librdkafka only when it begins, together with its offset, and taken away
to hold it still: so no position is ever looked up, and nothing is fetched that nobody asked for.
Rebalance callbacks run within `poll`, on the caller's thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from collector.errors import Retryable
from collector.settings import KafkaSettings
from collector.sources.confluent_connection import (
    Complaints,
    TopicIds,
    as_our_error,
    connect,
)
from collector.sources.confluent_epochs import EpochCheck
from collector.sources.confluent_messages import PACKED_WRONG, sort_messages, why_broken
from collector.sources.protocol import Bounds, Partition, Polled, Record, Undecodable

_ASK_TIMEOUT_S: Final = 5.0
"""For questions between polls: short, as nothing else happens meanwhile."""
_EOF: Final = KafkaError._PARTITION_EOF


class ConfluentSource:
    """See `collector.sources.protocol.RecordSource`.

    Raises:
        Refused: Wrong credentials.
        UsageError: Certificates that cannot be read.
        Retryable: No broker answers.
    """

    def __init__(self, settings: KafkaSettings, client_id: str = "mirrorproof") -> None:
        self._settings = settings
        self._where = ",".join(settings.bootstrap_servers)
        self._most = settings.batch_records
        self._ours: set[Partition] = set()
        self._next: dict[Partition, int] = {}  # of those that began
        self._paused = False
        self._assigned: list[Partition] = []
        self._revoked: list[Partition] = []
        self._topic_ids: dict[str, str | None] = {}
        self._begun_ids: dict[str, str | None] = {}
        self._topics = TopicIds(settings, _ASK_TIMEOUT_S)
        self._in_group = settings.partitions is None
        self._complaints = Complaints()
        self._consumer: Consumer = connect(settings, client_id, self._complaints)
        self._epochs = EpochCheck(self._consumer)
        if settings.partitions is None:
            self._consumer.subscribe(
                list(settings.topics),
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_revoke,
            )
        else:
            self._assigned = [
                Partition(topic, number)
                for topic in settings.topics
                for number in settings.partitions
            ]
            self._ours = set(self._assigned)

    def require_topics(self) -> None:
        """Raises Retryable: a topic does not exist; a subscription would wait for it in silence."""
        with self._our_errors():
            found = {
                topic: self._consumer.list_topics(topic, _ASK_TIMEOUT_S).topics.get(topic)
                for topic in self._settings.topics
            }
        missing = [topic for topic, told in found.items() if not (told and told.partitions)]
        if missing:
            raise Retryable(f"topic {', '.join(missing)} does not exist on {self._where}")

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        consumer.incremental_assign([])  # taken note of; each is given when it begins
        new = [Partition(found.topic, found.partition) for found in assigned]
        self._ours.update(new)
        self._assigned += new

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        gone = [Partition(found.topic, found.partition) for found in revoked]
        given = [] if self._paused else [_at(found) for found in gone if found in self._next]
        consumer.incremental_unassign(given)
        self._ours.difference_update(gone)
        for found in gone:
            self._next.pop(found, None)
            self._epochs.forget(found)
        self._forget_ids()
        # Given and taken between two polls: nobody ever saw it.
        self._assigned = [found for found in self._assigned if found not in gone]
        self._revoked += gone

    def poll(self, timeout_s: float) -> Polled:
        """See `RecordSource`."""
        self._epochs.seek()
        with self._our_errors():
            messages = self._consumer.consume(self._most, timeout_s)
        records, events = sort_messages(messages)
        # One that was taken away meanwhile began no more.
        records = {found: many for found, many in records.items() if self._is_read(found)}
        for partition, many in records.items():
            self._next[partition] = many[-1].offset + 1
        broken = dict(filter(None, map(self._take_note, events)))
        broken |= self._created_again(records)
        epochs = self._epochs.learn(records)
        polled = Polled(tuple(self._revoked), tuple(self._assigned), broken, records, epochs)
        self._revoked, self._assigned = [], []
        return polled

    def _is_read(self, partition: Partition) -> bool:
        return partition in self._next and not self._epochs.waits(partition)

    def _created_again(self, records: dict[Partition, list[Record]]) -> dict[Partition, str]:
        """Takes out the records of topics that are others by now; returns why they break.

        librdkafka goes on with the new topic of a name and says nothing. What was fetched before
        the broker names the old one's identity is the old one's.
        """
        broken: dict[Partition, str] = {}
        topics = {partition.topic for partition in records}
        for topic in filter(self._begun_ids.get, topics):
            before, now = self._begun_ids[topic], self._ask_topic_id(topic)
            if now and before != now:
                self._topic_ids[topic] = now
                why = f"the topic was created again: its id is {now}, was {before}"
                for partition in [found for found in self._next if found.topic == topic]:
                    records.pop(partition, None)
                    broken[partition] = why
                    self.halt(partition)
        return broken

    def _take_note(self, event: Message) -> tuple[Partition, str] | None:
        """Which partition an event breaks, and why.

        Raises:
            Undecodable: Records that librdkafka would otherwise leave out.
            Refused, Retryable: Anything else; the caller begins again where it was.
        """
        error = event.error()
        assert error is not None
        partition = Partition(event.topic() or "", event.partition() or 0)
        offset = self._next.get(partition)
        if error.code() == _EOF:
            if offset is not None and self._is_read(partition):
                self._next[partition] = max(offset, event.offset() or 0)
                if (event.offset() or 0) > offset:
                    self._epochs.forget(partition)  # of what lies between nobody tells it
        elif why := why_broken(error, offset):
            self.halt(partition)
            return partition, why
        elif error.code() in PACKED_WRONG:
            raise Undecodable(f"records cannot be unpacked: {error.name()}: {error.str()}")
        elif self._in_group or error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise as_our_error(error, self._where)
        return None

    def begin(self, partition: Partition, offset: int, leader_epoch: int | None = None) -> None:
        """See `RecordSource`."""
        self._hold(partition)
        if partition in self._ours:
            self._begun_ids.setdefault(partition.topic, self._topic_ids.get(partition.topic))
            self._next[partition] = offset
            self._epochs.set(partition, leader_epoch)
            if not self._paused:
                self._give([partition])

    def _give(self, partitions: Iterable[Partition]) -> None:
        """Has librdkafka fetch."""
        offsets = {partition: self._next[partition] for partition in partitions}
        with self._ignored():
            self._consumer.incremental_assign([_at(*found) for found in offsets.items()])
        self._epochs.want(offsets)

    def halt(self, partition: Partition) -> None:
        """See `RecordSource`."""
        self._hold(partition)
        self._forget_ids()

    def _forget_ids(self) -> None:
        """Of topics without a partition that began: whoever begins again knows the identity."""
        topics = {partition.topic for partition in self._next}
        for topic in self._begun_ids.keys() - topics:
            del self._begun_ids[topic]

    def _hold(self, partition: Partition) -> None:
        self._epochs.forget(partition)
        if self._next.pop(partition, None) is not None and not self._paused:
            with self._ignored():
                self._consumer.incremental_unassign([_at(partition)])

    def pause(self) -> None:
        """See `RecordSource`."""
        if not self._paused:
            self._paused = True
            with self._ignored():
                self._consumer.incremental_unassign([_at(found) for found in self._next])

    def resume(self) -> None:
        """See `RecordSource`."""
        if self._paused:
            self._paused = False
            self._give(self._next)

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """See `RecordSource`."""
        asked = tuple(partitions)
        if not asked:
            return {}
        for topic in {partition.topic for partition in asked}:
            self._topic_ids[topic] = self._ask_topic_id(topic)
        begins, ends = self._ask(asked, OFFSET_BEGINNING), self._ask(asked, OFFSET_END)
        self._complaints.take()  # they are overcome
        both = begins.keys() & ends.keys()
        return {p: Bounds(begins[p], max(ends[p], self.read_to(p) or 0)) for p in both}

    def _ask(self, partitions: Iterable[Partition], end: int) -> dict[Partition, int]:
        """The first or the next offset of partitions, of those whose brokers answer."""
        with self._our_errors():
            found = self._consumer.offsets_for_times(
                [_at(partition, end) for partition in partitions], _ASK_TIMEOUT_S
            )
        return {Partition(f.topic, f.partition): f.offset for f in found if f.error is None}

    def read_to(self, partition: Partition) -> int | None:
        """See `RecordSource`."""
        return self._next.get(partition)

    def topic_id(self, topic: str) -> str | None:
        """See `RecordSource`. As it was when `bounds` asked last."""
        if topic not in self._topic_ids:
            self._topic_ids[topic] = self._ask_topic_id(topic)
        return self._topic_ids[topic]

    def _ask_topic_id(self, topic: str) -> str | None:
        with self._our_errors():
            return self._topics.ask(topic)

    def commit_hint(self, offsets: Mapping[Partition, int]) -> None:
        """See `RecordSource`."""
        if self._in_group and offsets:
            hints = [_at(partition, offset) for partition, offset in offsets.items()]
            with contextlib.suppress(KafkaException):
                self._consumer.commit(offsets=hints, asynchronous=True)

    def close(self) -> None:
        """See `RecordSource`."""
        with contextlib.suppress(KafkaException, RuntimeError):
            self._consumer.close()

    @contextlib.contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            # A question that was not answered ends in a time-out, and the reason is an event.
            found: KafkaError = self._complaints.take() or error.args[0]
            raise as_our_error(found, self._where) from error

    @staticmethod
    def _ignored() -> contextlib.suppress:
        """Around what librdkafka refuses only when it is broken: then partitions stand still.

        Whoever watches that has us replaced.
        """
        return contextlib.suppress(KafkaException)


def _at(partition: Partition, offset: int = OFFSET_END) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number, offset)
