"""What tells copies from live requests, as settling counts it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from collector.db.engine import open_engine, reading
from collector.db.partitions import Partitions
from collector.traits import HOP_SHIFT, Trait
from tests.settling import NOW, SECOND, Given, World, emptied, make_policy, request
from verifier.cli import app, register_all
from verifier.policy_files.evidence import evidence_lints
from verifier.settle.markers import KEPT_US, Change, changes, told
from verifier.tables import copy_marker

pytestmark = pytest.mark.integration
NAME = "weather/forecast"


@pytest.fixture
def world(migrated_database_url: str) -> Iterator[World]:
    """A policy, and nothing else."""
    engine = open_engine(migrated_database_url)
    found = World(engine)
    found.declare(make_policy(("v1", 100.0)))
    yield found
    engine.dispose()


def ask(world: World, start: int, end: int, traits: int = 0) -> None:
    """Four requests a second; their copies carry a mark."""
    for number in range(start * 4, end * 4):
        *lines, copy = request(number, NOW + number * SECOND // 4)
        world.write([*lines, _with(copy, traits)])


def _with(line: Given, traits: int) -> Given:
    values = {name: getattr(line, name) for name in line.__dataclass_fields__}
    return Given(**{**values, "traits": traits})


def counted(world: World) -> dict[str, int]:
    """How many copies each mark told."""
    c = copy_marker.c
    with reading(world.engine) as connection:
        return {row[0]: row[1] for row in connection.execute(select(c.marker, c.copies))}


def test_an_upgrade_that_takes_the_suffix_away_is_told_once(world: World) -> None:
    """The first mark is no change; late lines and mixtures are none either."""
    ask(world, 0, 20, Trait.SHADOW_HOST)
    ask(world, 20, 24, Trait.SHADOW_HOST)
    ask(world, 24, 30)
    ask(world, 30, 50)
    world.settle_all()
    world.write(request(5000, NOW + 35 * SECOND))
    world.settle_all()

    assert counted(world) == {"shadow host": 96, "policy": 104}
    with reading(world.engine) as connection:
        assert changes(connection, NOW) == [
            Change(NAME, NOW + 30 * SECOND, "shadow host", "policy")
        ]
        (found,) = told(connection, NOW)
    assert found.copies == {"shadow host": 96, "policy": 104}


def test_marks_are_forgotten_as_windows_are(world: World) -> None:
    """After the time that is kept; what the last change was stays, however old it is."""
    ask(world, 0, 20, Trait.SHADOW_HOST)
    ask(world, 20, 40)
    world.settle_all()
    later = NOW + KEPT_US + 2 * 3_600 * SECOND
    world.now_us = later // (3_600 * SECOND) * 3_600 * SECOND
    Partitions(world.engine).cover(world.now_us)
    world.write(request(5000, world.now_us))
    world.settle_all()

    with reading(world.engine) as connection:
        assert [sum(one.copies.values()) for one in told(connection, NOW)] == [1]
        assert changes(connection, 0) == [Change(NAME, NOW + 20 * SECOND, "shadow host", "policy")]


@pytest.mark.parametrize("set_wise", [True, False])
def test_both_ways_of_judging_count_alike(world: World, set_wise: bool) -> None:
    """By a field, by the suffix, by one more address, and by nothing but the policy."""
    engine = emptied(world.engine)
    world = World(engine, set_wise=set_wise)
    world.declare(make_policy(("v1", 100.0)))
    hop = 1 << HOP_SHIFT
    for number, (live, copied) in enumerate(
        [
            (hop, 2 * hop), (hop, 2 * hop), (2 * hop, 3 * hop), (0, 0), (hop, 0),
            (0, int(Trait.MARKED)), (0, int(Trait.MARKED | Trait.SHADOW_HOST)),
            (0, int(Trait.SHADOW_HOST)),
        ]
    ):  # fmt: skip
        client, primary, copy = request(number, NOW + number * SECOND)
        world.write([_with(client, live), _with(primary, live), _with(copy, copied)])
    world.settle_all()

    assert counted(world) == {"forwarded for": 3, "policy": 2, "field": 2, "shadow host": 1}


def test_people_see_it(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """The command says what tells copies; the lint says what changed, and who never logged."""
    engine = open_engine(migrated_sqlite_url)
    world = World(engine)
    world.declare(make_policy(("v1", 100.0)))
    ask(world, 0, 20, Trait.SHADOW_HOST)
    ask(world, 20, 40)
    world.settle_all()
    register_all()
    options = ("--database-url", migrated_sqlite_url)

    shown = CliRunner().invoke(
        app, ["policy", "markers", "--since", "2020-01-01T00:00:00Z", *options]
    )
    assert shown.exit_code == 1
    assert f"{NAME}  copies told by: policy 80, shadow host 80" in shown.output
    assert "shadow host until then, policy since" in shown.output
    shown = CliRunner().invoke(app, ["policy", "markers", "--json", *options])
    assert (shown.exit_code, json.loads(shown.output)) == (0, {"told": [], "changes": []})

    two = make_policy(("v1", 100.0), ("v3", 100.0))
    with reading(engine) as connection:
        found = evidence_lints(connection, [two], world.now_us)
    assert sorted(one.code for one in found) == ["marker-changed", "mirror-silent"]
    assert any("no pod of mirror v3" in one.message for one in found)
    (tmp_path / "p.yaml").write_text(
        "policies: [{name: weather/forecast, host: forecast.weather, primary: v2, mirror: v5}]"
    )
    shown = CliRunner().invoke(app, ["policy", "lint", str(tmp_path / "p.yaml"), *options])
    assert "no pod of mirror v5 has ever logged a request; see that its pods run" in shown.output
    engine.dispose()
