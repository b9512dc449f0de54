"""The live pipeline on a clock that is turned by hand: broker in memory to settled windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Event

from sqlalchemy import Engine, func, select

from collector.db.engine import reading, writing
from collector.db.policies import record_versions
from collector.db.tables import position
from collector.policy_record import PolicyRecord
from collector.service.app import CollectorApp
from collector.settings import DatabaseSettings, Settings
from collector.sources.protocol import Partition, Polled, RecordSource
from tests.clocks import HandClock
from tests.memory_source import MemoryBroker, MemorySource
from tests.settling import NOW, SECOND
from tests.shipping.traffic import Shipped
from verifier.app import Parts, Verifier

TOPIC = "istio-access-logs"
STEP_S = 10.0


class Lagging(MemorySource):
    """Partitions of which nothing is read before a time, although the broker has it."""

    clock: HandClock
    behind: Mapping[int, int]

    def _read(self, partition: Partition, offset: int, polled: Polled) -> None:
        if self.clock.now_us() >= self.behind.get(partition.number, 0):
            super()._read(partition, offset, polled)


class Pipeline:
    """A collector and a verifier on one database, and a broker.

    Args:
        engine: A migrated database.
        policies: As they are recorded.
        partitions: Of the topic.
        behind: From when on (µs) a partition is read at all; of others, at once.
        opener: Opens another source than the broker in memory.
        window_s: Size of windows.
    """

    def __init__(
        self,
        engine: Engine,
        policies: Sequence[PolicyRecord],
        partitions: int,
        *,
        behind: Mapping[int, int] | None = None,
        opener: Callable[[], RecordSource] | None = None,
        window_s: int = 10,
    ) -> None:
        self._engine = engine
        self._partitions = [Partition(TOPIC, number) for number in range(partitions)]
        self._behind = behind or {}
        self._opener = opener or self._open_memory
        self.clock = HandClock(NOW)
        self.broker = MemoryBroker()
        self.broker.create_topic(TOPIC, partitions)
        url = engine.url.render_as_string(hide_password=False)
        self._settings = Settings.model_validate(
            {
                "database": DatabaseSettings.model_validate({"url": url}),
                "kafka": {"end_check_s": 1, "batch_wait_ms": 20, "stall_s": 1e9},
                "collector": {"keep_query": "*"},
                "verifier": {"max_findings": 100_000, "window_s": window_s},
            }
        )
        with writing(engine) as connection:
            record_versions(connection, list(policies), NOW)
        self._stop = Event()
        self._opened: list[RecordSource] = []
        self._collectors: list[CollectorApp] = []
        self.start_collector()
        self.start_verifier()

    def _open_memory(self) -> Lagging:
        source = Lagging(self.broker, self._partitions)
        source.clock, source.behind = self.clock, self._behind
        return source

    def start_collector(self) -> None:
        """A new collector takes over; the one before vanished."""
        self.close()

        def opener() -> RecordSource:
            self._opened.append(self._opener())
            return self._opened[-1]

        self.collector = CollectorApp(self._settings, self._engine, opener, self.clock)
        self._collectors.append(self.collector)

    def close(self) -> None:
        """The collector's connections are cut, once what it began to write is written."""
        while self._opened:
            self._opened.pop().close()
        while self._collectors:
            self._collectors.pop().close()

    def start_verifier(self) -> None:
        """A new verifier takes over; the one before left."""
        self.verifier = Verifier(
            Parts(
                engine=self._engine,
                clock=self.clock,
                owner="verifier",
                settings=self._settings.verifier,
                database_now_us=lambda _: self.clock.now_us(),
            )
        )

    def take(self, sent: Iterable[Shipped]) -> None:
        """Records reach the broker."""
        for one in sent:
            where = Partition(TOPIC, one.partition)
            self.broker.append(where, one.value, one.arrives_us)

    def step(self, seconds: float = STEP_S) -> None:
        """Time passes; collector and verifier work."""
        self.clock.advance(seconds)
        self.collect()
        self.settle()

    def collect(self) -> None:
        """The collector reads all that is there."""
        for _ in range(2):
            self.collector.ingest.turn(self._stop)

    def collect_all(self, records: int) -> None:
        """The collector reads until it has so many records, in all: a real broker takes a while."""
        patience = 1_000
        while patience and self._collected() < records:
            self.collector.ingest.turn(self._stop)
            patience -= 1

    def _collected(self) -> int:
        with reading(self._engine) as connection:
            return connection.scalar(select(func.sum(position.c.next_offset))) or 0

    def settle(self) -> None:
        """The verifier settles all that is due."""
        ticked = self.verifier.turn()
        while ticked is not None and ticked.more:
            ticked = self.verifier.turn()

    def run(self, sent: Sequence[Shipped], after_s: float = 90) -> None:
        """Ships everything at its time, then lets time pass until all is settled."""
        number = 0
        last_us = max((one.arrives_us for one in sent), default=NOW)
        last_us = max(last_us, *self._behind.values()) if self._behind else last_us
        while self.clock.now_us() < last_us + after_s * SECOND:
            begin, until_us = number, self.clock.now_us() + int(STEP_S * SECOND)
            while number < len(sent) and sent[number].arrives_us <= until_us:
                number += 1
            self.take(sent[begin:number])
            self.step()
