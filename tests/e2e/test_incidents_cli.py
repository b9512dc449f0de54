"""`mirrorproof incidents` and `silence`, as a process, on a database of the verifier's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from collector.db.engine import open_engine
from tests.settling import make_policy
from tests.watching import Watched, uncopied

pytestmark = pytest.mark.integration


def program(*arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    """Runs the program."""
    return subprocess.run(
        [sys.executable, "-m", "verifier", *arguments, "--database-url", url],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def engine(migrated_sqlite_url: str) -> Iterator[Engine]:
    """A migrated database."""
    found = open_engine(migrated_sqlite_url)
    yield found
    found.dispose()


def test_an_open_incident_is_listed_and_shown(engine: Engine, migrated_sqlite_url: str) -> None:
    """With its counts, what to look at and examples; the exit status says that one is open."""
    world = Watched(engine)
    world.declare(make_policy(("v1", 100.0)))
    world.run(30)
    world.run(140, change=uncopied)
    number = str(next(row.id for row in world.incidents() if row.kind == "missing"))

    listed = program("incidents", "list", "--kind", "missing", url=migrated_sqlite_url)
    as_json = program("incidents", "show", number, "--json", url=migrated_sqlite_url)
    shown = program("incidents", "show", number, url=migrated_sqlite_url)

    assert listed.returncode == 1
    assert "copies are missing" in listed.stdout
    assert "\x1b" not in listed.stdout
    found = json.loads(as_json.stdout)
    assert (found["policy"], found["kind"], found["status"]) == (
        "weather/forecast", "missing", "firing",
    )  # fmt: skip
    assert found["counts"]["missing"] == found["counts"]["owed"]
    assert len(found["examples"]) == 3
    assert "upstream_" in shown.stdout


def test_without_an_incident_the_list_says_so(engine: Engine, migrated_sqlite_url: str) -> None:
    """And the exit status is 0; a kind or number that is not there is wrong usage."""
    listed = program("incidents", "list", url=migrated_sqlite_url)
    unknown = program("incidents", "list", "--kind", "mising", url=migrated_sqlite_url)
    absent = program("incidents", "show", "7", url=migrated_sqlite_url)

    assert (listed.returncode, listed.stdout) == (0, "no open incident\n")
    assert unknown.returncode == 2
    assert "missing, leak" in unknown.stderr
    assert absent.returncode == 2
    assert "no incident 7" in absent.stderr


def test_a_silence_is_added_listed_and_ended(engine: Engine, migrated_sqlite_url: str) -> None:
    """With a reason, an author and an end; it cannot be ended twice."""
    url = migrated_sqlite_url
    asked = ("--policy", "a/b", "--for", "2h", "--reason", "rebuild", "--author", "kim")

    added = program("silence", "add", *asked, url=url)
    listed = program("silence", "list", "--json", url=url)
    ended = program("silence", "end", "1", "--author", "lee", url=url)
    again = program("silence", "end", "1", "--author", "lee", url=url)
    over = program("silence", "list", "--all", url=url)
    too_long = program("silence", "add", "--for", "91d", "--reason", "x", url=url)

    assert added.stdout.startswith("silence 1 until ")
    found = json.loads(listed.stdout)
    assert (found["policy"], found["kind"], found["reason"]) == ("a/b", None, "rebuild")
    assert ended.stdout == "silence 1 ended\n"
    assert again.returncode == 2
    assert "ended by lee" in over.stdout
    assert too_long.returncode == 2
    assert "at most 90d" in too_long.stderr
