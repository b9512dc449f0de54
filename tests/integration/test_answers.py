"""How answers differ by endpoint, live, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from typer.testing import CliRunner

from collector.db.engine import open_engine, writing
from tests.settling import NOW, Given, World, make_policy
from verifier.cli import app, register_all
from verifier.settle import answers
from verifier.settle.answers import HOUR_US, KEPT_US, add_hour
from verifier.settle.endpoints import accept, accepted_period, endpoints, forget
from verifier.statistics.compare import Answer, Compared, Pair
from verifier.statistics.divergence import Endpoint
from verifier.statistics.endpoints import MAX_ENDPOINTS
from verifier.tables import endpoint_hour

pytestmark = pytest.mark.integration

POLICY = "weather/forecast"


def answered(number: int, start_us: int, **mirror: Any) -> list[Given]:
    """A request to one of two endpoints; `mirror` is what its copy does otherwise."""
    path = f"/orders/{number}" if number % 2 else "/report"
    primary = "primary" if number % 3 else "primary2"
    given = {"key": number, "path": path}
    return [
        Given(pod=primary, start_us=start_us, **given),
        Given(pod="mirror0", start_us=start_us + 2_000, **given, **mirror),
    ]


def live(engine: Engine, count: int = 80, **mirror: Any) -> World:
    """Settled windows with so many requests."""
    world = World(engine)
    world.declare(make_policy(("v1", 100.0)), at_us=0)
    lines = [
        line
        for number in range(count)
        for line in answered(number, NOW + number * 100_000, **mirror)
    ]
    world.write(lines)
    world.settle_all()
    return world


def found(engine: Engine) -> dict[str, Endpoint]:
    """What is said of the hours around the test."""
    with engine.connect() as connection:
        said = endpoints(connection, POLICY, NOW - HOUR_US, NOW + HOUR_US)
    return {one.endpoint: one for one in said}


def diverging(engine: Engine) -> set[tuple[str, str]]:
    """Endpoints and measures that diverge."""
    return {
        (name, measure)
        for name, one in found(engine).items()
        for measure, difference in one.differences.items()
        if difference.diverges
    }


def test_equal_answers_are_counted_by_endpoint(engine: Engine) -> None:
    """Paths with numbers are one endpoint; every pair of the sample counts once."""
    world = live(engine)
    world.settle_all()
    said = found(engine)

    assert {name: one.pairs for name, one in said.items()} == {
        "all": 80, "GET /orders/{id}": 40, "GET /report": 40,
    }  # fmt: skip
    assert diverging(engine) == set()
    assert said["all"].primary["latency"] == [5, 5, 5]


def test_slower_and_failing_answers_diverge_where_they_are(engine: Engine) -> None:
    """Latency and status of the mirror are told apart from the primary's."""
    live(engine, duration_us=25_000, code=503)

    assert diverging(engine) == {
        (name, measure)
        for name in ("all", "GET /orders/{id}", "GET /report")
        for measure in ("latency", "status")
    }


def test_an_accepted_period_is_the_noise_of_later(engine: Engine) -> None:
    """What the user found right diverges no more, until it is forgotten."""
    live(engine, duration_us=25_000)
    with writing(engine) as connection:
        assert accept(connection, POLICY, NOW - HOUR_US, NOW + HOUR_US, NOW) == 80
        assert accept(connection, POLICY, NOW + 9 * HOUR_US, NOW + 10 * HOUR_US, NOW) == 0

    assert diverging(engine) == set()
    assert found(engine)["GET /report"].accepted
    with writing(engine) as connection:
        assert accepted_period(connection, POLICY) == (NOW - HOUR_US, NOW + HOUR_US)
        forget(connection, POLICY)
    assert ("all", "latency") in diverging(engine)


def test_what_is_no_plain_pair_is_left_out(engine: Engine) -> None:
    """Missing, doubled, leaked and unfinished answers tell nothing of a pair."""
    world = World(engine)
    world.declare(make_policy(("v1", 100.0)), at_us=0)
    plain = answered(1, NOW)
    world.write(
        [
            *plain, *plain[1:],
            answered(2, NOW)[0],
            *answered(3, NOW), answered(3, NOW + 1_000)[1],
            *answered(4, NOW, code=0),
            *answered(5, NOW), Given(pod="client", key=5, path="/orders/5", start_us=NOW, to="v1"),
        ]
    )  # fmt: skip
    world.settle_all()

    # The repeated line of the first has another identity: a duplicate.
    assert found(engine) == {}


def test_a_sample_of_many_is_compared(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """About as many pairs as the sample is large, whoever has how many requests."""
    monkeypatch.setattr(answers, "SAMPLE", 20)
    live(engine, 200)

    assert 5 < found(engine)["all"].pairs < 50


def test_hours_stay_small_and_the_oldest_go(engine: Engine) -> None:
    """However many paths are asked for, an hour has a hundred rows, and two weeks of hours."""
    compared = Compared()
    compared.add(Pair(Answer(200, 1.0, 1), Answer(200, 1.0, 1), None))
    with writing(engine) as connection:
        for begin in range(0, 300, 60):
            names = {f"GET /{number}": compared for number in range(begin, begin + 60)}
            add_hour(connection, POLICY, NOW, names)
        rows = select(func.count()).select_from(endpoint_hour)
        assert connection.scalar(rows) == MAX_ENDPOINTS
        said = endpoints(connection, POLICY, NOW, NOW + 1)
        assert said[0].pairs == 300
        add_hour(connection, POLICY, NOW + KEPT_US + HOUR_US, {"GET /": compared})
        assert connection.scalar(rows) == 1


def test_the_commands_show_and_accept(migrated_sqlite_url: str) -> None:
    """People see what diverges and accept it; scripts read the same as JSON."""
    register_all()
    engine = open_engine(migrated_sqlite_url)
    live(engine, duration_us=25_000)
    engine.dispose()

    def run(*arguments: str) -> str:
        period = [] if "--forget" in arguments else ["--since", "2025-10-01T00:00:00Z"]
        asked = [*arguments, *period, "--database-url", migrated_sqlite_url]
        done = CliRunner().invoke(app, ["divergence", *asked])
        assert done.exit_code == 0, done.output
        return done.output

    assert "GET /report: slower in 40 of 40 pairs, median 25 instead of 5 ms" in run("show", POLICY)
    assert json.loads(run("show", POLICY, "--json"))["diverges"]
    assert run("accept", POLICY) == f"{POLICY}: accepted, as 80 pairs show it\n"
    shown = json.loads(run("show", POLICY, "--json"))
    assert not shown["diverges"]
    assert shown["endpoints"][0]["accepted"]
    run("accept", POLICY, "--forget")
    assert json.loads(run("show", POLICY, "--json"))["accepted"] is None
