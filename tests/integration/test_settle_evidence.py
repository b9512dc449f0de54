"""What rests on the life of nodes and streams, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine, insert, select

from collector.batch import SIGN_US
from collector.db.engine import open_engine, writing
from collector.db.sign_tables import node_sign
from collector.db.signs import SIGNS, SPAN_US
from tests.settling import NOW, SECOND, Given, World, make_policy, request, written
from verifier.settle.share import most_received
from verifier.settle.silence import HOUR_US
from verifier.tables import finding, settled_window

pytestmark = pytest.mark.integration
POLICY = make_policy(("v1", 100.0))


@pytest.fixture
def world(migrated_database_url: str) -> Iterator[World]:
    """A world with one policy and no lines."""
    engine = open_engine(migrated_database_url)
    found = World(engine)
    found.declare(POLICY)
    yield found
    engine.dispose()


def latest(engine: Engine, since_us: int = 0) -> tuple[int, int, int]:
    """Matched, missing and unverifiable of the latest revisions of all windows since a time."""
    c = settled_window.c
    with engine.connect() as connection:
        rows = connection.execute(
            select(c.matched, c.missing, c.unverifiable).where(
                c.superseded_us.is_(None), c.start_us >= since_us
            )
        ).all()
    return sum(r[0] for r in rows), sum(r[1] for r in rows), sum(r[2] for r in rows)


def reasons(engine: Engine) -> set[str]:
    """Why anything was found, by the latest revisions."""
    with engine.connect() as connection:
        query = select(finding.c.reason).where(finding.c.superseded_us.is_(None))
        return set(connection.scalars(query))


def hear(world: World, node: str, since_us: int, until_us: int, *, but: range = range(0)) -> None:
    """A node is heard all the time from one time to another, but for some stretches."""
    rows: dict[int, int] = {}
    for number in range(since_us // SIGN_US, until_us // SIGN_US):
        if number not in but:
            span_us = number // SIGNS * SPAN_US
            rows[span_us] = rows.get(span_us, 0) | 1 << number % SIGNS
    with writing(world.engine) as connection:
        values = [
            {"span_us": span_us, "cluster": "", "node": node, "heard": bits}
            for span_us, bits in rows.items()
        ]
        connection.execute(insert(node_sign), values)


def on(node: str, lines: list[Given]) -> list[Given]:
    """The mirror's lines from a node."""
    return [replace(x, pod=f"{x.pod}@{node}") if "mirror" in x.pod else x for x in lines]


def lacking(key: int, start_us: int) -> list[Given]:
    """A request whose copy lacks."""
    return request(key, start_us)[:2]


@pytest.mark.parametrize(("silent", "expected"), [(range(0), (1, 1, 0)), (None, (1, 0, 1))])
def test_a_regular_node_that_was_not_heard_for_a_while_leaves_a_hole(
    silent: range | None, expected: tuple[int, int, int], world: World
) -> None:
    """Though it was heard later: what it sent meanwhile is lost. Of one heard on, nothing is."""
    begin = (NOW + 60 * SECOND) // SIGN_US
    but = range(begin, begin + 5) if silent is None else silent
    hear(world, "node-a", NOW - 300 * SECOND, NOW + 300 * SECOND, but=but)
    world.write(on("node-a", request(1, NOW)) + lacking(2, NOW + 70 * SECOND))
    world.alive("node-a", NOW + 300 * SECOND)

    world.settle_all()

    assert latest(world.engine) == expected
    if silent is None:
        assert reasons(world.engine) == {"what the node of v1 sent at that time did not arrive"}


def test_what_lacks_beyond_a_dead_pods_usual_share_is_missing(world: World) -> None:
    """A pod of a fifth is dead; of a hundred copies, sixty lack."""
    hour = NOW // HOUR_US * HOUR_US - HOUR_US
    before = [
        line for key in range(250) for line in on("node-a", request(key, hour + key * SECOND))
    ]
    before = [
        replace(x, pod="mirror0b@node-b") if "mirror" in x.pod and x.key % 5 == 0 else x
        for x in before
    ]
    world.write(before)
    world.alive("node-a", NOW + 300 * SECOND)
    world.alive("node-b", hour + 300 * SECOND)
    world.settle_all()
    now = [
        line
        for key in range(1_000, 1_100)
        for line in (request if key % 5 < 2 else lacking)(key, NOW + key * 1_000)
    ]
    world.write(on("node-a", now))

    world.settle_all()

    explained = most_received(100, 0.2)
    assert latest(world.engine, NOW) == (40, 60 - explained, explained)


def test_a_copy_that_may_still_run_is_missing_only_when_it_cannot(world: World) -> None:
    """A stream of twenty seconds; its copy is waited for as long again, then corrected."""
    world.write(request(1, NOW) + [replace(x, duration_us=20 * SECOND) for x in lacking(2, NOW)])
    world.now_us = NOW + 50 * SECOND
    world.caught_up()
    world.tick()
    early, why = latest(world.engine), reasons(world.engine)

    world.settle_all()

    assert early == (1, 0, 1)
    assert why == {"its copy may still be running at v1"}
    assert latest(world.engine) == (1, 1, 0)
    assert world.tick().settled == []


def test_windows_wait_no_more_for_a_mirror_that_spoke_beside_one_that_is_silent(
    world: World,
) -> None:
    """What one of two silent mirrors says is looked at once, also where it changes no verdict.

    Else all windows of the past would be settled at every tick, and late lines would wait for ever.
    """
    world.declare(make_policy(("v1", 50.0), ("v3", 10.0)))
    for second in range(150):
        world.write(request(second, world.now_us + second * SECOND)[:2])
    world.settle_all(270)
    assert {row["recheck_us"] for row in written(world.engine, settled_window)} == {-2}

    spoken = request(1_000, world.now_us)
    world.write([*spoken[:2], replace(spoken[2], pod="mirror1")])
    world.now_us += 120 * SECOND
    world.caught_up()
    ticks = 1
    while world.tick().more:
        ticks += 1
        assert ticks < 10, "it never rests"

    waiting = [row for row in written(world.engine, settled_window) if not row["superseded_us"]]
    assert {row["recheck_us"] for row in waiting} == {-1}
