"""Looking one request up reads an index, and not all lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from collector.db.engine import by_index, open_engine, reading, writing
from collector.db.migrate import downgrade, upgrade
from collector.db.partitions import Partitions
from tests.settling import NOW, SECOND, World, make_policy, request
from verifier.settle.lookup import explain_stored

pytestmark = pytest.mark.integration
FIND = "SELECT * FROM observation WHERE request_id IN ('id-1', 'id-2')"


@pytest.fixture
def postgres(migrated_postgres_url: str) -> Iterator[Engine]:
    """A migrated PostgreSQL."""
    found = open_engine(migrated_postgres_url)
    yield found
    found.dispose()


def test_sqlite_finds_an_id_by_its_index(migrated_sqlite_url: str) -> None:
    """Its table of lines may have millions of rows."""
    engine = open_engine(migrated_sqlite_url)
    with reading(engine) as connection:
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {FIND}")).all()
    engine.dispose()

    assert "USING INDEX ix_observation_request_id" in plan[0][3]


def test_the_partition_being_filled_has_a_filter_of_its_ids(postgres: Engine) -> None:
    """Few of its blocks are read, and the lines are found before and after it is summarised."""
    world = World(postgres)
    world.declare(make_policy(("v1", 100.0)))
    for number in range(60):
        world.write(request(number, NOW + number * SECOND))

    with writing(postgres) as connection, by_index(connection):
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {FIND}")))
        before = connection.execute(text(FIND)).all()
        name = "observation_20251009_request_id_idx"
        connection.execute(text(f"SELECT brin_summarize_new_values('{name}')"))
        after = connection.execute(text(FIND)).all()

    assert name in plan
    assert len(before) == len(after) == 6


def test_no_workers_and_no_other_table_as_a_whole_for_a_few_lines(postgres: Engine) -> None:
    """Batches are kept for months: a join of three lines that hashes them all becomes slower."""
    Partitions(postgres).cover(NOW)
    joined = FIND.replace(" WHERE", " JOIN batch ON batch.id = batch_id WHERE")
    with writing(postgres) as connection:
        for name in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_index_scan_size"):
            connection.execute(text(f"SET LOCAL {name} = 0"))
        with by_index(connection):
            plan = "\n".join(connection.scalars(text(f"EXPLAIN {joined}")))

    assert "pk_batch on batch" in plan
    assert "Index Cond: (id = observation.batch_id)" in plan
    assert "Gather" not in plan


def test_partitions_made_after_the_migration_have_the_filter(postgres: Engine) -> None:
    """The parent gets it without those that there are, so that nobody waits."""
    downgrade(postgres, "0016")
    Partitions(postgres).cover(NOW)
    upgrade(postgres)
    Partitions(postgres).cover(NOW + 20 * 86_400 * SECOND)

    query = (
        "SELECT i.indrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE c.relname LIKE 'observation_2025%request_id_idx' AND i.indisvalid"
    )
    with reading(postgres) as connection:
        found = set(connection.scalars(text(query)))
    assert found
    assert "observation_20251009" not in found
    assert "observation_20251029" in found


@pytest.mark.parametrize(
    ("lines", "verdict", "looks"),
    [(slice(3), "matched", 0), (slice(2), "missing", 0), (slice(2, 3), "orphan", 1)],
)
def test_who_wrote_around_a_request_is_read_only_where_its_verdict_depends_on_it(
    postgres: Engine, lines: slice, verdict: str, looks: int
) -> None:
    """And never the lines: a busy mesh writes hundreds of thousands within that minute."""
    world = World(postgres)
    world.declare(make_policy(("v1", 100.0)))
    for number in range(9):
        world.write(request(number, NOW + number * SECOND)[lines if number == 4 else slice(3)])
    world.settle_all()
    asked: list[str] = []

    def note(_c: Any, _u: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    event.listen(postgres, "before_cursor_execute", note)
    (story,) = explain_stored(postgres, "id-4").stories
    event.remove(postgres, "before_cursor_execute", note)

    assert story.verdicts == {verdict: 1}
    assert sum("FROM observation" in one for one in asked) == 1
    assert sum("FROM presence" in one for one in asked) == looks
