"""Poison from a real broker: each piece is quarantined, and the good lines beside it are stored."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from kafka import KafkaProducer
from sqlalchemy import Engine, select

from collector.app import build
from collector.db.engine import open_engine, reading, writing
from collector.db.policies import PolicyRecord, record_versions
from collector.db.tables import batch, observation, position, quarantine
from collector.settings import CollectorSettings, DatabaseSettings, KafkaSettings, Settings
from tests.lines import HOST, client_line
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

DEADLINE_S = 90.0


def json_line(**fields: object) -> bytes:
    """A line of Istio's JSON format."""
    line = {
        "start_time": "2026-11-22T15:11:42.900Z", "method": "GET", "path": "/weather",
        "protocol": "HTTP/1.1", "response_code": 200, "response_flags": "-", "duration": 4,
        "bytes_received": 0, "bytes_sent": 100, "request_id": "id-1",
        "authority": "forecast:3002", "upstream_cluster": f"outbound|3002|v2|{HOST}",
    }  # fmt: skip
    return json.dumps(line | fields).encode()


def raw(name: str, value: bytes) -> bytes:
    """A line of JSON with a value that no encoder writes."""
    return json_line(**{name: "@"}).replace(b'"@"', value)


DAMAGED, VALUE, FORMAT = "holds a NUL", "impossible value", "no known format"
POISON = {
    "NUL in text": (client_line("a\0b").encode(), DAMAGED),
    "NUL in JSON": (json_line(path="/a").replace(b"/a", b"/a\0"), VALUE),
    "lone surrogate": (raw("path", b'"/a\\ud800"'), VALUE),
    "beyond int4": (raw("response_code", b"3000000000"), VALUE),
    "beyond int8": (raw("bytes_sent", b"9223372036854775808"), VALUE),
    "beyond int8 in text": (
        client_line("a").replace(" 100 4 3 ", f" {1 << 63} 4 3 ").encode(),
        FORMAT,
    ),
    "5000 digits": (raw("duration", b"9" * 5_000), VALUE),
    "not a number": (raw("duration", b"NaN"), VALUE),
    "infinite": (raw("bytes_sent", b"1e400"), VALUE),
    "endless path": (client_line("a", path="/" + "y" * 200_000).encode(), "too long"),
    "deep JSON": (raw("path", b"[" * 100_000), VALUE),
    "hour 24": (client_line("a").replace("T15:11:42.900Z", "T24:00:00.000Z").encode(), FORMAT),
    "leap second": (json_line(start_time="2026-11-22T23:59:60Z"), VALUE),
    "15 MB of objects": (b"[" + b"{}," * 5_000_000 + b"{}]", "value"),
    "50 MB": (b"x" * 50_000_000, "value"),
}
"""Of reliability.md 6.4: name, value, part of the reason."""


@contextmanager
def collecting(broker: KafkaBroker, topic: str, url: str, **own: object) -> Iterator[None]:
    """A collector that reads partition 0 of a topic, in a thread."""
    settings = Settings(
        kafka=KafkaSettings(
            bootstrap_servers=(broker.bootstrap,), topics=(topic,), partitions=(0,),
            batch_wait_ms=20, end_check_s=0.5,
        ),
        database=DatabaseSettings(url=url),
        collector=CollectorSettings(**own),
    )  # fmt: skip
    stop, app = Event(), build(settings)
    thread = Thread(target=app.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


@pytest.fixture
def engine(migrated_database_url: str) -> Iterator[Engine]:
    """Each database, with a policy."""
    engine = open_engine(migrated_database_url)
    with writing(engine) as connection:
        record_versions(connection, [PolicyRecord("weather/forecast", "{}", (HOST,))], 1)
    yield engine
    engine.dispose()


def wait_for(engine: Engine, offset: int) -> None:
    """Waits until partition 0 is read so far, or stopped."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with reading(engine) as connection:
            row = connection.execute(select(position)).one_or_none()
        if row is not None and (row.next_offset >= offset or row.state == "stopped"):
            return
        time.sleep(0.05)
    pytest.fail(f"not read to {offset}")


def produce(broker: KafkaBroker, topic: str, values: list[bytes]) -> None:
    """Produces values, packed small: brokers refuse what is large by default."""
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap, compression_type="gzip", linger_ms=50,
        max_request_size=100_000_000,
    )  # fmt: skip
    for value in values:
        producer.send(topic, value, partition=0)
    producer.flush(60)
    producer.close()


def test_every_poison_is_quarantined_beside_good_lines(
    kafka: KafkaBroker, engine: Engine, migrated_database_url: str
) -> None:
    """With reason, place, time and a bounded prefix; the same on both databases."""
    topic = kafka.create_topic(1)
    values: list[bytes] = []
    for number, (value, _) in enumerate(POISON.values()):
        values += [client_line(f"before-{number}").encode(), value]
    produce(kafka, topic, [*values, client_line("last").encode()])

    with collecting(kafka, topic, migrated_database_url):
        wait_for(engine, len(values) + 1)

    with reading(engine) as connection:
        bad = connection.execute(select(quarantine).order_by(quarantine.c.record_offset)).all()
        good = sorted(connection.scalars(select(observation.c.request_id)))
        batches = connection.execute(select(batch)).all()
    assert [row.record_offset for row in bad] == list(range(1, len(values), 2))
    for row, (name, (value, reason)) in zip(bad, POISON.items(), strict=True):
        assert reason in row.reason, (name, row.reason)
        assert (row.topic, row.partition, row.length) == (topic, 0, len(value)), name
        assert value.replace(b"day=1", b"day=***").startswith(row.prefix), name
        assert 0 < len(row.prefix) <= 4096, name
        assert row.record_us > 0, name
    assert good == sorted(["last", *(f"before-{n}" for n in range(len(POISON)))])
    assert sum(one.read for one in batches) == len(values) + 1
    assert sum(one.quarantined for one in batches) == len(POISON)


def test_a_row_that_the_database_refuses_is_quarantined_alone(
    kafka: KafkaBroker, engine: Engine, migrated_database_url: str
) -> None:
    """The others of its batch are stored; the partition goes on."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ALTER TABLE observation ADD CHECK (code <> 418)")
        else:
            connection.exec_driver_sql(
                "CREATE TRIGGER picky BEFORE INSERT ON observation WHEN NEW.code = 418 "
                "BEGIN SELECT RAISE(ABORT, 'picky'); END"
            )
    topic = kafka.create_topic(1)
    lines = [client_line(f"id-{number}").encode() for number in range(40)]
    for bad in (3, 30):
        lines[bad] = lines[bad].replace(b'" 200 ', b'" 418 ')
    produce(kafka, topic, lines)

    with collecting(kafka, topic, migrated_database_url):
        wait_for(engine, len(lines))

    with reading(engine) as connection:
        bad_rows = connection.execute(select(quarantine.c.record_offset, quarantine.c.prefix)).all()
        stored = len(connection.scalars(select(observation.c.request_id)).all())
    assert sorted(row[0] for row in bad_rows) == [3, 30]
    assert all(b" 418 " in bytes(row[1]) for row in bad_rows)
    assert stored == len(lines) - 2
