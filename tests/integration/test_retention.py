"""What is old goes, while others write and read; what is needed stays."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import Engine, Table, delete, event, func, insert, select, text, update

from collector.db.audit import Cutoffs, audit, cutoffs_of
from collector.db.engine import open_engine, reading, writing
from collector.db.kept import hold_lines, lines_kept_from
from collector.db.partitions import DAY_US, HOUR_US, Partitions, list_parts
from collector.db.retention import ROWS_AT_ONCE
from collector.db.tables import batch, node_life, observation, position, quarantine
from collector.db.upkeep import Upkeep, keeping
from collector.errors import MirrorproofError
from collector.service.maintenance import Ages, Maintenance, Report
from collector.settings.retention import RetentionSettings
from tests.clocks import HandClock
from tests.settling import NOW, SECOND, TOPIC, World, make_policy, request
from verifier.retention import ages
from verifier.settle.audit import follow, policies
from verifier.tables import copy_marker, finding, marker_change, pod_hour, settled_window

pytestmark = pytest.mark.integration
DAY = NOW // DAY_US * DAY_US
SKEW_US = 60 * SECOND


@pytest.fixture
def postgres(migrated_postgres_url: str) -> Iterator[Engine]:
    """A migrated PostgreSQL."""
    found = open_engine(migrated_postgres_url)
    yield found
    found.dispose()


def keep(engine: Engine, now_us: int, *, dry_run: bool = False, **days: float) -> Report:
    """One run of maintenance at a time; without a policy nobody needs lines for settling."""
    own = RetentionSettings(**days)  # type: ignore[arg-type]
    return Maintenance(engine, HandClock(now_us), ages(own), "day").once(dry_run=dry_run)


def count(engine: Engine, table: Table) -> int:
    """How many rows a table has."""
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def days_of_lines(engine: Engine, days: int) -> World:
    """A world without a policy in which each day brought ten requests."""
    world = World(engine, now_us=DAY)
    for day in range(days):
        world.now_us = DAY + day * DAY_US + HOUR_US
        Partitions(engine).cover(world.now_us)
        for number in range(10):
            world.write(request(day * 10 + number, world.now_us))
    return world


def test_lines_older_than_they_are_kept_go(engine: Engine) -> None:
    """And from when on they are kept is written down; batches, positions and the rest stay."""
    world = days_of_lines(engine, 5)
    now = DAY + 5 * DAY_US

    looked = keep(engine, now, dry_run=True, lines_days=2)
    assert count(engine, observation) == 150
    report = keep(engine, now, lines_days=2)

    assert count(engine, observation) == 60
    assert looked.dropped == report.dropped
    assert report.dropped.pop("presence") == 30  # what is noted of their batches goes with them
    assert sum(report.dropped.values()) == (3 if engine.dialect.name == "postgresql" else 90)
    with reading(engine) as connection:
        kept_from_us = lines_kept_from(connection)
    assert report.kept_from_us == kept_from_us
    assert kept_from_us is not None
    # Whole partitions there; here, to the last batch that is gone.
    assert DAY + 2 * DAY_US < kept_from_us <= DAY + 3 * DAY_US + SKEW_US
    assert (count(engine, batch), count(engine, position)) == (50, 1)
    world.write(request(999, world.now_us))


def test_nothing_is_dropped_by_default_in_a_week(engine: Engine) -> None:
    """Nor is a run that has nothing to do noted as one."""
    days_of_lines(engine, 3)

    report = keep(engine, DAY + 7 * DAY_US)

    assert count(engine, observation) == 90
    assert (sum(report.dropped.values()), report.kept_from_us) == (0, None)


def test_zero_keeps_for_ever(engine: Engine) -> None:
    """Whatever the time."""
    days_of_lines(engine, 2)
    forever = {
        f"{name}_days": 0.0
        for name in (
            *("lines", "unsettled", "batches", "quarantine", "nodes", "windows", "findings"),
        )
    }

    report = keep(engine, DAY + 9000 * DAY_US, **forever)

    assert sum(report.dropped.values()) == 0
    assert count(engine, observation) == 60


def test_lines_that_are_not_settled_wait_for_it(engine: Engine) -> None:
    """A verifier that was away finds them; but not for ever."""
    world = days_of_lines(engine, 5)
    world.declare(make_policy(("v1", 100.0)))
    now = DAY + 20 * DAY_US

    waiting = keep(engine, now, lines_days=1)
    assert (count(engine, observation), waiting.unsettled_us) == (150, None)
    given_up = keep(engine, now, lines_days=1, unsettled_days=17)

    assert count(engine, observation) == 60
    assert given_up.unsettled_us == DAY + 3 * DAY_US


def test_settled_lines_do_not_wait(engine: Engine) -> None:
    """Up to what the last window settled may have needed of them."""
    world = days_of_lines(engine, 3)
    world.declare(make_policy(("v1", 100.0)))
    world.now_us = DAY + 4 * DAY_US
    world.settle_all()

    report = keep(engine, DAY + 20 * DAY_US, lines_days=1)

    assert (count(engine, observation), report.unsettled_us) == (0, None)


def test_batches_outlive_their_lines(engine: Engine) -> None:
    """Each line names its batch, and by it where it was read."""
    world = days_of_lines(engine, 5)
    world.declare(make_policy(("v1", 100.0)))

    keep(engine, DAY + 20 * DAY_US, lines_days=1, batches_days=1)

    assert (count(engine, observation), count(engine, batch)) == (150, 50)


def test_rows_of_every_other_table_go_by_their_own_age(engine: Engine) -> None:
    """Batches, quarantine, nodes, findings and windows, in this order of ages here."""
    world = World(engine, now_us=DAY)
    world.declare(make_policy(("v1", 100.0)))
    world.write([*request(1, DAY)[:2], *request(2, DAY)])
    world.alive("a", DAY)
    world.settle_all(round(25.5 * 3600))
    with writing(engine) as connection:
        values = {"topic": "t", "partition": 0, "record_offset": 0, "item": 0, "reason": "r"}
        values |= {"prefix": b"", "length": 0, "sha256": b"", "at_us": DAY}
        connection.execute(insert(quarantine).values(values))
    tables = (batch, quarantine, node_life, finding, settled_window)
    own = {"lines_days": 1, "batches_days": 2, "quarantine_days": 3, "nodes_days": 4}
    own |= {"findings_days": 5, "windows_days": 6}

    found = []
    for day in range(1, 8):
        keep(engine, DAY + day * DAY_US + 2 * HOUR_US, **own)
        found.append([count(engine, table) for table in tables])

    assert found == [
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 1],
        [0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ]


def test_what_is_counted_by_hour_goes_too(engine: Engine) -> None:
    """What told copies goes with the windows, and the hours of pods that are gone with nodes."""
    rows: list[tuple[Table, dict[str, object]]] = [
        (pod_hour, {"pod_id": 1, "hour_us": DAY}),
        (copy_marker, {"policy": "p", "hour_us": DAY, "marker": "hops", "copies": 1}),
        (marker_change, {"policy": "p", "start_us": DAY, "before": "", "after": "hops"}),
    ]
    with writing(engine) as connection:
        for table, values in rows:
            connection.execute(insert(table).values(values))

    found = []
    for day in (1, 3, 5):
        keep(engine, DAY + day * DAY_US, nodes_days=2, windows_days=4)
        found.append([count(engine, table) for table, _ in rows])

    assert found == [[1, 1, 1], [0, 1, 1], [0, 0, 0]]


def test_rows_go_a_portion_in_a_transaction(engine: Engine) -> None:
    """So nobody waits for long; a row of a wild clock before them does not hold them up."""
    values = {"topic": "t", "partition": 0, "record_offset": 0, "item": 0, "reason": "r"}
    values |= {"prefix": b"", "length": 0, "sha256": b""}
    times = [DAY + 900 * DAY_US, *[DAY] * (2 * ROWS_AT_ONCE + 5), DAY + DAY_US]
    with writing(engine) as connection:
        connection.execute(insert(quarantine), [values | {"at_us": at} for at in times])
    deleted: list[int] = []

    def after(_c: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("DELETE FROM quarantine"):
            deleted.append(cursor.rowcount)

    event.listen(engine, "after_cursor_execute", after)
    report = keep(engine, DAY + 2 * DAY_US, quarantine_days=1.5)

    assert report.dropped["quarantine"] == 2 * ROWS_AT_ONCE + 5
    assert deleted == [ROWS_AT_ONCE - 1, ROWS_AT_ONCE, 6]
    assert count(engine, quarantine) == 2


# --- PostgreSQL


def test_a_full_partition_is_indexed_once(postgres: Engine) -> None:
    """The one being filled is not; an index whose building was interrupted is built anew.

    Its filter of request ids, which it has since it was made, does not stand for the index.
    """
    days_of_lines(postgres, 2)
    wanted = {"observation_20251009_key_idx", "observation_20251009_request_id_btree"}
    with postgres.begin() as connection:
        connection.execute(text("CREATE INDEX observation_20251009_key_idx "
                                "ON observation_20251009 (key)"))  # fmt: skip
        connection.execute(
            text("UPDATE pg_index SET indisvalid = false "
                 "WHERE indexrelid = 'observation_20251009_key_idx'::regclass")
        )  # fmt: skip

    first = keep(postgres, DAY + DAY_US + HOUR_US, lines_days=30)
    again = keep(postgres, DAY + DAY_US + HOUR_US, lines_days=30)

    assert (set(first.indexed), again.indexed) == (wanted, [])
    query = "SELECT indexrelid::regclass::text FROM pg_index WHERE indisvalid"
    with reading(postgres) as connection:
        valid = set(connection.scalars(text(query)))
    assert wanted <= valid
    assert not {name for name in valid if name.startswith("observation_20251010_key")}


def test_what_is_filled_is_summarized_for_the_time_indexes(postgres: Engine) -> None:
    """A BRIN index without summaries would have every query read all of its table."""
    world = World(postgres, now_us=DAY)
    for number in range(300):
        world.write(request(number, DAY + number * SECOND))
    name = "observation_20251009_start_us_idx"
    # The first range is summarised when the index is made.
    query = text("SELECT brin_summarize_new_values(CAST(:name AS regclass))")
    with postgres.begin() as connection:
        connection.execute(text("ALTER TABLE observation_20251009 SET (autovacuum_enabled = off)"))
        pages = connection.scalar(text("SELECT pg_relation_size('observation_20251009') / 8192"))
    assert pages is not None
    assert pages > 0

    keep(postgres, DAY + HOUR_US)

    with postgres.begin() as connection:
        assert connection.scalar(query, {"name": name}) <= 1  # the range that is half full


def test_one_process_keeps_the_partitions_at_a_time(postgres: Engine) -> None:
    """The other one leaves it alone, and says so."""
    days_of_lines(postgres, 3)
    with keeping(postgres) as mine:
        assert mine is not None
        report = keep(postgres, DAY + 20 * DAY_US, lines_days=1)

    assert report.busy
    assert count(postgres, observation) == 90
    assert not keep(postgres, DAY + 20 * DAY_US, lines_days=1).busy
    assert count(postgres, observation) == 0


@pytest.mark.parametrize("statement", ["DETACH", "DROP TABLE"])
def test_a_drop_that_was_interrupted_is_finished(postgres: Engine, statement: str) -> None:
    """Killed before or after the detaching, the next run ends it; a table of others is theirs."""
    days_of_lines(postgres, 3)
    with postgres.connect() as plain:
        auto = plain.execution_options(isolation_level="AUTOCOMMIT")
        auto.execute(text("ALTER TABLE observation DETACH PARTITION observation_20251011"))

    def before(_c: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        if statement in sql:
            raise Killed

    event.listen(postgres, "before_cursor_execute", before)
    with pytest.raises(Killed):
        keep(postgres, DAY + 20 * DAY_US, lines_days=1)
    event.remove(postgres, "before_cursor_execute", before)
    report = keep(postgres, DAY + 20 * DAY_US, lines_days=1)

    query = (
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'observation_2025101_'"
    )
    with reading(postgres) as connection:
        assert connection.scalars(text(query)).all() == ["observation_20251011"]
        assert list_parts(connection)[0].begin_us >= DAY + 20 * DAY_US
    assert report.dropped["partitions"] > 0


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_reader_that_takes_long_keeps_what_it_reads(
    postgres: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on seeing all lines; new readers do not, writers go on, and the next run ends it."""
    monkeypatch.setattr("collector.db.upkeep._PATIENCE", "200ms")
    world = days_of_lines(postgres, 3)
    with reading(postgres) as reader:
        seen = select(func.count()).select_from(observation)
        assert reader.scalar(seen) == 90

        report = keep(postgres, DAY + 3 * DAY_US, lines_days=1.5)

        assert report.put_off
        assert reader.scalar(seen) == 90
        assert count(postgres, observation) == 60
        world.write(request(1000, world.now_us))

    keep(postgres, DAY + 3 * DAY_US, lines_days=1.5)
    with reading(postgres) as connection:
        assert "observation_20251009" not in [part.name for part in list_parts(connection)]


class Load:
    """Writers and readers that never rest; what they did, and how long each step took."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.stop = Event()
        self.failures: list[BaseException] = []
        self.slowest_s: Counter[str] = Counter()
        self.rounds: Counter[str] = Counter()

    def run(self, name: str, act: Callable[[int], object]) -> Thread:
        """Starts a thread that acts again and again."""

        def work() -> None:
            number = 0
            while not self.stop.is_set():
                begin = time.monotonic()
                try:
                    act(number)
                except BaseException as error:
                    self.failures.append(error)
                    return
                took = time.monotonic() - begin
                self.slowest_s[name] = max(self.slowest_s[name], took)
                number += 1
                self.rounds[name] = number

        thread = Thread(target=work, daemon=True)
        thread.start()
        return thread


def test_partitions_come_and_go_under_load(postgres: Engine) -> None:
    """Twenty days pass in seconds, under writes and reads: none fails, none waits, none is lost."""
    clock = HandClock(DAY)
    world = World(postgres, now_us=DAY)
    partitions = Partitions(postgres)
    load = Load(postgres)
    written: list[tuple[int, int]] = []

    def write(number: int) -> None:
        now = clock.now_us()
        partitions.cover(now)
        world.now_us = now
        world.write(request(number, now))
        written.append((now, number))

    def read(_: int) -> None:
        with reading(postgres) as connection:
            query = select(func.count()).where(observation.c.start_us >= clock.now_us() - DAY_US)
            connection.execute(query)
            connection.execute(select(func.count()).select_from(observation))

    threads = [load.run("write", write), load.run("read", read), load.run("read too", read)]
    work = Maintenance(postgres, clock, ages(RetentionSettings(lines_days=3)), "day")
    dropped = indexed = 0
    for _ in range(20):
        clock.advance(24 * 3600)
        before = Counter(load.rounds)
        report = work.once()
        dropped += report.dropped.get("partitions", 0)  # nothing where the last one still ends
        indexed += len(report.indexed)
        assert report.put_off == []
        wait_for(lambda before=before: all(
            load.failures or load.rounds[n] > before[n] for n in ("write", "read")
        ))  # fmt: skip
    load.stop.set()
    for thread in threads:
        thread.join(60)

    assert load.failures == []
    assert dropped >= 15
    assert indexed >= 30
    with reading(postgres) as connection:
        kept_us = lines_kept_from(connection)
        stored = Counter(connection.scalars(select(observation.c.request_id)))
    assert kept_us is not None
    floor_us = kept_us - SKEW_US
    expected = {f"id-{number}": 3 for at_us, number in written if at_us >= floor_us}
    assert stored == expected
    assert len(expected) < len(written)
    # Not a measure of speed: a lock that queues writers would hold them until a reader ends.
    assert max(load.slowest_s.values()) < 10, load.slowest_s


def wait_for(true: Callable[[], bool]) -> None:
    """Returns once something is true."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- SQLite


@pytest.mark.slow
def test_the_file_stays_level(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """Under an equal load the pages that retention frees are all that is needed."""
    engine = open_engine(migrated_sqlite_url)
    world = World(engine, now_us=DAY)
    sizes = []
    for day in range(9):
        world.now_us = DAY + day * DAY_US
        world.write([line for n in range(300) for line in request(n, world.now_us)])
        keep(engine, world.now_us, lines_days=2, batches_days=2)
        sizes.append((tmp_path / "mirrorproof.db").stat().st_size)
        assert (tmp_path / "mirrorproof.db-wal").stat().st_size == 0
    engine.dispose()

    assert sizes[0] < sizes[2]
    assert max(sizes[4:]) <= sizes[4] * 1.05


def test_a_reader_does_not_stop_retention_nor_the_writer(migrated_sqlite_url: str) -> None:
    """The log of writes is emptied later, then."""
    engine = open_engine(migrated_sqlite_url)
    world = days_of_lines(engine, 3)
    with reading(engine) as reader:
        assert reader.scalar(select(func.count()).select_from(observation)) == 90
        report = keep(engine, DAY + 20 * DAY_US, lines_days=1)
        world.write(request(1, DAY))
        assert reader.scalar(select(func.count()).select_from(observation)) == 90

    assert report.dropped["lines"] == 90
    engine.dispose()


@pytest.mark.slow
def test_the_writer_gets_its_turn(migrated_sqlite_url: str) -> None:
    """Between two portions of lines there is a rest, and no portion is larger than a bound."""
    engine = open_engine(migrated_sqlite_url)
    world = World(engine, now_us=DAY)
    world.write([line for n in range(ROWS_AT_ONCE) for line in request(n, DAY)])
    clock, rests = HandClock(DAY + 9 * DAY_US), []
    between: list[int] = []

    class Watching(HandClock):
        def wait(self, stop: Event, seconds: float) -> bool:
            rests.append(seconds)
            with sqlite3.connect(engine.url.database or "", timeout=0) as other:
                other.execute("BEGIN IMMEDIATE")
                between.extend(*other.execute("SELECT count(*) FROM observation"))
            other.close()
            return super().wait(stop, seconds)

    own = ages(RetentionSettings())
    Maintenance(engine, Watching(clock.now_us()), own, "day").once()

    assert between[:3] == [2 * ROWS_AT_ONCE, ROWS_AT_ONCE, 0]
    assert min(rests) > 0
    engine.dispose()


# --- the job


def test_a_run_that_fails_is_tried_again(engine: Engine) -> None:
    """Lines go on being stored, whatever is wrong with retention."""
    days_of_lines(engine, 2)
    stop, asked = Event(), []

    def needed_us(_connection: Any) -> int | None:
        asked.append(1)
        if len(asked) == 1:
            raise ValueError("a defect")
        if len(asked) == 2:
            raise MirrorproofError("something that an operator mends")
        stop.set()
        return None

    own = Ages(lines_us=DAY_US, unsettled_us=0, nodes_us=0, tables=[], needed_us=needed_us)
    Maintenance(engine, HandClock(DAY + 9 * DAY_US), own, "day").run(stop)

    assert len(asked) == 3


class StopsAfter(HandClock):
    """Waits for nothing, and says stop after some waits."""

    def __init__(self, now_us: int, waits: int) -> None:
        super().__init__(now_us)
        self.left = waits

    def wait(self, stop: Event, seconds: float) -> bool:
        self.left -= 1
        return super().wait(stop, seconds) or self.left < 0


NEW_RANGES = text(
    "SELECT sum(brin_summarize_new_values(i.indexrelid)) FROM pg_index i "
    "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam "
    "WHERE a.amname = 'brin' AND c.relkind = 'i'"
)
"""How many ranges of blocks no filter knew until now."""


def test_new_lines_are_known_to_filters_ten_seconds_later(postgres: Engine) -> None:
    """Long before the next run, so that one request is found without reading all new lines."""
    world = World(postgres, now_us=DAY)
    world.write([line for number in range(600) for line in request(number, world.now_us)])
    clock = StopsAfter(world.now_us, waits=1)

    Maintenance(postgres, clock, ages(RetentionSettings()), "day").run(Event())

    with postgres.connect() as connection:
        assert connection.scalar(NEW_RANGES) == 0


def test_keeping_is_given_back(postgres: Engine) -> None:
    """Whoever keeps the partitions and dies leaves the right to the next one."""
    for _ in range(2):
        with keeping(postgres) as upkeep:
            assert isinstance(upkeep, Upkeep)


# --- the chains of windows


def chained(engine: Engine) -> World:
    """A world whose every day has a window with a finding, settled in the order of days."""
    world = World(engine, now_us=DAY)
    world.declare(make_policy(("v1", 100.0)))
    for day in range(4):
        world.now_us = DAY + day * DAY_US
        Partitions(engine).cover(world.now_us)
        world.write([*request(day, world.now_us)[:2], *request(10 + day, world.now_us)])
        world.settle_all(3600)
    return world


def test_what_remains_of_a_chain_fits(engine: Engine) -> None:
    """It rests on the last window that went; without findings the links still hold."""
    chained(engine)
    now = DAY + 4 * DAY_US

    keep(engine, now, windows_days=2.2, findings_days=1.2)

    with reading(engine) as connection:
        (chain,) = [follow(connection, policy) for policy in policies(connection)]
    assert (chain.broken, chain.rows, chain.linked) == (None, 2, 1)
    assert chain.anchor != b""
    assert count(engine, finding) == 1


def test_a_changed_window_is_found_after_retention(engine: Engine) -> None:
    """What has its findings is checked in full; a row that is taken out breaks the links."""
    chained(engine)
    keep(engine, DAY + 4 * DAY_US, windows_days=3.2, findings_days=1.2)
    broken = []
    for change in (
        update(settled_window).where(settled_window.c.id == 4).values(matched=9),
        delete(settled_window).where(settled_window.c.id == 3),
    ):
        with engine.connect() as connection:
            connection = connection.execution_options(mirrorproof_write=True)
            connection.execute(change)
            (chain,) = [follow(connection, policy) for policy in policies(connection)]
            connection.rollback()
        broken.append(chain.broken)

    assert all(one is not None for one in broken)
    assert "were changed" in str(broken[0])
    assert "rows before it are missing" in str(broken[1])


def test_windows_go_in_the_order_of_their_chain(engine: Engine) -> None:
    """One that a wild clock settled keeps those behind it: no hole in the chain."""
    chained(engine)
    with writing(engine) as connection:
        wild = update(settled_window).where(settled_window.c.id == 2)
        connection.execute(wild.values(settled_us=DAY + 900 * DAY_US))

    report = keep(engine, DAY + 20 * DAY_US, windows_days=1)

    assert report.dropped["settled_window"] == 1
    assert count(engine, settled_window) == 3


# --- the audit of ingestion


def test_the_audit_misses_nothing_that_retention_dropped(engine: Engine) -> None:
    """Lines, quarantined ones and batches that are gone by right are no fault; others are."""
    world = days_of_lines(engine, 5)
    with writing(engine) as connection:
        connection.execute(update(batch).values(read=4, quarantined=1))
        values = {"topic": TOPIC, "partition": 0, "item": 0, "reason": "r", "prefix": b""}
        values |= {"length": 1, "sha256": b""}
        for row in connection.execute(select(batch.c.from_offset, batch.c.committed_us)).all():
            at = {"record_offset": row.from_offset, "at_us": row.committed_us}
            connection.execute(insert(quarantine).values(values | at))
    own = {"lines_days": 1.5, "quarantine_days": 2.5, "batches_days": 3.5}
    keep(engine, DAY + 5 * DAY_US, **own)

    with reading(engine) as connection:
        hold_lines(connection)
        (fits,) = audit(connection, cutoffs_of(connection))
        (blind,) = audit(connection, Cutoffs())
    with writing(engine) as connection:
        connection.execute(delete(observation).where(observation.c.ingested_us == world.now_us))
    with reading(engine) as connection:
        (lost,) = audit(connection, cutoffs_of(connection))

    assert fits.faults == []
    assert blind.fault_count > 0
    assert lost.fault_count == 10
    assert count(engine, batch) == 30
