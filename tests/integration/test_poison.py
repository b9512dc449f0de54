"""Poison from a real broker: each piece is quarantined, and the good lines beside it are stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from kafka import KafkaProducer
from sqlalchemy import Engine, select

from collector.db.engine import reading, writing
from collector.db.policies import PolicyRecord, record_versions
from collector.db.tables import batch, observation, position, quarantine, resumption
from collector.service.app import CollectorApp, build
from collector.settings import CollectorSettings, DatabaseSettings, KafkaSettings, Settings
from tests.databases import refuse
from tests.lines import HOST, client_line, shipped
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

DEADLINE_S = 90.0
REPOSITORY = Path(__file__).parents[2]


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
def collecting(
    broker: KafkaBroker, topic: str, url: str, partitions: tuple[int, ...] = (0,), **own: object
) -> Iterator[CollectorApp]:
    """A collector that reads partitions of a topic, in a thread."""
    settings = Settings(
        kafka=KafkaSettings(
            bootstrap_servers=(broker.bootstrap,), topics=(topic,), partitions=partitions,
            batch_wait_ms=20, end_check_s=0.5,
        ),
        database=DatabaseSettings(url=url),
        collector=CollectorSettings(**own),
    )  # fmt: skip
    stop, app = Event(), build(settings)
    thread = Thread(target=app.run, args=(stop,))
    thread.start()
    try:
        yield app
    finally:
        stop.set()
        thread.join(30)


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """With a policy."""
    with writing(engine) as connection:
        record_versions(connection, [PolicyRecord("weather/forecast", "{}", (HOST,))], 1)
    return engine


def wait_for(engine: Engine, offset: int, partition: int = 0) -> None:
    """Waits until a partition is read so far, or stopped."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with reading(engine) as connection:
            query = select(position).where(position.c.partition == partition)
            row = connection.execute(query).one_or_none()
        if row is not None and (row.next_offset >= offset or row.state == "stopped"):
            return
        time.sleep(0.05)
    pytest.fail(f"not read to {offset}")


def mirrorproof(*arguments: str) -> tuple[int, str, str]:
    """Runs a command; exit status, standard output and error."""
    program = "from verifier.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def produce(broker: KafkaBroker, topic: str, values: list[bytes], partition: int = 0) -> None:
    """Produces values, packed small: brokers refuse what is large by default."""
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap, compression_type="gzip", linger_ms=50,
        max_request_size=100_000_000,
    )  # fmt: skip
    for value in values:
        producer.send(topic, value, partition=partition)
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
    refuse(engine, 418)
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


@pytest.mark.slow
def test_a_partition_of_poison_stops_until_it_is_resumed(
    kafka: KafkaBroker, engine: Engine, migrated_database_url: str
) -> None:
    """The others go on; the probes say so; the running collector reads on when it is told to."""
    topic, url = kafka.create_topic(2), migrated_database_url
    bad = b'[2026-11-22T15:11:42.900Z] "GET /\x1b[2J HTTP/1.1" broken'
    produce(kafka, topic, [bad] * 5 + [client_line("late").encode()])
    produce(kafka, topic, [client_line(f"id-{n}").encode() for n in range(5)], 1)
    on_database = ("--database-url", url)
    where = f"{topic}/0"

    with collecting(kafka, topic, url, (0, 1), poison_limit=3) as app:
        wait_for(engine, 6)
        wait_for(engine, 5, 1)
        produce(kafka, topic, [client_line("more").encode()], 1)
        wait_for(engine, 6, 1)
        stopped = json.loads(mirrorproof("quarantine", "list", *on_database, "--json")[1])
        not_ready = app.health.not_ready()
        server = ("--bootstrap-servers", kafka.bootstrap)
        refused = mirrorproof("quarantine", "resume", where, "--from", "1", *on_database, *server)
        resumed = mirrorproof(
            "quarantine", "resume", where, "--from", "4", "--who", "ann", "--why", "INC-7",
            *on_database, *server,
        )  # fmt: skip
        wait_for(engine, 6)

    assert stopped["reasons"][0]["lines"] == 3
    assert stopped["stopped"][0]["next_offset"] == 3
    assert "3 lines in a row" in stopped["stopped"][0]["reason"]
    assert "partition_stopped" in not_ready
    assert (refused[0], "read already" in refused[2]) == (2, True)
    assert resumed[:2] == (0, f"{where} is read on from 4, 1 records passed over\n")
    status, said, _ = mirrorproof("audit", "ingest", *on_database)
    assert (status, said.splitlines()[-1]) == (0, "everything fits")
    assert "5 quarantined (1 in gaps" in said
    status, said, _ = mirrorproof("quarantine", "show", "1", *on_database)
    assert r"\x1b[2J" in said
    assert "\x1b" not in said
    with reading(engine) as connection:
        assert "late" in connection.scalars(select(observation.c.request_id)).all()
        kept = connection.execute(select(resumption)).one()
    assert (kept.who, kept.why, kept.from_offset, kept.to_offset) == ("ann", "INC-7", 3, 4)


FORMAT_OF_TODAY = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    "%REQ(X-REQUEST-ID)% %REQ(:AUTHORITY)% %UPSTREAM_CLUSTER% %DURATION%"
)


@pytest.mark.slow
def test_quarantined_lines_are_replayed_once(
    kafka: KafkaBroker, engine: Engine, migrated_database_url: str
) -> None:
    """With a format that is known now: from Kafka, each once; the accounts stay right."""
    topic, url = kafka.create_topic(1), migrated_database_url
    line = '[2026-11-22T15:11:42.900Z] "GET /weather?t=s3cr3t HTTP/1.1" 200 {} forecast - 4'
    values = [shipped(line.format(f"id-{n}")) for n in range(5)]
    produce(kafka, topic, [*values, client_line("good").encode(), POISON["NUL in text"][0]])
    with collecting(kafka, topic, url):
        wait_for(engine, 7)
    where = ("--database-url", url, "--bootstrap-servers", kafka.bootstrap)

    untouched = mirrorproof("quarantine", "replay", "--all", *where)
    os.environ["MIRRORPROOF_COLLECTOR__ACCESS_LOG_FORMAT"] = FORMAT_OF_TODAY
    try:
        replayed = mirrorproof("quarantine", "replay", "--reason", "known format", *where)
        again = mirrorproof("quarantine", "replay", "1", *where)
    finally:
        del os.environ["MIRRORPROOF_COLLECTOR__ACCESS_LOG_FORMAT"]

    assert untouched[:2] == (1, "6 still unreadable\n")
    assert replayed[:2] == (0, "5 stored\n"), replayed
    assert again[:2] == (0, "1 replayed before\n")
    with reading(engine) as connection:
        rows = connection.execute(select(observation)).all()
        waiting = connection.scalars(
            select(quarantine.c.id).where(quarantine.c.replayed_us.is_(None))
        ).all()
    assert sorted(row.request_id for row in rows) == ["good", *(f"id-{n}" for n in range(5))]
    assert len(waiting) == 1
    status, said, _ = mirrorproof("audit", "ingest", "--database-url", url)
    assert (status, said.splitlines()[-1]) == (0, "everything fits"), said
    assert "6 stored" in said
    assert "5 replayed" in said
