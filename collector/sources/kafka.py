"""Records from Kafka. Only this and `kafka_connection` import the client.

What it has to know about kafka-python 3.0: rebalance callbacks run on the client's own I/O
thread, where nothing may block and only `seek` and `pause` work; so the listener holds the new
partitions still and takes notes, and `poll` hands the notes to the caller. A partition without
a position would be looked up, and fail without a committed offset; so it is put at 0, paused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from gzip import BadGzipFile
from threading import Lock
from typing import Any, Final

from kafka import ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from kafka.errors import (
    CorruptRecordError,
    IllegalStateError,
    KafkaError,
    LogTruncationError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)
from kafka.protocol.consumer import OffsetForLeaderEpochRequest

from collector.errors import Retryable
from collector.settings import KafkaSettings
from collector.sources.kafka_connection import as_our_error, connect
from collector.sources.litter import Litter
from collector.sources.protocol import (
    Bounds,
    Partition,
    Polled,
    Record,
    Undecodable,
    known_epoch,
)

_ASK_TIMEOUT_MS: Final = 5_000
"""For questions between polls: short, as nothing else happens meanwhile."""
_NOT_OURS: Final = (IllegalStateError, ValueError, AssertionError, KeyError)
"""What the client raises about a partition that was taken away a moment ago."""


_PACKED_WRONG: Final = (CorruptRecordError, UnsupportedCodecError, BadGzipFile)


class _Notes(ConsumerRebalanceListener):
    """Takes notes of rebalances, on the client's thread, for `poll` to hand on."""

    def __init__(self, hold: Callable[[Iterable[TopicPartition]], None]) -> None:
        self._hold = hold
        self._lock = Lock()
        self._assigned: list[Partition] = []
        self._revoked: list[Partition] = []

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._hold(assigned)
        with self._lock:
            self._assigned += [Partition(*found) for found in assigned]

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        gone = [Partition(*found) for found in revoked]
        with self._lock:
            # Given and taken between two polls: nobody ever saw it.
            self._assigned = [found for found in self._assigned if found not in gone]
            self._revoked += gone

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self.on_partitions_revoked(lost)

    def take(self) -> tuple[tuple[Partition, ...], tuple[Partition, ...]]:
        """Revoked and assigned since the last time, in this order."""
        with self._lock:
            notes = tuple(self._revoked), tuple(self._assigned)
            self._revoked, self._assigned = [], []
            return notes


class KafkaSource:
    """See `collector.sources.protocol.RecordSource`.

    Raises:
        UsageError: Wrong credentials, certificates that cannot be read.
        Retryable: No broker answers.
    """

    def __init__(self, settings: KafkaSettings, client_id: str = "mirrorproof") -> None:
        self._litter: Final = Litter()
        self._where = ",".join(settings.bootstrap_servers)
        self._topics = settings.topics
        self._begun: set[TopicPartition] = set()
        self._begun_ids: dict[str, str | None] = {}
        self._paused = False
        self._group = settings.group if settings.partitions is None else None
        self._consumer = connect(settings, self._group, client_id)
        self._notes = _Notes(self._hold)
        if settings.partitions is None:
            self._consumer.subscribe(topics=list(settings.topics), listener=self._notes)
            return
        fixed = [TopicPartition(t, n) for t in settings.topics for n in settings.partitions]
        self._consumer.assign(fixed)
        self._notes.on_partitions_assigned(fixed)

    def require_topics(self) -> None:
        """Raises Retryable: a topic does not exist; a subscription would wait for it in silence."""
        with self._our_errors():
            # Asks the brokers about what is not known yet, and makes no topic.
            missing = [t for t in self._topics if not self._consumer.partitions_for_topic(t)]
        if missing:
            raise Retryable(f"topic {', '.join(missing)} does not exist on {self._where}")

    def _hold(self, assigned: Iterable[TopicPartition]) -> None:
        for found in assigned:
            self._consumer.seek(found, 0)
            self._consumer.pause(found)

    def poll(self, timeout_s: float) -> Polled:
        """See `RecordSource`."""
        broken: dict[Partition, str] = {}
        fetched: dict[TopicPartition, list[Any]] = {}
        with self._our_errors():
            try:
                fetched = self._consumer.poll(timeout_ms=max(1, int(timeout_s * 1000)))
            except OffsetOutOfRangeError as error:
                broken = self._breaks(error.args[0], "the log no longer holds offset {}")
            except LogTruncationError as error:
                told = error.divergent_offsets.items()
                places = {p: place.offset if place else "where nobody knows" for p, place in told}
                broken = self._breaks(places, "the log was truncated, to {}")
            except _PACKED_WRONG as error:
                raise _undecodable(error) from error
            except (KafkaError, OSError, MemoryError):
                raise
            except Exception as error:
                raise _undecodable(error) from error
        if not fetched:
            self._litter.take_away()
        revoked, assigned = self._notes.take()
        self._begun.difference_update(TopicPartition(*gone) for gone in revoked)
        broken |= self._created_again({*fetched, *(TopicPartition(*p) for p in broken)})
        records = {
            Partition(found.topic, found.partition): [record_of(raw) for raw in raws]
            for found, raws in fetched.items()
            if found in self._begun
        }
        epochs = {
            Partition(*found): epoch
            for found, raws in fetched.items()
            if (epoch := known_epoch(raws[-1].leader_epoch)) is not None
        }
        return Polled(revoked, assigned, broken, records, epochs)

    def _breaks(self, found: Mapping[TopicPartition, object], words: str) -> dict[Partition, str]:
        for partition in found:
            self.halt(Partition(*partition))
        return {Partition(*p): words.format(place) for p, place in found.items()}

    def _created_again(self, heard_of: set[TopicPartition]) -> dict[Partition, str]:
        """Partitions of topics that are others by now: their records mean nothing to us.

        Brokers are asked for records by the topic's name, and answer with those of the new one.
        """
        broken: dict[Partition, str] = {}
        for topic in {found.topic for found in heard_of}:
            before, now = self._begun_ids.get(topic), self.topic_id(topic)
            if before and now and before != now:
                why = f"the topic was created again: its id is {now}, was {before}"
                gone = [found for found in heard_of | self._begun if found.topic == topic]
                broken |= self._breaks(dict.fromkeys(gone), why)
        return broken

    def begin(self, partition: Partition, offset: int, leader_epoch: int | None = None) -> None:
        """See `RecordSource`."""
        found = TopicPartition(*partition)
        if not any(begun.topic == found.topic for begun in self._begun):
            self._begun_ids[found.topic] = self.topic_id(found.topic)
        with contextlib.suppress(*_NOT_OURS):
            self._consumer.seek(found, offset)
            if leader_epoch is not None and self._knows_epochs():
                self._seek_after(found, offset, leader_epoch)
            self._begun.add(found)
            if not self._paused:
                self._consumer.resume(found)

    def _seek_after(self, found: TopicPartition, offset: int, leader_epoch: int) -> None:
        """Seeks an offset, and has the client ask whether the record before is still there.

        It does so by itself for what it fetched (KIP-320), and has no public way to tell it.
        """
        place = OffsetAndMetadata(offset, "", leader_epoch)
        self._consumer._subscription.seek(found, place)  # type: ignore[attr-defined]

    def _knows_epochs(self) -> bool:
        """Whether the brokers can be asked; else the client would ask for ever and read nothing."""
        versions = self._consumer._client._manager.broker_version_data  # type: ignore[attr-defined]
        return OffsetForLeaderEpochRequest.API_KEY in versions.api_versions

    def halt(self, partition: Partition) -> None:
        """See `RecordSource`."""
        found = TopicPartition(*partition)
        self._begun.discard(found)
        with contextlib.suppress(*_NOT_OURS):
            self._consumer.pause(found)

    def pause(self) -> None:
        """See `RecordSource`."""
        self._paused = True
        self._each_begun(self._consumer.pause)

    def resume(self) -> None:
        """See `RecordSource`."""
        self._paused = False
        self._each_begun(self._consumer.resume)

    def _each_begun(self, act: Callable[[TopicPartition], object]) -> None:
        for found in tuple(self._begun):
            with contextlib.suppress(*_NOT_OURS):
                act(found)

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """See `RecordSource`."""
        asked = [TopicPartition(*partition) for partition in partitions]
        if not asked:
            return {}
        with self._our_errors():
            begins = self._consumer.beginning_offsets(asked, timeout_ms=_ASK_TIMEOUT_MS)
            ends = self._consumer.end_offsets(asked, timeout_ms=_ASK_TIMEOUT_MS)
        both = begins.keys() & ends.keys()
        return {Partition(*f): Bounds(begins[f], self._end(f, ends[f])) for f in both}

    def _end(self, found: TopicPartition, end: int) -> int:
        # Tansu's answer stays at the beginning of the last batch; what was read, was there.
        return max(end, self.read_to(Partition(*found)) or 0)

    def read_to(self, partition: Partition) -> int | None:
        """See `RecordSource`."""
        found = TopicPartition(*partition)
        if found not in self._begun:
            return None
        with self._our_errors(), contextlib.suppress(*_NOT_OURS):
            return self._consumer.position(found, timeout_ms=_ASK_TIMEOUT_MS)
        return None

    def topic_id(self, topic: str) -> str | None:
        """See `RecordSource`."""
        # The client has no public way to it; the metadata it keeps has (KIP-516).
        found = self._consumer._cluster.topic_id(topic)  # type: ignore[attr-defined]
        return str(found) if found else None

    def commit_hint(self, offsets: Mapping[Partition, int]) -> None:
        """See `RecordSource`."""
        if self._group is None or not offsets:
            return
        hints = {
            TopicPartition(*partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in offsets.items()
        }
        with contextlib.suppress(KafkaError, AssertionError):
            self._consumer.commit_async(hints, callback=_ignore)

    def close(self) -> None:
        """See `RecordSource`."""
        with contextlib.suppress(KafkaError, RuntimeError, OSError):
            self._consumer.close(autocommit=False, timeout_ms=_ASK_TIMEOUT_MS)

    @contextlib.contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except (KafkaError, OSError) as error:
            raise as_our_error(error, self._where) from error


def _ignore(_offsets: object, _outcome: object) -> None:
    """The hint may fail: the database has the offsets."""


def record_of(raw: Any) -> Record:
    """A record of the client as ours."""
    timestamp_ms = raw.timestamp
    timestamp_us = timestamp_ms * 1000 if timestamp_ms > 0 else 0
    if not raw.key and not raw.headers:
        return Record(raw.offset, timestamp_us, raw.value or b"")
    headers = tuple((name, value or b"") for name, value in raw.headers)
    return Record(raw.offset, timestamp_us, raw.value or b"", raw.key or b"", headers)


def _undecodable(error: Exception) -> Undecodable:
    return Undecodable(f"records cannot be unpacked: {type(error).__name__}: {error}")
