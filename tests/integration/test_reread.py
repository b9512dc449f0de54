"""A range of offsets is read again: what lacks is stored, nothing twice, and the accounts fit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Engine, select

from collector.clock import SystemClock
from collector.db import positions
from collector.db.audit import Account, audit, cutoffs_of
from collector.db.engine import open_engine, reading, writing
from collector.db.kept import hold_lines, note_dropped
from collector.db.policies import PolicyRecord, record_versions
from collector.db.quarantine import Gap, identity_of, insert_gap
from collector.db.tables import observation, position, quarantine
from collector.errors import UsageError
from collector.service.reread import Range, Reread, Rereader
from collector.settings import CollectorSettings, DatabaseSettings, KafkaSettings, Settings
from collector.sources.protocol import Partition
from tests.databases import refuse
from tests.integration.test_poison import collecting, mirrorproof, wait_for
from tests.lines import HOST, client_line, shipped
from tests.servers.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
OTHER = "other.weather.svc.cluster.local"
FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    "%REQ(X-REQUEST-ID)% %REQ(:AUTHORITY)% %UPSTREAM_CLUSTER% %DURATION%"
)
OWN = '[2026-11-22T15:11:42.900Z] "GET /weather HTTP/1.1" 200 own forecast - 4'
END, SKIPPED = 30, 10


def values() -> list[bytes]:
    """Thirty records: one of a host that nobody watches, one of an own format, one of noise."""
    found = [shipped(client_line(f"id-{number}")) for number in range(END)]
    found[12] = shipped(client_line("id-12", host=OTHER))
    found[13] = shipped(OWN)
    found[14] = b"noise"
    return found


class Site:
    """A partition whose first ten records were passed over, and the rest read."""

    def __init__(
        self,
        broker: KafkaBroker,
        url: str,
        client: str = "kafka-python",
        refused: Sequence[int] = (),
    ) -> None:
        self.engine: Engine = open_engine(url)
        self.where = Partition(broker.create_topic(1), 0)
        self.settings = Settings(
            kafka=KafkaSettings(
                bootstrap_servers=(broker.bootstrap,), client=client, batch_records=7
            ),  # type: ignore[arg-type]
            database=DatabaseSettings(url=url),
            collector=CollectorSettings(access_log_format=FORMAT),
        )
        self.watch(HOST)
        sent = values()
        for offset in refused:
            sent[offset] = sent[offset].replace(b'\\" 200 ', b'\\" 418 ')
        refuse(self.engine, 418)
        with writing(self.engine) as connection:
            positions.create(connection, self.where, SKIPPED, None, 1)
            gap = Gap(0, SKIPPED, "passed over by a test", 1, 2)
            insert_gap(connection, self.where, gap, 1)
        broker.send(self.where.topic, sent)
        with collecting(broker, self.where.topic, url):
            wait_for(self.engine, END)

    def watch(self, host: str) -> None:
        """Records a policy of a host."""
        with writing(self.engine) as connection:
            record_versions(connection, [PolicyRecord(f"weather/{host}", "{}", (host,))], 1)

    def reread(self, begin: int, end: int, *, dry_run: bool = False) -> Reread:
        """Reads a range again."""
        rereader = Rereader(self.settings, self.engine, SystemClock(), dry_run=dry_run)
        done, reached = rereader.read(Range(self.where, begin, end), lambda _: None, Event())
        assert reached == end
        return done

    def rows(self, table: Any) -> list[Any]:
        """All rows of a table."""
        with reading(self.engine) as connection:
            return list(connection.execute(select(table)))

    def gaps(self) -> list[tuple[int, int, bool]]:
        """Offset, records, and whether they were read since, of each gap."""
        return sorted(
            (row.record_offset, row.records, row.replayed_us is not None)
            for row in self.rows(quarantine)
            if row.length == 0
        )

    def ids(self) -> list[str]:
        """The request ids of all stored lines, in order."""
        return sorted(row.request_id for row in self.rows(observation))

    def account(self) -> Account:
        """Of the partition; the identity holds and nothing else is wrong."""
        with reading(self.engine) as connection:
            hold_lines(connection)
            (found,) = audit(connection, cutoffs_of(connection))
        counted = found.stored + found.repeated + found.ignored + found.quarantined
        # One line a record here; what left quarantine was counted there, too.
        assert counted - found.replayed == found.advanced == END
        assert found.faults == []
        return found


ALL = sorted(["own", *(f"id-{number}" for number in range(END) if number not in (13, 14))])


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_what_lacks_is_stored_and_nothing_twice(
    kafka: KafkaBroker, migrated_database_url: str, client: str
) -> None:
    """A gap, a host that is watched since, a format that is known since; the position stays."""
    site = Site(kafka, migrated_database_url, client)
    before, lines = site.rows(position), len(site.ids())

    part = site.reread(3, 6)
    narrowed = site.gaps()
    assert site.account().gaps == 10
    site.watch(OTHER)
    looked = site.reread(0, END, dry_run=True)
    assert len(site.ids()) == lines + 3
    done = site.reread(0, END)
    again = site.reread(0, END)

    assert (part.stored, part.filled) == (3, 3)
    assert narrowed == [(0, 3, False), (3, 3, True), (6, 4, False)]
    assert (looked.stored, looked.repeated, looked.filled) == (9, 20, 7)
    assert (done.read, done.stored, done.repeated, done.filled) == (30, 9, 20, 7)
    assert (done.ignored + done.unreadable, again.stored, again.repeated) == (1, 0, 29)
    assert site.ids() == ALL
    assert site.rows(position) == before
    assert all(is_read for _, _, is_read in site.gaps())
    account = site.account()
    assert (account.stored + account.repeated, account.replayed) == (29, 11)
    site.engine.dispose()


def test_a_line_that_the_database_refuses_is_noted_alike_whoever_read_it(
    kafka: KafkaBroker, migrated_database_url: str
) -> None:
    """With its pod and its record's time: of a gap when it is read again, later ones at once."""
    site = Site(kafka, migrated_database_url, refused=(5, 20))

    done = site.reread(0, END)

    assert (done.unreadable, done.stored) == (2, 10)
    waiting = {row.record_offset: row for row in site.rows(quarantine) if row.replayed_us is None}
    assert sorted(waiting) == [5, 20]
    again, live = waiting[5], waiting[20]
    assert again.identity == live.identity
    assert identity_of(again.identity).pod == "front-1"
    assert 0 < again.record_us <= live.record_us < live.at_us <= again.at_us
    site.account()
    site.engine.dispose()


def test_ranges_that_cannot_be_read_again_are_refused(
    kafka: KafkaBroker, migrated_sqlite_url: str
) -> None:
    """With the reason, and with what can be done."""
    site = Site(kafka, migrated_sqlite_url, "kafka-python")
    with pytest.raises(UsageError, match="is read up to offset 30"):
        site.reread(0, 31)
    with pytest.raises(UsageError, match="not before"):
        site.reread(5, 5)
    strange = Site.__new__(Site)
    strange.__dict__ |= site.__dict__ | {"where": Partition(site.where.topic, 7)}
    with pytest.raises(UsageError, match=r"/7 was never read; there are: .*/0"):
        strange.reread(0, 1)
    with writing(site.engine) as connection:
        now_us = SystemClock().now_us()
        note_dropped(connection, now_us)
    with pytest.raises(UsageError, match="no longer kept"):
        site.reread(0, END)
    site.engine.dispose()


_KILLED = """
import os, signal, sys
from threading import Event
from sqlalchemy import event
from collector.clock import SystemClock
from collector.db.engine import open_engine
from collector.service.reread import Range, Rereader
from collector.settings import Settings
from collector.sources.protocol import Partition

settings, topic, commits = Settings.model_validate_json(sys.argv[1]), sys.argv[2], int(sys.argv[3])
engine = open_engine(sys.argv[4])
written = [0]

def count(connection):
    if connection.get_execution_options().get("mirrorproof_write"):
        written[0] += 1
        if written[0] > commits:
            os.kill(os.getpid(), signal.SIGKILL)

rereader = Rereader(settings, engine, SystemClock())
event.listen(engine, "commit", count)
rereader.read(Range(Partition(topic, 0), 0, 30), lambda at: None, Event())
"""


@pytest.mark.slow
def test_a_kill_in_between_and_another_run_double_nothing(
    kafka: KafkaBroker, migrated_database_url: str
) -> None:
    """Killed with -9 at commits, again and again."""
    site = Site(kafka, migrated_database_url, "kafka-python")
    site.watch(OTHER)
    settings = site.settings.model_dump_json(include={"kafka": True, "collector": True})

    command = [sys.executable, "-c", _KILLED, settings, site.where.topic]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}

    statuses = [
        subprocess.run(
            [*command, str(commits), migrated_database_url],
            env=environment, check=False, timeout=60,
        ).returncode
        for commits in (0, 1, 2)
    ]  # fmt: skip
    partly = len(site.ids())
    done = site.reread(0, END)

    assert statuses[:2] == [-signal.SIGKILL] * 2
    assert partly > 0
    assert done.stored + done.repeated == 29
    assert site.ids() == ALL
    site.account()
    site.engine.dispose()


@pytest.mark.slow
def test_the_command_reads_offsets_again(kafka: KafkaBroker, migrated_sqlite_url: str) -> None:
    """And says what came of it; usage that means nothing is refused."""
    site = Site(kafka, migrated_sqlite_url, "kafka-python")
    where = ("--database-url", migrated_sqlite_url, "--bootstrap-servers", kafka.bootstrap)
    asked = ("replay", "--topic", site.where.topic, "--partition", "0", "--from-offset", "0")

    looked = mirrorproof(*asked, "--dry-run", *where)
    done = mirrorproof(*asked, "--json", *where)
    wrong = mirrorproof("replay", "--topic", "t", *where)
    beyond = mirrorproof(*asked, "--to-offset", "99", *where)

    assert looked[0] == 0, looked
    assert "10 would be stored, 17 were already" in looked[1]
    assert done[0] == 0, done
    told = [json.loads(line) for line in done[1].splitlines()]
    assert (told[0]["reread"]["stored"], told[0]["reread"]["filled"]) == (10, 10)
    assert told[-1]["summary"]["left"] == 0
    assert (wrong[0], "needs --partition" in wrong[2]) == (2, True)
    assert (beyond[0], "is read up to offset 30" in beyond[2]) == (2, True)
    assert len(site.ids()) == 27
    site.engine.dispose()
