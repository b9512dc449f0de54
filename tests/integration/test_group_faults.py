"""Members of a consumer group freeze, come and go: nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import pytest
from kafka import OffsetAndMetadata, TopicPartition
from kafka.admin import KafkaAdminClient

from tests.collecting import Collector, Production, Rows, running, until
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

CHANGES = int(os.environ.get("MIRRORPROOF_TEST_CHANGES", "12"))
"""How often a member comes or goes; `make test-rebalances` takes 30."""
UNREAD_S = 60.0
PARTITIONS = 8
SESSION_S = 6


class Team:
    """Collectors of one consumer group, with production going on."""

    def __init__(self, kafka: KafkaBroker, url: str, folder: Path, client: str) -> None:
        self.topic, self.client = kafka.create_topic(PARTITIONS), client
        self._folder, self._stack = folder, ExitStack()
        self._settings = {
            "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
            "KAFKA__TOPICS": self.topic,
            "KAFKA__GROUP": self.topic,
            "KAFKA__CLIENT": client,
            "KAFKA__SESSION_TIMEOUT_S": SESSION_S,
            "DATABASE__URL": url,
        }
        self.rows = Rows(url)
        self.members: list[Collector] = []
        self.hired = 0
        self.production = Production(kafka.bootstrap, self.topic, PARTITIONS)
        self._stack.enter_context(self.production)

    def hire(self) -> Collector:
        """Starts one more member."""
        self.hired += 1
        name = f"member-{self.hired}"
        member = self._stack.enter_context(running(self._folder, name, **self._settings))
        member.until(lambda: not member.probe("/livez"), "never began")
        self.members.append(member)
        return member

    def dismiss(self, member: Collector, *, kill: bool) -> None:
        """Ends a member, in good order or not."""
        self.members.remove(member)
        if kill:
            member.process.kill()
            member.process.wait(10)
        else:
            assert member.leave() < 10.0

    def goes_on_everywhere(self) -> float:
        """Waits until every partition was read on; how long that took, seconds."""
        since, before = time.monotonic(), self.rows.offsets()

        def moved() -> bool:
            now = self.rows.offsets()
            return len(now) == len(self.production.sent) and all(
                b > a for a, b in zip(before or [0] * len(now), now, strict=True)
            )

        until(moved, "a partition is not read", self.members[0].log)
        return time.monotonic() - since

    def check(self) -> None:
        """Ends production, waits for the rest, and compares: nothing lost, nothing doubled."""
        self.production.end()
        until(lambda: self.rows.offsets() == self.production.sent, "rest", self.members[0].log)
        for member in tuple(self.members):
            self.dismiss(member, kill=False)
        assert self.rows.lost_and_doubled(self.production.ledger) == (0, 0)

    def said(self) -> str:
        """All that the members logged."""
        return "".join(log.read_text() for log in sorted(self._folder.glob("member-*.log")))

    def close(self) -> None:
        """Ends everything."""
        self._stack.close()


@pytest.fixture(params=["kafka-python", "confluent"])
def team(
    group_kafka: KafkaBroker,
    migrated_postgres_url: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Team]:
    """A team with one member, which reads everything, with each client."""
    found = Team(group_kafka, migrated_postgres_url, tmp_path, request.param)
    try:
        found.hire()
        found.goes_on_everywhere()
        yield found
    finally:
        found.close()


IN_COPY = "state = 'active' AND query LIKE 'COPY observation%' AND wait_event = 'ClientRead'"
IN_TRANSACTION = "state = 'idle in transaction' AND backend_xid IS NOT NULL"


def freeze(team: Team, member: Collector, where: str) -> None:
    """Stops the only member at such a place: tries until it stands there."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mirrorproof' "
        f"AND datname = current_database() AND {where}"
    )
    for _ in range(5_000):
        member.process.send_signal(signal.SIGSTOP)
        if team.rows.ask(query) == [(1,)]:
            return
        member.process.send_signal(signal.SIGCONT)
        time.sleep(random.uniform(0.0, 0.03))
    pytest.fail(f"never {where}")


@pytest.mark.parametrize("where", [IN_TRANSACTION, IN_COPY], ids=["idle", "copying"])
def test_a_member_that_was_frozen_writes_nothing_any_more(team: Team, where: str) -> None:
    """In a transaction, with its rows locked; another one takes over, and it wakes up too late."""
    frozen = team.members[0]
    freeze(team, frozen, where)
    team.members = []
    other = team.hire()
    assert team.goes_on_everywhere() < 60.0

    frozen.process.send_signal(signal.SIGCONT)
    team.members.append(frozen)
    team.goes_on_everywhere()
    team.dismiss(other, kill=False)
    assert team.goes_on_everywhere() < 60.0

    team.check()


class Unread(Thread):
    """Looks how long each partition stands still, while each gets lines all the time.

    Attributes:
        longest_s: The longest such time of each partition.
    """

    def __init__(self, rows: Rows) -> None:
        super().__init__(daemon=True)
        self._rows, self._over = rows, Event()
        self.longest_s = [0.0] * PARTITIONS

    def run(self) -> None:
        moved_s, last = [time.monotonic()] * PARTITIONS, [0] * PARTITIONS
        while not self._over.wait(0.1):
            offsets, now_s = self._rows.offsets(), time.monotonic()
            for partition, offset in enumerate(offsets):
                stood_s = now_s - moved_s[partition]
                self.longest_s[partition] = max(self.longest_s[partition], stood_s)
                if offset != last[partition]:
                    last[partition], moved_s[partition] = offset, now_s

    def end(self) -> list[float]:
        """Stops; what it saw."""
        self._over.set()
        self.join(10)
        return self.longest_s


def test_members_that_come_and_go_lose_and_double_nothing(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    """One, four, one again, some of them killed; no partition waits for a minute."""
    chance, unread = random.Random(3), Unread(team.rows)
    unread.start()
    for change in range(CHANGES):
        grows = len(team.members) < (4 if change < CHANGES / 2 else 1)
        if grows or len(team.members) == 1:
            team.hire()
        else:
            team.dismiss(chance.choice(team.members), kill=change % 3 == 0)
        if change % 2:  # every other time the next change comes in the middle of the last
            team.goes_on_everywhere()
    team.goes_on_everywhere()

    longest_s = unread.end()
    team.check()
    with capsys.disabled():
        times = ", ".join(f"{seconds:.1f}" for seconds in longest_s)
        told = f"{CHANGES} changes, {len(team.production.ledger):,} lines, {team.client}"
        print(f"\n{told}: none lost or doubled; longest unread by partition, s: {times}")  # noqa: T201
    assert max(longest_s) < UNREAD_S


def test_a_committed_offset_of_zero_decides_nothing(team: Team) -> None:
    """The broker may forget what was committed, or make it up: the database has it."""
    team.goes_on_everywhere()
    team.dismiss(team.members[0], kill=False)
    at = [TopicPartition(team.topic, number) for number in range(PARTITIONS)]
    admin = KafkaAdminClient(bootstrap_servers=team.production.bootstrap)
    zero = {partition: OffsetAndMetadata(0, "", -1) for partition in at}
    admin.alter_group_offsets(team.topic, zero)
    admin.close()

    team.hire()
    team.goes_on_everywhere()

    team.check()
