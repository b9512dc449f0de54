"""From when a policy version is in force: once every live collector watches it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import select

from collector.db.acknowledged import DEAD_US, confirm
from collector.db.engine import open_engine, writing
from collector.db.policies import acknowledge, sign_off
from collector.db.tables import policy_version
from tests.settling import HOST, NOW, SECOND, World, make_policy, request, written
from verifier.tables import finding, settled_window

pytestmark = pytest.mark.integration
OTHER = "forecast-old.weather.svc.cluster.local"


@pytest.fixture
def world(migrated_database_url: str) -> Iterator[World]:
    """Two live collectors, a mirror of 50 %, and a request a second, of which none has a copy."""
    engine = open_engine(migrated_database_url)
    found = World(engine)
    found.declare(make_policy(("v1", 50.0)))
    watches(found, "a", 1)
    watches(found, "b", 1)
    ask(found, 0, 20)
    found.write(request(1000, NOW - SECOND))
    found.now_us += 20 * SECOND
    watches(found, "a", 1)
    watches(found, "b", 1)
    yield found
    engine.dispose()


def watches(world: World, owner: str, version: int) -> None:
    """A collector acknowledges."""
    with writing(world.engine) as connection:
        acknowledge(connection, owner, version, NOW, world.now_us)


def ask(world: World, start: int, end: int) -> None:
    """Requests in some seconds that only v2 gets."""
    for number in range(start, end):
        world.write(request(number, NOW + number * SECOND)[:2])


def version(world: World, number: int = 2) -> dict[str, int | None]:
    """What is decided of a version."""
    row = written(world.engine, policy_version)[number - 1]
    return {name: row[name] for name in ("valid_from_us", "acknowledged_us", "stored_from_us")}


def verdicts(world: World) -> dict[int, tuple[int, int, int, int]]:
    """Unsampled, missing, exempt and unverifiable of the latest revisions, by second."""
    c = settled_window.c
    query = select(c.start_us, c.unsampled, c.missing, c.exempt, c.unverifiable)
    with world.engine.connect() as connection:
        rows = connection.execute(query.where(c.superseded_us.is_(None))).all()
    return {(row[0] - NOW) // SECOND: (row[1], row[2], row[3], row[4]) for row in rows}


def test_a_change_is_in_force_once_the_last_collector_watches_it(world: World) -> None:
    """Until then, and for the grace after, requests are exempt; nothing is settled meanwhile."""
    world.declare(make_policy(("v1", 100.0)))
    recorded_us = world.now_us
    world.now_us += 3 * SECOND
    watches(world, "a", 2)
    assert version(world)["acknowledged_us"] is None
    assert world.tick().settled == []
    world.now_us += 3 * SECOND
    watches(world, "b", 2)
    assert version(world) == {
        "valid_from_us": recorded_us,
        "acknowledged_us": recorded_us + 6 * SECOND,
        "stored_from_us": None,
    }
    ask(world, 20, 40)
    world.settle_all()

    # Six seconds until it is acknowledged, then a grace of five.
    assert verdicts(world) == {
        -10: (0, 0, 0, 0), 0: (10, 0, 0, 0), 10: (10, 0, 0, 0), 20: (0, 0, 10, 0), 30: (0, 9, 1, 0)
    }  # fmt: skip


def test_settling_again_says_the_same_after_the_collectors_left(world: World) -> None:
    """What was decided is stored: late lines and other collectors change none of it."""
    world.declare(make_policy(("v1", 100.0)))
    watches(world, "a", 2)
    world.now_us += 6 * SECOND
    watches(world, "b", 2)
    ask(world, 20, 40)
    world.settle_all()
    before = verdicts(world)
    with writing(world.engine) as connection:
        sign_off(connection, "a")
        sign_off(connection, "b")
    watches(world, "c", 2)
    world.write(request(99, NOW + 22 * SECOND))
    world.settle_all()

    assert verdicts(world) == before | {20: (0, 0, 11, 0)}


def test_a_dead_collector_is_not_waited_for(world: World) -> None:
    """After a minute without a sign of life; the verifier asks, too, should nobody else do so."""
    world.declare(make_policy(("v1", 100.0)))
    with writing(world.engine) as connection:
        assert confirm(connection, world.now_us + DEAD_US - 1) == []
    world.now_us += DEAD_US
    world.caught_up()
    world.tick()

    assert version(world)["acknowledged_us"] == world.now_us


def test_the_past_is_corrected_without_a_new_grace_now(world: World) -> None:
    """A version said to hold earlier counts from then, not from its acknowledgement on."""
    world.settle_all()
    world.declare(make_policy(("v1", 100.0), valid_from_us=NOW + 10 * SECOND))
    watches(world, "a", 2)
    watches(world, "b", 2)
    world.write(request(50, NOW + 19 * SECOND)[:2])
    world.settle_all()

    # The window of the late line is judged by the correction: five seconds of grace.
    assert verdicts(world)[10] == (0, 6, 5, 0)


def test_what_was_not_stored_yet_is_unverifiable(world: World) -> None:
    """A policy with a host that nobody watched holds since ever, judged from its lines on."""
    other = msgspec.structs.replace(
        make_policy(("v1", 100.0)), name="weather/other", hosts=(HOST, OTHER)
    )
    world.declare(other)
    watches(world, "a", 2)
    watches(world, "b", 2)
    stored_from_us = NOW + 19 * SECOND + 6_000
    assert version(world) == {
        "valid_from_us": None, "acknowledged_us": world.now_us, "stored_from_us": stored_from_us
    }  # fmt: skip


def test_hosts_are_stored_from_when_they_were_first_watched(world: World) -> None:
    """A later version of the same hosts knows no more than the first one that brought them."""
    brought = make_policy(("v1", 100.0), hosts=(HOST, OTHER))
    world.declare(brought)
    watches(world, "a", 2)
    watches(world, "b", 2)
    world.write(request(30, NOW + 30 * SECOND))
    world.declare(make_policy(("v1", 70.0), hosts=(OTHER,), valid_from_us=NOW))
    watches(world, "a", 3)
    watches(world, "b", 3)

    assert version(world, 3)["stored_from_us"] == version(world, 2)["stored_from_us"]
    assert version(world, 2)["stored_from_us"] == NOW + 19 * SECOND + 6_000


def test_nothing_lacks_where_lines_were_not_stored(world: World) -> None:
    """A correction that names a new host finds no missing copies before it was watched."""
    world.settle_all()
    world.declare(make_policy(("v1", 100.0), hosts=(HOST, OTHER), valid_from_us=NOW - SECOND))
    watches(world, "a", 2)
    watches(world, "b", 2)
    ask(world, 150, 160)
    world.write(request(50, NOW + 19 * SECOND)[:2])
    world.settle_all()

    found = verdicts(world)
    assert found[10] == (0, 0, 0, 11)
    assert found[150] == (0, 10, 0, 0)
    reasons = {row["reason"] for row in written(world.engine, finding) if not row["superseded_us"]}
    assert "lines of that time were not stored yet: nobody watched the policy's hosts" in reasons
