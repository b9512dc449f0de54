"""Several verifiers as real processes: killed, frozen, and told the wrong time."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from collector.db.engine import open_engine, reading
from collector.settings import VerifierSettings
from tests.clocks import HandClock
from tests.settling import NOW, SECOND, World, make_policy, request
from verifier.app import Parts, Verifier
from verifier.policies.model import Rules
from verifier.settle import lease as leases
from verifier.settle.audit import follow
from verifier.tables import settled_policy, settled_window

pytestmark = pytest.mark.integration
HASTE = Rules(grace_us=SECOND, horizon_us=SECOND // 5)
POLICY = make_policy(("v1", 100.0), rules=HASTE)
HOUR = 3_600 * SECOND
_LIMIT_S = 90.0


class Mesh:
    """Traffic in real time, and verifiers of it.

    Args:
        engine: A migrated database.
        url: Of that.
        folder: Gets what the processes print.
    """

    def __init__(self, engine: Engine, url: str, folder: Path) -> None:
        self.world = World(engine, now_us=time.time_ns() // 1000)
        self.world.declare(POLICY)
        self.engine = engine
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._url = url
        self._folder = folder
        self._number = 0

    def start(self, name: str) -> None:
        """Starts a verifier."""
        given = {
            "DATABASE__URL": self._url, "VERIFIER__WINDOW_S": "1", "VERIFIER__POLL_S": "0.1",
            "VERIFIER__SHIPPING_ALLOWANCE_S": "0", "VERIFIER__EVIDENCE_MAX_AGE_S": "60",
        }  # fmt: skip
        mine = {f"MIRRORPROOF_{key}": value for key, value in given.items()}
        with (self._folder / name).open("wb") as out, (self._folder / "log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "verifier", "verify", "--json"],
                env={**os.environ, **mine},
                stdout=out,
                stderr=log,
            )

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to one."""
        self.processes[name].send_signal(number)

    def go_on(self, is_done: Callable[[], object], what: str) -> float:
        """Writes traffic until something happened; returns after how many seconds."""
        begun_s = time.monotonic()
        while not is_done():
            assert time.monotonic() - begun_s < _LIMIT_S, what
            now_us = self.world.now_us = time.time_ns() // 1000
            self._number += 1
            # Every third request has no copy: a window that is settled twice would show.
            self.world.write(request(self._number, now_us)[: 3 if self._number % 3 else 2])
            self.world.caught_up()
            time.sleep(0.1)
        return time.monotonic() - begun_s

    def epoch(self) -> int:
        """How often the lease was taken."""
        with reading(self.engine) as connection:
            seen = leases.look(connection)
        return 0 if seen is None else seen.epoch

    def settled_to_us(self) -> int:
        """How far it is settled."""
        with reading(self.engine) as connection:
            return connection.scalar(select(settled_policy.c.settled_to_us)) or 0

    def settle_a_while(self) -> None:
        """Goes on until two more windows are settled."""
        wanted = max(self.settled_to_us(), self.world.now_us - 2 * SECOND) + 2 * SECOND
        self.go_on(lambda: self.settled_to_us() >= wanted, "nothing is settled any more")

    def finish(self) -> None:
        """Settles all, and ends the verifiers."""
        last_us = time.time_ns() // 1000
        self.go_on(lambda: self.settled_to_us() > last_us, "the end is not settled")
        self.stop()

    def stop(self) -> None:
        """Ends all verifiers."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def told(self, name: str) -> list[tuple[str, int]]:
        """The windows and revisions that a process said it had settled."""
        lines = (self._folder / name).read_text().splitlines()
        return [(one["window_start"], one["revision"]) for one in map(json.loads, lines)]

    def log(self) -> str:
        """What all of them logged."""
        return (self._folder / "log").read_text()

    def check(self) -> None:
        """No window is lost, none was settled twice, and each is as one that nobody disturbed."""
        told = [one for name in self.processes for one in self.told(name)]
        assert len(told) == len(set(told))
        rows = self._rows()
        assert {row["revision"] for row in rows} == {1}
        assert rows == self._undisturbed(rows[-1]["start_us"])
        with reading(self.engine) as connection:
            assert follow(connection, POLICY.name).broken is None

    def _rows(self) -> list[dict[str, Any]]:
        c = settled_window.c
        with reading(self.engine) as connection:
            query = select(c.start_us, c.revision, c.requests, c.matched, c.missing, c.content)
            return [dict(row._mapping) for row in connection.execute(query.order_by(c.start_us))]

    def _undisturbed(self, last_us: int) -> list[dict[str, Any]]:
        """The same windows, all settled anew by one verifier."""
        tables = ("settled_window", "finding", "chain_head", "settled_policy", "settled_batch")
        with self.engine.begin() as connection:
            for table in tables:
                connection.execute(text(f"DELETE FROM {table}"))
        settings = VerifierSettings(window_s=1, shipping_allowance_s=0)
        now_us = self.world.now_us
        parts = Parts(
            engine=self.engine, clock=HandClock(), owner="alone", settings=settings,
            database_now_us=lambda _: now_us,
        )  # fmt: skip
        Verifier(parts).settle_due()
        return [row for row in self._rows() if row["start_us"] <= last_us]


@pytest.fixture
def mesh(engine: Engine, migrated_database_url: str, tmp_path: Path) -> Iterator[Mesh]:
    """A mesh with one verifier that settles, and one that stands by."""
    found = Mesh(engine, migrated_database_url, tmp_path)
    try:
        found.start("a")
        found.go_on(lambda: found.epoch() == 1, "nobody takes the lease")
        found.start("b")
        found.settle_a_while()
        yield found
    finally:
        found.stop()


def say(capsys: pytest.CaptureFixture[str], what: str, engine: Engine, seconds: float) -> None:
    """Prints how long a take-over took."""
    with capsys.disabled():
        print(f"\ntake-over after {what}, {engine.dialect.name}: {seconds:.1f} s")  # noqa: T201


@pytest.mark.slow
def test_a_killed_verifier_is_replaced(mesh: Mesh, capsys: pytest.CaptureFixture[str]) -> None:
    """After kill -9 the one that stands by goes on where it was, with the same verdicts."""
    mesh.signal("a", signal.SIGKILL)
    took_s = mesh.go_on(lambda: mesh.epoch() == 2, "nobody takes over")
    say(capsys, "kill -9", mesh.engine, took_s)
    mesh.settle_a_while()
    mesh.finish()

    assert mesh.told("b")
    mesh.check()


def _is_locked(engine: Engine) -> bool:
    """Whether somebody writes to a SQLite database just now."""
    if engine.dialect.name != "sqlite":
        return False
    with closing(sqlite3.connect(str(engine.url.database), timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


@pytest.mark.slow
def test_a_frozen_verifier_is_replaced_and_changes_nothing_later(
    mesh: Mesh, capsys: pytest.CaptureFixture[str]
) -> None:
    """Woken up after its lease was over, it notices before it writes, and stands by."""
    mesh.signal("a", signal.SIGSTOP)
    while _is_locked(mesh.engine):  # nobody gets past a writer of SQLite that is frozen
        mesh.signal("a", signal.SIGCONT)
        mesh.signal("a", signal.SIGSTOP)
    took_s = mesh.go_on(lambda: mesh.epoch() == 2, "nobody takes over")
    say(capsys, "SIGSTOP", mesh.engine, took_s)
    mesh.settle_a_while()
    before = mesh.told("a")
    mesh.signal("a", signal.SIGCONT)
    mesh.go_on(lambda: "lease_lost" in mesh.log() or "database_away" in mesh.log(), "not fenced")
    mesh.settle_a_while()
    mesh.finish()

    assert mesh.told("a") == before
    assert mesh.epoch() == 2
    mesh.check()


@pytest.mark.slow
def test_a_verifier_frozen_in_its_transaction_is_replaced(
    migrated_postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has the lease locked; the server ends its session when it says nothing for ten seconds."""
    engine = open_engine(migrated_postgres_url)
    mesh = Mesh(engine, migrated_postgres_url, tmp_path)
    try:
        mesh.start("a")
        mesh.go_on(lambda: mesh.epoch() == 1, "nobody takes the lease")
        mesh.start("b")
        mesh.settle_a_while()
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        with engine.begin() as connection:
            connection.execute(text("LOCK TABLE settled_batch IN ACCESS EXCLUSIVE MODE"))
            while not connection.scalar(waiting):
                time.sleep(0.02)
            mesh.signal("a", signal.SIGSTOP)
        took_s = mesh.go_on(lambda: mesh.epoch() == 2, "nobody takes over")
        say(capsys, "SIGSTOP within a transaction", engine, took_s)
        mesh.settle_a_while()
        mesh.signal("a", signal.SIGCONT)
        mesh.settle_a_while()
        mesh.finish()

        assert mesh.epoch() == 2
        mesh.check()
    finally:
        mesh.stop()
        engine.dispose()


# --- clocks that jump


class Host:
    """A verifier whose host's clock can be set; collector and database are on the same host."""

    def __init__(self, engine: Engine, owner: str = "a") -> None:
        self.world = World(engine)
        self.clock = HandClock()
        self.told: list[Any] = []
        self.verifier = Verifier(
            Parts(
                engine=engine,
                clock=self.clock,
                owner=owner,
                settings=VerifierSettings(),
                database_now_us=lambda _connection: self.world.now_us,
                on_settled=self.told.append,
            )
        )

    def wait(self, seconds: int) -> None:
        """Time passes, and the collector asks the broker; then there is a tick."""
        self.clock.advance(seconds)
        self.world.now_us += seconds * SECOND
        self.world.caught_up()
        self.verifier.turn()


@pytest.mark.parametrize("jump", [HOUR, 9 * HOUR, -HOUR])
def test_a_clock_that_jumps_settles_no_window_early(jump: int, engine: Engine) -> None:
    """Lines that come while it is wrong are judged once, with all of their evidence."""
    host = Host(engine)
    host.world.declare(make_policy(("v1", 100.0)))
    host.world.write(request(1, NOW))
    host.wait(1)
    host.world.now_us += jump
    for _ in range(6):
        host.wait(5)
    # The clocks of the pods are right; the copy is a while behind.
    host.world.write(request(2, NOW + 32 * SECOND)[:2])
    host.wait(5)
    host.world.write(request(2, NOW + 32 * SECOND)[2:])
    host.world.now_us -= jump
    for _ in range(10):
        host.wait(10)

    told = [(one.window.start_us - NOW, one.revision) for one in host.told]
    assert told == [(0, 1), (30 * SECOND, 1)]
    assert [one.result.verdicts["matched"] for one in host.told] == [1, 1]


def test_a_lease_taken_when_the_clock_was_ahead_is_over_in_time(engine: Engine) -> None:
    """Its owner died, and the clock was put right: others wait for the time of a lease."""
    ahead = Host(engine)
    ahead.world.declare(POLICY)
    ahead.world.now_us += 9 * HOUR
    ahead.wait(1)
    other = Host(engine, "b")
    other.world.write(request(1, NOW))
    other.wait(1)
    assert other.told == []

    for _ in range(15):
        other.wait(1)

    assert [one.revision for one in other.told] == [1]


def test_a_verifier_that_started_ahead_follows_its_clock_back(engine: Engine) -> None:
    """The clock was an hour ahead and was put right: windows settle as ever, at once."""
    host = Host(engine)
    host.world.declare(POLICY)
    host.world.now_us += HOUR
    host.wait(1)
    host.world.now_us -= HOUR
    host.world.write(request(1, NOW + 5 * SECOND))
    for _ in range(15):
        host.wait(5)

    assert [one.result.verdicts["matched"] for one in host.told] == [1]
