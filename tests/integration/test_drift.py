"""Slow drifts over settled windows, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, delete, select

from collector.db.engine import writing
from tests.settling import NOW, SECOND, Given, World, make_policy, request
from verifier.policies.model import Rules
from verifier.settle.drift import Drift, drift_of
from verifier.tables import drift_state

pytestmark = pytest.mark.integration

POLICY = "weather/forecast"
WINDOW = 10 * SECOND
MANY = 20  # requests of a window


def window_of(number: int, copied: int) -> list[Given]:
    """The lines of a window in which so many of its requests were copied."""
    start = NOW + number * WINDOW
    found = []
    for index in range(MANY):
        _, primary, mirror = request(number * MANY + index, start + index * 100_000)
        found += [primary, mirror] if index < copied else [primary]
    return found


def drifting(engine: Engine, *copied: int, percent: float = 50.0, **rules: Any) -> World:
    """Settled windows with so many copies each."""
    world = World(engine)
    world.declare(make_policy(("v1", percent), rules=Rules(**rules)), at_us=0)
    lines = [line for number, count in enumerate(copied) for line in window_of(number, count)]
    world.write(lines)
    world.now_us = NOW + len(copied) * WINDOW
    world.settle_all()
    return world


def found(engine: Engine) -> Drift:
    """What the windows amount to."""
    with engine.connect() as connection:
        drift = drift_of(connection, POLICY)
    assert drift is not None
    return drift


def remembered(engine: Engine) -> list[Any]:
    """All that is remembered."""
    with engine.connect() as connection:
        query = select(drift_state).order_by(drift_state.c.hour_us)
        return [tuple(row) for row in connection.execute(query)]


def test_a_drift_that_no_window_shows_is_found_over_many(engine: Engine) -> None:
    """Four of twenty instead of ten is nothing in one window, and plain in ten."""
    world = drifting(engine, *[10] * 5, *[4] * 10)
    drift = found(engine)

    assert drift.decision.decided
    assert drift.decision.since_us == NOW + 5 * WINDOW
    assert drift.decision.share == pytest.approx(4 / 20)
    assert drift.through_us == NOW + 15 * WINDOW
    assert drift.terms.declared == 0.5
    assert world.tick().settled == []


def test_the_declared_share_is_no_drift(engine: Engine) -> None:
    """Windows that go up and down around the declared share decide nothing."""
    drifting(engine, *[7, 13] * 8)

    assert not found(engine).decision.decided


def test_a_loss_above_the_tolerance_is_found_where_all_are_owed(engine: Engine) -> None:
    """At 100 % the missing copies are watched against the tolerance and the control group."""
    drifting(engine, *[20] * 5, *[16] * 10, percent=100.0, tolerance=0.02)
    drift = found(engine)

    assert drift.terms.tolerance == 0.02
    assert drift.decision.decided
    assert drift.decision.share == pytest.approx(0.2)


def test_corrected_windows_leave_the_same_memory_as_final_ones(engine: Engine) -> None:
    """Copies that come late change what is remembered as if they had come in time."""
    # Windows on either side of an hour's edge: both memories are corrected.
    hour = 3_600 * SECOND // WINDOW
    first = -(NOW % (3_600 * SECOND)) // WINDOW % hour
    numbers = range(first - 4, first + 6)
    world = World(engine)
    world.declare(make_policy(("v1", 50.0)), at_us=0)
    world.write([line for number in numbers for line in window_of(number, 4)])
    world.now_us = NOW + numbers[-1] * WINDOW
    world.settle_all()
    assert len(remembered(engine)) == 2
    for number in (numbers[2], numbers[7]):
        late = [line for line in window_of(number, 12) if line.pod == "mirror0"]
        world.write(late[4:])
    world.settle_all()
    corrected = remembered(engine)
    with writing(engine) as connection:
        connection.execute(delete(drift_state))
    world.tick()

    assert remembered(engine) == corrected


def test_a_new_percentage_begins_a_new_watch(engine: Engine) -> None:
    """What was seen under another declared share says nothing of this one."""
    world = drifting(engine, *[10] * 3, *[4] * 10)
    world.declare(make_policy(("v1", 35.0)))
    begin = world.now_us + 60 * SECOND
    lines = [line for number in range(5) for line in request(10_000 + number, begin)]
    world.write(lines)
    world.settle_all()

    assert found(engine).terms.declared == 0.35
    assert not found(engine).decision.decided
