"""What opens incidents besides verdicts, their likely causes, and kinds of newer releases."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, delete, insert, select, update

from collector.db.engine import reading, writing
from collector.db.policies import acknowledge
from collector.traits import Trait
from tests.settling import NOW, PODS, SECOND, Given, make_policy
from tests.watching import Watched, uncopied
from verifier.alerts import claims
from verifier.alerts.tables import alert_message
from verifier.incidents import store
from verifier.incidents.show import incident_json, incident_lines, silence_json
from verifier.incidents.tables import incident_state

pytestmark = pytest.mark.integration
NAME = "weather/forecast"


@pytest.fixture
def world(engine: Engine) -> Watched:
    """A policy, a collector that lives, and somebody who listens."""
    found = Watched(engine)
    found.declare(make_policy(("v1", 100.0)))
    found.endpoint()
    lives(found)
    return found


def lives(world: Watched) -> None:
    """A collector says that it lives, and watches the first version only."""
    with writing(world.engine) as connection:
        acknowledge(connection, "collector-a", 1, NOW, world.now_us)


def of_policy(world: Watched) -> list[tuple[str, str]]:
    """What was told of the policy: kind and why."""
    return [(kind, why) for policy, kind, why in world.told() if policy == NAME]


def wait(world: Watched, seconds: int) -> None:
    """Nothing happens, but the collector lives."""
    for _ in range(seconds // 10):
        world.now_us += 10 * SECOND
        world.caught_up()
        lives(world)
        world.tick()


def test_a_policy_that_a_live_collector_does_not_acknowledge_is_told(world: Watched) -> None:
    """With the collector's name, after two minutes; it is over once it does."""
    world.declare(make_policy(("v1", 50.0)))
    wait(world, 110)
    assert world.told() == []

    wait(world, 20)
    assert world.told() == [("", "unacknowledged", "first")]
    assert f"version 2 of {NAME} for collector-a" in world.events[0].summary

    with writing(world.engine) as connection:
        acknowledge(connection, "collector-a", 2, NOW, world.now_us)
    wait(world, 150)
    assert world.told()[1:] == [("", "unacknowledged", "resolved")]


def test_another_mark_of_copies_is_told_for_an_hour(world: Watched) -> None:
    """Which one, and which one before; the first mark of all is no change."""

    def marked(_number: int, lines: list[Given]) -> list[Given]:
        return [*lines[:2], replace(lines[2], traits=int(Trait.SHADOW_HOST))]

    world.run(60, a_second=4, change=marked)
    assert of_policy(world) == []

    world.run(60, a_second=4)
    assert of_policy(world) == [("marker", "first")]
    told = next(one for one in world.events if one.policy == NAME)
    assert "by `policy`, before by `shadow host`" in told.summary
    assert "policy markers" in told.advice

    world.now_us += 3_600 * SECOND
    lives(world)
    world.tick()
    wait(world, 70)
    assert of_policy(world) == [("marker", "first"), ("marker", "resolved")]


def by_sender(number: int, lines: list[Given]) -> list[Given]:
    """Every fourth request is another sender's, and has no copy."""
    return [replace(lines[0], pod="client2"), lines[1]] if number % 4 == 0 else lines


def by_path(number: int, lines: list[Given]) -> list[Given]:
    """Every fourth request is for another path, and has no copy."""
    return [replace(one, path="/maps?q=1") for one in lines[:2]] if number % 4 == 0 else lines


def by_body(number: int, lines: list[Given]) -> list[Given]:
    """Every fourth request has a large body, and no copy."""
    return [replace(one, body=5_000_000) for one in lines[:2]] if number % 4 == 0 else lines


def by_pod(number: int, lines: list[Given]) -> list[Given]:
    """One of two pods of the mirror falls silent after a while."""
    pod = "mirror0" if number % 2 else "mirror0b"
    if number > 200 and number % 2 == 0:
        return lines[:2]
    return [*lines[:2], replace(lines[2], pod=pod)]


@pytest.mark.parametrize(
    ("change", "said", "look"),
    [
        (by_sender, "were sent by frontend-v1-6c9d8f7b5d-zzzzz", "istioctl proxy-status"),
        (by_path, "have the path /maps", "the first http route"),
        (by_body, "have bodies above 1 MiB", "retry_or_shadow_abandoned"),
        (by_pod, "pod forecast-v1-5d8f9b7c6-fghij of the mirror logs nothing", "its restarts"),
    ],
)
def test_the_likely_cause_of_missing_copies_is_told(
    world: Watched, change: object, said: str, look: str
) -> None:
    """One sender, one path, large bodies, one pod of the mirror: with what to look at."""
    world.run(180, a_second=4, change=change)  # type: ignore[arg-type]

    told = next(one for one in world.events if one.kind == "missing")
    assert said in told.cause
    assert look in told.advice


def test_a_sender_that_copies_nothing_is_named(engine: Engine) -> None:
    """Half of all requests are copied, of one of two senders none: its proxy is stale."""
    world = Watched(engine)
    world.declare(make_policy(("v1", 50.0)))
    lives(world)

    def stale(number: int, lines: list[Given]) -> list[Given]:
        if number % 2:
            return [replace(lines[0], pod="client2"), lines[1]]
        return lines if number % 4 else lines[:2]

    world.run(240, a_second=4, change=stale)

    told = next(one for one in world.events if one.kind == "percentage")
    assert "0.0% of the requests of frontend-v1-6c9d8f7b5d-zzzzz were copied" in told.cause
    assert "istioctl proxy-status" in told.advice


def test_a_pod_of_unknown_version_is_named(world: Watched) -> None:
    """A few of its requests suffice; their copies came, and still nothing is proven beside them."""

    def unversioned(number: int, lines: list[Given]) -> list[Given]:
        return [lines[0], replace(lines[1], pod="unknown"), lines[2]] if number % 50 == 0 else lines

    world.run(300, a_second=4, change=unversioned)

    of_traffic = [one for one in world.events if one.policy]
    assert {one.kind for one in of_traffic} == {"unknown_version"}
    told = of_traffic[0]
    assert PODS["unknown"].pod in told.cause
    assert "label `version`" in told.advice
    assert told.counts["unknown"] > 0


def test_kinds_of_a_newer_release_are_kept_and_left_to_it(world: Watched) -> None:
    """While releases change hands the older one goes on with what it knows."""
    with writing(world.engine) as connection:
        connection.execute(insert(incident_state).values(policy=NAME, kind="newer", state="{}"))
        asked = {"policy": None, "kind": "newer", "reason": "r", "author": "a"}
        store.add_silence(connection, {**asked, "from_us": NOW, "until_us": NOW + 900 * SECOND})

    world.run(20)
    world.run(150, change=uncopied)

    assert of_policy(world) == [("missing", "first")]
    with reading(world.engine) as connection:
        kinds = connection.scalars(select(incident_state.c.kind)).all()
        (silence,) = store.silences(connection, world.now_us)
    assert "newer" in kinds
    assert silence_json(silence)["kind"] == "newer"


def test_an_incident_of_a_newer_release_is_shown_and_its_message_waits(world: Watched) -> None:
    """An older deliverer holds up nothing else by it."""
    world.run(20)
    world.run(150, change=uncopied)
    row = next(one for one in world.incidents() if one.policy == NAME)
    newer = SimpleNamespace(**{**row._mapping, "kind": "newer"})
    with writing(world.engine) as connection:
        event = json.loads(connection.scalars(select(alert_message.c.event)).first() or "")
        connection.execute(delete(alert_message).where(alert_message.c.incident_id != row.id))
        connection.execute(
            update(alert_message).values(event=json.dumps({**event, "kind": "newer"}))
        )
        now_us = world.now_us + 1
        claim = claims.claim(connection, "pager", now_us, lease_us=1, concurrency=1)
        due = claims.due(connection, ["pager"], now_us)

    assert claim is None
    assert due == {}
    assert incident_json(newer)["kind"] == "newer"
    assert "newer, of a newer release" in incident_lines(newer)[0]
