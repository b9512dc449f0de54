"""Killed anywhere, the verifier goes on to the same windows and the same chain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select

from collector.db.engine import open_engine, writing
from collector.errors import Fenced
from collector.settings import VerifierSettings
from tests.clocks import HandClock
from tests.settling import NOW, SECOND, World, emptied, make_policy, request, written
from verifier.app import Parts, Verifier
from verifier.settle import lease as leases
from verifier.settle.tick import Ticker
from verifier.settle.transaction import settling
from verifier.tables import finding, settled_window, verifier_lease

pytestmark = pytest.mark.integration
POLICY = make_policy(("v1", 100.0))
TTL_US = 30 * SECOND


class Killed(Exception):
    """Stands for the end of the process."""


def steps(world: World) -> Iterator[None]:
    """A history with lags, gaps and late lines; after each step there is a tick."""
    world.declare(POLICY)
    late = request(1, NOW + 3 * SECOND)[2:]
    world.write([*request(0, NOW), *request(1, NOW + 3 * SECOND)[:2]])
    for number in range(2, 8):
        world.write(request(number, NOW + number * 4 * SECOND), partition=number % 2)
    world.now_us += 50 * SECOND
    world.caught_up()
    yield
    world.write(request(8, NOW + 45 * SECOND)[:2])
    world.now_us += 60 * SECOND
    world.caught_up()
    yield
    world.write(late, partition=1)
    world.caught_up()
    yield
    world.write(request(9, world.now_us))
    world.now_us += 60 * SECOND
    world.caught_up()
    yield


def outcome(engine: Engine) -> tuple[Any, Any]:
    """Windows and findings as they must be whatever happened on the way."""
    rows = written(engine, settled_window, without=("id", "policy_version_id"))
    return rows, written(engine, finding, without=("id",))


def run(world: World, *, kill_at: int | None = None) -> int:
    """Runs the history, killing the process at a statement; returns how many there were."""
    count = 0

    def before(*_args: Any) -> None:
        nonlocal count
        count += 1
        if count == kill_at:
            raise Killed

    for _ in steps(world):
        more = True
        while more:
            event.listen(world.engine, "before_cursor_execute", before)
            try:
                more = world.tick().more
            except Killed:
                world.ticker = Ticker(world.rules)  # a new process knows nothing
            finally:
                event.remove(world.engine, "before_cursor_execute", before)
    return count


@pytest.mark.slow
def test_killed_at_any_statement_the_verdicts_and_the_chain_are_the_same(engine: Engine) -> None:
    """A tick is one transaction: all of it happened, or nothing."""
    count = run(World(emptied(engine)))
    expected = outcome(engine)
    assert {w["revision"] for w in expected[0]} == {1, 2}
    every = 1 if engine.dialect.name == "sqlite" else 5

    for kill_at in range(1, count + 1, every):
        run(World(emptied(engine)), kill_at=kill_at)
        assert outcome(engine) == expected, f"killed at statement {kill_at} of {count}"


def test_killed_between_commit_and_the_next_tick_nothing_is_done_twice(engine: Engine) -> None:
    """A verifier that restarts after every tick writes what one that never does writes."""
    run(World(emptied(engine)))
    expected = outcome(engine)
    world = World(emptied(engine))

    for _ in steps(world):
        while world.tick().more:
            world.ticker = Ticker(world.rules)
        world.ticker = Ticker(world.rules)

    assert outcome(engine) == expected


# --- the lease


def take(engine: Engine, owner: str, now_us: int) -> leases.Lease | None:
    """Asks for the lease."""
    with writing(engine) as connection:
        return leases.take(connection, owner, now_us, TTL_US)


def renew(engine: Engine, lease: leases.Lease, now_us: int) -> None:
    """Renews the lease in a settling transaction."""
    with settling(engine) as connection:
        leases.renew(connection, lease, now_us, TTL_US)


def test_the_databases_clock_tells_the_time(engine: Engine) -> None:
    """In microseconds since the epoch, whatever its time zone is."""
    with engine.connect() as connection:
        told_us = leases.database_now_us(connection)

    assert abs(told_us - time.time_ns() // 1000) < 60 * SECOND


def test_only_one_has_the_lease(engine: Engine) -> None:
    """The second waits until it expired, to the microsecond."""
    first = take(engine, "a", NOW)

    assert first == leases.Lease("a", 1)
    assert take(engine, "b", NOW + TTL_US) is None
    assert take(engine, "b", NOW + TTL_US + 1) == leases.Lease("b", 2)


def test_whoever_was_replaced_cannot_settle(engine: Engine) -> None:
    """The epoch in the settling transaction tells, whatever the clock says."""
    first = take(engine, "a", NOW)
    take(engine, "b", NOW + TTL_US + 1)
    assert first is not None

    with pytest.raises(Fenced):
        renew(engine, first, NOW + TTL_US + 2)


def test_a_renewed_lease_lasts(engine: Engine) -> None:
    """Whoever settles keeps it."""
    first = take(engine, "a", NOW)
    assert first is not None
    renew(engine, first, NOW + TTL_US)

    assert take(engine, "b", NOW + 2 * TTL_US) is None


def test_a_lease_given_back_is_free(engine: Engine) -> None:
    """A verifier that ends in good order makes nobody wait."""
    first = take(engine, "a", NOW)
    assert first is not None
    with writing(engine) as connection:
        leases.give_back(connection, first)

    assert take(engine, "b", NOW + 1) == leases.Lease("b", 2)


def test_a_lease_given_back_too_late_stays_with_its_owner(engine: Engine) -> None:
    """The epoch of the next owner is another one."""
    first = take(engine, "a", NOW)
    second = take(engine, "b", NOW + TTL_US + 1)
    assert first is not None
    with writing(engine) as connection:
        leases.give_back(connection, first)

    assert take(engine, "c", NOW + TTL_US + 2) is None
    assert second == leases.Lease("b", 2)


def test_nobody_takes_over_in_the_middle_of_a_tick(migrated_postgres_url: str) -> None:
    """The settling transaction holds the row, however long it takes: who asks does not wait."""
    engine = open_engine(migrated_postgres_url)
    first = take(engine, "a", NOW)
    assert first is not None
    late = NOW + TTL_US + 1
    with engine.connect() as connection:
        silent = leases.look(connection)
    with settling(engine) as connection:
        leases.renew(connection, first, late, TTL_US)

        assert take(engine, "b", late) is None
        with writing(engine) as other:
            assert leases.take(other, "b", late, TTL_US, silent) is None

    engine.dispose()


def test_a_lease_of_the_far_future_holds_up_nobody(engine: Engine) -> None:
    """The clock was a year ahead when it was taken: by their own clocks others see it is dead."""
    year_us = 365 * 24 * 3600 * SECOND
    take(engine, "a", NOW + year_us)
    with engine.connect() as connection:
        silent = leases.look(connection)
    assert take(engine, "b", NOW) is None

    with writing(engine) as connection:
        taken = leases.take(connection, "b", NOW, TTL_US, silent)

    assert taken == leases.Lease("b", 2)
    assert take(engine, "c", NOW + TTL_US + 1) == leases.Lease("c", 3)


def test_who_gave_a_sign_of_life_keeps_the_lease(engine: Engine) -> None:
    """Between looking and taking it was renewed."""
    first = take(engine, "a", NOW)
    assert first is not None
    with engine.connect() as connection:
        silent = leases.look(connection)
    renew(engine, first, NOW + 1)

    with writing(engine) as connection:
        assert leases.take(connection, "b", NOW + 2, TTL_US, silent) is None


def verifier(engine: Engine, owner: str, world: World, told: list[Any]) -> Verifier:
    """A verifier that goes by the world's clock."""
    return Verifier(
        Parts(
            engine=engine,
            clock=HandClock(),
            owner=owner,
            settings=VerifierSettings(lease_s=30),
            database_now_us=lambda _connection: world.now_us,
            on_settled=told.append,
        )
    )


def test_the_second_verifier_stands_by_and_takes_over(engine: Engine) -> None:
    """One settles; when it says nothing for the time of its lease, the other goes on."""
    world = World(engine)
    world.declare(POLICY)
    world.write(request(1, NOW))
    told_a: list[Any] = []
    told_b: list[Any] = []
    a, b = verifier(engine, "a", world, told_a), verifier(engine, "b", world, told_b)
    a.turn()
    world.now_us += 60 * SECOND
    world.caught_up()
    assert b.turn() is not None  # a was silent for longer than its lease
    assert a.turn() is None  # fenced: it wrote nothing, and stands by

    assert (len(told_a), len(told_b)) == (0, 1)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(settled_window)) == 1
        assert connection.scalar(select(verifier_lease.c.epoch)) == 2


def test_settling_what_is_due_gives_the_lease_back(engine: Engine) -> None:
    """`verify --once` leaves nobody waiting."""
    world = World(engine)
    world.declare(POLICY)
    world.write(request(1, NOW))
    world.now_us += 60 * SECOND
    world.caught_up()
    told: list[Any] = []

    verifier(engine, "a", world, told).settle_due()

    assert len(told) == 1
    assert take(engine, "b", world.now_us + 1) == leases.Lease("b", 2)
