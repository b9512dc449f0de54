"""Migrations only expand: programs of the release before work on what they leave, all the while."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from collector.db.engine import open_engine
from collector.db.migrate import migrations_folder, upgrade
from collector.errors import Locked
from tests.expanding import Expansion

pytestmark = pytest.mark.integration

EXCUSED = ("0002", "0003", "0007", "0011", "0019")
"""Landed before there was this test: indexes of small tables, and one filled column."""


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Each database, empty."""
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def scripts() -> list[Script]:
    """All migrations, in order."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    return list(reversed(list(ScriptDirectory.from_config(config).walk_revisions())))


def statements(engine: Engine, revision: str) -> list[str]:
    """What a migration executes, as a server sees it."""
    found: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        upgrade(engine, revision)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return found


def test_each_migration_only_expands(engine: Engine) -> None:
    """Whatever it executes harms no program that runs, and locks nobody out for long."""
    wrong = []
    for script in scripts():
        expansion = Expansion(on_postgresql=engine.dialect.name == "postgresql")
        done = statements(engine, script.revision)
        contracts = getattr(script.module, "works_from", None) is not None
        if not contracts and script.revision not in EXCUSED:
            wrong += [f"{script.revision}: {found}" for found in expansion.complaints(done)]

    assert wrong == []


def test_a_contraction_names_programs_that_work_without_what_it_takes() -> None:
    """They are of an earlier revision: they were deployed before it, and run while it does."""
    for script in scripts():
        works_from = getattr(script.module, "works_from", None)
        assert works_from is None or works_from < script.revision, script.path


def test_migrations_are_numbered_in_one_row() -> None:
    """`works_from` compares numbers, and file names tell the order."""
    numbers = [script.revision for script in scripts()]

    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    for script in scripts():
        assert re.fullmatch(rf"\d{{8}}_{script.revision}_[a-z_]+\.py", Path(script.path).name)


@pytest.mark.slow
def test_a_migration_that_cannot_have_its_lock_gives_up_soon(postgres_url: str) -> None:
    """Collectors queue behind it no longer than a few seconds; another try does it."""
    engine = open_engine(postgres_url)
    upgrade(engine, "0018")
    with engine.connect() as other:
        other.execute(text("SELECT count(*) FROM batch"))  # holds its lock as long as it is open
        other.execute(text("LOCK TABLE batch IN ROW EXCLUSIVE MODE"))
        with pytest.raises(Locked, match="lock timeout"):
            upgrade(engine)

    with engine.connect() as other:
        other.exec_driver_sql("SET lock_timeout = '1s'")
        try:
            other.execute(text("LOCK TABLE batch IN EXCLUSIVE MODE"))
        except OperationalError:
            pytest.fail("a migration that gave up left a lock")
    upgrade(engine)
    engine.dispose()
