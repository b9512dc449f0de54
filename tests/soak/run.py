"""One run: servers, services, traffic, faults, and what came of it."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Stop
from threading import Thread
from typing import Final

from sqlalchemy import text

from collector.db.engine import open_engine
from collector.db.migrate import upgrade
from tests.mesh_traffic import NAME, policy
from tests.servers.process import free_ports
from tests.soak.asking import Asked, ask
from tests.soak.commands import commands, settings
from tests.soak.compare import Outcome, compare
from tests.soak.plan import (
    CHANGE_GRACE_S,
    SECOND,
    Event,
    Fault,
    Span,
    around_change,
    mesh_off,
    policy_off,
    schedule,
)
from tests.soak.processes import Service
from tests.soak.servers import Broker, Database, broker, database
from tests.soak.traffic import PARTITIONS, Shipping, Truth, Weather, wait_until

EPOCH_US: Final = 1_767_225_600 * SECOND
"""2026-01-01: in the past, as brokers refuse what is an hour ahead of their own clocks."""
GRACE_S: Final = 60
_FROZEN_S: Final = 4.0
_WRONG_US: Final = 3_600 * SECOND
_SAMPLE_S: Final = 1.0
_PATIENCE_S: Final = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run.

    Attributes:
        length_s: Of traffic, simulated.
        rate: Simulated seconds a second.
        per_s: Requests a simulated second.
        kind: `sqlite` or `postgresql`.
        folder: Gets logs.
    """

    length_s: int
    rate: float
    per_s: float
    seed: int
    kind: str
    folder: Path


@dataclass
class Result:
    """What came of it.

    Attributes:
        asked: The questions to the API, in order.
        outages: While the database was restarted, in real seconds of the run, as `asked`.
    """

    kafka: str
    events: list[Event]
    services: list[Service]
    outcome: Outcome
    records: int = 0
    sizes: list[float] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    outages: list[Span] = field(default_factory=list)
    audits: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Soak:
    """A run under way."""

    def __init__(self, order: Order, kafka: Broker, data: Database, say: Callable[[str], None]):
        self._order, self._kafka, self._data, self._say = order, kafka, data, say
        chance = random.Random(order.seed)
        possible = [
            fault
            for fault in Fault
            if (fault is not Fault.RESTART_BROKER or kafka.can_restart)
            and (fault is not Fault.RESTART_DATABASE or data.can_restart)
        ]
        self.events = schedule(chance, order.length_s, possible)
        topic = kafka.kafka.create_topic(PARTITIONS, retention_ms="-1")
        self._file = order.folder / "mesh.yaml"
        self._declare(mirrored=True)
        self._began_s = time.monotonic()
        clock = (self._began_s, EPOCH_US, order.rate)
        (port,) = free_ports(1)
        self._url = f"http://127.0.0.1:{port}/api/v1/statement?policy={NAME}&since=1h"
        given = settings(order.rate, kafka.kafka.bootstrap, topic, data.url)
        engine = open_engine(data.url)
        upgrade(engine)
        engine.dispose()
        self.services = {
            name: Service(name, arguments, given, order.folder, clock)
            for name, arguments in commands(self._file, port).items()
        }
        self._calm = self.services["collector-2"]
        # The beginning has to be known to all; they take some seconds to start.
        ready_us = self._calm.clock.now_us() + int(20 * order.rate * SECOND)
        self.begin_us = ready_us - ready_us % (60 * SECOND)
        self._changed_s: list[float] = []
        self._weather = Weather(self.events, random.Random(order.seed + 1))
        self.shipping = Shipping(
            kafka.kafka.bootstrap, topic, self._calm.clock, self.begin_us, order.length_s,
            order.per_s, self._weather, order.seed,
        )  # fmt: skip
        self.sizes: list[float] = []
        self.asked: list[Asked] = []
        self.outages: list[Span] = []
        self.wrong: list[str] = []

    def run(self) -> None:
        """Ships, and does what is planned, until all is settled."""
        stop = Stop()
        watching = Thread(target=self._watch, args=(stop,), daemon=True)
        self.shipping.start()
        watching.start()
        try:
            for event in self.events:
                wait_until(self._calm.clock, self.begin_us + event.at_s * SECOND)
                self._say(f"{event.at_s / 3600:5.1f} h  {event.fault.value}")
                self._do(event)
            wait_until(self._calm.clock, self.begin_us + self._order.length_s * SECOND)
            self._await_settled()
        finally:
            stop.set()
            watching.join()
            self.shipping.end()

    def _do(self, event: Event) -> None:
        first = {"c": self.services["collector-1"], "v": self.services["verifier-1"]}
        match event.fault:
            case Fault.KILL_COLLECTOR:
                first["c"].kill()
            case Fault.KILL_VERIFIER:
                first["v"].kill()
            case Fault.FREEZE_COLLECTOR:
                first["c"].freeze(_FROZEN_S)
            case Fault.FREEZE_VERIFIER:
                first["v"].freeze(_FROZEN_S)
            case Fault.CLOCK_OF_COLLECTOR:
                self._jump(first["c"], event)
            case Fault.CLOCK_OF_VERIFIER:
                self._jump(first["v"], event)
            case Fault.RESTART_BROKER:
                self._kafka.restart()
            case Fault.RESTART_DATABASE:
                begin_s = self._passed_s()
                self._data.restart()
                self.outages.append(Span(begin_s, self._passed_s()))
            case Fault.POLICY:
                self._change_policy()
            case _:
                pass  # lines suffer it, see `Weather`

    def _at_us(self, event: Event, after_s: float) -> int:
        return self.begin_us + int((event.at_s + after_s) * SECOND)

    def _jump(self, service: Service, event: Event) -> None:
        sign = 1 if event.at_s // 1_200 % 2 else -1
        service.clock.jump(sign * _WRONG_US)
        wait_until(self._calm.clock, self._at_us(event, 120))
        service.clock.jump(0)

    def _change_policy(self) -> None:
        """Takes the mirror out and puts it back; a fault before may have made us late."""
        rate = self._order.rate
        at_s = (self._calm.clock.now_us() - self.begin_us) / SECOND
        self._changed_s.append(at_s)
        self._declare(mirrored=False)
        self._weather.turn_off(mesh_off(at_s, rate))
        end_s = policy_off(at_s, rate).end_s
        wait_until(self._calm.clock, self.begin_us + int(end_s * SECOND))
        self._declare(mirrored=True)

    def _declare(self, *, mirrored: bool) -> None:
        text = policy(mirrored=mirrored, grace_s=GRACE_S, change_grace_s=CHANGE_GRACE_S)
        new = self._file.with_suffix(".new")
        new.write_text(text)
        new.replace(self._file)

    def _watch(self, stop: Stop) -> None:
        """Samples; whoever ended is started again. The API is asked all the while."""
        engine = open_engine(self._data.url)
        while not stop.wait(_SAMPLE_S):
            for service in self.services.values():
                service.watch()
            begin_s = self._passed_s()
            said = ask(self._url)
            self.asked.append(Asked(begin_s, self._passed_s(), said))
            with contextlib.suppress(Exception), engine.connect() as connection:
                self.sizes.append(_size(connection, self._data))
        engine.dispose()

    def _passed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _await_settled(self) -> None:
        wanted_us = self.begin_us + self._order.length_s * SECOND
        deadline_s = time.monotonic() + _PATIENCE_S
        engine = open_engine(self._data.url)
        query = text("SELECT settled_to_us FROM settled_policy")
        try:
            while True:
                with engine.connect() as connection:
                    if (connection.scalar(query) or 0) >= wanted_us:
                        break
                if time.monotonic() > deadline_s:
                    self.wrong.append(f"not settled to the end after {_PATIENCE_S:.0f} s")
                    break
                time.sleep(0.5)
            # Late lines of the last minutes are still judged.
            wait_until(self._calm.clock, self._calm.clock.now_us() + 600 * SECOND)
        finally:
            engine.dispose()

    def judge(self) -> Result:
        """Ends everything in good order, has it audited, and compares."""
        wrong = self.wrong
        if self.shipping.failed:
            wrong.append(f"not sent: {self.shipping.failed}")
        for name, service in self.services.items():
            status = service.leave()
            if status != 0:
                wrong.append(f"{name} left with {status}")
        audits = []
        for command in (("audit", "ingest"), ("audit", "verify")):
            done = self._calm.ask(*command)
            audits.append(f"{' '.join(command)}: {(done.stdout or done.stderr).strip()[-300:]}")
            if done.returncode != 0:
                wrong.append(f"{' '.join(command)} ended with {done.returncode}")
        engine = open_engine(self._data.url)
        with engine.connect() as connection:
            outcome = compare(connection, self.shipping.truth, exempt=self._exempt())
        engine.dispose()
        return Result(
            self._kafka.kafka.kind, self.events, list(self.services.values()), outcome,
            self.shipping.records, self.sizes, self.asked, self.outages, audits,
            wrong + outcome.wrong,
        )  # fmt: skip

    def _exempt(self) -> set[str]:
        truth: Truth = self.shipping.truth
        around = [around_change(at_s, self._order.rate) for at_s in self._changed_s]
        return {
            one
            for one in truth.uncopied
            if any(span.has((truth.at_us[one] - self.begin_us) / SECOND) for span in around)
        }

    def stop(self) -> None:
        """Ends everything whatever happens."""
        for service in self.services.values():
            service.stop()


def _size(connection: object, data: Database) -> float:
    if data.can_restart:
        return float(connection.scalar(text("SELECT pg_database_size(current_database())")))  # type: ignore[attr-defined]
    return float(Path(data.url.removeprefix("sqlite:///")).stat().st_size)


@contextlib.contextmanager
def _running(order: Order, say: Callable[[str], None]) -> Iterator[Soak]:
    with broker() as kafka, database(order.kind, order.folder) as data:
        soak = Soak(order, kafka, data, say)
        try:
            yield soak
        finally:
            soak.stop()


def run(order: Order, say: Callable[[str], None]) -> Result:
    """Runs it to its end."""
    with _running(order, say) as soak:
        soak.run()
        return soak.judge()
