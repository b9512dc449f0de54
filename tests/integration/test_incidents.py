"""Incidents open, are told once, and resolve, in the transaction of the verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, insert, select, update

from collector.db.engine import writing
from collector.db.retention import drop_rows
from collector.db.tables import batch, instance, position
from collector.settings.retention import RetentionSettings
from tests.settling import NOW, SECOND, Given, emptied, make_policy
from tests.watching import Watched, messages, uncopied, whole
from verifier.incidents.event import Kind
from verifier.incidents.rules import TellRules
from verifier.incidents.store import add_silence, open_incident
from verifier.incidents.tables import incident, incident_recount, incident_state, silence
from verifier.policies.model import IncidentRule, Rules
from verifier.retention import ages

pytestmark = pytest.mark.integration
POLICY = make_policy(("v1", 100.0))
NAME = POLICY.name


@pytest.fixture
def world(engine: Engine) -> Watched:
    """A policy, a collector that lives, and somebody who listens."""
    found = Watched(engine)
    found.declare(POLICY)
    found.endpoint()
    return found


def alive(world: Watched) -> None:
    """A collector says that it lives."""
    with writing(world.engine) as connection:
        connection.execute(
            insert(instance).values(
                owner=f"c{world.now_us}", policy_version_id=1, started_us=0, seen_us=world.now_us
            )
        )


def of_policy(world: Watched) -> list[tuple[str, str]]:
    """What was told of the policy: kind and why."""
    return [(kind, why) for policy, kind, why in world.told() if policy == NAME]


def test_one_late_line_is_no_incident(world: Watched) -> None:
    """A single missing copy among hundreds pages nobody, for ever."""
    world.run(120, change=lambda number, lines: lines[:2] if number == 37 else lines)
    world.run(120)

    assert of_policy(world) == []


def test_missing_copies_open_one_incident_that_resolves_when_they_arrive_again(
    world: Watched,
) -> None:
    """It opens a minute after the windows settled, counts, and is taken back once it is over."""
    world.run(60)
    world.run(240, change=uncopied)
    row = world.incidents()[0]
    assert (row.kind, row.severity, row.resolved_us) == ("missing", "critical", None)
    assert "copies are missing" in row.summary

    world.run(420)

    assert of_policy(world) == [("missing", "first"), ("missing", "resolved")]
    (row,) = world.incidents()
    assert row.ended == "over"
    assert row.first_us >= NOW + 60 * SECOND
    first, last = world.events
    assert first.opened_us - first.first_us <= 130 * SECOND
    assert len(first.examples) == 3
    assert first.examples[0].verdict == "missing"
    assert last.counts["missing"] == 480
    with world.engine.connect() as connection:
        assert messages(connection) == [f"inc_{row.id}_1", f"inc_{row.id}_2"]
        assert (
            connection.execute(select(incident_state).where(incident_state.c.policy == NAME)).all()
            == []
        )


def test_late_copies_take_an_incident_back(world: Watched) -> None:
    """A correction resolves what it refutes, and says so."""
    held: list[Given] = []

    def hold(_number: int, lines: list[Given]) -> list[Given]:
        held.append(lines[2])
        return lines[:2]

    world.run(60)
    world.run(180, change=hold)
    assert of_policy(world) == [("missing", "first")]

    world.write(held, partition=1)
    world.run(10)
    while world.tick().more:
        pass

    assert of_policy(world) == [("missing", "first"), ("missing", "resolved")]
    (row,) = world.incidents()
    assert row.ended == "refuted"
    assert "late lines" in row.summary


def test_copies_that_are_a_minute_late_are_never_told(world: Watched) -> None:
    """What late lines correct before a window counts was never an incident."""
    held: list[Given] = []

    def hold(_number: int, lines: list[Given]) -> list[Given]:
        held.append(lines[2])
        return lines[:2]

    world.run(60)
    for _ in range(12):
        now_late = [line for line in held if line.start_us <= world.now_us - 60 * SECOND]
        held[:] = held[len(now_late) :]
        world.write(now_late, partition=1)
        world.run(10, change=hold)
    world.write(held, partition=1)
    world.run(240)

    assert of_policy(world) == []
    assert world.incidents() == [row for row in world.incidents() if row.policy == ""]


def test_a_silence_holds_back_what_it_covers_and_its_end_tells(world: Watched) -> None:
    """The incident is followed meanwhile; when the silence ends and it is there, it is told."""
    with writing(world.engine) as connection:
        until_us = world.now_us + 300 * SECOND
        said = {"policy": NAME, "kind": None, "reason": "migration", "author": "kim"}
        add_silence(connection, {**said, "from_us": world.now_us, "until_us": until_us})
    world.run(60)
    world.run(200, change=uncopied)
    (row,) = world.incidents()
    assert (row.sequence, row.told_us) == (0, None)
    assert of_policy(world) == []

    world.run(60, change=uncopied)

    assert of_policy(world) == [("missing", "first")]


def test_what_the_policy_does_not_ask_for_is_not_told(engine: Engine) -> None:
    """`missing: off` in the policy's rules is obeyed; the verdicts stay what they are."""
    rules = Rules(incidents=(IncidentRule("missing", enabled=False),))
    world = Watched(engine)
    world.declare(make_policy(("v1", 100.0), rules=rules))

    world.run(60)
    world.run(200, change=uncopied)

    assert of_policy(world) == []


def test_a_stopped_partition_is_told_also_when_nothing_is_settled(world: Watched) -> None:
    """The pipeline is watched by the database's clock, and resolves when it goes on."""
    alive(world)
    world.run(10)
    world.stop(0)
    world.now_us += 20 * SECOND
    alive(world)
    world.tick()
    assert world.told() == [("", "stalled", "first")]

    with writing(world.engine) as connection:
        connection.execute(update(position).values(state="running"))
    for _ in range(30):
        world.now_us += 10 * SECOND
        alive(world)
        world.caught_up()
        world.tick()

    assert world.told() == [("", "stalled", "first"), ("", "stalled", "resolved")]


def test_a_record_after_a_quiet_hour_is_no_partition_that_stands_still(world: Watched) -> None:
    """Its partition was not read for an hour, as there was nothing; one that stays unread is."""
    world.run(10)
    world.now_us += 3_600 * SECOND
    alive(world)
    world.caught_up(0, lag=1)
    world.tick()
    world.now_us += 5 * SECOND
    world.traffic(10)
    world.caught_up()
    world.tick()
    assert world.told() == []

    world.caught_up(0, lag=1)
    for _ in range(36):
        world.now_us += 10 * SECOND
        alive(world)
        world.tick()

    assert [one for one in world.told() if one[1] == "stalled"] == [("", "stalled", "first")]


def test_that_no_collector_lives_is_told(world: Watched) -> None:
    """After a minute without any sign of life."""
    alive(world)
    world.run(10)
    world.now_us += 30 * SECOND
    world.tick()
    assert world.told() == []

    world.now_us += 60 * SECOND
    world.tick()

    assert world.told() == [("", "no_collector", "first")]


def test_answers_that_diverge_are_told_within_minutes(world: Watched) -> None:
    """They are looked at every ten minutes; how they differ is in the summary."""

    def failing(_number: int, lines: list[Given]) -> list[Given]:
        return [*lines[:2], replace(lines[2], code=500)]

    for _ in range(15):
        world.traffic(60, change=failing)
        world.caught_up()
        while world.tick().more:
            pass

    assert of_policy(world) == [("status_divergence", "first")]
    told = next(one for one in world.events if one.policy == NAME)
    assert "GET /: " in told.summary
    assert " higher, 0 lower of " in told.summary


def test_lines_that_nobody_can_read_are_told(world: Watched) -> None:
    """When their share is above what may go to quarantine; gaps are none of them."""
    alive(world)
    world.run(10)
    for _ in range(3):
        world.write([])
        with writing(world.engine) as connection:
            newest = select(func.max(batch.c.id)).scalar_subquery()
            values = {"read": 500, "quarantined": 500}
            connection.execute(update(batch).where(batch.c.id == newest).values(values))
        world.tick()

    assert world.told() == [("", "quarantine", "first")]
    assert world.events[0].counts == {"quarantined": 500, "lines": 500}


def test_resolved_incidents_go_after_their_time_and_open_ones_stay(world: Watched) -> None:
    """Whatever their age."""
    open_one = {
        "policy": NAME, "kind": "missing", "severity": "warning", "opened_us": 1, "first_us": 1,
        "last_us": 1, "sequence": 0, "counts": "{}", "summary": "", "cause": "", "advice": "",
        "examples": "[]", "updated_us": 1,
    }  # fmt: skip
    with writing(world.engine) as connection:
        open_incident(connection, open_one)
        open_incident(connection, open_one | {"kind": "leak", "resolved_us": 1})
        open_incident(connection, open_one | {"kind": "leak", "resolved_us": NOW})
    aging = next(one for one in ages(RetentionSettings()).tables if one.table is incident)

    drop_rows(world.engine, aging, NOW - 1, lambda: False)

    assert [(row.kind, row.resolved_us) for row in world.incidents()] == [
        ("missing", None), ("leak", NOW),
    ]  # fmt: skip


def history(world: Watched) -> Iterator[None]:
    """A drift that comes, is corrected in part, and goes; after each step there is a tick."""
    world.declare(POLICY)
    world.endpoint()
    held: list[Given] = []

    def hold(_number: int, lines: list[Given]) -> list[Given]:
        held.append(lines[2])
        return lines[:2]

    for step in range(16):
        world.traffic(30, 2, hold if 2 <= step < 5 else whole)
        if step == 8:
            world.write(held[:20], partition=1)
        world.caught_up()
        yield


def replayed(engine: Engine, kill_at: int | None = None) -> tuple[int, Any]:
    """Runs the history, killed at a statement; returns how many there were, and what came of it."""
    world = Watched(emptied(engine))
    count = 0

    def before(*_args: Any) -> None:
        nonlocal count
        count += 1
        if count == kill_at:
            raise Killed

    for _ in history(world):
        more = True
        while more:
            event.listen(engine, "before_cursor_execute", before)
            try:
                more = world.tick().more
            except Killed:
                world.restart()
            finally:
                event.remove(engine, "before_cursor_execute", before)
    rows = [row._mapping for row in world.incidents()]
    first_id = rows[0]["id"]
    told = [(k, v) for row in rows for k, v in row.items() if k != "id"]
    with engine.connect() as connection:
        ids = [one.split("_") for one in messages(connection)]
    return count, (told, [(int(one[1]) - first_id, one[2]) for one in ids])


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.slow
def test_killed_at_any_statement_incidents_and_messages_are_the_same(engine: Engine) -> None:
    """No incident opens twice, none is lost, and each notification is written once."""
    count, expected = replayed(engine)
    assert len(expected[1]) >= 2
    every = count // 24 or 1

    for kill_at in range(1, count + 1, every):
        assert replayed(engine, kill_at)[1] == expected, f"killed at {kill_at} of {count}"


def test_killed_between_ticks_incidents_and_messages_are_the_same(engine: Engine) -> None:
    """What is remembered is in the database."""
    _, expected = replayed(engine)
    world = Watched(emptied(engine))

    for _ in history(world):
        while world.tick().more:
            world.restart()
        world.restart()

    kinds = [(row.kind, row.ended, row.sequence) for row in world.incidents()]
    told = dict(expected[0])
    assert kinds == [(told["kind"], told["ended"], told["sequence"])]
    assert Kind(kinds[0][0]) is Kind.MISSING


def test_no_window_is_passed_over_however_long_it_waits_to_count(engine: Engine) -> None:
    """A wait that is no multiple of the windows' size counts every window once all the same."""
    world = Watched(engine, tell=TellRules(confirm_us=13 * SECOND))
    world.declare(POLICY)
    world.endpoint()

    world.run(60)
    world.run(60, change=uncopied)
    world.run(420)

    assert of_policy(world) == [("missing", "first"), ("missing", "resolved")]
    assert world.events[-1].counts["missing"] == 120


def test_missing_copies_of_windows_that_came_late_as_a_whole_are_told(engine: Engine) -> None:
    """Windows that were passed over as empty count once their lines are there, and only once."""
    world = Watched(engine)
    world.declare(POLICY)
    world.endpoint()
    held: list[Given] = []

    def hold(_number: int, lines: list[Given]) -> list[Given]:
        held.extend(lines[:2])
        return []

    world.run(60)
    world.run(60, change=hold)
    world.run(180)
    world.write(held, partition=1)
    world.run(30)
    assert of_policy(world) == []

    world.restart()
    world.run(420)

    assert of_policy(world) == [("missing", "first"), ("missing", "resolved")]
    assert world.events[0].counts["missing"] == 120
    with engine.connect() as connection:
        assert connection.execute(select(incident_recount)).all() == []


def test_lines_that_come_late_one_side_after_the_other_are_never_told(engine: Engine) -> None:
    """Windows that came late wait as others do: their copies may come a little later."""
    world = Watched(engine)
    world.declare(POLICY)
    held: list[Given] = []

    def hold(_number: int, lines: list[Given]) -> list[Given]:
        held.extend(lines)
        return []

    world.run(60)
    world.run(60, change=hold)
    world.run(180)
    world.write([line for line in held if line.pod != "mirror0"], partition=1)
    world.run(40)
    world.write([line for line in held if line.pod == "mirror0"], partition=1)
    world.run(240)

    assert of_policy(world) == []


def test_doubts_that_turn_out_to_be_missing_copies_are_told(engine: Engine) -> None:
    """A window that counted as unverifiable counts again when the mirror's log proves alive."""
    world = Watched(engine)
    world.declare(POLICY)
    world.endpoint()

    def on_node(_number: int, lines: list[Given]) -> list[Given]:
        return [replace(x, pod=f"{x.pod}@n") if x.pod == "mirror0" else x for x in lines]

    world.run(60, change=on_node)
    world.alive("n", world.now_us)
    world.run(60, change=uncopied)
    world.run(180, change=on_node)
    assert ("missing", "first") not in of_policy(world)

    world.alive("n", world.now_us)
    world.run(90, change=on_node)

    assert ("missing", "first") in of_policy(world)


def test_what_a_mirror_lacked_in_its_last_minute_is_told(engine: Engine) -> None:
    """Windows that do not count yet when the mirror is taken away are counted all the same."""
    world = Watched(engine)
    world.declare(POLICY)
    world.endpoint()

    world.run(60)
    world.run(60, change=uncopied)
    world.declare(make_policy(name=NAME))
    world.run(240)

    assert of_policy(world) == [("missing", "first"), ("missing", "resolved")]
    assert world.incidents()[-1].ended == "disabled"


def leaky(number: int, lines: list[Given]) -> list[Given]:
    """One request more, sent live to the mirror."""
    start_us = lines[0].start_us + 50_000
    live = {"key": 1_000_000 + number, "start_us": start_us}
    return [*lines, Given(pod="client", to="v1", **live), Given(pod="mirror0", **live)]


def test_a_leak_is_not_explained_by_pods_that_are_gone(world: Watched) -> None:
    """Live traffic reached the mirror; that it logs nothing any more is no cause of that."""
    world.run(60)
    world.run(10, change=leaky)

    world.run(120, change=uncopied)

    told = {one.kind: one.cause for one in world.events}
    assert "of the mirror logs" in told[Kind.MISSING]
    assert "of the mirror logs" not in told[Kind.LEAK]


def test_kinds_of_a_newer_program_are_left_alone(world: Watched) -> None:
    """It runs beside this one during an upgrade: its memory stays, and ends nobody."""
    later = {"policy": NAME, "kind": "of_next_year", "state": "{}"}
    with writing(world.engine) as connection:
        connection.execute(insert(incident_state).values(later))
        connection.execute(
            insert(silence).values(
                kind=later["kind"], reason="", author="", from_us=0, until_us=1 << 60
            )
        )

    world.run(240, change=uncopied)

    assert of_policy(world) == [("mirror_silent", "first")]
    with world.engine.connect() as connection:
        assert later["kind"] in connection.scalars(select(incident_state.c.kind)).all()
