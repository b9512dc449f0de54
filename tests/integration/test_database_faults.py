"""The database goes away in every way it can: nothing is lost or doubled, and probes tell."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import InternalError

from collector.db.engine import open_engine
from collector.db.migrate import upgrade
from tests.collecting import Rows, Site, collecting, through
from tests.servers.kafka import KafkaBroker
from tests.servers.postgres import Cluster
from tests.servers.process import folder

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

AWAY = "database_away"


@pytest.fixture
def site(kafka: KafkaBroker, migrated_postgres_url: str, tmp_path: Path) -> Iterator[Site]:
    """One on the server that all tests share."""
    with collecting(kafka, migrated_postgres_url, tmp_path) as found:
        yield found


def test_a_database_that_is_gone_is_waited_for(site: Site) -> None:
    """Connections are refused for a while; probes tell, and it goes on by itself."""
    site.database.refuse()
    site.collector.is_told(AWAY)

    site.database.listen()
    site.goes_on()

    site.check()


@pytest.mark.slow
def test_sessions_that_are_ended_are_made_anew(site: Site, migrated_postgres_url: str) -> None:
    """As by a restart or an operator, again and again, in the middle of transactions."""
    for _ in range(10):
        site.rows.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'mirrorproof'"
        )
        site.goes_on()

    site.check()


def test_a_commit_whose_answer_is_lost_is_not_repeated(site: Site) -> None:
    """The connection ends after the commit: the offset tells that it was done."""
    for times in range(1, 6):
        site.database.cut_after = b"COMMIT"
        site.collector.until(lambda at=times: site.database.cuts >= at, "no commit was cut")
        site.database.cut_after = b""
        site.goes_on()

    site.check()
    assert any("write_was_done" in line for line in site.collector.said())


@pytest.mark.slow
def test_a_database_that_says_nothing_is_waited_for(
    kafka: KafkaBroker, migrated_postgres_url: str, tmp_path: Path
) -> None:
    """It took the question and never answers: the wait is ended before the loop counts as hung."""
    with collecting(kafka, migrated_postgres_url, tmp_path, COLLECTOR__HANG_S=30) as site:
        site.database.stall()
        site.collector.is_told(AWAY)
        time.sleep(20.0)
        assert site.collector.probe("/livez") == {}

        site.database.flow()
        site.goes_on()

        site.check()


@pytest.mark.slow
def test_a_locked_table_is_waited_for(site: Site, migrated_postgres_url: str) -> None:
    """The loop never stands still for it."""
    url = make_url(migrated_postgres_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        connection.execute("LOCK TABLE position IN ACCESS EXCLUSIVE MODE")
        site.collector.is_told(AWAY, "lock timeout")

    site.goes_on()
    site.check()


def test_a_transaction_in_which_we_fell_silent_is_ended(migrated_postgres_url: str) -> None:
    """By the server: a collector that froze there must not lock the next one out for ever."""
    engine = open_engine(migrated_postgres_url, patience_s=0.2)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1 FROM position FOR UPDATE")
        time.sleep(1.0)
        with pytest.raises(InternalError, match="idle-in-transaction"):
            connection.exec_driver_sql("SELECT 1")
    engine.dispose()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server of the test's own, which does not run yet."""
    with folder("postgres") as home:
        yield Cluster.create(home)


def migrated(cluster: Cluster) -> str:
    """The URL of a running server's database, with the newest schema."""
    url = f"postgresql+psycopg://postgres@127.0.0.1:{cluster.port}/postgres"
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()
    return url


def say(capsys: pytest.CaptureFixture[str], what: str) -> None:
    """Prints a figure."""
    with capsys.disabled():
        print(f"\n{what}")  # noqa: T201


@pytest.mark.slow
def test_a_server_that_crashes_and_starts_again_is_used_again(
    kafka: KafkaBroker, cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After its recovery, by itself."""
    with contextlib.ExitStack() as first:
        first.enter_context(cluster.running())
        with collecting(kafka, migrated(cluster), tmp_path) as site:
            first.close()
            site.collector.is_told(AWAY)
            with cluster.running():
                took_s = site.goes_on()
                site.check()
    say(capsys, f"PostgreSQL restarted: written again {took_s:.1f} s after it answers")


@pytest.mark.slow
def test_commits_that_a_crash_takes_back_are_made_again(
    kafka: KafkaBroker, cluster: Cluster, tmp_path: Path
) -> None:
    """Without synchronous commits: lines and offsets are lost together and read again."""
    lost = 0
    with contextlib.ExitStack() as servers:
        servers.enter_context(cluster.running())
        url = migrated(cluster)
        with collecting(kafka, url, tmp_path, DATABASE__SYNCHRONOUS_COMMIT="false") as site:
            # Seldom: what the server keeps in memory is much, and a crash takes it.
            site.rows.ask("ALTER SYSTEM SET wal_writer_delay = '10s'")
            site.rows.ask("SELECT pg_reload_conf()")
            for _ in range(4):
                site.goes_on()
                before = sum(site.rows.offsets())
                servers.close()  # at once, without a word to anybody
                servers.enter_context(cluster.running())
                lost += sum(site.rows.offsets()) < before
                site.goes_on()
            site.check()

            assert lost > 0
            assert any("database_went_back" in line for line in site.collector.said())


@pytest.mark.slow
def test_a_failover_is_followed(
    kafka: KafkaBroker, cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To a standby that is read-only first, and lacks what was committed last: it is read again."""
    with contextlib.ExitStack() as primary:
        primary.enter_context(cluster.running())
        url = migrated(cluster)
        standby = cluster.standby("standby")
        with standby.running(), collecting(kafka, url, tmp_path) as site:
            site.database.target = standby.port
            site.database.cut()
            site.collector.is_told(AWAY, "read-only")

            site.database.target = cluster.port  # and the connections to the standby stay open
            site.goes_on()
            site.collector.becomes_ready()

            other = Rows(through(url, standby.port))
            other.ask("ALTER SYSTEM SET primary_conninfo = ''")
            other.ask("SELECT pg_reload_conf()")
            site.collector.until(
                lambda: not other.ask("SELECT 1 FROM pg_stat_wal_receiver"), "still follows"
            )
            site.goes_on()
            site.goes_on()
            ahead = sum(site.rows.offsets())
            site.database.target = standby.port
            primary.close()
            begun_s = time.monotonic()
            standby.promote()
            promoted_s, behind = time.monotonic() - begun_s, sum(other.offsets())
            assert behind < ahead, "the standby lacks nothing"
            site.rows = other
            took_s = site.goes_on()
            site.check()
            assert "database_went_back" in "".join(site.collector.said())
    say(
        capsys,
        f"failover to a standby that lacked {ahead - behind:,} or more records: promoted in "
        f"{promoted_s:.1f} s, written again {took_s:.1f} s later; none lost, none doubled",
    )


@pytest.fixture
def small_disk(cluster: Cluster) -> Iterator[Path]:
    """A file system of four megabytes that the server can write to."""
    path = cluster.data.parent / "small"
    cluster.own(path)
    command = ["mount", "-t", "tmpfs", "-o", f"size=4m,mode=777,uid={cluster.user_id or 0}"]
    if os.geteuid() != 0 or subprocess.run([*command, "tmpfs", path], check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.slow
def test_a_full_disk_is_waited_for(
    kafka: KafkaBroker, cluster: Cluster, small_disk: Path, tmp_path: Path
) -> None:
    """Nothing of a batch is there until there is room; then all of it."""
    with cluster.running():
        rows = Rows(f"postgresql://postgres@127.0.0.1:{cluster.port}/postgres")
        rows.ask(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        rows.ask("ALTER DATABASE postgres SET default_tablespace = small")
        with collecting(kafka, migrated(cluster), tmp_path) as site:
            filler = small_disk / "filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(8192))
            site.collector.is_told(AWAY, "No space left")

            filler.unlink()
            site.goes_on()
            site.check()
