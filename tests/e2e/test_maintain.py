"""`mirrorproof maintain` as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import delete

from collector.db.engine import open_engine, writing
from collector.db.tables import position
from tests.collecting import collecting
from tests.servers.kafka import KafkaBroker
from tests.settling import World, request

pytestmark = pytest.mark.integration


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command."""
    command = [sys.executable, "-m", "verifier", "maintain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_it_says_what_it_would_do_and_does_it(migrated_database_url: str) -> None:
    """Lines of a year ago go; a second run finds nothing."""
    engine = open_engine(migrated_database_url)
    World(engine).write(request(1, 1_760_000_000_000_000))
    engine.dispose()
    name = "lines" if migrated_database_url.startswith("sqlite") else "partitions"
    with_url = ("--database-url", migrated_database_url)

    looked = run("--dry-run", *with_url)
    done = run("--json", *with_url)
    again = run(*with_url)

    assert (looked.returncode, looked.stderr) == (0, "")
    assert looked.stdout.startswith("would drop: 3 ")
    assert looked.stdout.endswith("all lines are kept\n")
    found = json.loads(done.stdout)
    assert (found["dropped"][name], found["dropped"]["batch"], found["busy"]) == (3, 1, False)
    assert found["lines_kept_from"].startswith("2025-10-")
    assert again.stdout.startswith("dropped: nothing\nlines are kept from 2025-10-")


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Looking into a database must not make one."""
    file = tmp_path / "none.db"

    done = run("--database-url", f"sqlite:///{file}")

    assert (done.returncode, done.stdout) == (2, "")
    assert "no such file" in done.stderr
    assert not file.exists()


def test_collectors_do_it_by_themselves(
    kafka: KafkaBroker, migrated_postgres_url: str, tmp_path: Path
) -> None:
    """While they store lines: the partition of a year ago goes, and it is told."""
    engine = open_engine(migrated_postgres_url)
    World(engine).write(request(1, 1_760_000_000_000_000))
    with writing(engine) as connection:
        connection.execute(delete(position))  # the oracle counts the collector's own
    engine.dispose()

    with collecting(kafka, migrated_postgres_url, tmp_path, RETENTION__EVERY_S="0.2") as site:
        query = "SELECT 1 FROM pg_class WHERE relname = 'observation_20251009'"
        site.collector.until(lambda: not site.rows.ask(query), "the old partition is there")
        site.goes_on()

        said = site.collector.said()
    assert any("unsettled_lines_dropped" in line for line in said)
    assert any('"maintained"' in line for line in said)
