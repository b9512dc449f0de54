"""Pods whose clocks are wrong: what the live pipeline says is what it would say of right ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from collector.db.engine import writing
from collector.db.sign_tables import wild_clock
from collector.traits import Trait
from tests.settling import NOW, PODS, SECOND, Given, World, make_policy, request, written
from verifier.settle.clock_report import clock_report
from verifier.tables import finding, pod_clock, settled_window

pytestmark = pytest.mark.integration
MINUTE = 60 * SECOND
POLICY = make_policy(("v1", 100.0))


def ahead(lines: list[Given], **pods_ms: int) -> list[Given]:
    """Lines as pods whose clocks are so far ahead write them."""
    return [
        replace(x, start_us=x.start_us + pods_ms.get(x.pod.replace("0", ""), 0) * 1_000)
        for x in lines
    ]


def traffic(count: int, begin_us: int = NOW, first_key: int = 0) -> list[Given]:
    """A request every half second; every fifth is tried twice, and every seventh lacks a copy."""
    found = []
    for number in range(count):
        key, start = first_key + number, begin_us + number * SECOND // 2
        lines = request(key, start, duration_us=20_000)
        if number % 5 == 0:
            lines[0] = replace(lines[0], duration_us=900_000)
            failed = Given(pod="primary2", key=key, start_us=start + 60_000, code=503)
            lines.append(replace(failed, traits=Trait.FAILED))
            lines[1] = replace(lines[1], start_us=start + 700_000)
        elif number % 2:
            lines[1] = replace(lines[1], pod="primary2")
        if number % 7 == 0:
            lines.pop(2)
        found += lines
    return found


def said(engine: Engine) -> dict[int, tuple[Any, ...]]:
    """The numbers of the latest revision of each window."""
    c = settled_window.c
    columns = (c.requests, c.requests_high, c.matched, c.missing, c.unverifiable, c.orphan)
    with engine.connect() as connection:
        query = select(c.start_us, *columns).where(c.superseded_us.is_(None))
        return {row[0]: tuple(row[1:]) for row in connection.execute(query)}


def settled(engine: Engine, *batches: list[Given], **fields: Any) -> dict[int, tuple[Any, ...]]:
    """What is said once each batch was written and settled."""
    world = World(engine, **fields)
    world.declare(POLICY)
    for batch in batches:
        world.write(batch)
        world.settle_all()
    return said(engine)


@pytest.mark.parametrize("set_wise", [True, False])
@pytest.mark.parametrize(
    "pods", [{"mirror": -700}, {"primary": 3_000, "primary2": 3_000}, {"mirror": 20_000}]
)
def test_a_wrong_clock_changes_no_verdict(
    pods: dict[str, int], set_wise: bool, engine: Engine
) -> None:
    """Each window says what it says where all clocks are right, set-wise or key by key."""
    lines = traffic(60)
    missing = sum(1 for number in range(60) if number % 7 == 0)

    found = settled(engine, ahead(lines, **pods), set_wise=set_wise)

    assert sum(row[3] for row in found.values()) == missing
    assert sum(row[0] for row in found.values()) == 60 == sum(row[1] for row in found.values())
    assert sum(row[4] + row[5] for row in found.values()) == 0
    rows = written_clocks(engine)
    skewed = {row["pod_id"]: row["ahead_us"] for row in rows}
    assert len(skewed) == len(pods)
    assert {round(us, -4) for us in skewed.values()} == {ms * 1_000 for ms in pods.values()}


def written_clocks(engine: Engine) -> list[dict[str, Any]]:
    """What is remembered of clocks."""
    with engine.connect() as connection:
        query = select(pod_clock).order_by(pod_clock.c.pod_id, pod_clock.c.from_us)
        return [dict(row) for row in connection.execute(query).mappings()]


def test_an_operator_sees_whose_clocks_are_wrong(engine: Engine) -> None:
    """By name, with how far off and since when."""
    settled(engine, ahead(traffic(60), mirror=-700))

    with engine.connect() as connection:
        found = clock_report(connection)
    assert [(one.pod, round(one.ahead_ms, -1)) for one in found.skewed] == [
        (PODS["mirror0"].pod, -700)
    ]
    assert found.wild == []


def test_right_clocks_are_not_remembered(engine: Engine) -> None:
    """A few milliseconds are the network's."""
    settled(engine, traffic(60))

    assert written_clocks(engine) == []


def test_findings_show_the_times_that_pods_wrote(engine: Engine) -> None:
    """The correction is for judging only."""
    lines = ahead(traffic(60), primary=3_000, primary2=3_000)
    settled(engine, lines)

    with engine.connect() as connection:
        starts = set(connection.scalars(select(finding.c.start_us)))
    assert starts <= {line.start_us for line in lines}
    assert starts


def test_a_window_settled_again_is_judged_by_the_same_clocks(engine: Engine) -> None:
    """Lines that come late, and say nothing new, change nothing: no revision."""
    lines = ahead(traffic(60), mirror=-700)
    before = settled(engine, lines)
    world = World(engine)
    world._offsets = {0: 1_000}
    world._line_ids = 1_000_000
    repeated = [replace(line, line_id=number + 1) for number, line in enumerate(lines)]

    world.write(repeated[:30])
    world.settle_all()

    assert said(engine) == before
    assert {row["revision"] for row in written(engine, settled_window)} == {1}


def test_a_clock_that_is_set_right_is_right_from_then_on(engine: Engine) -> None:
    """What was judged before keeps its clock."""
    wrong = ahead(traffic(120), mirror=-700)
    right = traffic(120, NOW + 2 * MINUTE, first_key=1_000)

    found = settled(engine, wrong, right)

    missing = 2 * sum(1 for number in range(120) if number % 7 == 0)
    assert sum(row[3] for row in found.values()) == missing
    assert [row["ahead_us"] for row in written_clocks(engine)][1:] == [0]


def test_pods_with_wild_clocks_leave_what_lacks_unverifiable(engine: Engine) -> None:
    """Nobody knows where the lines of a mirror are whose clock is hours off."""
    with writing(engine) as connection:
        identity = PODS["mirror0"]
        values = {
            "cluster": "", "namespace": identity.namespace, "pod": identity.pod, "hour_us": 0,
            "first_us": NOW, "last_us": NOW + MINUTE, "lines": 9, "off_us": 3_600 * SECOND,
        }  # fmt: skip
        connection.execute(insert(wild_clock).values(values))

    found = settled(engine, traffic(60))

    assert sum(row[3] for row in found.values()) == 0
    with engine.connect() as connection:
        reasons = set(connection.scalars(select(finding.c.reason)))
    assert reasons == {
        "the clock of a pod of v1 was wrong, or its log very late, at that time",
    }
