"""A collector as a process, lines for it to read, and an oracle apart from the product.

The oracle compares the producer's ledger, what the broker acknowledged, with the rows in the
database, by a plain driver.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Self

import psycopg
from kafka import KafkaProducer
from sqlalchemy import make_url

from tests.fault_proxy import FaultProxy
from tests.lines import client_line, shipped
from tests.servers.kafka import KafkaBroker
from tests.servers.process import free_ports

REPOSITORY = Path(__file__).parents[1]
COLLECT = (sys.executable, "-c", "from verifier.cli import main; main()", "collect")
PATIENCE_S = 90.0
POLICY = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: forecast, namespace: weather}
spec:
  hosts: [forecast]
  http:
  - route: [{destination: {host: forecast, subset: v2}}]
    mirror: {host: forecast, subset: v1}
"""


class Production(Thread):
    """Produces lines with known ids until it is told to stop; keeps the ledger."""

    def __init__(self, bootstrap: str, topic: str, partitions: int = 2, per_s: int = 500) -> None:
        super().__init__(daemon=True)
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
        self.bootstrap, self._topic, self._per_s = bootstrap, topic, per_s
        self._ended = Event()
        self.ledger: list[str] = []
        self.sent = [0] * partitions

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Stops; everything is acknowledged then."""
        self._ended.set()
        self.join(150)
        assert not self.is_alive()

    def run(self) -> None:
        number = 0
        while not self._ended.wait(0.1):
            futures = []
            for _ in range(self._per_s // 10):
                partition, request_id = number % len(self.sent), f"ledger-{number}"
                value = shipped(client_line(request_id), node=f"node-{number % 3}")
                sent = self._producer.send(self._topic, value, partition=partition)
                futures.append((partition, request_id, sent))
                number += 1
            for partition, request_id, sent in futures:
                sent.get(timeout=120)  # a broker may be restarted meanwhile
                self.ledger.append(request_id)
                self.sent[partition] += 1
        self._producer.close()


class Rows:
    """A PostgreSQL database as the oracle sees it: by its own driver, never by the product."""

    def __init__(self, url: str) -> None:
        address = make_url(url).set(drivername="postgresql")
        self._address = address.render_as_string(hide_password=False)

    def ask(self, query: str) -> list[tuple[object, ...]]:
        """The rows of a query; none when it returns none."""
        with psycopg.connect(self._address, autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def offsets(self) -> list[int]:
        """How far each partition is read."""
        query = "SELECT next_offset FROM position ORDER BY topic, partition"
        return [int(str(row[0])) for row in self.ask(query)]

    def owners(self) -> list[object]:
        """Who reads each partition."""
        return [row[0] for row in self.ask("SELECT owner FROM position ORDER BY partition")]

    def lost_and_doubled(self, ledger: list[str]) -> tuple[int, int]:
        """How many lines of the ledger are not there, and how many are there twice or more."""
        found = Counter(str(row[0]) for row in self.ask("SELECT request_id FROM observation"))
        assert not set(found) - set(ledger), "rows that nobody produced"
        return len(set(ledger) - set(found)), sum(times > 1 for times in found.values())


class Collector:
    """`mirrorproof collect` with probes; see `running`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self.process, self.log, self._port = process, log, port

    def probe(self, path: str) -> dict[str, str]:
        """The reasons why it is not ready or not live; empty: it is."""
        try:
            address = f"http://127.0.0.1:{self._port}{path}"
            with urllib.request.urlopen(address, timeout=5) as answer:
                json.load(answer)
                return {}
        except urllib.error.HTTPError as error:
            with error:
                reasons: dict[str, str] = json.load(error)["reasons"]
                return reasons
        except OSError as error:
            return {"no_answer": str(error)}

    def becomes_ready(self) -> None:
        """Waits until it does all of its work."""
        self.until(lambda: not self.probe("/readyz"), "never ready")

    def is_told(self, reason: str, words: str = "") -> None:
        """Waits until it is not ready for this reason, in such words; it must be live then."""

        def is_said() -> bool:
            reasons = self.probe("/readyz")
            return reason in reasons and words in reasons[reason]

        self.until(is_said, f"never {reason} {words}")
        assert self.probe("/livez") == {}

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Waits until something is true; fails with the collector's log, or when it ended."""
        until(true, what, self.log)

    def processor_s(self) -> float:
        """How long it has used a processor, seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def said(self) -> list[str]:
        """The lines that it logged."""
        return self.log.read_text().splitlines()

    def leave(self) -> float:
        """Sends SIGTERM; how long it took to end with status 0, in seconds."""
        asked = time.monotonic()
        self.process.terminate()
        assert self.process.wait(30) == 0, self.said()[-5:]
        return time.monotonic() - asked


def until(true: Callable[[], bool], what: str, log: Path) -> None:
    """Waits until something is true, or fails with the end of a log."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"{what}: {log.read_text()[-3000:]}"
        time.sleep(0.05)


@contextlib.contextmanager
def running(
    folder: Path,
    name: str = "collector",
    *arguments: str,
    program: Sequence[str] = COLLECT,
    declared: str = POLICY,
    **settings: object,
) -> Iterator[Collector]:
    """The real command, in a process of its own, gone at the end of the block.

    Args:
        folder: Gets its log and its policy.
        name: Of the log.
        arguments: Of `collect`, besides the policy.
        program: The command itself.
        declared: The policy.
        settings: By their variables, without the prefix: `KAFKA__TOPICS="logs"`.
    """
    (port,) = free_ports(1)
    policy, log = folder / "policy.yaml", folder / f"{name}.log"
    policy.write_text(declared)
    variables = {
        "COLLECTOR__HEALTH_LISTEN": f"127.0.0.1:{port}",
        "KAFKA__BATCH_RECORDS": 500,  # many transactions for a fault to hit
        "KAFKA__END_CHECK_S": 1,
        **settings,
    }
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [*program, "--policy", str(policy), *arguments],
            stderr=sink,
            env={**os.environ, **{f"MIRRORPROOF_{n}": str(v) for n, v in variables.items()}},
            cwd=REPOSITORY,
        )
    try:
        yield Collector(process, log, port)
    finally:
        process.kill()
        process.wait(10)


class Site:
    """A collector that reads while lines are produced, and proxies before its servers."""

    def __init__(
        self,
        collector: Collector,
        production: Production,
        proxies: tuple[FaultProxy, FaultProxy],
        rows: Rows,
    ) -> None:
        self.collector, self.production, self.rows = collector, production, rows
        self.broker, self.database = proxies

    def goes_on(self) -> float:
        """Waits until something new is written; how long that took, seconds."""
        since_s, before = time.monotonic(), sum(self.rows.offsets())
        self.collector.until(lambda: sum(self.rows.offsets()) > before, "no progress")
        return time.monotonic() - since_s

    def check(self) -> None:
        """Ends production, waits for the rest, and compares: nothing lost, nothing doubled."""
        self.production.end()
        self.collector.until(
            lambda: self.rows.offsets() == self.production.sent, "the rest was not read"
        )
        self.collector.becomes_ready()
        assert self.collector.process.poll() is None, "it never ended"
        assert self.collector.leave() < 10.0
        assert self.rows.lost_and_doubled(self.production.ledger) == (0, 0)


def through(url: str, port: int) -> str:
    """The same database by another port."""
    return make_url(url).set(port=port).render_as_string(hide_password=False)


@contextlib.contextmanager
def collecting(
    kafka: KafkaBroker, url: str, folder: Path, *, listener: str = "", **settings: object
) -> Iterator[Site]:
    """A site on a migrated database; it already wrote something.

    Args:
        kafka: The broker.
        url: Of a PostgreSQL database.
        folder: Gets the collector's files.
        listener: Which one the collector reads from; empty: the plain one.
        settings: As for `running`.
    """
    topic = kafka.create_topic(2)
    listener = listener or kafka.bootstrap
    with (
        FaultProxy(int(listener.rpartition(":")[2]), hide=True) as broker,
        FaultProxy(make_url(url).port or 5432) as database,
        running(
            folder,
            **{
                "KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{broker.port}",
                "KAFKA__TOPICS": topic,
                "KAFKA__PARTITIONS": "0-1",
                "DATABASE__URL": through(url, database.port),
                **settings,
            },
        ) as collector,
        Production(kafka.bootstrap, topic) as production,
    ):
        site = Site(collector, production, (broker, database), Rows(url))
        collector.until(lambda: len(site.rows.offsets()) == 2, "never began")
        site.goes_on()
        collector.becomes_ready()
        yield site
