"""The audit of ingestion finds nothing where nothing is wrong, and every kind of damage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from collector.batch import Watch
from collector.db import positions, resume
from collector.db.audit import Account, Cutoffs, audit
from collector.db.engine import open_engine, reading, writing
from collector.db.writes import Writer
from collector.errors import Fenced, UsageError
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity
from collector.redact import Redactor
from collector.sources.protocol import Partition, Record
from tests.lines import HOST, START_US, client_line

pytestmark = pytest.mark.integration

P0, P1 = Partition("logs", 0), Partition("logs", 1)
NOW_US = START_US + 10_000_000
WATCH = Watch(HostTable([HOST]), 7)
POISON = b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken'


class Store:
    """A database with two partitions, three batches each."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.writer = Writer(engine, Redactor())
        self.reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())
        self.next = {P0: 100, P1: 0}
        for partition in (P0, P1):
            with writing(engine) as connection:
                begin = self.next[partition]
                positions.create(connection, partition, begin, "topic-1", NOW_US)
            for number in range(3):
                self.write(partition, NOW_US + number)

    def write(self, partition: Partition, now_us: int, number: int | None = None) -> None:
        """One batch: two good lines, one that is none, one that nobody can read.

        Args:
            partition: Where they come.
            now_us: Wall clock.
            number: In the ids of the good lines; None: one that was never there.
        """
        begin = self.next[partition]
        name = f"id-{begin if number is None else number}"
        values = client_line(name), client_line(f"{name}-b"), "hello"
        records = [
            Record(begin + n, NOW_US, value)
            for n, value in enumerate([*(line.encode() for line in values), POISON])
        ]
        one = self.reader.read(partition, begin, records, WATCH, NOW_US)
        with writing(self.engine) as connection:
            held = positions.claim(connection, partition, "me", NOW_US)
        self.writer.write([one], {partition: held}, now_us)
        self.next[partition] = one.to_offset

    def stop(self, reason: str = "test") -> resume.Stopped:
        """The first partition, stopped."""
        with writing(self.engine) as connection:
            held = positions.claim(connection, P0, "me", NOW_US)
            positions.stop(connection, held, reason, NOW_US)
            (found,) = resume.stopped(connection)
        return found

    def resume(
        self, found: resume.Stopped, to_offset: int, *, same_log: bool, topic_id: str = "topic-1"
    ) -> None:
        """Has the first partition read on."""
        how = resume.Resumption(to_offset, topic_id, same_log, "ann", "a test")
        with writing(self.engine) as connection:
            resume.resume(connection, found, how, NOW_US + 7)
        self.next[P0] = to_offset

    def audit(self) -> dict[Partition, Account]:
        """The accounts by partition."""
        with reading(self.engine) as connection:
            return {Partition(a.topic, a.partition): a for a in audit(connection, Cutoffs())}

    def faults(self) -> str:
        """All that does not fit."""
        return "; ".join(fault for account in self.audit().values() for fault in account.faults)


@pytest.fixture
def store(migrated_database_url: str) -> Iterator[Store]:
    """A store on each database."""
    engine = open_engine(migrated_database_url)
    yield Store(engine)
    engine.dispose()


def test_accounts_that_fit(store: Store) -> None:
    """Numbers by partition, and no fault."""
    found = store.audit()

    one = found[P0]
    assert (one.from_offset, one.next_offset, one.advanced) == (100, 112, 12)
    assert (one.read, one.stored, one.ignored, one.quarantined) == (12, 6, 3, 3)
    assert store.faults() == ""


def test_lines_delivered_twice_are_counted_apart(store: Store) -> None:
    """Whatever their partition is the second time: read = stored + repeated + ignored + poison."""
    store.write(P1, NOW_US + 8, number=100)
    store.write(P1, NOW_US + 9, number=100)

    found = store.audit()

    assert (found[P0].stored, found[P0].repeated) == (6, 0)
    assert (found[P1].read, found[P1].stored, found[P1].repeated) == (20, 6, 4)
    assert (found[P1].ignored, found[P1].quarantined) == (5, 5)
    assert store.faults() == ""


DAMAGE = {
    "a lost line": (
        "DELETE FROM observation WHERE record_offset = 101", "stored 2 lines, 1 are there",
    ),
    "a doubled line": (
        "INSERT INTO observation SELECT * FROM observation WHERE record_offset = 101",
        "stored 2 lines, 3 are there",
    ),
    "a lost batch": ("DELETE FROM batch WHERE from_offset = 104", "4 offsets are skipped"),
    "a batch that begins early": (
        "UPDATE batch SET from_offset = 102 WHERE from_offset = 104", "2 offsets are read twice",
    ),
    "a position that ran ahead": (
        "UPDATE position SET next_offset = 113 WHERE partition = 0",
        "the last batch ends at 112, the position is 113",
    ),
    "a lost position": ("DELETE FROM position WHERE partition = 0", "no position"),
    "a lost quarantined line": (
        "DELETE FROM quarantine WHERE record_offset = 107", "1 lines quarantined, 0 are there",
    ),
    "a wrong count": (
        "UPDATE batch SET stored = 1, ignored = 2 WHERE from_offset = 104",
        "stored 1 lines, 2 are there",
    ),
    "too many records": (
        "UPDATE batch SET records = 5 WHERE from_offset = 104", "5 records in 4 offsets",
    ),
    "a forged replay": (
        "UPDATE quarantine SET replayed_us = 1, replayed_batch_id = 1 WHERE record_offset = 107",
        "marked",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(store: Store, name: str) -> None:
    """Whatever somebody does to the tables by hand."""
    statement, fault = DAMAGE[name]
    with writing(store.engine) as connection:
        connection.exec_driver_sql(statement)

    assert fault in store.faults()


def test_a_batch_whose_lines_do_not_add_up_is_found(migrated_sqlite_url: str) -> None:
    """The database itself refuses it, but for one whose checks were turned off."""
    store = Store(open_engine(migrated_sqlite_url))
    with writing(store.engine) as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = 1")
        connection.exec_driver_sql("UPDATE batch SET read = 5 WHERE from_offset = 104")

    assert "5 lines are not stored" in store.faults()
    store.engine.dispose()


def test_records_passed_over_are_a_gap_that_counts(store: Store) -> None:
    """An operator reads on later: what lies between is counted, quarantined, and fits."""
    store.resume(store.stop(), 1_000, same_log=True)
    store.write(P0, NOW_US + 8)

    one = store.audit()[P0]
    assert (one.gaps, one.quarantined, one.resumed) == (888, 892, 1)
    assert one.advanced == one.read == 1_004 - 100
    assert store.faults() == ""


def test_a_topic_created_again_begins_anew(store: Store) -> None:
    """Its first offsets are no gap and no overlap."""
    store.resume(store.stop(), 0, same_log=False, topic_id="topic-2")
    store.write(P0, NOW_US + 8)

    one = store.audit()[P0]
    assert (one.next_offset, one.gaps, one.advanced) == (4, 0, 16)
    assert store.faults() == ""


def test_only_what_is_stopped_is_resumed(store: Store) -> None:
    """A second operator with the same list in hand changes nothing."""
    found = store.stop()
    store.resume(found, 112, same_log=True)

    with pytest.raises(UsageError, match="not stopped any more"):
        store.resume(found, 500, same_log=True)


def test_a_replay_is_written_once_and_counted_so(store: Store) -> None:
    """Twice at the same time, only one gets through; its lines are no gap and no overlap."""
    line = client_line("late").encode()
    found = [
        store.reader.read(P0, 103, [Record(103, NOW_US, line)], WATCH, NOW_US) for _ in range(2)
    ]
    for one in found:
        one.records, one.replayed = 0, 1
    store.writer.replay(found[0], 1, NOW_US + 8)
    with pytest.raises(Fenced, match="replayed before"):
        store.writer.replay(found[1], 1, NOW_US + 9)
    store.write(P0, NOW_US + 10)

    one_account = store.audit()[P0]
    assert (one_account.read, one_account.stored, one_account.replayed) == (17, 9, 1)
    assert store.faults() == ""
