"""The migrations make exactly the tables that the code knows, on both databases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from collector.db.engine import open_engine, writing
from collector.db.migrate import current_revision, downgrade, head_revision, require_schema, upgrade
from collector.db.tables import metadata
from collector.errors import UsageError

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Each database, empty."""
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def is_ours(found: tuple[object, ...]) -> bool:
    """Whether a difference is real: SQLite's own index is not on PostgreSQL, by intention."""
    return getattr(found[1], "name", "") != "ix_observation_key"


def differences(engine: Engine) -> list[object]:
    """What would have to be migrated to make the database like the code's tables."""
    with engine.connect() as connection:
        options = {"compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        found = compare_metadata(context, metadata)
    on_sqlite = engine.dialect.name == "sqlite"
    return [one for one in found if on_sqlite or not isinstance(one, tuple) or is_ours(one)]


def test_migrations_make_the_tables_that_the_code_knows(engine: Engine) -> None:
    """Nothing is missing and nothing is left over."""
    import verifier.alerts.tables
    import verifier.api.tables
    import verifier.cluster.tables
    import verifier.incidents.tables
    import verifier.tables  # noqa: F401 - their tables are on the same metadata

    assert upgrade(engine) == head_revision()

    assert differences(engine) == []


def test_migrations_go_back_and_forth(engine: Engine) -> None:
    """Down to nothing, and up again; running them twice does nothing."""
    upgrade(engine)
    downgrade(engine, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]

    upgrade(engine)
    assert upgrade(engine) == head_revision()


def test_an_old_schema_is_named_with_its_remedy(engine: Engine) -> None:
    """One line says what to run."""
    with pytest.raises(UsageError, match=r"schema not migrated .* run `mirrorproof migrate`"):
        require_schema(engine)

    upgrade(engine)
    require_schema(engine)


def become_newer(engine: Engine, works_from: str | None) -> None:
    """As a later program's migrations leave a database."""
    upgrade(engine)
    set_works_from = f"UPDATE setting SET value = '{works_from}' WHERE key = 'schema_works_from'"
    if works_from is None:
        set_works_from = "DELETE FROM setting WHERE key = 'schema_works_from'"
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text(set_works_from))


@pytest.mark.parametrize("works_from", ["9998", None])
def test_a_newer_schema_that_lacks_something_is_refused(
    engine: Engine, works_from: str | None
) -> None:
    """An old program must not run on a schema that contracted, or of which nobody says so."""
    become_newer(engine, works_from)

    for act in (require_schema, upgrade):
        with pytest.raises(UsageError, match="9999 is newer than this program"):
            act(engine)


def test_a_newer_schema_that_only_expanded_is_worked_on(engine: Engine) -> None:
    """Replicas that are not upgraded yet, or are rolled back, start on it and leave it alone."""
    become_newer(engine, head_revision())

    assert require_schema(engine)
    assert upgrade(engine) == "9999"


def test_each_migration_says_which_programs_work_on_the_schema(engine: Engine) -> None:
    """So far nothing was taken away."""
    upgrade(engine)

    with engine.connect() as connection:
        query = text("SELECT value FROM setting WHERE key = 'schema_works_from'")
        assert connection.scalar(query) == "0001"


def test_pods_that_migrate_together_wait_for_each_other(database_url: str) -> None:
    """All of them end well, whoever is first."""
    program = "from verifier.cli import main; main()"
    command = [sys.executable, "-c", program, "migrate", "--database-url", database_url]
    pods = [
        subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    said = [pod.communicate(timeout=60)[0] for pod in pods]

    assert [pod.returncode for pod in pods] == [0, 0, 0]
    assert all(f"is at {head_revision()}" in one for one in said)


def test_threads_that_migrate_together_wait_for_each_other(database_url: str) -> None:
    """Also within one process, where Alembic itself cannot."""
    together, ended = Barrier(3), []

    def migrate() -> None:
        engine = open_engine(database_url)
        together.wait(10)
        ended.append(upgrade(engine))
        engine.dispose()

    threads = [Thread(target=migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert ended == [head_revision()] * 3


def test_a_database_that_was_never_migrated_has_no_revision(engine: Engine) -> None:
    """Nor does looking change anything."""
    assert current_revision(engine) is None
    assert inspect(engine).get_table_names() == []
