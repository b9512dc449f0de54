"""The release before this one works on today's schema, while both run and lines flow."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread

import pytest
from kafka import KafkaProducer
from sqlalchemy import Engine, select

from collector.db.engine import open_engine, reading
from collector.db.migrate import current_revision, head_revision
from collector.db.tables import observation, position
from tests.collecting import COLLECT, running
from tests.mesh_traffic import NAME, heartbeats, partition_of, policy, request
from tests.previous import NoHistoryError, Release, previous
from tests.servers.kafka import KafkaBroker
from verifier.settle.lease import look
from verifier.settle.report import totals
from verifier.tables import finding, settled_policy

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

TODAY = COLLECT[:-1]
PARTITIONS = 3
PATIENCE_S = 60.0
SECOND = 1_000_000


class Traffic(Thread):
    """Live traffic of a small mesh, in real time; every fifth request has no copy."""

    def __init__(self, kafka: KafkaBroker) -> None:
        super().__init__(daemon=True)
        self.topic = kafka.create_topic(PARTITIONS)
        self._producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5)
        self.lines: Counter[str] = Counter()
        self.missing: set[str] = set()
        self._ended = Event()

    def run(self) -> None:
        chance, number = random.Random(5), 0
        while not self._ended.wait(0.1):
            now_us, copied = time.time_ns() // 1000 - SECOND // 2, number % 5 != 0
            request_id, sent = request(chance, now_us, copied=copied)
            for one in [*sent, *(heartbeats(now_us) if number % 10 == 0 else [])]:
                where = partition_of(one.node, PARTITIONS)
                self._producer.send(
                    self.topic, one.value, partition=where, timestamp_ms=now_us // 1000
                )
            self.lines[request_id] = len(sent)
            if not copied:
                self.missing.add(request_id)
            number += 1
        self._producer.flush(30)
        self._producer.close()

    def end(self) -> None:
        """Stops; everything is sent then."""
        self._ended.set()
        self.join(60)


class Installation:
    """Collectors and verifiers of two releases on one database."""

    def __init__(self, kafka: KafkaBroker, url: str, folder: Path) -> None:
        self.traffic, self.engine, self._url = Traffic(kafka), open_engine(url), url
        self.folder, self._stack = folder, contextlib.ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._settings = {
            "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap, "KAFKA__TOPICS": self.traffic.topic,
            "DATABASE__URL": url, "VERIFIER__WINDOW_S": 1, "VERIFIER__SHIPPING_ALLOWANCE_S": 1,
        }  # fmt: skip

    def migrate(self, program: Sequence[str]) -> None:
        """By the command of a release."""
        run = [*program, "migrate", "--database-url", self._url]
        done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=self.folder)
        assert done.returncode == 0, done.stderr

    def collect(self, name: str, program: Sequence[str], partitions: str) -> None:
        """Starts a collector."""
        started = running(
            self.folder, name, program=[*program, "collect"], declared=policy(grace_s=2),
            KAFKA__PARTITIONS=partitions, **self._settings,
        )  # fmt: skip
        self._processes[name] = self._stack.enter_context(started).process

    def verify(self, name: str, program: Sequence[str]) -> None:
        """Starts a verifier."""
        own = {f"MIRRORPROOF_{key}": str(value) for key, value in self._settings.items()}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*program, "verify"], env=os.environ | own, stderr=log, cwd=self.folder
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        self._processes[name] = process

    def end(self, *names: str) -> None:
        """In good order: whoever ended before tells why."""
        for name in names:
            process = self._processes.pop(name)
            process.terminate()
            assert process.wait(60) == 0, self.log(name)

    def log(self, name: str) -> str:
        """What a process said last."""
        return (self.folder / f"{name}.log").read_text()[-3000:]

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Waits; nobody may end meanwhile."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not true():
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} ended: {self.log(name)}"
            late = time.monotonic() > deadline_s
            assert not late, "\n".join([what, *map(self.log, self._processes)])
            time.sleep(0.1)

    def goes_on(self) -> None:
        """Waits until what comes from now on is read everywhere, and settled."""
        now_us, before = time.time_ns() // 1000, self._offsets()

        def is_on() -> bool:
            now = self._offsets()
            moved = len(now) == PARTITIONS and all(now[p] > before.get(p, 0) for p in now)
            return moved and self.settled_to_us() > now_us

        self.until(is_on, "does not go on")

    def _offsets(self) -> dict[int, int]:
        with reading(self.engine) as connection:
            query = select(position.c.partition, position.c.next_offset)
            return {row[0]: row[1] for row in connection.execute(query)}

    def settled_to_us(self) -> int:
        """How far it is settled."""
        with reading(self.engine) as connection:
            c = settled_policy.c
            return connection.scalar(select(c.settled_to_us).where(c.policy == NAME)) or 0

    def settler(self) -> str:
        """Who has the lease."""
        with reading(self.engine) as connection:
            seen = look(connection)
        return "" if seen is None else seen.owner

    def close(self) -> None:
        """Ends everything."""
        self._stack.close()
        self.engine.dispose()


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The release before."""
    try:
        return previous(tmp_path_factory.mktemp("previous"))
    except NoHistoryError as error:
        pytest.skip(f"no release before this one: {error}")


@pytest.fixture
def site(kafka: KafkaBroker, database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """An empty database, and traffic that begins."""
    found = Installation(kafka, database_url, tmp_path)
    found.traffic.start()
    try:
        yield found
    finally:
        found.traffic.end()
        found.close()


def check(engine: Engine, traffic: Traffic) -> None:
    """Every line is there once, and no verdict is false; on a busy machine some are in doubt."""
    with reading(engine) as connection:
        ids = connection.scalars(select(observation.c.request_id))
        assert Counter(ids) == traffic.lines
        found = totals(connection, NAME)
        c = finding.c
        query = select(c.request_id, c.verdict, c.reason)
        query = query.where(c.policy == NAME, c.superseded_us.is_(None))
        said = {row.request_id: (row.verdict, row.reason) for row in connection.execute(query)}
    assert {verdict for verdict, _ in said.values()} <= {"missing", "unverifiable"}
    assert traffic.missing <= set(said)
    missing = {one for one, (verdict, _) in said.items() if verdict == "missing"}
    assert missing <= traffic.missing
    assert len(missing) > len(traffic.missing) / 2, Counter(said.values())
    assert found.verdicts["matched"] == len(traffic.lines) - len(said)


def test_the_release_before_works_on_todays_schema(
    site: Installation, old: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its processes go on while today's migrate, run beside them, and take over one by one."""
    site.migrate(old.program)
    before = current_revision(site.engine)
    site.collect("old-1", old.program, "0")
    site.collect("old-2", old.program, "1-2")
    site.verify("old-verifier", old.program)
    site.goes_on()

    site.migrate(TODAY)
    assert current_revision(site.engine) == head_revision()
    site.goes_on()  # with nobody but the old ones

    if "schema_works_from" in (old.folder / "collector/db/migrate.py").read_text():
        site.end("old-verifier")
        site.verify("old-verifier", old.program)  # a pod that is moved to another node
        site.goes_on()
    site.verify("new-verifier", TODAY)
    site.end("old-1")
    site.collect("new-1", TODAY, "0")
    site.goes_on()  # collectors of both
    settler = site.settler()
    site.end("old-verifier")
    site.end("old-2")
    site.collect("new-2", TODAY, "1-2")
    site.until(lambda: site.settler() not in ("", settler), "nobody takes the lease")
    site.goes_on()

    site.traffic.end()
    ended_us = time.time_ns() // 1000
    site.until(lambda: site.settled_to_us() > ended_us, "the rest is not settled")
    site.end("new-verifier", "new-1", "new-2")
    check(site.engine, site.traffic)
    told = f"{before} ({old.commit}) to {head_revision()}, {len(site.traffic.lines)} requests"
    with capsys.disabled():
        print(f"\nupgrade on {site.engine.dialect.name}: {told}")  # noqa: T201


def test_a_program_before_the_newest_migration_starts_on_todays_schema(
    site: Installation, old: Release
) -> None:
    """As a pod does that is moved, or after the deployment was rolled back."""
    if "schema_works_from" not in (old.folder / "collector/db/migrate.py").read_text():
        pytest.skip(f"{old.commit} is older than what the schema says of itself")
    site.migrate(TODAY)
    site.migrate(old.program)  # the job of a rolled back installation

    site.collect("old", old.program, "0-2")
    site.verify("old-verifier", old.program)
    site.goes_on()
    assert current_revision(site.engine) == head_revision()
