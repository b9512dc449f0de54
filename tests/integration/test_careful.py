"""Careful reading over a broker in memory: deaths are thrown, and nobody cleans up after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import select

from collector.batch import Batch
from collector.db.audit import Cutoffs, audit
from collector.db.engine import open_engine, reading
from collector.db.tables import quarantine
from collector.db.writes import Writer
from collector.redact import Redactor
from collector.service.ingest import Ingest
from collector.sources.protocol import Partition, Polled, Record, Undecodable
from tests.integration.test_ingest import P0, TestBench
from tests.memory_source import MemoryBroker

BOMB = b"bomb"


class Death(BaseException):
    """The process is killed: nothing runs any more."""


class MemoryUnit:
    """One record; see `collector.sources.unit.Unit`."""

    def __init__(self, record: Record, harm: BaseException) -> None:
        self.from_offset, self.to_offset = record.offset, record.offset + 1
        self.is_large = False
        self.since_us = self.until_us = record.timestamp_us
        self.leader_epoch: int | None = None
        self._record, self._harm = record, harm

    def unpack(self) -> list[Record]:
        """See `Unit`."""
        if self._record.value == BOMB:
            raise self._harm
        return [self._record]


class MemoryUnits:
    """See `collector.sources.unit.UnitReader`."""

    def __init__(self, broker: MemoryBroker, partition: Partition, harm: BaseException) -> None:
        self._log, self._harm = broker.logs[partition], harm

    def look(self, offset: int) -> MemoryUnit | None:
        """See `UnitReader`."""
        found = [record for record in self._log if record.offset >= offset]
        return MemoryUnit(found[0], self._harm) if found else None

    def close(self) -> None:
        """See `UnitReader`."""


class CarefulBench(TestBench):
    """Collectors that die of a bomb in ordinary reading, and read carefully when they must."""

    __test__ = False
    harm: BaseException = Death()
    deaths = 0

    def live(self, times: int = 12, **writer: Writer) -> bool:
        """A collector lives; returns whether it died."""
        self.number_of_lives = getattr(self, "number_of_lives", 0) + 1
        one = self.collector(
            f"life-{self.number_of_lives}",
            (P0,),
            open_units=lambda partition: MemoryUnits(self.broker, partition, self.harm),
            **writer,
        )
        try:
            for _ in range(times):
                self.turn(one, times=1)
                self.mine(one)
        except Death:
            self.deaths += 1
            return True
        one._leave()
        return False

    def mine(self, one: Ingest) -> None:
        """Has the newest source die, or fail, where it would unpack the bomb."""
        source = self.sources[-1]
        plain = type(source).poll

        def poll(timeout_s: float) -> Polled:
            found = plain(source, timeout_s)
            if any(record.value == BOMB for r in found.records.values() for record in r):
                raise self.harm if isinstance(self.harm, Death) else Undecodable("wrong bytes")
            return found

        source.poll = poll  # type: ignore[method-assign]

    def gaps(self) -> list[tuple[int, int]]:
        """Offset and number of records of each gap."""
        with reading(self.engine) as connection:
            c = quarantine.c
            query = select(c.record_offset, c.records).where(c.length == 0)
            return [(row[0], row[1]) for row in connection.execute(query)]

    def faults(self) -> list[str]:
        """What the audit finds."""
        with reading(self.engine) as connection:
            return [fault for account in audit(connection, Cutoffs()) for fault in account.faults]


@pytest.fixture
def bench(migrated_sqlite_url: str) -> Iterator[CarefulBench]:
    """A test bench with one policy, good lines around a bomb."""
    engine = open_engine(migrated_sqlite_url)
    bench = CarefulBench(engine)
    bench.add_policy()
    bench.produce(3)
    bench.broker.append(P0, BOMB, bench.clock.now_us())
    bench.produce(3)
    yield bench
    engine.dispose()


class DyingWriter(Writer):
    """A writer with which every process dies before its first commit."""

    def write(self, batches: Sequence[Batch], claims: object, now_us: int) -> None:
        raise Death


def test_what_kills_when_unpacked_alone_is_passed_after_three_tries(bench: CarefulBench) -> None:
    """Two deaths make careful, three more prove it; only that record is a gap."""
    while bench.live():
        assert bench.deaths < 10

    assert bench.deaths == 5
    assert bench.gaps() == [(3, 1)]
    assert bench.ids() == bench.expected()
    assert bench.faults() == []


def test_deaths_while_writing_pass_nothing_over(bench: CarefulBench) -> None:
    """However many: who died in a transaction had read its records."""
    bench.broker.logs[P0][3].value = b"no bomb"
    for _ in range(8):
        assert bench.live(writer=DyingWriter(bench.engine, Redactor()))
    assert not bench.live()

    assert (bench.gaps(), bench.ids()) == ([], bench.expected())


def test_what_cannot_be_unpacked_is_passed_without_a_death(bench: CarefulBench) -> None:
    """The client's failure makes careful at once; three tries, in one life."""
    bench.harm = ValueError("invalid block type")

    assert not bench.live(30)

    assert bench.gaps() == [(3, 1)]
    assert bench.ids() == bench.expected()
    assert bench.faults() == []


def test_who_leaves_in_order_raises_no_suspicion(bench: CarefulBench) -> None:
    """Restarts are no deaths."""
    bench.broker.logs[P0].clear()
    for _ in range(4):
        assert not bench.live(4)

    assert (bench.at().unclean, bench.at().attempts) == (0, 0)
