"""Reading goes on while a transaction is under way, and every guarantee holds all the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import func, select

from collector.db.engine import open_engine, reading
from collector.db.tables import batch
from collector.redact import Redactor
from collector.service.ingest import Ingest
from tests.executors import ByHand
from tests.integration.test_ingest import P0, P1, FailingWriter, TestBench, Writer


class Overlap(TestBench):
    """A test bench whose transactions run when it says so."""

    pile: ByHand

    def reading_ahead(self, owner: str = "me", **parts: int) -> tuple[Ingest, ByHand]:
        """A collector that began, and its transactions from now on."""
        pile = ByHand()
        self.aside, plain = pile, self.aside
        collector = self.collector(owner, **parts)  # type: ignore[arg-type]
        self.aside = plain
        self.turn(collector)
        pile.run()
        return collector, pile


@pytest.fixture
def bench(migrated_sqlite_url: str) -> Iterator[Overlap]:
    """A test bench with one policy."""
    engine = open_engine(migrated_sqlite_url)
    bench = Overlap(engine)
    bench.add_policy()
    yield bench
    engine.dispose()


def test_records_are_read_while_others_are_written(bench: Overlap) -> None:
    """One transaction is under way, and what comes meanwhile goes into the next one."""
    collector, pile = bench.reading_ahead()
    for _ in range(3):
        bench.produce(2)
        bench.turn(collector, times=1)
    assert (len(pile.open), bench.ids(), bench.sources[0].read_to(P0)) == (1, [], 6)

    pile.run()
    assert len(bench.ids()) == 2
    bench.turn(collector, times=1)
    pile.run()

    assert bench.ids() == bench.expected()
    with reading(bench.engine) as connection:
        spans = select(batch.c.from_offset, batch.c.to_offset).order_by(batch.c.id)
        assert [tuple(row) for row in connection.execute(spans)] == [(0, 2), (2, 4), (4, 6)]


def test_no_more_is_read_ahead_than_memory_is_meant_for(bench: Overlap) -> None:
    """Then the loop waits for the transaction."""
    collector, _ = bench.reading_ahead(most_waiting=5)
    for _ in range(10):
        bench.produce(4)
        bench.turn(collector, times=1)
        assert bench.number - len(bench.ids()) <= 12

    assert len(bench.ids()) >= 28


def test_what_is_being_written_ends_before_its_partition_goes(bench: Overlap) -> None:
    """The next owner begins behind it; what waited is the next owner's to read."""
    collector, pile = bench.reading_ahead()
    bench.produce(2)
    bench.turn(collector, times=1)
    bench.produce(3)
    bench.turn(collector, times=1)
    assert pile.open

    bench.sources[0].revoke([P0])
    bench.turn(collector, times=3)
    assert (bench.at().next_offset, bench.at().owner) == (2, None)

    bench.turn(bench.collector("other"))
    assert bench.ids() == bench.expected()


def test_a_write_that_is_overtaken_is_fenced(bench: Overlap) -> None:
    """Another owner claimed the partition between reading and writing."""
    old, pile = bench.reading_ahead("old")
    bench.produce(3)
    bench.turn(old, times=1)
    bench.produce(1, P1)
    bench.turn(old, times=1)

    bench.turn(bench.collector("new"))
    pile.run()
    bench.turn(old)

    assert bench.ids() == bench.expected()
    assert bench.at().owner == "new"


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_write_that_fails_is_tried_again_before_what_came_later(
    bench: Overlap, fault: str
) -> None:
    """Whether it was done is found out first."""
    writer = FailingWriter(bench.engine)
    pile = bench.aside = ByHand()
    collector = bench.collector(writer=writer)
    bench.turn(collector)
    setattr(writer, fault, 2)
    for _ in range(3):
        bench.produce(2)
        bench.turn(collector, times=1)

    for _ in range(10):
        pile.run()
        bench.turn(collector, times=2, seconds=1.0)

    assert bench.ids() == bench.expected()
    assert bench.health.not_ready() == {}
    assert bench.at().owner_epoch == 1


def test_a_write_that_never_ends_is_a_hang(bench: Overlap) -> None:
    """Although the loop turns and reads on: only what comes to an end is a sign of life."""
    collector, pile = bench.reading_ahead()
    for _ in range(4):
        bench.produce(1)
        bench.turn(collector, times=1, seconds=0.5)
    assert (len(pile.open), bench.health.silent_s()) == (1, 2.0)

    pile.run()
    bench.turn(collector, times=1, seconds=0.5)
    assert bench.health.silent_s() == 0.5


def test_leaving_writes_what_is_under_way_and_what_waits(bench: Overlap) -> None:
    """And gives the partitions back."""
    collector, pile = bench.reading_ahead()
    for _ in range(3):
        bench.produce(2)
        bench.turn(collector, times=1)
    assert pile.open
    bench.stop.set()

    collector.run(bench.stop)

    assert bench.ids() == bench.expected()
    assert bench.at().owner is None


def test_a_write_without_memory_ends_the_collector_as_a_crash(bench: Overlap) -> None:
    """The next process must see a death: nothing is given back."""

    class Greedy(Writer):
        def write(self, *_: object) -> None:
            raise MemoryError

    bench.produce(1)
    collector = bench.collector(writer=Greedy(bench.engine, Redactor()))

    with pytest.raises(MemoryError):
        collector.run(bench.stop)

    assert (bench.at().owner, bench.sources[0].closed) == ("me", False)


@pytest.mark.parametrize("seed", range(5))
def test_any_mixture_of_faults_loses_and_doubles_nothing(bench: Overlap, seed: int) -> None:
    """Transactions that end at any time, fail, are fenced or revoked: every line once."""
    chance = random.Random(seed)
    writers = [FailingWriter(bench.engine) for _ in range(2)]
    piles = [ByHand(), ByHand()]
    pair = []
    for number, (pile, writer) in enumerate(zip(piles, writers, strict=True)):
        bench.aside = pile
        pair.append(bench.collector(f"c{number}", writer=writer, most_waiting=6))
    faults: list[Callable[[], object]] = [
        lambda: setattr(chance.choice(writers), "before", 1),
        lambda: setattr(chance.choice(writers), "after", 1),
        lambda: bench.clock.advance(30),
        lambda: chance.choice(piles).run(),
        lambda: chance.choice(piles).run(),
        lambda: bench.produce(chance.randint(1, 5), chance.choice([P0, P1])),
        lambda: bench.produce(chance.randint(1, 5), chance.choice([P0, P1])),
    ]
    for _ in range(150):
        chance.choice(faults)()
        bench.turn(chance.choice(pair), times=chance.randint(1, 3))

    bench.turn(*pair, times=60, seconds=10.0)
    for pile in piles:
        pile.run()

    assert bench.ids() == bench.expected()
    with reading(bench.engine) as connection:
        stored = connection.scalar(select(func.sum(batch.c.stored)))
    assert stored == bench.number
