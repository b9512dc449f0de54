"""A record that kills whoever unpacks it is passed over, and counted, after three tries."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaProducer
from sqlalchemy import Engine, select

from collector.db.engine import open_engine, reading, writing
from collector.db.policies import PolicyRecord, record_versions
from collector.db.tables import batch, observation, position, quarantine
from collector.settings import KafkaSettings
from collector.sources.protocol import Partition
from collector.sources.units import KafkaUnits
from tests.lines import HOST, client_line
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 60.0
BOMB_BYTES = 250_000_000
SPARE = 180_000_000
"""Memory that a collector may take beyond what it needs for good lines: less than the bomb."""


def produce(broker: KafkaBroker, topic: str, values: list[bytes]) -> None:
    """One packed record batch: `flush` sends it, not the time that packing takes."""
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap, compression_type="gzip", linger_ms=60_000,
        max_request_size=400_000_000, batch_size=400_000_000,
    )  # fmt: skip
    for value in values:
        producer.send(topic, value, partition=0)
    producer.flush(60)
    producer.close()


def lines(*names: str) -> list[bytes]:
    """Good lines."""
    return [client_line(name).encode() for name in names]


def start(
    broker: KafkaBroker, topic: str, url: str, log: Path, limit: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    """The real command."""
    arguments = ["collect", "--bootstrap-servers", broker.bootstrap, "--topic", topic]
    arguments += ["--partitions", "0", "--database-url", url]
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-c", "from verifier.cli import main; main()", *arguments],
            stderr=file, cwd=REPOSITORY, preexec_fn=limit,
            env={**os.environ, "MIRRORPROOF_LOG__FORMAT": "json"},
        )  # fmt: skip


def memory(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """The addresses and the memory that a process has, in bytes."""
    try:
        pages = Path(f"/proc/{process.pid}/statm").read_text().split()
    except OSError:
        return 0, 0
    size = resource.getpagesize()
    return int(pages[0]) * size, int(pages[1]) * size


def next_offset(engine: Engine) -> int:
    """How far the partition is read."""
    with reading(engine) as connection:
        return connection.scalar(select(position.c.next_offset)) or 0


def run_with_killer(
    process: subprocess.Popen[bytes], is_done: Callable[[], bool], limit: int
) -> bool:
    """Kills the process when it takes too much, as the kernel does; returns whether it did."""
    deadline = time.monotonic() + DEADLINE_S
    asked = 0.0
    while time.monotonic() < deadline:
        if memory(process)[1] > limit:
            process.kill()
            process.wait(10)
            return True
        if time.monotonic() > asked + 0.3:
            asked = time.monotonic()
            if is_done():
                return False
        time.sleep(0.002)
    process.kill()
    pytest.fail("neither killed nor done")


def events(log: Path, name: str) -> list[dict[str, object]]:
    """The events of that name."""
    found = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [event for event in found if event["event"] == name]


@pytest.fixture
def engine(migrated_sqlite_url: str) -> Engine:
    """A database with a policy."""
    engine = open_engine(migrated_sqlite_url)
    with writing(engine) as connection:
        record_versions(connection, [PolicyRecord("weather/forecast", "{}", (HOST,))], 1)
    return engine


def test_the_end_of_a_partition_is_seen_however_often_one_looks(kafka: KafkaBroker) -> None:
    """Nothing to read is an answer, and not a broker that is silent."""
    topic = kafka.create_topic(1)
    produce(kafka, topic, lines("a", "b"))
    settings = KafkaSettings(bootstrap_servers=(kafka.bootstrap,), topics=(topic,))
    units = KafkaUnits(settings, Partition(topic, 0))
    try:
        found = units.look(0)
        ends = [units.look(2) for _ in range(3)]
    finally:
        units.close()

    assert found is not None
    assert (found.from_offset, found.to_offset) == (0, 2)
    assert ends == [None] * 3


def check_gap(engine: Engine, log: Path) -> None:
    """One gap of the bomb's two records; the good lines around it are stored."""
    with reading(engine) as connection:
        ids = sorted(connection.scalars(select(observation.c.request_id)))
        (gap,) = connection.execute(select(quarantine)).all()
        counted = connection.execute(select(batch).where(batch.c.from_offset == 2)).one()
    assert ids == ["a", "b", "c", "d"]
    assert (gap.record_offset, gap.records, gap.length) == (2, 2, 0)
    assert "huge" in gap.reason
    assert gap.until_us >= gap.record_us > 0
    assert (counted.to_offset, counted.read, counted.quarantined) == (4, 2, 2)
    (alert,) = events(log, "records_passed_over")
    assert (alert["level"], alert["from_offset"], alert["to_offset"]) == ("error", 2, 4)


@pytest.mark.slow
def test_a_bomb_that_gets_the_process_killed_is_passed_after_three_deaths(
    kafka: KafkaBroker, engine: Engine, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """Killed by -9 while it unpacks, as by the kernel; then the partition goes on."""
    topic, log = kafka.create_topic(1), tmp_path / "log"
    produce(kafka, topic, lines("a", "b"))
    deaths = 0
    process = start(kafka, topic, migrated_sqlite_url, log)
    assert not run_with_killer(process, lambda: next_offset(engine) == 2, sys.maxsize)
    limit = memory(process)[1] + SPARE
    produce(kafka, topic, [b"x" * BOMB_BYTES, *lines("lost")])
    produce(kafka, topic, lines("c", "d"))

    while run_with_killer(process, lambda: next_offset(engine) == 6, limit):
        deaths += 1
        assert deaths < 10
        process = start(kafka, topic, migrated_sqlite_url, log)
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0
    assert deaths == 3
    check_gap(engine, log)
    engine.dispose()


@pytest.mark.slow
def test_a_bomb_that_does_not_fit_into_memory_is_passed_after_three_deaths(
    kafka: KafkaBroker, engine: Engine, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """Under a limit of address space the process ends itself, in words; then it goes on."""
    topic, log = kafka.create_topic(1), tmp_path / "log"
    produce(kafka, topic, lines("a", "b"))
    process = start(kafka, topic, migrated_sqlite_url, log)
    assert not run_with_killer(process, lambda: next_offset(engine) == 2, sys.maxsize)
    most = memory(process)[0] + SPARE
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    produce(kafka, topic, [b"x" * BOMB_BYTES, *lines("lost")])
    produce(kafka, topic, lines("c", "d"))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    ended = []
    deadline = time.monotonic() + DEADLINE_S
    process = start(kafka, topic, migrated_sqlite_url, log, limit)
    while next_offset(engine) < 6:
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        if process.poll() is not None:
            ended.append(process.returncode)
            process = start(kafka, topic, migrated_sqlite_url, log, limit)
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0
    assert ended == [71, 71, 71]
    assert len(events(log, "out_of_memory")) == 3
    assert "Traceback" not in log.read_text()
    check_gap(engine, log)
    engine.dispose()
