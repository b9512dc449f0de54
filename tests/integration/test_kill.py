"""The collector is killed with -9 while a transaction is open, again and again.

The oracle is apart from the product: it compares the producer's ledger (what the broker
acknowledged) with the rows in the database, by a plain driver.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest
from kafka import KafkaProducer
from sqlalchemy import make_url

from tests.lines import client_line, shipped
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

KILLS = 10
PARTITIONS = 2
DEADLINE_S = 90.0
AHEAD = 40_000
"""Lines that production may be ahead: enough that the collector is never idle."""
REPOSITORY = Path(__file__).parents[2]
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

    def __init__(self, bootstrap: str, topic: str) -> None:
        super().__init__()
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
        self._topic = topic
        self.ended = Event()
        self.ledger: list[str] = []
        self.sent = [0] * PARTITIONS
        self.limit = AHEAD

    def run(self) -> None:
        number = 0
        while not self.ended.is_set():
            if number >= self.limit:  # leaves the processor to the collector
                self.ended.wait(0.02)
                continue
            futures = []
            for _ in range(200):
                partition, request_id = number % PARTITIONS, f"ledger-{number}"
                value = shipped(client_line(request_id), node=f"node-{number % 3}")
                future = self._producer.send(self._topic, value, partition=partition)
                futures.append((partition, request_id, future))
                number += 1
            for partition, request_id, future in futures:
                future.get(timeout=30)
                self.ledger.append(request_id)
                self.sent[partition] += 1
        self._producer.close()


class Store:
    """The database as the oracle sees it: by its own driver, never through the product."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.is_sqlite = self._url.drivername.startswith("sqlite")

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection | psycopg.Connection]:
        if self.is_sqlite:
            with contextlib.closing(sqlite3.connect(self._url.database or "")) as plain:
                plain.execute("PRAGMA busy_timeout = 0")
                yield plain
        else:
            url = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(url, autocommit=True) as connection:
                yield connection

    def has_open_transaction(self) -> bool:
        """Whether a transaction that wrote something is open at this moment."""
        with self._connect() as connection:
            if not self.is_sqlite:
                query = (
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL "
                    "AND datname = current_database() AND application_name = 'mirrorproof'"
                )
                return bool(connection.execute(query).fetchall()[0][0])
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                return "locked" in str(error)
            connection.execute("ROLLBACK")
            return False

    def ids(self) -> Counter[str]:
        """How often each id of the ledger is stored."""
        with self._connect() as connection:
            found = connection.execute("SELECT request_id FROM observation").fetchall()
        return Counter(row[0] for row in found)

    def offsets(self) -> list[int]:
        """How far each partition is read."""
        query = "SELECT next_offset FROM position ORDER BY partition"
        try:
            with self._connect() as connection:
                return [int(row[0]) for row in connection.execute(query).fetchall()]
        except sqlite3.OperationalError:
            return []  # locked just now

    def accounts(self) -> tuple[int, ...]:
        """Lines read and stored, by the batch rows."""
        query = "SELECT sum(read), sum(stored) FROM batch"
        with self._connect() as connection:
            return tuple(int(found) for found in connection.execute(query).fetchall()[0])


@contextlib.contextmanager
def collector(
    broker: KafkaBroker, topic: str, url: str, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The real command, in a process of its own, gone at the end of the block."""
    arguments = ["collect", "--bootstrap-servers", broker.bootstrap, "--topic", topic]
    arguments += ["--partitions", f"0-{PARTITIONS - 1}", "--database-url", url]
    arguments += ["--policy", str(folder / "policy.yaml")]
    with (folder / "collector.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from verifier.cli import main; main()", *arguments],
            stderr=log,
            # Small batches: many transactions to be killed in.
            env={**os.environ, "MIRRORPROOF_KAFKA__BATCH_RECORDS": "500"},
            cwd=REPOSITORY,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def wait_until(true: Callable[[], bool], what: str, log: Path) -> None:
    """Asks until something is true, or fails with the collector's log."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, f"{what}: {log.read_text()[-3000:]}"
        time.sleep(0.02)


def kill_in_transaction(
    process: subprocess.Popen[bytes], store: Store, chance: random.Random
) -> None:
    """Stops the process again and again until it stands in an open transaction; then kills it.

    A stopped process cannot commit between the look and the kill.
    """
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        time.sleep(chance.uniform(0.0, 0.03))
        process.send_signal(signal.SIGSTOP)
        if store.has_open_transaction():
            break
        process.send_signal(signal.SIGCONT)
    else:
        pytest.fail("the collector never had a transaction open")
    process.kill()


def test_kill_dash_nine_loses_and_doubles_nothing(
    kafka: KafkaBroker, migrated_database_url: str, tmp_path: Path
) -> None:
    """Ten kills, each in an open transaction, under continued production: 0 lost, 0 doubled."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    log = tmp_path / "collector.log"
    topic, chance = kafka.create_topic(PARTITIONS), random.Random(1)
    store = Store(migrated_database_url)
    production = Production(kafka.bootstrap, topic)
    production.start()
    try:
        for _ in range(KILLS):
            before = sum(store.offsets())
            production.limit = before + AHEAD
            with collector(kafka, topic, migrated_database_url, tmp_path) as process:
                wait_until(lambda at=before: sum(store.offsets()) > at, "no progress", log)
                kill_in_transaction(process, store, chance)
    finally:
        production.ended.set()
        production.join(60)

    with collector(kafka, topic, migrated_database_url, tmp_path) as process:
        wait_until(lambda: store.offsets() == production.sent, "the rest was not read", log)
        process.terminate()
        assert process.wait(30) == 0
    found = store.ids()
    lost = set(production.ledger) - set(found)
    doubled = {request_id: times for request_id, times in found.items() if times > 1}
    assert (len(lost), len(doubled)) == (0, 0)
    assert len(found) == len(production.ledger) > KILLS * 100
    assert store.accounts() == (len(found), len(found))
