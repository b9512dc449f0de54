"""A broker that loses the end of a log, and fills it again while nobody reads: it is noticed."""

from __future__ import annotations

import contextlib
import signal
import struct
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from collector.settings import KafkaSettings
from collector.sources.confluent import ConfluentSource
from collector.sources.kafka import KafkaSource
from collector.sources.protocol import Partition, Polled, RecordSource
from tests.lines import client_line, shipped
from tests.servers.apache import ApacheNode, apache_available, apache_node
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

Client = type[KafkaSource] | type[ConfluentSource]
CLIENTS: Final[tuple[Client, ...]] = (KafkaSource, ConfluentSource)
PATIENCE_S: Final = 60.0
SEGMENT: Final = "00000000000000000000.log"
HEAD: Final = struct.Struct("!qi")
"""Of a record batch: its first offset, and how many bytes follow."""


@pytest.fixture
def node() -> Iterator[ApacheNode]:
    """A server of the test's own: its power fails."""
    if not apache_available():
        pytest.skip("only Apache Kafka loses the end of a log as in life; .ci/run has it")
    with apache_node() as made:
        yield made


def lose_end(node: ApacheNode, topic: str, offset: int) -> None:
    """Takes the batches from an offset on out of a log, as power does that fails before a flush."""
    segment = node.home / "data" / f"{topic}-0" / SEGMENT
    log, at = segment.read_bytes(), 0
    while at < len(log):
        first, size = HEAD.unpack_from(log, at)
        if first >= offset:
            break
        at += HEAD.size + size
    assert at < len(log), "nothing is lost"
    segment.write_bytes(log[:at])


def send(kafka: KafkaBroker, topic: str, ids: range) -> None:
    """Lines with these ids."""
    kafka.send(topic, [shipped(client_line(f"id-{number}")) for number in ids])


def opened(kind: Client, node: ApacheNode, topic: str) -> KafkaSource | ConfluentSource:
    """A client of one partition."""
    settings = KafkaSettings(
        bootstrap_servers=(node.at["PLAINTEXT"],), topics=(topic,), partitions=(0,)
    )
    return kind(settings)


def polled_until(source: RecordSource, done: Callable[[Polled], bool]) -> Polled:
    """The first poll that brings what is waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        polled = source.poll(0.2)
        if done(polled):
            return polled
    pytest.fail("it never came")


def test_a_log_cut_and_filled_again_while_nobody_read_is_no_log_to_read_on(
    node: ApacheNode,
) -> None:
    """Offsets 10 to 19 are other lines now, of a later leader: neither client goes on behind."""
    with node.running(stop_signal=signal.SIGKILL) as kafka:
        topic = kafka.create_topic()
        where = Partition(topic, 0)
        send(kafka, topic, range(10))
        send(kafka, topic, range(10, 20))
        told: dict[Client, int] = {}
        for kind in CLIENTS:
            with contextlib.closing(opened(kind, node, topic)) as source:
                polled_until(source, lambda polled: bool(polled.assigned))
                source.begin(where, 15)
                last = polled_until(source, lambda polled: bool(polled.records))
                told[kind] = last.leader_epochs[where]
    lose_end(node, topic, 10)

    with node.running() as kafka:
        send(kafka, topic, range(100, 130))  # its end is beyond our offset now
        for kind in CLIENTS:
            with contextlib.closing(opened(kind, node, topic)) as source:
                polled_until(source, lambda polled: bool(polled.assigned))
                source.begin(where, 20, told[kind])
                found = polled_until(source, lambda polled: bool(polled.records or polled.broken))
                assert "the log was truncated" in found.broken[where], kind
                assert not found.records, kind

                source.begin(where, 10, told[kind])  # these are the records that were read
                polled_until(source, lambda polled: bool(polled.records))
