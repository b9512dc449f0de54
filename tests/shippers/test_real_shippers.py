"""Real shippers carry the logs of real proxies into a broker, and the collector reads them.

`make test-shippers` runs them. What of them is not on the machine is skipped, with how to get it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collector.batch import Watch
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity
from collector.sources.protocol import Partition, Record
from tests import recordings
from tests.servers.kafka import KafkaBroker
from tests.shippers.node import CONTAINER, NAMESPACE, Node, write_node

pytestmark = [pytest.mark.integration, pytest.mark.slow]

OTELCOL = Path(os.environ.get("MIRRORPROOF_TEST_OTELCOL", ".shippers/otelcol"))
POLICY = recordings.POLICIES / "weather-mirror.yaml"
HOST = "forecast.weather.svc.cluster.local"
DEADLINE_S = 120.0

Stored = dict[str, list[int]]
"""The identities of the lines of each pod, sorted."""


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node with logs."""
    return write_node(tmp_path / "log")


@contextlib.contextmanager
def shipping(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a shipper as long as the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
    try:
        yield process
        assert process.poll() is None, log.read_text()[-4000:]
    finally:
        process.terminate()
        process.wait(30)


def expected(node: Node) -> Stored:
    """What the collector has to store of the lines, by reading them without any shipper."""
    reader = Reader(b"", (), lambda _: Identity(), PoisonLimits())
    watch = Watch(HostTable([HOST]), 1)
    found = {}
    for pod, lines in node.lines.items():
        records = [Record(n, 0, line.encode()) for n, line in enumerate(lines)]
        batch = reader.read(Partition(pod, 0), 0, records, watch, time.time_ns() // 1000)
        found[pod] = sorted(seen.observation.line_id for seen in batch.seen)
        assert found[pod]
    return found


def collected(
    folder: Path,
    kafka: KafkaBroker,
    topic: str,
    wanted: Stored,
    shipper: subprocess.Popen[bytes],
) -> Stored:
    """What a collector stores of a topic, once it is as much as wanted, or time is up."""
    database = folder / f"{topic}.db"
    environment = {**os.environ, "MIRRORPROOF_DATABASE__URL": f"sqlite:///{database}"}
    arguments = ["--bootstrap-servers", kafka.bootstrap, "--topic", topic, "--partitions", "0"]
    with (folder / "collect.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "verifier", "collect", *arguments, "--policy", str(POLICY)],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + DEADLINE_S
        count = sum(len(lines) for lines in wanted.values())
        while time.monotonic() < deadline and process.poll() is shipper.poll() is None:
            found = stored(database)
            if sum(len(lines) for lines in found.values()) >= count:
                break
            time.sleep(0.5)
    finally:
        if shipper.poll() is not None:
            process.kill()  # what the shipper said is told by whoever runs it
        process.send_signal(signal.SIGTERM)
        assert shipper.poll() is not None or process.wait(30) == 0, (
            folder / "collect.log"
        ).read_text()[-4000:]
    with closing(sqlite3.connect(database)) as connection:
        reasons = "SELECT reason, count(*) FROM quarantine GROUP BY reason"
        assert connection.execute(reasons).fetchall() == []
        assert connection.execute("SELECT count(*) FROM piece").fetchone() == (0,)
    return stored(database)


def stored(database: Path) -> Stored:
    """The lines of a database by `NAMESPACE/POD/CONTAINER`; none while it is not there."""
    query = """SELECT namespace || '/' || pod || '/' || container, line_id
               FROM observation JOIN pod ON pod.id = pod_id ORDER BY 1, 2"""
    found: Stored = {}
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        try:
            rows = connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # not migrated yet
            return {}
    for who, line in rows:
        found.setdefault(who, []).append(line)
    return found


def with_identity(lines: Stored) -> Stored:
    """The same, by the whole identity."""
    return {f"{NAMESPACE}/{pod}/{CONTAINER}": found for pod, found in lines.items()}


RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imfile" mode="inotify")
module(load="omkafka")
input(type="imfile" File="{files}" Tag="istio-proxy:" Ruleset="ship" addMetadata="on")
template(name="record" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="file" name="$!metadata!filename" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
action(type="omfile" file="{folder}/rsyslog.log")
ruleset(name="ship") {{
  action(type="omkafka" broker=["{broker}"] topic="{topic}" {more}
         confParam=["queue.buffering.max.ms=50"] action.resumeRetryCount="-1")
}}
"""


@pytest.fixture
def rsyslogd() -> str:
    """The program, with its output for Kafka."""
    program = shutil.which("rsyslogd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    modules = list(Path("/usr/lib").glob("*/rsyslog/omkafka.so"))
    if program is None or not modules:
        pytest.skip("rsyslogd with omkafka is not here: apt-get install rsyslog rsyslog-kafka")
    return program


@pytest.mark.parametrize("template", ["record", "default"])
def test_rsyslog_ships_every_line(
    kafka: KafkaBroker, node: Node, tmp_path: Path, rsyslogd: str, template: str
) -> None:
    """A JSON template with the file's name says who wrote a line; the default one does not.

    The runtime's pieces are records of their own; they are joined.
    """
    if not kafka.groups:
        pytest.skip(f"Debian's librdkafka 2.0 delivers nothing to {kafka.kind}")
    topic, wanted = kafka.create_topic(), expected(node)
    config = tmp_path / "rsyslog.conf"
    more = 'template="record"' if template == "record" else ""
    config.write_text(
        RSYSLOG.format(
            folder=tmp_path,
            files=node.containers,
            broker=kafka.bootstrap,
            topic=topic,
            more=more,
        )
    )
    command = (rsyslogd, "-n", "-f", str(config), "-i", str(tmp_path / "rsyslogd.pid"))

    with shipping(tmp_path / "rsyslog.log", *command) as shipper:
        found = collected(tmp_path, kafka, topic, wanted, shipper)

    if template == "record":
        assert found == with_identity(wanted)
    else:
        assert found == {"//": sorted(line for lines in wanted.values() for line in lines)}


OTEL = """
receivers:
  file_log:
    include: ["{files}"]
    include_file_path: true
    start_at: beginning
    max_log_size: 1MiB
    operators: {operators}
exporters:
  kafka:
    brokers: ["{broker}"]
    logs: {{topic: {topic}, encoding: {encoding}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [file_log], exporters: [kafka]}}
"""


@pytest.fixture
def otelcol() -> str:
    """The collector, built by `make .shippers/otelcol`."""
    if not OTELCOL.exists():
        pytest.skip(f"{OTELCOL} is not built: it needs Go; make {OTELCOL}")
    return str(OTELCOL.resolve())


@pytest.mark.parametrize("operators", ["[{type: container}]", "[]"], ids=["container", "plain"])
@pytest.mark.parametrize("encoding", ["otlp_json", "otlp_proto", "raw"])
def test_the_opentelemetry_collector_ships_every_line(
    kafka: KafkaBroker,
    node: Node,
    tmp_path: Path,
    otelcol: str,
    encoding: str,
    operators: str,
) -> None:
    """Identity comes from its container operator, else from the path; `raw` has none.

    Without the operator the runtime's pieces come one by one, and are joined.
    """
    topic, wanted = kafka.create_topic(), expected(node)
    config = tmp_path / "otel.yaml"
    config.write_text(
        OTEL.format(
            files=node.pods,
            operators=operators,
            broker=kafka.bootstrap,
            topic=topic,
            encoding=encoding,
        )
    )

    with shipping(tmp_path / "otel.log", otelcol, "--config", f"file:{config}") as shipper:
        found = collected(tmp_path, kafka, topic, wanted, shipper)

    if encoding == "raw":
        assert found == {"//": sorted(line for lines in wanted.values() for line in lines)}
    else:
        assert found == with_identity(wanted)
