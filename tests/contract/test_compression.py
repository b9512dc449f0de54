"""Whatever codec a producer packs its batches with, both clients and careful reading unpack it."""

from __future__ import annotations

import contextlib
import time

import pytest
from confluent_kafka import Producer

from collector.settings import KafkaSettings
from collector.sources.confluent import ConfluentSource
from collector.sources.kafka import KafkaSource
from collector.sources.protocol import Partition
from collector.sources.units import KafkaUnits
from tests.lines import client_line, shipped
from tests.servers.kafka import KafkaBroker

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
VALUES = [shipped(client_line(f"id-{number}")) for number in range(20)]


def read(source: KafkaSource | ConfluentSource, partition: Partition) -> list[bytes]:
    """The values of a partition."""
    found: list[bytes] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < len(VALUES) and time.monotonic() < deadline:
        polled = source.poll(0.2)
        if partition in polled.assigned:
            source.begin(partition, 0)
        found += [record.value for record in polled.records.get(partition, [])]
    return found


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_batches_of_each_codec_are_read(kafka: KafkaBroker, codec: str) -> None:
    """By kafka-python, by librdkafka, and one batch at a time."""
    partition = Partition(kafka.create_topic(), 0)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "compression.type": codec})
    for value in VALUES:
        producer.produce(partition.topic, value, partition=0)
    assert producer.flush(PATIENCE_S) == 0
    settings = KafkaSettings(
        bootstrap_servers=(kafka.bootstrap,), topics=(partition.topic,), partitions=(0,)
    )

    for kind in (KafkaSource, ConfluentSource):
        with contextlib.closing(kind(settings)) as source:
            assert read(source, partition) == VALUES, kind
    with contextlib.closing(KafkaUnits(settings, partition)) as units:
        unit = units.look(0)
        assert unit is not None
        assert [record.value for record in unit.unpack()] == VALUES[: unit.to_offset]
