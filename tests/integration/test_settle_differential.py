"""Settling in the database against judging in memory, over generated lines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from tests.examples import MANY
from tests.settle_lines import POLICIES, lines
from tests.settle_oracle import Oracle, numbers, summed
from tests.settling import SECOND, Given, World, emptied
from verifier.pairing.tally import Tally
from verifier.policies.model import Policy
from verifier.settle.tick import TickRules
from verifier.settle.watermark import EvidenceRules
from verifier.tables import settled_window

# What it runs is measured in the tests of each case; all these examples would only take longer.
pytestmark = [pytest.mark.integration, pytest.mark.no_cover]
EXAMPLES = {"sqlite": 6, "postgresql": 3}
KEPT = 3
"""Findings of a window that are stored: few, so that more than that are only counted."""
SIZES = (5, 10, 30)
NUMBERS = tuple(numbers(Tally(0)))
"""Every number of a window, whether or not an example has any."""


def world(
    engine: Engine,
    policy: Policy,
    size_s: int = 10,
    *,
    set_wise: bool = True,
    noted: bool = True,
) -> World:
    """An empty world with a policy."""
    rules = TickRules(
        window_us=size_s * SECOND,
        evidence=EvidenceRules(max_age_us=20 * SECOND, allowance_us=5 * SECOND),
        max_windows=3,
        max_findings=KEPT,
    )
    found = World(emptied(engine), rules=rules, set_wise=set_wise, noted=noted)
    found.declare(policy)
    return found


def settle(world: World, *batches: list[Given]) -> dict[int, dict[str, Any]]:
    """The latest revision of each window after each batch was written and settled."""
    for number, batch in enumerate(batches):
        world.write(batch, partition=number % 2)
        world.settle_all()
    world.settle_all()  # copies of long requests are waited for as long again
    with world.engine.connect() as connection:
        query = select(settled_window).where(settled_window.c.superseded_us.is_(None))
        return {row["start_us"]: dict(row) for row in connection.execute(query).mappings()}


def of(rows: dict[int, dict[str, Any]], names: tuple[str, ...]) -> dict[int, dict[str, int]]:
    """Only the numbers."""
    return {start: {name: row[name] for name in names} for start, row in rows.items()}


def saying(rows: dict[int, dict[str, int]]) -> dict[int, dict[str, int]]:
    """The windows with anything to say: one whose lines are no evidence has a row of zeros."""
    return {start: row for start, row in rows.items() if any(row.values())}


def by_window(oracle: Oracle, size_s: int) -> dict[int, dict[str, int]]:
    """What the oracle says of each window with anything to say."""
    found = {start: numbers(tally) for start, tally in oracle.tallies(size_s * SECOND).items()}
    for said in found.values():
        said["findings"] = min(said["findings"], KEPT)
    return saying(found)


def differential(engine: Engine) -> Any:
    """Settings for a property test on one database that every example empties."""
    return settings(
        max_examples=EXAMPLES[engine.dialect.name] * MANY,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.mark.parametrize("name", POLICIES)
def test_set_wise_and_key_by_key_are_what_the_pure_function_says(name: str, engine: Engine) -> None:
    """Counts in SQL plus odd keys equal key by key equal judging all lines in memory.

    The second with batches of an older release, which do not tell who wrote when.
    """
    policy = POLICIES[name]

    @differential(engine)
    @given(given_lines=lines(), size_s=st.sampled_from(SIZES))
    def check(given_lines: list[Given], size_s: int) -> None:
        expected = by_window(Oracle(policy, given_lines), size_s)

        fast = settle(world(engine, policy, size_s), given_lines)
        bare = world(engine, policy, size_s, set_wise=False, noted=False)
        slow = settle(bare, given_lines)

        assert saying(of(fast, NUMBERS)) == expected
        assert {start: row["content"] for start, row in slow.items()} == {
            start: row["content"] for start, row in fast.items()
        }

    check()


@pytest.mark.parametrize("name", ["one mirror", "two shares"])
def test_the_window_size_changes_no_verdict(name: str, engine: Engine) -> None:
    """The sums over all windows are the same for windows of 5, 10 and 30 seconds."""
    policy = POLICIES[name]

    @differential(engine)
    @given(given_lines=lines())
    def check(given_lines: list[Given]) -> None:
        names = tuple(name for name in NUMBERS if name != "findings")
        expected = summed(of(by_window(Oracle(policy, given_lines), 10), names).values())

        sums = [
            summed(of(settle(world(engine, policy, size), given_lines), names).values())
            for size in SIZES
        ]

        assert sums == [expected] * len(SIZES)

    check()


@pytest.mark.parametrize("name", ["one mirror", "two shares"])
def test_late_lines_come_to_what_they_would_have_come_to_in_time(name: str, engine: Engine) -> None:
    """Settled in two or three parts, every window ends with the content of one part."""
    policy = POLICIES[name]

    @differential(engine)
    @given(given_lines=lines(), data=st.data())
    def check(given_lines: list[Given], data: st.DataObject) -> None:
        parts: list[list[Given]] = [[], [], []]
        for line in given_lines:
            parts[data.draw(st.integers(0, 2))].append(line)

        late = settle(world(engine, policy), *parts)
        in_time = settle(world(engine, policy), given_lines)

        def said(rows: dict[int, dict[str, Any]]) -> dict[int, Any]:
            return {s: r["content"] for s, r in rows.items() if r["requests"] or r["findings"]}

        assert said(late) == said(in_time)

    check()
