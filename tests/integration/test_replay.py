"""Settling a range again after its policy was corrected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select

from collector.db.engine import open_engine, writing
from collector.errors import UsageError
from tests.settling import NOW, SECOND, World, make_policy, request
from verifier.settle.audit import follow
from verifier.settle.replay import enqueue_range, waiting
from verifier.settle.report import revised
from verifier.settle.windows import Span
from verifier.tables import settled_window

pytestmark = pytest.mark.integration
NAME = "weather/forecast"


@pytest.fixture
def world(migrated_database_url: str) -> Iterator[World]:
    """Three settled windows: of v1 and v3, only v1 got copies, while the policy names v3."""
    engine = open_engine(migrated_database_url)
    found = World(engine)
    found.declare(make_policy(("v3", 100.0)))
    for number in range(3):
        found.write(request(number, NOW + number * 10 * SECOND))
    found.settle_all()
    yield found
    engine.dispose()


def replay(world: World, *policies: str, span: Span) -> int:
    """Queues a range and settles it; how many windows were queued."""
    with writing(world.engine) as connection:
        count = enqueue_range(connection, policies, span)
        assert waiting(connection, policies, span) == count
    world.tick()
    with world.engine.connect() as connection:
        assert waiting(connection, policies, span) == 0
    return count


def latest(engine: Engine) -> list[tuple[int, int, int]]:
    """Revision, missing and matched of the latest revisions."""
    c = settled_window.c
    query = select(c.revision, c.missing, c.matched).where(c.superseded_us.is_(None))
    with engine.connect() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(query.order_by(c.start_us))]


def test_a_corrected_policy_judges_the_past_anew(world: World) -> None:
    """Only the range gets new revisions; the chain goes on."""
    assert [row[0] for row in latest(world.engine)] == [1, 1, 1]
    begun_us = world.now_us
    world.declare(make_policy(("v1", 100.0), valid_from_us=NOW - 3600 * SECOND))
    span = Span(NOW + 10 * SECOND, NOW + 20 * SECOND)

    assert replay(world, NAME, span=span) == 1

    assert latest(world.engine)[1] == (2, 0, 1)
    assert [row[0] for row in latest(world.engine)] == [1, 2, 1]
    with world.engine.connect() as connection:
        (window,) = revised(connection, NAME, span, begun_us)
        assert follow(connection, NAME).broken is None
    assert (window.start_us, window.revision, window.statement) == (span.start_us, 2, "proven")


def test_without_a_correction_nothing_is_said_anew(world: World) -> None:
    """All policies and all of the past: no window says anything else."""
    before = latest(world.engine)

    assert replay(world, span=Span(0, world.now_us)) >= 3

    assert latest(world.engine) == before


def test_what_is_not_settled_is_not_queued(world: World) -> None:
    """The future comes in its turn."""
    assert replay(world, span=Span(world.now_us, world.now_us + 3600 * SECOND)) == 0


def test_an_unknown_policy_is_refused(world: World) -> None:
    """With the names that there are."""
    with (
        pytest.raises(UsageError, match=f"no policy 'x' was ever settled; there are: {NAME}"),
        writing(world.engine) as connection,
    ):
        enqueue_range(connection, ["x"], Span(0, NOW))


def test_windows_of_others_are_not_waited_for(world: World) -> None:
    """Neither of other policies, nor outside the span."""
    second = Span(NOW + 10 * SECOND, NOW + 20 * SECOND)
    with writing(world.engine) as connection:
        enqueue_range(connection, [NAME], Span(NOW, NOW + 30 * SECOND))
        assert waiting(connection, ["weather/other"], second) == 0
        assert waiting(connection, [], Span(NOW - 7200 * SECOND, NOW - 3600 * SECOND)) == 0
        assert waiting(connection, [NAME], Span(NOW, NOW + 30 * SECOND)) == 3
