"""Pods, hosts and destinations go once no line names them; no line ever names one that went."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from sqlalchemy import Engine, func, insert, select, update

from collector.batch import Batch, Watch
from collector.db import positions
from collector.db.engine import reading, writing
from collector.db.partitions import DAY_US, Partitions
from collector.db.positions import Claim
from collector.db.tables import destination, host, observation, pod, policy_version
from collector.db.writes import Writer
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity
from collector.redact import Redactor
from collector.service.maintenance import Maintenance, Report
from collector.settings.retention import RetentionSettings
from collector.sources.protocol import Partition, Record
from tests.clocks import HandClock
from tests.lines import HOST, START_US, client_line, shipped
from tests.settling import make_policy
from verifier.policies.stored import to_record
from verifier.retention import ages
from verifier.settle.cast import Directory
from verifier.tables import pod_clock, pod_hour

pytestmark = pytest.mark.integration
P0 = Partition("logs", 0)
WATCH = Watch(HostTable([HOST]), 0)
DAY = START_US // DAY_US * DAY_US


class Site:
    """One collector that writes lines of pods, and what keeps its database in order."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.before_write = lambda: None
        self.writer = Writer(engine, Redactor(), timed=self._timed)
        self._offset = 0
        with writing(engine) as connection:
            positions.create(connection, P0, 0, "topic-1", DAY)
            self.claim: Claim = positions.claim(connection, P0, "me", DAY)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self.before_write()
        yield

    def write(self, now_us: int, *pods: str) -> None:
        """A line of each pod, written at a time."""
        self.writer.write([self._read(now_us, pods)], {P0: self.claim}, now_us)

    def _read(self, now_us: int, pods: tuple[str, ...]) -> Batch:
        reader = Reader(b"secret", (), lambda _: Identity(), PoisonLimits())
        records = [
            Record(self._offset + n, now_us, shipped(client_line("a"), pod=name))
            for n, name in enumerate(pods)
        ]
        begin, self._offset = self._offset, self._offset + len(records)
        return reader.read(P0, begin, records, WATCH, now_us)

    def keep(self, now_us: int, *, dry_run: bool = False, **days: float) -> Report:
        """One run of maintenance, which keeps lines for a day."""
        own = RetentionSettings(**({"lines_days": 1} | days))  # type: ignore[arg-type]
        maintenance = Maintenance(self.engine, HandClock(now_us), ages(own), "day")
        return maintenance.once(dry_run=dry_run)

    def pods(self) -> list[str]:
        """The names of the pods that are known."""
        with reading(self.engine) as connection:
            return sorted(connection.scalars(select(pod.c.pod)))

    def dangling(self) -> int:
        """How many lines name a pod, host or destination that there is not."""
        c, found = observation.c, 0
        with reading(self.engine) as connection:
            for column, table in (
                (c.pod_id, pod), (c.host_id, host), (c.destination_id, destination),
            ):  # fmt: skip
                there = select(table.c.id).where(table.c.id == column).exists()
                query = select(func.count()).where(column.is_not(None), ~there)
                found += connection.scalar(query) or 0
        return found


@pytest.fixture
def site(engine: Engine) -> Site:
    """On each database."""
    return Site(engine)


def test_pods_go_after_their_lines(site: Site) -> None:
    """Those that still write stay, and what is told of a pod's clock goes with it."""
    site.write(DAY, "old", "busy")
    with writing(site.engine) as connection:
        number = connection.scalar(select(pod.c.id).where(pod.c.pod == "old"))
        connection.execute(
            insert(pod_clock).values(
                policy="p", pod_id=number, from_us=0, ahead_us=1, pairs=1, learned_us=0
            )
        )
    site.write(DAY + 2 * DAY_US, "busy")

    looked = site.keep(DAY + 3 * DAY_US, dry_run=True)
    early = site.keep(DAY + 3 * DAY_US)
    assert site.pods() == ["busy", "old"]
    site.write(DAY + 5 * DAY_US, "busy")
    site.keep(DAY + 6 * DAY_US)

    assert (looked.dropped["pod"], early.dropped["pod"]) == (0, 0)
    assert site.pods() == ["busy"]
    with reading(site.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(pod_clock)) == 0
    assert site.dangling() == 0


def test_pods_that_a_mirror_had_stay_as_long_as_that_is_known(site: Site) -> None:
    """Which pods a mirror had says whether its silence is a hole."""
    site.write(DAY, "heard")
    with writing(site.engine) as connection:
        connection.execute(insert(pod_hour).values(pod_id=1, hour_us=DAY, arrivals=1))

    site.keep(DAY + 20 * DAY_US)
    kept = site.pods()
    site.keep(DAY + 40 * DAY_US)
    site.keep(DAY + 40 * DAY_US, nodes_days=30)

    assert (kept, site.pods()) == (["heard"], [])


def test_who_was_away_while_its_pods_went_names_no_other(site: Site) -> None:
    """As a process that was frozen for a week, and SQLite gave the number again."""
    site.write(DAY, "a", "b")
    site.keep(DAY + 20 * DAY_US)
    assert site.pods() == []
    with writing(site.engine) as connection:
        connection.execute(
            insert(pod).values(
                digest=b"x" * 16, cluster="", namespace="", pod="new", node="", container="",
                labels="{}", seen_us=DAY + 20 * DAY_US,
            )
        )  # fmt: skip

    Partitions(site.engine).cover(DAY)
    site.write(DAY + 1, "b")

    with reading(site.engine) as connection:
        named = select(pod.c.pod).join(observation, observation.c.pod_id == pod.c.id)
        assert list(connection.scalars(named)) == ["b"]
    assert site.dangling() == 0


def test_what_goes_between_learning_and_writing_is_learned_again(site: Site) -> None:
    """The moment in which only the transaction can tell."""
    site.write(DAY, "a")
    runs = []

    def drop() -> None:
        if not runs:
            runs.append(site.keep(DAY + 20 * DAY_US))
            Partitions(site.engine).cover(DAY)

    site.before_write = drop
    site.write(DAY + 1, "a")

    assert runs[0].dropped["pod"] == 1
    assert (site.pods(), site.dangling()) == (["a"], 0)


def test_lines_are_written_while_pods_go(site: Site) -> None:
    """Sixty half days in which pods come and go: no write fails, and no line hangs in the air."""
    now, failed, done = [DAY], [], Event()

    def write() -> None:
        try:
            for number in range(60):
                now[0] = DAY + number * DAY_US // 2
                site.write(now[0], f"pod-{number // 4}", f"pod-{number // 4 + 1}", "busy")
        except Exception as error:
            failed.append(error)
        finally:
            done.set()

    thread = Thread(target=write)
    thread.start()
    while not done.is_set():
        site.keep(now[0] + DAY_US)
        assert site.dangling() == 0
    thread.join()
    site.keep(now[0] + DAY_US)

    assert (failed, site.dangling()) == ([], 0)
    assert 2 < len(site.pods()) < 10


def test_rows_of_a_release_of_before_are_dated_first(site: Site) -> None:
    """Nobody noted when they were seen, so they begin to age now."""
    site.write(DAY, "a")
    with writing(site.engine) as connection:
        connection.execute(update(pod).values(seen_us=None))

    site.keep(DAY + 20 * DAY_US)
    kept = site.pods()
    site.keep(DAY + 40 * DAY_US)

    assert (kept, site.pods()) == (["a"], [])


def test_versions_of_policies_go_with_their_windows(site: Site) -> None:
    """Those that ended; the newest number stays, as collectors acknowledge by it."""
    document = to_record(make_policy()).document
    at = {"name": "p", "document": document, "hosts": "[]", "digest": b"", "recorded_us": 0}
    with writing(site.engine) as connection:
        ends = (DAY, None, DAY + 390 * DAY_US, DAY)
        connection.execute(insert(policy_version), [at | {"valid_to_us": end} for end in ends])

    site.keep(DAY + 401 * DAY_US, unsettled_days=0)
    with reading(site.engine) as connection:
        forever = list(connection.scalars(select(policy_version.c.id)))
    site.keep(DAY + 401 * DAY_US)
    with reading(site.engine) as connection:
        left = list(connection.scalars(select(policy_version.c.id)))

    assert (forever, left) == ([1, 2, 3, 4], [2, 3, 4])


def test_a_verifier_forgets_what_went(site: Site) -> None:
    """Its memory is as large as what is there, and a number that is given again is read anew."""
    site.write(DAY, "a", "b")
    directory = Directory()
    with reading(site.engine) as connection:
        directory.refresh(connection)
    site.write(DAY + 20 * DAY_US, "b", "c")
    site.keep(DAY + 20 * DAY_US + 1)
    with reading(site.engine) as connection:
        directory.refresh(connection)

    assert sorted(one.pod for one in directory.pods.values()) == ["b", "c"]
    assert directory.edition == 1


def test_one_id_is_looked_up_without_reading_all_pods(site: Site) -> None:
    """However many pods there are."""
    site.write(DAY, "a", "b", "c")
    directory = Directory()

    with reading(site.engine) as connection:
        directory.refresh(connection, {2})

    assert set(directory.pods) == {2}
    assert len(directory.hosts) == 1
