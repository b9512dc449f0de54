"""`mirrorproof incidents` and `silence` on a database of the verifier's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import Result
from sqlalchemy import Engine
from typer.testing import CliRunner

from collector.db.engine import open_engine
from tests.settling import make_policy
from tests.watching import Watched, uncopied
from verifier.cli import app, register_all

pytestmark = pytest.mark.integration


def program(*arguments: str, url: str) -> Result:
    """Runs the command line within this process; errors are in `exception`, as `main` gets them."""
    register_all()
    return CliRunner().invoke(app, [*arguments, "--database-url", url])


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

    assert listed.exit_code == 1
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
    """And the exit status is 0; a kind or number that is not there is named."""
    listed = program("incidents", "list", url=migrated_sqlite_url)
    unknown = program("incidents", "list", "--kind", "mising", url=migrated_sqlite_url)
    absent = program("incidents", "show", "7", url=migrated_sqlite_url)

    assert (listed.exit_code, listed.stdout) == (0, "no open incident\n")
    assert "missing, leak" in str(unknown.exception)
    assert "no incident 7" in str(absent.exception)


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
    assert "no silence 1" in str(again.exception)
    assert "ended by lee" in over.stdout
    assert "at most 90d" in str(too_long.exception)
