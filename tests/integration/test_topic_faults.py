"""Topics are created again, cut short or cleared under a collector that runs: it never skips."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from tests.collecting import Collector, Rows, running, until
from tests.integration.test_poison import mirrorproof
from tests.lines import client_line, shipped
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

STOPPED = "partition_stopped"
SOON_S = 30.0


class Reader:
    """A collector of one partition, whose lines are produced by hand."""

    def __init__(self, kafka: KafkaBroker, url: str, folder: Path) -> None:
        self.kafka, self._url, self._folder = kafka, url, folder
        self.topic, self.rows = kafka.create_topic(), Rows(url)
        self.number = 0

    def running(self) -> AbstractContextManager[Collector]:
        """The collector; a context manager."""
        return running(
            self._folder,
            KAFKA__BOOTSTRAP_SERVERS=self.kafka.bootstrap,
            KAFKA__TOPICS=self.topic,
            KAFKA__PARTITIONS=0,
            DATABASE__URL=self._url,
        )

    def produce(self, count: int) -> None:
        """Appends lines with ids of their own."""
        first, self.number = self.number, self.number + count
        values = [shipped(client_line(f"id-{n}")) for n in range(first, self.number)]
        self.kafka.send(self.topic, values)

    def reads(self, offset: int, log: Path) -> None:
        """Waits until it is read so far."""
        until(lambda: self.rows.offsets() == [offset], f"never at {offset}", log)

    def state(self) -> tuple[object, ...]:
        """Of the partition: state, reason, next offset."""
        (found,) = self.rows.ask("SELECT state, reason, next_offset FROM position")
        return found

    def create_again(self) -> None:
        """Deletes the topic, and makes one of the same name."""
        admin = KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        try:
            admin.delete_topics([self.topic])
            for _ in range(100):
                try:
                    admin.create_topics([NewTopic(self.topic, 1, 1)])
                    return
                except TopicAlreadyExistsError:
                    time.sleep(0.1)  # its files are still being deleted
        finally:
            admin.close()

    def replay(self, begin: int) -> tuple[int, str]:
        """Reads all from an offset on again; the exit status, and what was said."""
        where = ("--bootstrap-servers", self.kafka.bootstrap, "--database-url", self._url)
        asked = ("--topic", self.topic, "--partition", "0", "--from-offset", str(begin))
        status, output, errors = mirrorproof("replay", *asked, *where)
        return status, output + errors

    def clear(self, before: int) -> None:
        """Has the broker forget the records below an offset, as retention does."""
        admin = KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        try:
            admin.delete_records({TopicPartition(self.topic, 0): before})
        finally:
            admin.close()


@pytest.fixture
def reader(group_kafka: KafkaBroker, migrated_postgres_url: str, tmp_path: Path) -> Reader:
    """Apache Kafka's own: only there topics end as in life."""
    return Reader(group_kafka, migrated_postgres_url, tmp_path)


def test_a_topic_created_again_stops_its_partition(reader: Reader) -> None:
    """Noticed within seconds, also when it holds more records than we read."""
    reader.produce(10)
    with reader.running() as collector:
        reader.reads(10, collector.log)

        reader.create_again()
        reader.produce(30)

        since = time.monotonic()
        collector.until(lambda: reader.state()[0] == "stopped", "never noticed")
        assert time.monotonic() - since < SOON_S
        assert "created again" in str(reader.state()[1])
        assert reader.state()[2] == 10, "records of the new topic were taken for the old one's"
        collector.is_told(STOPPED, "created again")
        collector.leave()


def test_a_topic_created_again_while_nobody_read_it_stops_its_partition(reader: Reader) -> None:
    """Not one of its records is taken for an old one."""
    reader.produce(10)
    with reader.running() as collector:
        reader.reads(10, collector.log)
        collector.leave()
    reader.create_again()
    reader.produce(30)

    with reader.running() as collector:
        collector.is_told(STOPPED, "created again")
        collector.leave()

    assert reader.state()[2] == 10
    assert reader.rows.ask("SELECT count(*) FROM observation") == [(10,)]


def test_records_that_expired_while_nobody_read_stop_the_partition(reader: Reader) -> None:
    """With the gap, exactly."""
    reader.produce(10)
    with reader.running() as collector:
        reader.reads(10, collector.log)
        collector.leave()
    reader.produce(30)
    reader.clear(25)

    with reader.running() as collector:
        collector.is_told(STOPPED, "records 10 to 24 expired before they were read")
        collector.leave()

    assert reader.state()[2] == 10


def test_records_that_expired_after_they_were_read_are_no_loss(reader: Reader) -> None:
    """It goes on where it was."""
    reader.produce(10)
    with reader.running() as collector:
        reader.reads(10, collector.log)
        reader.clear(10)
        reader.produce(5)
        reader.reads(15, collector.log)
        collector.becomes_ready()
        collector.leave()

    with reader.running() as collector:
        reader.produce(5)
        reader.reads(20, collector.log)
        collector.becomes_ready()
        collector.leave()


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_offsets_that_kafka_has_no_more_are_not_read_again(
    reader: Reader, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which ones are left is said; those of a topic that was created again are others."""
    monkeypatch.setenv("MIRRORPROOF_KAFKA__CLIENT", client)
    reader.produce(10)
    with reader.running() as collector:
        reader.reads(10, collector.log)
        collector.leave()
    reader.clear(4)

    expired, kept = reader.replay(0), reader.replay(4)
    reader.create_again()
    reader.produce(10)
    other = reader.replay(4)

    assert (expired[0], "begin at --from-offset 4" in expired[1]) == (2, True), expired
    assert (kept[0], "6 were already" in kept[1]) == (0, True), kept
    assert (other[0], "was created again since" in other[1]) == (2, True), other
    assert reader.rows.ask("SELECT count(*) FROM observation") == [(10,)]
