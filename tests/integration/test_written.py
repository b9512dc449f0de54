"""When lines were written bounds where they are looked for, and never hides one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Engine, event, select

from collector.db.engine import open_engine, reading
from collector.db.partitions import HOUR_US, Partitions
from collector.db.tables import batch, observation
from tests.settling import NOW, SECOND, Given, World, emptied, make_policy, request
from verifier.settle.windows import Span
from verifier.settle.written import started, written_with

pytestmark = pytest.mark.integration

STARTS = st.sampled_from([0, 0, 0, -1, -SECOND, -HOUR_US, -9 * HOUR_US, 30 * HOUR_US, SECOND])
"""How far off a line's start is from when it is written: most are near, some clocks are wild."""
BATCHES = st.lists(st.tuples(st.integers(0, 20), st.lists(STARTS, max_size=4)), max_size=12)
EDGES = st.tuples(st.integers(-10, 50), st.sampled_from([-1, 0, 1, SECOND]))


@pytest.fixture
def engine(migrated_postgres_url: str) -> Iterator[Engine]:
    """A migrated PostgreSQL: only there are partitions."""
    found = open_engine(migrated_postgres_url)
    yield found
    found.dispose()


def world_of_hours(engine: Engine, hours: int) -> World:
    """An empty world with a partition for each hour."""
    for hour in range(hours):
        Partitions(engine, "hour").cover(NOW + hour * HOUR_US)
    found = World(emptied(engine))
    found.declare(make_policy(("v1", 100.0)))
    return found


def offsets(engine: Engine, *where: ColumnElement[bool]) -> list[int]:
    """The records of the lines that fulfil conditions."""
    with reading(engine) as connection:
        return sorted(connection.scalars(select(observation.c.line_id).where(*where)))


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(batches=BATCHES, begin=EDGES, end=EDGES)
def test_every_line_of_a_span_is_found(
    engine: Engine,
    batches: list[tuple[int, list[int]]],
    begin: tuple[int, int],
    end: tuple[int, int],
) -> None:
    """Late ones and those of wild clocks, too: as without bounds."""
    world = world_of_hours(engine, 21)
    for hour, starts in batches:
        world.now_us = NOW + hour * HOUR_US
        world.write([Given(pod="client", start_us=world.now_us + off) for off in starts])
    first, last = sorted(NOW + hour * HOUR_US + off for hour, off in (begin, end))
    c = observation.c

    with reading(engine) as connection:
        bounded = started(connection, Span(first, last))
        numbers = list(connection.scalars(select(batch.c.id).order_by(batch.c.id)))[1::2]
        of_batches = written_with(connection, numbers)

    assert offsets(engine, *bounded) == offsets(engine, c.start_us >= first, c.start_us < last)
    assert offsets(engine, *of_batches) == offsets(engine, c.batch_id.in_(numbers))


def test_a_tick_looks_into_the_newest_partitions_only(engine: Engine) -> None:
    """Its cost must not grow with the history: every question about lines names their time."""
    world = world_of_hours(engine, 30)
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if "observation" in statement and statement.startswith("SELECT"):
            asked.append((statement, parameters))

    for hour in range(28):
        world.now_us = NOW + hour * HOUR_US + 1_000 * SECOND
        world.write(request(hour, world.now_us))
        world.write([Given(pod="client", key=100 + hour, start_us=world.now_us)])  # not copied
        if hour == 27:
            event.listen(engine, "before_cursor_execute", note)
        world.settle_all()

    event.remove(engine, "before_cursor_execute", note)
    assert len(asked) > 5
    for statement, parameters in asked:
        assert partitions(engine, statement, parameters) <= 2, statement


def partitions(engine: Engine, statement: str, parameters: Any) -> int:
    """How many partitions a query looks into."""
    with reading(engine) as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        plan = "\n".join(row[0] for row in rows)
        return len(set(re.findall(r" on (observation_\d{8}(?:_\d\d)?)\b", plan)))
