"""What every source of records promises: the fake, the files and the real brokers alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer

from collector.settings import KafkaSettings
from collector.sources.confluent import ConfluentSource
from collector.sources.file import FileSource, file_partition
from collector.sources.kafka import KafkaSource
from collector.sources.protocol import Bounds, Partition, Polled, Record, RecordSource
from tests.memory_source import MemoryBroker, MemorySource
from tests.servers.kafka import KafkaBroker

pytestmark = pytest.mark.integration

DEADLINE_S = 120.0
VALUES = [b"zero", b"one", b"two", b"three", b"four"]
KEY, HEADERS = b"weather/front-1", (("pod_name", b"front-1"), ("again", b""), ("again", b"\xff"))
"""Of the last record."""


class Harness:
    """A source over one partition that holds `VALUES`."""

    def __init__(self, source: RecordSource, partition: Partition, kind: str) -> None:
        self.source = source
        self.partition = partition
        self.kind = kind

    def until(self, done: Callable[[Polled], bool]) -> Polled:
        """Polls until one poll is what is waited for."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            polled = self.source.poll(0.2)
            if done(polled):
                return polled
        pytest.fail("it never came")

    def records(self, count: int) -> list[Record]:
        """The next records, which must be so many."""
        found: list[Record] = []

        def enough(polled: Polled) -> bool:
            found.extend(polled.records.get(self.partition, []))
            return len(found) >= count

        self.until(enough)
        return found

    def begun(self, offset: int = 0) -> Harness:
        """The same, with the partition announced and begun."""
        self.until(lambda polled: self.partition in polled.assigned)
        self.source.begin(self.partition, offset)
        return self


@pytest.fixture
def memory() -> Harness:
    """The fake."""
    broker, partition = MemoryBroker(), Partition("logs", 0)
    broker.create_topic("logs")
    for value in VALUES[:-1]:
        broker.append(partition, value, 1_000_000)
    broker.append(partition, VALUES[-1], 1_000_000, KEY, HEADERS)
    return Harness(MemorySource(broker, [partition]), partition, "memory")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Harness]:
    """A file."""
    path = tmp_path / "logs.txt"
    path.write_bytes(b"\n".join(VALUES))
    source = FileSource([path], on_end=lambda: None)
    yield Harness(source, file_partition(path), "file")
    source.close()


@pytest.fixture
def topic(kafka: KafkaBroker) -> Partition:
    """A partition of the Kafka broker that the tests run on."""
    partition = Partition(kafka.create_topic(), 0)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    extras = [{}] * (len(VALUES) - 1) + [{"key": KEY, "headers": list(HEADERS)}]
    sent = [
        producer.send(partition.topic, value, partition=0, timestamp_ms=1000, **extra)
        for value, extra in zip(VALUES, extras, strict=True)
    ]
    for future in sent:
        future.get(timeout=30)
    producer.close()
    return partition


@pytest.fixture(params=["memory", "files", KafkaSource, ConfluentSource])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    """Each kind of source; those of Kafka by static assignment."""
    if isinstance(request.param, str):
        yield request.getfixturevalue(request.param)
        return
    kafka: KafkaBroker = request.getfixturevalue("kafka")
    partition: Partition = request.getfixturevalue("topic")
    settings = KafkaSettings(
        bootstrap_servers=(kafka.bootstrap,), topics=(partition.topic,), partitions=(0,)
    )
    source = request.param(settings)
    yield Harness(source, partition, "kafka" if kafka.groups else "tansu")
    source.close()


def test_keys_and_headers_come_along(harness: Harness) -> None:
    """All of them, in their order; records without have none, and lines of files neither."""
    *others, last = harness.begun().records(5)

    assert [(found.key, found.headers) for found in others] == [(b"", ())] * 4
    assert (last.key, last.headers) == ((b"", ()) if harness.kind == "file" else (KEY, HEADERS))


def test_a_partition_is_announced_and_then_held_still(harness: Harness) -> None:
    """Nothing of it comes before it is begun."""
    polled = harness.until(lambda polled: bool(polled.assigned))

    assert polled.assigned == (harness.partition,)
    assert polled.records == {}
    assert all(harness.source.poll(0.1).records == {} for _ in range(3))


def test_records_come_in_order_from_where_it_was_begun(harness: Harness) -> None:
    """With their offsets and values."""
    found = harness.begun(2).records(3)

    assert [(one.offset, one.value) for one in found] == [(2, b"two"), (3, b"three"), (4, b"four")]


def test_records_have_the_time_of_kafka(harness: Harness) -> None:
    """In microseconds; files have none."""
    (first, *_) = harness.begun().records(5)

    assert first.timestamp_us == (0 if harness.kind == "file" else 1_000_000)


def test_beginning_again_reads_again(harness: Harness) -> None:
    """The caller alone decides where to read."""
    harness.begun().records(5)

    harness.source.begin(harness.partition, 3)

    assert [one.offset for one in harness.records(2)] == [3, 4]


def test_an_epoch_that_is_still_the_logs_changes_nothing(harness: Harness) -> None:
    """Given back, the leader epoch of the last record has the partition read on."""
    epochs: list[int | None] = []

    def all_came(polled: Polled) -> bool:
        epochs.extend([polled.leader_epochs.get(harness.partition)] * bool(polled.records))
        return bool(polled.records) and harness.source.read_to(harness.partition) == 5

    harness.begun().until(all_came)
    harness.source.begin(harness.partition, 2, epochs[-1])

    assert [one.offset for one in harness.records(3)] == [2, 3, 4]
    assert epochs[-1] is None or epochs[-1] >= 0


def test_a_halted_partition_brings_nothing(harness: Harness) -> None:
    """Until it is begun again."""
    harness.begun()
    harness.source.halt(harness.partition)

    assert all(harness.source.poll(0.1).records == {} for _ in range(3))
    harness.source.begin(harness.partition, 4)
    assert [one.offset for one in harness.records(1)] == [4]


def test_a_pause_holds_records_back_and_loses_none(harness: Harness) -> None:
    """Polls go on; what was held back comes afterwards."""
    harness.begun()
    harness.source.pause()

    assert all(harness.source.poll(0.1).records == {} for _ in range(3))
    harness.source.resume()
    assert [one.offset for one in harness.records(5)] == [0, 1, 2, 3, 4]


def test_a_partition_that_begins_during_a_pause_waits_for_its_end(harness: Harness) -> None:
    """A pause holds for all partitions, whenever they came."""
    harness.source.pause()
    polled = harness.until(lambda polled: bool(polled.assigned))
    harness.source.begin(harness.partition, 0)

    assert polled.assigned == (harness.partition,)
    assert all(harness.source.poll(0.1).records == {} for _ in range(3))
    harness.source.resume()
    assert len(harness.records(5)) == 5


def test_bounds_say_what_a_partition_holds(harness: Harness) -> None:
    """From its first offset to the one that comes next, once it is read to its end."""
    harness.begun().records(5)

    assert harness.source.bounds([harness.partition]) == {harness.partition: Bounds(0, 5)}
    assert harness.source.bounds([]) == {}


def test_read_to_is_the_offset_after_the_last_record(harness: Harness) -> None:
    """Once everything was delivered."""
    harness.begun().records(5)

    assert harness.source.read_to(harness.partition) in (5, None)


def test_an_offset_beyond_the_end_breaks_the_partition(harness: Harness) -> None:
    """It is never moved to somewhere else in silence."""
    if harness.kind == "tansu":
        pytest.skip("Tansu answers such a read with nothing; .ci/run has Apache Kafka")
    harness.begun(99)

    polled = harness.until(lambda polled: bool(polled.broken))

    assert "99" in polled.broken[harness.partition]
    assert all(harness.source.poll(0.1).records == {} for _ in range(3))


def test_unknown_partitions_are_ignored(harness: Harness) -> None:
    """One may have been taken away a moment ago."""
    gone = Partition("gone", 7)

    harness.source.halt(gone)
    harness.source.begin(gone, 5)

    assert harness.source.read_to(gone) is None


def test_hints_and_closing_never_fail(harness: Harness) -> None:
    """Closing twice neither."""
    harness.begun().records(5)
    harness.source.commit_hint({harness.partition: 5})

    harness.source.close()
    harness.source.close()


def test_a_topic_keeps_its_identity(harness: Harness) -> None:
    """Asked twice it is the same; files have none."""
    harness.begun().records(5)
    topic = harness.partition.topic

    assert harness.source.topic_id(topic) == harness.source.topic_id(topic)
    assert (harness.source.topic_id(topic) is None) == (harness.kind == "file")
