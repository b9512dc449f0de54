"""The Kafka clients alone, and the collector whole: each run a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import Producer
from sqlalchemy import make_url, text

from collector.db.engine import open_engine, writing
from collector.db.policies import record_versions
from collector.policy_record import PolicyRecord
from tests.bench.figures import Figure, Options, Run
from tests.bench.shapes import fluent_bit, log_lines
from tests.bench.writing import database
from tests.lines import HOST
from tests.servers.choice import start_kafka
from tests.servers.kafka import KafkaBroker

PARTITIONS: Final = 4
CLIENTS: Final = ("kafka-python", "confluent")
DRAINED: Final = 2_000_000
MOST_RSS_MB: Final = 300
"""What a collector may need while it drains so many lines."""
_SEND_TIMEOUT_S: Final = 120
_REPOSITORY: Final = Path(__file__).parents[2]


@contextmanager
def backlog(lines: int) -> Iterator[tuple[KafkaBroker, str, int]]:
    """A broker with a topic of so many lines in Fluent Bit's envelope; their exact number."""
    with start_kafka(os.environ) as broker:
        topic = broker.create_topic(PARTITIONS)
        values = [
            fluent_bit(pod, line.decode("utf-8", "replace"))
            for pod, line in log_lines(min(lines, 100_000))
        ]
        times = max(1, lines // len(values))
        share = len(values) // PARTITIONS
        for _ in range(times):
            for number in range(PARTITIONS):
                _send(broker, topic, number, values[number * share : (number + 1) * share])
        yield broker, topic, times * share * PARTITIONS


def _send(broker: KafkaBroker, topic: str, partition: int, values: list[bytes]) -> None:
    """With librdkafka: kafka-python would take longer to write them than to read them."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 20})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(_SEND_TIMEOUT_S) == 0


def clients(options: Options) -> Iterator[Figure]:
    """Polling alone."""
    with backlog(options.lines) as (broker, topic, lines):
        for client in CLIENTS:
            variables = _variables(broker, topic, client)
            runs = tuple(_drain(lines, "client", variables) for _ in range(options.runs))
            yield Figure(f"client: {client}", lines, runs, broker.kind)


def collectors(options: Options) -> Iterator[Figure]:
    """From Kafka to the database, with every client and every database."""
    with backlog(options.lines) as (broker, topic, lines):
        for client in CLIENTS:
            for kind in options.databases:
                runs = tuple(
                    _collect(kind, lines, _variables(broker, topic, client))
                    for _ in range(options.runs)
                )
                yield Figure(f"collector: {client}, {kind}", lines, runs, broker.kind)


def drains(_options: Options) -> Iterator[Figure]:
    """A backlog of two million lines, once by each client: how much memory that takes."""
    with backlog(DRAINED) as (broker, topic, lines):
        for client in CLIENTS:
            run = _collect("PostgreSQL", lines, _variables(broker, topic, client))
            note = f"at most {MOST_RSS_MB} MB; {broker.kind}"
            yield Figure(f"drain: {client}, PostgreSQL", lines, (run,), note)


def _variables(broker: KafkaBroker, topic: str, client: str) -> dict[str, str]:
    return {
        "MIRRORPROOF_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
        "MIRRORPROOF_KAFKA__TOPICS": topic,
        "MIRRORPROOF_KAFKA__PARTITIONS": f"0-{PARTITIONS - 1}",
        "MIRRORPROOF_KAFKA__CLIENT": client,
    }


def _collect(kind: str, lines: int, variables: dict[str, str]) -> Run:
    with database(kind) as url:
        engine = open_engine(url)
        with writing(engine) as connection:
            policy = PolicyRecord("weather/forecast", "{}", (HOST,))
            record_versions(connection, [policy], time.time_ns() // 1000)
        run = _drain(lines, "collector", {**variables, "MIRRORPROOF_DATABASE__URL": url})
        with engine.connect() as connection:
            stored = connection.scalar(text("SELECT count(*) FROM observation"))
        engine.dispose()
    assert stored == lines, f"{make_url(url).drivername}: {stored} rows of {lines} lines"
    return run


def _drain(lines: int, what: str, variables: dict[str, str]) -> Run:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.draining", str(lines), what],
        cwd=_REPOSITORY,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        check=True,
    )
    return Run(**json.loads(done.stdout))
