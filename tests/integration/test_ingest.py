"""The loop of the collector over a broker in memory and a real database, turned by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from threading import Event

import pytest
from sqlalchemy import Engine, delete, event, func, select, update

from collector.batch import Batch
from collector.db import positions
from collector.db.audit import Cutoffs, audit
from collector.db.engine import open_engine, reading, writing
from collector.db.policies import PolicyRecord, record_versions
from collector.db.tables import batch, instance, observation, position, quarantine
from collector.db.writes import Writer
from collector.errors import Retryable, UsageError
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity
from collector.redact import Redactor
from collector.service.careful import CarefulReading
from collector.service.health import Health
from collector.service.ingest import Ingest
from collector.service.lag import LagCheck
from collector.service.ownership import Ownership
from collector.service.parts import Parts
from collector.service.pending import Pending
from collector.service.watcher import Watcher
from collector.sources.protocol import Partition, RecordSource
from collector.sources.unit import UnitReader
from tests.clocks import HandClock
from tests.executors import AtOnce
from tests.lines import HOST, client_line
from tests.memory_source import MemoryBroker, MemorySource

P0, P1 = Partition("logs", 0), Partition("logs", 1)
POISON = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken'
STALL_S = 60.0


class TestBench:
    """A broker, a database, and as many collectors as a test wants."""

    __test__ = False

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = HandClock()
        self.broker = MemoryBroker()
        self.broker.create_topic("logs", 2)
        self.stop = Event()
        self.sources: list[MemorySource] = []
        self.number = 0
        self.health = Health(self.clock, hang_s=60.0)
        self.aside: Executor = AtOnce()

    def add_policy(self, host: str = HOST) -> None:
        """Records a policy that watches a host."""
        record = PolicyRecord("weather/forecast", "{}", (host,))
        with writing(self.engine) as connection:
            record_versions(connection, [record], self.clock.now_us())

    def produce(self, count: int = 1, partition: Partition = P0) -> None:
        """Appends lines with ids of their own."""
        for _ in range(count):
            self.number += 1
            line = client_line(f"id-{self.number}")
            self.broker.append(partition, line.encode(), self.clock.now_us())

    def open_source(self, partitions: Sequence[Partition]) -> RecordSource:
        """A source over these partitions, remembered in `sources`."""
        if self.broker.down:
            raise Retryable("broker in memory: down")
        self.sources.append(MemorySource(self.broker, partitions))
        return self.sources[-1]

    def collector(
        self,
        owner: str = "me",
        partitions: Sequence[Partition] = (P0, P1),
        start_timeout_s: float = 0.0,
        most_waiting: int = 10_000,
        open_units: Callable[[Partition], UnitReader] | None = None,
        **writer: Writer,
    ) -> Ingest:
        """A collector; another `writer` may be given, and what reads units."""
        engine, clock = self.engine, self.clock
        reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits(3))
        careful = open_units is not None
        ownership = Ownership(engine, clock, owner, can_be_careful=careful, on_begin=reader.forget)
        writes = writer.get("writer") or Writer(engine, Redactor())
        pending = Pending(engine, clock, writes, ownership, self.aside)
        lag = LagCheck(engine, clock, ownership, pending, every_s=5.0, stall_s=STALL_S)
        watcher = Watcher(engine, clock, owner, 3.0)
        return Ingest(
            Parts(
                careful=open_units
                and CarefulReading(engine, clock, ownership, pending, reader, watcher, open_units),
                clock=clock,
                health=self.health,
                open_source=lambda: self.open_source(partitions),
                ownership=ownership,
                pending=pending,
                lag=lag,
                watcher=watcher,
                reader=reader,
                poll_s=0.25,
                most_waiting=most_waiting,
                start_timeout_s=start_timeout_s,
            )
        )

    def turn(self, *collectors: Ingest, times: int = 4, seconds: float = 0.3) -> None:
        """Lets collectors take turns, with time passing in between."""
        for _ in range(times):
            for one in collectors:
                one.turn(self.stop)
            self.clock.advance(seconds)

    def ids(self) -> list[str]:
        """The request ids of all rows, sorted."""
        with reading(self.engine) as connection:
            return sorted(connection.scalars(select(observation.c.request_id)))

    def expected(self) -> list[str]:
        """The ids of all lines that were produced."""
        return sorted(f"id-{n + 1}" for n in range(self.number))

    def at(self, partition: Partition = P0) -> positions.Row:
        """The row of a partition's position."""
        with reading(self.engine) as connection:
            query = select(position).where(position.c.partition == partition.number)
            return connection.execute(query).one()


@pytest.fixture
def bench(migrated_sqlite_url: str) -> Iterator[TestBench]:
    """A test bench with one policy."""
    engine = open_engine(migrated_sqlite_url)
    bench = TestBench(engine)
    bench.add_policy()
    yield bench
    engine.dispose()


class FailingWriter(Writer):
    """A writer that fails so often, before or after it really writes."""

    def __init__(self, engine: Engine, *, before: int = 0, after: int = 0) -> None:
        super().__init__(engine, Redactor())
        self.before, self.after = before, after

    def write(self, batches: Sequence[Batch], claims: object, now_us: int) -> None:
        if self.before:
            self.before -= 1
            raise Retryable("database is away")
        super().write(batches, claims, now_us)  # type: ignore[arg-type]
        if self.after:
            self.after -= 1
            raise Retryable("the answer to the commit was lost")


def test_lines_of_all_partitions_are_stored_once(bench: TestBench) -> None:
    """From the first offset on, as they come."""
    bench.produce(3)
    bench.produce(2, P1)
    collector = bench.collector()

    bench.turn(collector)
    bench.produce(2)
    bench.turn(collector)

    assert bench.ids() == bench.expected()
    assert (bench.at(P0).next_offset, bench.at(P1).next_offset) == (5, 2)
    assert bench.broker.hints == {P0: 5, P1: 2}


def test_a_database_that_went_back_is_written_again(bench: TestBench) -> None:
    """A crash took the last commits, rows and offset together; they are read again, at once."""
    bench.produce(3)
    collector = bench.collector()
    bench.turn(collector)
    bench.produce(2)
    bench.turn(collector)
    with writing(bench.engine) as connection:
        connection.execute(delete(observation).where(observation.c.record_offset >= 3))
        connection.execute(delete(batch).where(batch.c.from_offset >= 3))
        connection.execute(update(position).values(next_offset=3))

    bench.produce(2)
    bench.turn(collector)

    assert bench.ids() == bench.expected()
    assert bench.at().next_offset == 7


def test_pieces_of_a_line_are_joined_by_the_next_collector(bench: TestBench) -> None:
    """The first one died between the pieces; their offsets were written as they came."""
    line = client_line("id-1", path="/" + "x" * 30_000)
    bench.number = 1
    bench.broker.append(P0, f"2026-11-22T15:11:42.0Z stdout P {line[:16_384]}".encode())
    bench.turn(bench.collector("first"))
    assert (bench.ids(), bench.at().next_offset) == ([], 1)

    bench.broker.append(P0, f"2026-11-22T15:11:42.1Z stdout F {line[16_384:]}".encode())
    bench.turn(bench.collector("second"))

    assert bench.ids() == bench.expected()


def test_a_piece_whose_rest_does_not_come_is_quarantined(bench: TestBench) -> None:
    """Also where nothing comes any more; every record is still counted once."""
    bench.broker.append(P0, b"2026-11-22T15:11:42.0Z stdout P [2026")
    collector = bench.collector()
    bench.turn(collector)

    bench.clock.advance(61)
    bench.turn(collector)

    with reading(bench.engine) as connection:
        (bad,) = connection.execute(select(quarantine)).all()
        sums = func.sum(batch.c.read), func.sum(batch.c.ignored), func.sum(batch.c.quarantined)
        assert connection.execute(select(*sums)).one() == (1, 0, 1)
        assert not any(account.faults for account in audit(connection, Cutoffs()))
    assert (bad.record_offset, "rest did not come" in bad.reason) == (0, True)
    assert bench.at().next_offset == 1


def test_the_next_collector_reads_on_where_the_database_says(bench: TestBench) -> None:
    """Also when the first one died without a word, and whatever Kafka remembers."""
    bench.produce(3)
    bench.turn(bench.collector("first"))
    bench.broker.hints.clear()
    bench.produce(3)

    bench.turn(bench.collector("second"))

    assert bench.ids() == bench.expected()
    assert (bench.at().owner, bench.at().owner_epoch) == ("second", 2)


def test_a_collector_leaves_in_good_order(bench: TestBench) -> None:
    """What is in hand is written, partitions are given back, nobody waits for it any more."""
    bench.produce(3)
    collector = bench.collector()
    bench.turn(collector, times=1)
    bench.stop.set()

    collector.run(bench.stop)

    assert bench.at().owner is None
    assert bench.sources[0].closed
    with reading(bench.engine) as connection:
        assert connection.execute(select(instance)).all() == []


def test_nothing_is_read_before_there_is_a_policy(migrated_sqlite_url: str) -> None:
    """Lines that nobody asks for yet are not thrown away; a policy applies without a restart."""
    engine = open_engine(migrated_sqlite_url)
    bench = TestBench(engine)
    bench.produce(3)
    collector = bench.collector()
    bench.turn(collector, times=20)
    assert bench.ids() == []

    bench.add_policy()
    bench.turn(collector, times=20)

    assert bench.ids() == bench.expected()
    engine.dispose()


def test_batches_say_which_policies_they_were_read_by(bench: TestBench) -> None:
    """A new host is watched within seconds, and the batches after it say so."""
    bench.produce(1)
    collector = bench.collector()
    bench.turn(collector)
    bench.add_policy("other.weather.svc.cluster.local")
    bench.turn(collector, times=20)
    bench.produce(1)
    bench.turn(collector)

    with reading(bench.engine) as connection:
        versions = connection.scalars(select(batch.c.policy_version_id).order_by(batch.c.id))
        assert list(versions) == [1, 2]
        assert connection.scalar(select(instance.c.policy_version_id)) == 2


def test_a_database_that_is_away_is_waited_for(bench: TestBench) -> None:
    """Polling goes on with records held back, and everything is written once it is there."""
    bench.produce(5)
    writer = FailingWriter(bench.engine, before=4)
    collector = bench.collector(writer=writer)

    bench.turn(collector, times=3)
    assert bench.health.not_ready() == {"database_away": "database is away"}
    assert bench.health.not_live() == {}
    bench.turn(collector, times=30)
    bench.produce(2)
    bench.turn(collector)

    assert writer.before == 0
    assert bench.ids() == bench.expected()
    assert bench.health.not_ready() == {}


def test_a_full_disk_is_waited_for(bench: TestBench) -> None:
    """Nothing of a batch is there until there is room; SQLite's file stays whole."""
    with bench.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    bench.engine.dispose()
    limit = [f"PRAGMA max_page_count = {pages + 20}"]
    event.listen(bench.engine, "connect", lambda raw, _: raw.execute(limit[0]))
    collector = bench.collector()
    bench.produce(2_000)
    bench.turn(collector, times=5)
    assert "disk is full" in bench.health.not_ready()["database_away"]
    assert bench.ids() == []

    limit[0] = "PRAGMA max_page_count = 100000"
    bench.engine.dispose()
    bench.turn(collector, times=60)

    assert bench.ids() == bench.expected()
    assert bench.health.not_ready() == {}
    with bench.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


def test_a_commit_whose_answer_was_lost_is_not_repeated(bench: TestBench) -> None:
    """The position tells that it was done."""
    bench.produce(5)
    bench.produce(5, P1)
    collector = bench.collector(writer=FailingWriter(bench.engine, after=3))

    for _ in range(4):
        bench.turn(collector, times=10)
        bench.produce(1)
    bench.turn(collector, times=10)

    assert bench.ids() == bench.expected()


def test_a_zombie_stops_by_itself(bench: TestBench) -> None:
    """Two collectors on one partition: the later claim wins, nothing is stored twice."""
    old, new = bench.collector("old"), bench.collector("new")
    bench.turn(old)
    bench.produce(3)
    bench.turn(new)
    bench.produce(3)

    bench.turn(old, new, times=20)

    assert bench.ids() == bench.expected()
    assert bench.at().owner == "new"


def test_a_zombie_takes_over_when_the_new_owner_dies(bench: TestBench) -> None:
    """A silent owner is replaced after a minute."""
    old, new = bench.collector("old"), bench.collector("new")
    bench.turn(old)
    bench.turn(new)
    bench.produce(3)
    bench.turn(old, new, times=3)

    bench.produce(3)
    bench.turn(old, times=30, seconds=5.0)

    assert bench.ids() == bench.expected()
    assert bench.at().owner == "old"


def test_a_revoked_partition_is_not_written_any_more(bench: TestBench) -> None:
    """What was read of it and not written is the next owner's."""
    bench.produce(3)
    collector = bench.collector(writer=FailingWriter(bench.engine, before=1))
    bench.turn(collector, times=2)

    bench.sources[0].revoke([P0])
    bench.turn(collector, times=20)

    assert bench.ids() == []
    bench.turn(bench.collector("other"), times=20)
    assert bench.ids() == bench.expected()


def stopped_reason(bench: TestBench) -> str:
    """Why the first partition stopped; the other one must go on."""
    bench.produce(1, P1)
    collector = bench.collector()
    bench.turn(collector, times=30)
    assert bench.at(P1).state == "running"
    assert bench.at().state == "stopped"
    return str(bench.at().reason)


def test_records_that_expired_stop_the_partition(bench: TestBench) -> None:
    """A loss is never skipped in silence."""
    bench.produce(5)
    bench.turn(bench.collector("first"))
    bench.produce(5)
    bench.broker.expire(P0, 8)

    assert stopped_reason(bench) == "records 5 to 7 expired before they were read"


def test_a_log_that_lost_its_end_stops_the_partition(bench: TestBench) -> None:
    """A truncated log would give our offsets to other records."""
    bench.produce(5)
    bench.turn(bench.collector("first"))
    bench.broker.logs[P0].clear()

    assert "outside" in stopped_reason(bench)


def test_a_log_cut_and_filled_again_stops_the_partition(bench: TestBench) -> None:
    """Its end lies beyond our offset again; that a leader of later wrote the records tells it."""
    bench.produce(5)
    bench.turn(bench.collector("first"))
    bench.broker.truncate(P0, 3)
    bench.produce(9)

    assert stopped_reason(bench) == "the log was truncated, below 5"
    assert bench.at().next_offset == 5


def test_a_log_whose_leader_changed_is_read_on(bench: TestBench) -> None:
    """Nothing was cut: all that we read is still there."""
    bench.produce(5)
    bench.turn(bench.collector("first"))
    bench.broker.leader_epoch += 1
    bench.produce(2)

    bench.turn(bench.collector("second"))

    assert bench.at().next_offset == 7
    assert bench.at().leader_epoch == 1


def test_a_topic_created_again_stops_its_partitions(bench: TestBench) -> None:
    """Its offsets mean other records now; noticed while it runs, too."""
    collector = bench.collector()
    bench.produce(2)
    bench.turn(collector)
    bench.broker.topic_ids["logs"] = "id-2"

    bench.turn(collector, times=30)

    assert bench.at().state == "stopped"
    assert "created again" in bench.at().reason


def test_poison_alone_stops_the_partition(bench: TestBench) -> None:
    """What was read is kept, the rest waits for an operator."""
    for _ in range(10):
        bench.broker.append(P0, POISON, bench.clock.now_us())

    assert "3 lines in a row" in stopped_reason(bench)
    assert bench.at().next_offset == 3


def test_a_cleared_partition_is_read_again(bench: TestBench) -> None:
    """Without a restart, from the offset that the operator chose."""
    bench.produce(5)
    collector = bench.collector()
    bench.turn(collector)
    bench.broker.expire(P0, 5)
    bench.produce(2)
    with writing(bench.engine) as connection:
        held = positions.Claim(P0, bench.at().owner_epoch, 5)
        positions.stop(connection, held, "test", bench.clock.now_us())
    bench.turn(collector, times=10, seconds=5.0)
    assert len(bench.ids()) == 5

    with writing(bench.engine) as connection:
        assert positions.clear(connection, P0, 5, "id-1", bench.clock.now_us())
    bench.turn(collector, times=10, seconds=5.0)

    assert bench.ids() == bench.expected()


def test_lag_is_written_down_without_any_records(bench: TestBench) -> None:
    """The brokers' end offsets are evidence also where nothing happens."""
    collector = bench.collector()
    bench.turn(collector)
    before = bench.at().end_checked_us

    bench.turn(collector, times=10, seconds=5.0)

    assert bench.at().end_offset == 0
    assert bench.at().end_checked_us > before


def test_records_nobody_sees_are_moved_over(bench: TestBench) -> None:
    """Transaction markers would leave a lag of one for ever."""
    collector = bench.collector()
    bench.produce(2)
    bench.turn(collector)
    bench.broker.append(P0, b"marker")
    bench.sources[0].begin(P0, 3)

    bench.turn(collector, times=10, seconds=5.0)

    assert bench.at().next_offset == 3
    assert bench.ids() == bench.expected()


def test_a_partition_that_nothing_mends_fails_liveness(bench: TestBench) -> None:
    """Sought, then the client replaced; when that does not help, another process may do better."""
    collector = bench.collector()
    bench.turn(collector)
    bench.produce(3)
    while len(bench.sources) < 3:
        bench.sources[-1].poll = bench.sources[-1].poll_only_news  # type: ignore[method-assign]
        assert bench.clock.monotonic() < 3000.0
        bench.turn(collector, times=1, seconds=5.0)

    assert bench.health.not_live()["partition_stalled"].startswith("logs/0 brings nothing")
    bench.turn(collector, times=10, seconds=1.0)  # the third client works
    assert bench.ids() == bench.expected()
    assert bench.health.not_live() == bench.health.not_ready() == {}


def test_a_client_that_hangs_is_sought_and_then_replaced(bench: TestBench) -> None:
    """It looks healthy, the partition has records, and none come."""
    collector = bench.collector()
    bench.turn(collector)
    bench.sources[0].poll = bench.sources[0].poll_nothing  # type: ignore[method-assign]
    bench.produce(3)

    bench.turn(collector, times=60, seconds=5.0)

    assert len(bench.sources) > 1
    assert bench.sources[0].closed
    assert bench.ids() == bench.expected()


def test_a_broker_that_is_away_at_the_start_is_waited_for(bench: TestBench) -> None:
    """No crash, no hurry."""
    bench.broker.down = True
    collector = bench.collector()
    bench.turn(collector, times=5)

    bench.broker.down = False
    bench.produce(2)
    bench.turn(collector, times=10)

    assert bench.ids() == bench.expected()


def test_a_broker_that_never_answered_is_given_up(bench: TestBench) -> None:
    """After the time-out, in one line that names the setting."""
    bench.broker.down = True
    begun_s = bench.clock.monotonic()

    with pytest.raises(UsageError, match=r"in memory: down; given up after 60 s \(kafka.start_"):
        bench.collector(start_timeout_s=60.0).run(bench.stop)

    assert 60.0 <= bench.clock.monotonic() - begun_s < 75.0


def test_a_broker_that_answered_once_is_never_given_up(bench: TestBench) -> None:
    """Also when the client is replaced meanwhile."""
    collector = bench.collector(start_timeout_s=1.0)
    bench.produce(2)
    bench.turn(collector)
    bench.broker.down = True
    bench.turn(collector, times=60, seconds=5.0)

    bench.broker.down = False
    bench.produce(2)
    bench.turn(collector, times=60)

    assert bench.ids() == bench.expected()


def test_a_broker_that_goes_away_is_waited_for(bench: TestBench) -> None:
    """What comes after it is back is stored once."""
    collector = bench.collector()
    bench.produce(2)
    bench.turn(collector)
    bench.broker.down = True
    bench.turn(collector, times=40)

    bench.broker.down = False
    bench.produce(2)
    bench.turn(collector, times=60)

    assert bench.ids() == bench.expected()


def test_credentials_that_are_exchanged_are_waited_for(bench: TestBench) -> None:
    """A refusal ends nobody who was let in once; another client reads them anew."""
    collector = bench.collector()
    bench.produce(2)
    bench.turn(collector)
    bench.broker.refuses = True
    bench.turn(collector, times=20)
    assert bench.health.not_ready() == {"kafka_away": "broker in memory: refuses us"}
    assert bench.sources[0].closed

    bench.broker.refuses = False
    bench.produce(2)
    bench.turn(collector, times=60)

    assert bench.ids() == bench.expected()
    assert bench.health.not_ready() == {}


def test_wrong_credentials_end_a_collector_that_starts(bench: TestBench) -> None:
    """At once: it never worked."""
    bench.broker.refuses = True

    with pytest.raises(UsageError, match="refuses us"):
        bench.collector().run(bench.stop)


def test_questions_without_an_answer_hold_no_line_back(bench: TestBench) -> None:
    """What comes is written while the brokers do not say how far they reach."""
    collector = bench.collector()
    bench.turn(collector)
    bench.broker.mute = True
    for _ in range(10):
        bench.produce(1)
        bench.turn(collector, times=1, seconds=1.0)
        assert bench.ids() == bench.expected()

    assert "kafka_away" in bench.health.not_ready()
    bench.broker.mute = False
    bench.turn(collector, times=30, seconds=1.0)
    assert bench.health.not_ready() == {}


def test_a_partition_taken_by_mistake_comes_back_soon(bench: TestBench) -> None:
    """Whoever slept through a rebalance claims too much; it is told, and gives back."""
    sleeper, rightful = bench.collector("sleeper"), bench.collector("rightful")
    bench.turn(rightful)
    bench.turn(sleeper)
    assert bench.at().owner == "sleeper"
    bench.produce(3)
    bench.turn(rightful)

    bench.sources[1].revoke([P0, P1])
    bench.turn(sleeper, rightful, times=12, seconds=1.0)

    assert bench.at().owner == "rightful"
    assert bench.ids() == bench.expected()


def test_a_database_that_refuses_us_ends_the_collector(bench: TestBench) -> None:
    """A wrong password is not mended by trying again."""

    class Refusing(Writer):
        def write(self, *_: object) -> None:
            raise UsageError("password authentication failed")

    bench.produce(1)
    collector = bench.collector(writer=Refusing(bench.engine, Redactor()))

    with pytest.raises(UsageError):
        collector.run(bench.stop)

    assert bench.sources[0].closed


def test_what_a_collector_read_while_it_was_taken_for_dead_is_read_again(bench: TestBench) -> None:
    """A policy with a new host came into force without it: lines about that host were left out."""
    new_host = "other.weather.svc.cluster.local"

    class Suspended(Writer):
        """Stands still for long, once, between reading and writing."""

        is_due = True

        def write(self, batches: Sequence[Batch], claims: object, now_us: int) -> None:
            if Suspended.is_due and any(one.read for one in batches):
                Suspended.is_due = False
                bench.clock.advance(120.0)
                record = PolicyRecord("weather/other", "{}", (new_host,))
                with writing(bench.engine) as connection:
                    record_versions(connection, [record], bench.clock.now_us())
            super().write(batches, claims, now_us)  # type: ignore[arg-type]

    bench.produce(1)
    bench.number += 1
    line = client_line(f"id-{bench.number}", host=new_host)
    bench.broker.append(P0, line.encode(), bench.clock.now_us())
    collector = bench.collector(writer=Suspended(bench.engine, Redactor()))

    bench.turn(collector, times=12)

    assert not Suspended.is_due
    assert bench.ids() == bench.expected()
    assert len(bench.sources) == 2


@pytest.mark.parametrize("seed", range(5))
def test_any_mixture_of_faults_loses_and_doubles_nothing(bench: TestBench, seed: int) -> None:
    """Two collectors that fence each other, writes that fail before or after: every line once."""
    import random

    chance = random.Random(seed)
    writers = [FailingWriter(bench.engine) for _ in range(2)]
    pair = [bench.collector(f"c{n}", writer=writer) for n, writer in enumerate(writers)]
    faults: list[Callable[[], object]] = [
        lambda: setattr(chance.choice(writers), "before", 1),
        lambda: setattr(chance.choice(writers), "after", 1),
        lambda: bench.clock.advance(30),
        lambda: bench.produce(chance.randint(1, 5), chance.choice([P0, P1])),
        lambda: bench.produce(chance.randint(1, 5), chance.choice([P0, P1])),
    ]
    for _ in range(150):
        chance.choice(faults)()
        bench.turn(chance.choice(pair), times=chance.randint(1, 3))

    bench.turn(*pair, times=60, seconds=10.0)

    assert bench.ids() == bench.expected()
    with reading(bench.engine) as connection:
        stored = connection.scalar(select(func.sum(batch.c.stored)))
    assert stored == bench.number
