"""What retention dropped never changes a verdict: no line that is gone becomes a missing copy."""

from __future__ import annotations

from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, select

from collector.db.engine import open_engine, reading, writing
from collector.db.partitions import DAY_US, HOUR_US, Partitions
from collector.service.maintenance import Maintenance, Report
from collector.settings.retention import RetentionSettings
from tests.clocks import HandClock
from tests.settling import NOW, SECOND, World, make_policy, request, written
from verifier.retention import ages
from verifier.settle.kept import reach_before_us
from verifier.settle.lookup import explain_stored
from verifier.settle.report import totals
from verifier.settle.transaction import settling
from verifier.tables import finding, resettle, settled_policy, settled_window, unsettled

pytestmark = pytest.mark.integration
POLICY = make_policy(("v1", 100.0))
DAY = NOW // DAY_US * DAY_US
MORNING = DAY + 6 * HOUR_US
LATER = DAY + 5 * DAY_US


@pytest.fixture
def world(engine: Engine) -> World:
    """Three requests of one morning, all matched and settled; some of the next days, too."""
    found = World(engine, now_us=MORNING)
    found.declare(POLICY)
    for day in range(5):
        found.now_us = MORNING + day * DAY_US
        Partitions(engine).cover(found.now_us)
        found.write([line for n in range(3) for line in request(10 * day + n, found.now_us)])
        found.settle_all()
    return found


def keep(world: World, **days: float) -> Report:
    """One run of maintenance at the world's time."""
    own = RetentionSettings(**days)  # type: ignore[arg-type]
    return Maintenance(world.engine, HandClock(world.now_us), ages(own), "day").once()


def verdicts(world: World) -> list[tuple[int, int, int, int]]:
    """Start, revision, matched and missing of all windows that are in force."""
    return [
        (row["start_us"], row["revision"], row["matched"], row["missing"])
        for row in written(world.engine, settled_window)
        if row["superseded_us"] is None
    ]


def too_late(world: World) -> int:
    """How many lines came when others of their window were gone."""
    with reading(world.engine) as connection:
        return connection.scalar(select(settled_policy.c.too_late)) or 0


def test_a_late_line_for_a_window_without_its_lines_changes_nothing(world: World) -> None:
    """The verdict stays, and the line is counted; without a floor the others were missing."""
    before = verdicts(world)
    world.now_us = LATER
    keep(world, lines_days=2)
    # One that was there, one of a request that nobody heard of; with an answer that differs.
    world.write([*request(0, MORNING)[:1], *request(77, MORNING)[:2]])

    world.settle_all()
    world.settle_all()

    assert verdicts(world) == before
    assert too_late(world) == 3
    with reading(world.engine) as connection:
        assert totals(connection, POLICY.name).too_late == 3


def test_without_retention_the_same_lines_would_count(world: World) -> None:
    """The test above can fail: they make a new revision where all lines are there."""
    world.now_us = LATER
    world.write(request(77, MORNING)[:2])
    world.settle_all()

    assert verdicts(world)[-1] == (MORNING, 2, 3, 1)
    assert too_late(world) == 0


def test_windows_whose_lines_are_kept_are_settled_again(world: World) -> None:
    """Also after others were dropped."""
    world.now_us = LATER
    keep(world, lines_days=2)
    world.write(request(77, MORNING + 4 * DAY_US)[:2])

    world.settle_all()

    assert verdicts(world)[-1] == (MORNING + 4 * DAY_US, 2, 3, 1)
    assert too_late(world) == 0


def test_the_floor_reaches_as_far_as_settling_reads(world: World) -> None:
    """A window that reads lines from before it is not judged, the next one is."""
    world.now_us = LATER
    report = keep(world, lines_days=2)
    assert report.kept_from_us is not None
    edge = report.kept_from_us + reach_before_us(POLICY.rules.horizon_us)
    first = -(-edge // (10 * SECOND)) * 10 * SECOND
    world.write(request(77, first - 1)[:2])
    world.write(request(78, first)[:2])

    world.settle_all()

    assert verdicts(world)[-1] == (first, 1, 0, 1)
    assert too_late(world) >= 1
    assert len(verdicts(world)) == 6


def test_a_window_that_waits_to_be_settled_again_is_not(world: World) -> None:
    """It was queued while its lines were there, and they are gone now."""
    with writing(world.engine) as connection:
        connection.execute(insert(resettle).values(policy=POLICY.name, start_us=MORNING))
    before = verdicts(world)
    world.now_us = LATER
    keep(world, lines_days=2)

    world.settle_all()

    assert verdicts(world) == before
    with reading(world.engine) as connection:
        assert connection.execute(select(resettle)).all() == []


def test_a_doubt_about_a_quiet_log_stays_once_lines_are_gone(engine: Engine) -> None:
    """Its node proves alive too late: nothing is judged from what is left."""
    world = World(engine, now_us=MORNING)
    world.declare(POLICY)
    lines = [line for n in range(2) for line in request(n, MORNING)]
    quiet = request(5, MORNING + 20 * SECOND)[:2]
    world.write([*lines, *(replaced(line) for line in request(6, MORNING)), *quiet])
    world.alive("n", MORNING + SECOND)
    world.settle_all()
    doubtful = [w for w in written(engine, settled_window) if w["recheck_us"] is not None]
    assert len(doubtful) == 1
    world.now_us = LATER
    world.settle_all()
    keep(world, lines_days=1)
    world.alive("n", LATER)

    world.settle_all()

    assert [w["revision"] for w in written(engine, settled_window)] == [1, 1]


def replaced(line: Any) -> Any:
    """The line with its pod on the node n, if the pod is a mirror's."""
    return type(line)(**(vars(line) | {"pod": f"{line.pod}@n"})) if "mirror" in line.pod else line


def test_lines_that_were_dropped_unsettled_are_passed_over_and_said(engine: Engine) -> None:
    """No verdict is made up for them, and no range with them is proven."""
    world = World(engine, now_us=MORNING)
    world.declare(POLICY)
    world.write(request(1, MORNING))
    world.settle_all()
    for day in range(1, 6):
        world.now_us = MORNING + day * DAY_US
        Partitions(engine).cover(world.now_us)
        # Its copy is in the next day's partition: half of it would be left.
        world.write(request(day * 10, world.now_us)[:2])
        world.now_us += DAY_US
        world.write(request(day * 10, MORNING + day * DAY_US)[2:])
    world.now_us = MORNING + 9 * DAY_US
    report = keep(world, lines_days=2, unsettled_days=5.5)
    world.settle_all()

    assert report.unsettled_us is not None
    assert {(missing, matched) for _, _, matched, missing in verdicts(world)} == {(0, 1)}
    (gap,) = rows(engine, unsettled)
    assert gap["policy"] == POLICY.name
    assert MORNING < gap["from_us"] < MORNING + DAY_US
    assert gap["to_us"] > report.kept_from_us
    with reading(engine) as connection:
        whole = totals(connection, POLICY.name)
        part = totals(connection, POLICY.name, gap["to_us"])
    assert (whole.statement, part.statement) == ("not_proven", "proven")
    assert "were dropped before they were settled" in whole.reason
    assert (whole.unsettled, part.unsettled) == ([(gap["from_us"], gap["to_us"])], [])


def rows(engine: Engine, table: Any) -> list[dict[str, Any]]:
    """All rows."""
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


def test_a_policy_that_comes_after_the_drop_begins_where_lines_are_kept(world: World) -> None:
    """Its history is judged only as far as it is whole."""
    world.now_us = LATER
    keep(world, lines_days=2)
    world.declare(make_policy(("v1", 100.0), name="weather/other"))
    world.settle_all()

    found = [w for w in written(world.engine, settled_window) if w["policy"] == "weather/other"]
    assert found == [] or min(w["start_us"] for w in found) > MORNING + DAY_US
    assert rows(world.engine, unsettled) == []


def test_nothing_is_dropped_while_a_window_is_settled(migrated_postgres_url: str) -> None:
    """A tick that began before goes on seeing all lines, whatever it read until then."""
    engine = open_engine(migrated_postgres_url)
    world = World(engine, now_us=MORNING)
    world.declare(POLICY)
    world.write([line for n in range(3) for line in request(n, MORNING)])
    world.settle_all()
    world.now_us = LATER
    world.settle_all()
    Partitions(engine).cover(world.now_us)
    world.write(request(77, MORNING)[:2])
    world.caught_up()
    dropped = Event()
    work = Thread(target=lambda: (keep(world, lines_days=2), dropped.set()))
    began: list[int] = []

    def before(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        # The tick knows by now what is kept, and has read no line yet.
        if "FROM settled_batch" in statement and not began:
            began.append(1)
            work.start()
            assert not dropped.wait(1.0)

    event.listen(engine, "before_cursor_execute", before)
    with settling(engine) as connection:
        world.ticker.tick(connection, world.now_us)
        assert not dropped.is_set()
    work.join(60)

    assert began
    assert verdicts(world) == [(MORNING, 2, 3, 1)]
    engine.dispose()


# --- explain


def test_explain_does_not_judge_what_is_left_of_a_request(world: World) -> None:
    """Its lines are shown; the verdict is that of its window."""
    world.now_us = LATER
    keep(world, lines_days=2)
    world.write(request(0, MORNING)[:2])

    (story,) = explain_stored(world.engine, "id-0").stories

    assert story.verdicts == {}
    assert len(story.lines) == 2
    assert "no longer stored" in story.reasons[0]


def test_explain_knows_what_findings_tell_of_lines_that_are_gone(engine: Engine) -> None:
    """They outlive the lines, and hold them."""
    world = World(engine, now_us=MORNING)
    world.declare(POLICY)
    world.write([*request(1, MORNING)[:2], *request(2, MORNING)])
    world.settle_all()
    world.now_us = LATER
    world.settle_all()
    keep(world, lines_days=1)

    found = explain_stored(engine, "id-1")
    matched = explain_stored(engine, "id-2")

    assert found.stories == []
    (told,) = found.findings
    assert (told.verdict, told.superseded, len(told.evidence)) == ("missing", False, 2)
    assert found.lines_kept_from is not None
    assert matched.stories == []
    assert matched.findings == []
    assert rows(engine, finding)[0]["request_id"] == "id-1"
