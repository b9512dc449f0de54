"""Settling on both databases: lag, revisions, silence, policy changes, routes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from collector.db.engine import open_engine, reading, writing
from collector.db.quarantine import Gap, insert_gap
from collector.sources.protocol import Partition
from tests.settling import HOST, NOW, SECOND, TOPIC, Given, World, make_policy, request, written
from verifier.policies.model import Condition, Rules, StringMatch
from verifier.settle.report import latest_windows, lines_of, totals
from verifier.settle.tick import TickRules
from verifier.settle.transaction import settling
from verifier.settle.watermark import EvidenceRules
from verifier.tables import finding, settled_window

pytestmark = pytest.mark.integration
POLICY = make_policy(("v1", 100.0))


@pytest.fixture
def world(engine: Engine) -> World:
    """A world with one policy and no lines."""
    found = World(engine)
    found.declare(POLICY)
    return found


def windows(world: World) -> list[dict[str, Any]]:
    """All revisions in the order in which they were written."""
    return written(world.engine, settled_window)


def test_a_window_is_settled_a_grace_after_its_end(world: World) -> None:
    """Not before the watermark passed its end and the policy's grace."""
    world.write(request(1, NOW + SECOND))
    world.now_us = NOW + 44 * SECOND
    world.caught_up()
    early = world.tick()
    world.now_us = NOW + 45 * SECOND
    world.caught_up()

    in_time = world.tick()

    assert early.settled == []
    assert [(s.window.start_us, s.requests) for s in in_time.settled] == [(NOW, 1)]


def test_a_lagging_partition_holds_everything_back(world: World) -> None:
    """What it has not brought yet may be the copies."""
    world.write(request(1, NOW + SECOND)[:2], partition=0)
    world.write([], partition=1)
    world.now_us += 600 * SECOND
    world.caught_up(0)
    world.caught_up(1, lag=1)

    ticked = world.tick()

    assert ticked.settled == []
    assert ticked.watermark.held_by.endswith("/1")


def test_an_idle_partition_holds_nothing_back(world: World) -> None:
    """Read to its end by fresh word of the broker, it has nothing to add."""
    world.write(request(1, NOW + SECOND), partition=0)
    world.write([], partition=1)
    world.now_us += 600 * SECOND
    world.caught_up(0, 1)

    assert [s.result.ruling.statement for s in world.tick().settled] == ["proven"]


def test_a_stopped_partition_holds_everything_back(world: World) -> None:
    """Until an operator clears it nobody knows what it holds."""
    world.write(request(1, NOW + SECOND), partition=0)
    world.write([], partition=1)
    world.now_us += 600 * SECOND
    world.caught_up(0, 1)
    world.stop(1)

    assert world.tick().settled == []


def test_stale_word_of_the_broker_holds_everything_back(world: World) -> None:
    """A collector that died leaves no evidence of being read to the end."""
    world.write(request(1, NOW + SECOND))
    world.caught_up()
    world.now_us += 600 * SECOND

    assert world.tick().settled == []


def test_a_late_copy_makes_a_new_revision(world: World) -> None:
    """The old revision and its finding stay, marked as superseded."""
    client, primary, copy = request(1, NOW + SECOND)
    world.write([*request(2, NOW), client, primary])
    world.settle_all()
    world.write([copy])

    (late,) = world.settle_all()

    assert [s.revision for s in late.settled] == [2]
    first, second = windows(world)
    assert (first["missing"], first["matched"], first["superseded_us"]) == (1, 1, world.now_us)
    assert (second["missing"], second["matched"], second["superseded_us"]) == (0, 2, None)
    (refuted,) = written(world.engine, finding)
    assert (refuted["verdict"], refuted["superseded_us"]) == ("missing", world.now_us)


def test_a_late_line_changes_only_the_window_of_its_request(world: World) -> None:
    """Its own start may lie in another window."""
    client, primary, copy = request(1, NOW + 9_999_000)
    world.write([client, primary, *request(2, NOW + 15 * SECOND)])
    world.settle_all()
    world.write([copy])

    (late,) = world.settle_all()

    assert copy.start_us >= NOW + 10 * SECOND
    assert [(s.window.start_us, s.revision) for s in late.settled] == [(NOW, 2)]


def test_a_repeated_line_makes_no_revision(world: World) -> None:
    """A shipper that reads a file again changes nothing."""
    lines = request(1, NOW + SECOND, line_id=7)
    world.write(lines)
    world.settle_all()
    world.write(lines)

    assert [ticked.settled for ticked in world.settle_all()] == [[]]


def test_a_stream_is_judged_when_it_ends(world: World) -> None:
    """Its line comes an hour late, and belongs to the window in which it started."""
    world.write(request(1, NOW))
    world.settle_all(3_700)
    world.write(request(2, NOW + SECOND, duration_us=3_600 * SECOND))

    (late,) = world.settle_all()

    assert [(s.window.start_us, s.revision, s.requests) for s in late.settled] == [(NOW, 2, 2)]


def test_windows_without_lines_leave_no_rows(world: World) -> None:
    """A silent month costs nothing, neither rows nor time."""
    world.write(request(1, NOW))
    world.settle_all()
    world.write(request(2, NOW + 30 * 24 * 3600 * SECOND))
    world.now_us = NOW + 30 * 24 * 3600 * SECOND

    world.settle_all()

    assert [w["start_us"] for w in windows(world)] == [NOW, NOW + 30 * 24 * 3600 * SECOND]


def test_a_window_is_chained_to_the_one_before(world: World) -> None:
    """Each digest rests on the last, so that no row can be taken out unseen."""
    for number in range(4):
        world.write(request(number, NOW + number * 10 * SECOND))
    world.settle_all()

    rows = windows(world)
    assert [r["previous_digest"] for r in rows] == [b"", *(r["digest"] for r in rows[:-1])]
    assert len({r["digest"] for r in rows}) == len(rows) == 4


def test_findings_keep_their_lines_and_where_they_were_read(world: World) -> None:
    """An audit finds pod, time, code, topic, partition and offset."""
    world.write([*request(2, NOW), *request(1, NOW + SECOND)[:2]])
    world.settle_all()

    (found,) = written(world.engine, finding)
    assert (found["verdict"], found["mirror"], found["request_id"]) == ("missing", "v1", "id-1")
    evidence = json.loads(found["evidence"])
    assert [line["side"] for line in evidence] == ["client_live", "server_live"]
    assert [(line["topic"], line["partition"], line["offset"]) for line in evidence] == [
        ("istio-access-logs", 0, 3),
        ("istio-access-logs", 0, 4),
    ]


def limited(engine: Engine, max_findings: int) -> World:
    """A world that keeps few findings."""
    rules = TickRules(
        window_us=10 * SECOND,
        evidence=EvidenceRules(max_age_us=20 * SECOND, allowance_us=5 * SECOND),
        max_findings=max_findings,
    )
    found = World(engine, rules=rules)
    found.declare(POLICY)
    return found


def lacking(count: int) -> list[Given]:
    """So many requests without their copy."""
    return [line for key in range(count) for line in request(key, NOW + key * 1_000)[:2]]


def test_more_findings_than_the_limit_are_counted_only(engine: Engine) -> None:
    """An outage fills counts, not the disk; the first findings are kept."""
    world = limited(engine, 3)
    world.write([*lacking(10), *request(99, NOW)])
    world.settle_all()

    (row,) = windows(world)
    assert (row["requests"], row["missing"], row["findings"]) == (11, 10, 3)
    assert [f["request_id"] for f in written(engine, finding)] == ["id-0", "id-1", "id-2"]


def test_a_dead_node_excuses_also_what_is_only_counted(engine: Engine) -> None:
    """Every request is looked at where the mirror's log has a hole."""
    world = limited(engine, 3)
    world.write([*lacking(10), Given(pod="mirror0@n1", key=99, start_us=NOW)])
    world.alive("n1", NOW)
    world.settle_all()

    (row,) = windows(world)
    assert (row["missing"], row["unverifiable"], row["findings"]) == (0, 10, 3)


def test_what_lacks_on_a_dead_node_is_unverifiable_until_it_lives(world: World) -> None:
    """The node's log arrives again: the window is settled again, and the copy is missing."""
    copies = [Given(pod="mirror0@n1", key=5, start_us=NOW), *request(5, NOW)[:2]]
    world.write([*copies, *request(1, NOW + SECOND)[:2]])
    world.alive("n1", NOW + SECOND)
    world.settle_all()
    world.alive("n1", NOW + 60 * SECOND)

    (revived,) = world.settle_all()

    assert [(w["missing"], w["unverifiable"]) for w in windows(world)] == [(0, 1), (1, 0)]
    assert [s.revision for s in revived.settled] == [2]
    assert world.settle_all()[0].settled == []


def test_what_lacks_in_a_gap_is_unverifiable(world: World) -> None:
    """Records that nobody read may hold the copy, or the request; before and after they may not."""
    lacking = [*request(1, NOW)[:2], *request(2, NOW + 300 * SECOND)[:2]]
    orphan = request(3, NOW + 301 * SECOND)[2:]
    whole = [*request(5, NOW), *request(6, NOW + 302 * SECOND)]
    world.write([*lacking, *orphan, *whole])
    gap = Gap(50, 60, "a bomb", NOW + 300 * SECOND, NOW + 310 * SECOND)
    with writing(world.engine) as connection:
        insert_gap(connection, Partition(TOPIC, 7), gap, NOW)
    world.settle_all(600)

    judged = {w["start_us"]: (w["missing"], w["unverifiable"]) for w in windows(world)}
    assert judged[NOW] == (1, 0)
    assert judged[NOW + 300 * SECOND] == (0, 2)
    assert {w["orphan"] for w in windows(world)} == {0}


def test_a_mirror_that_never_said_anything_is_silent(world: World) -> None:
    """Nobody can tell mirroring that is off from logs that do not arrive."""
    world.write(request(1, NOW)[:2])
    world.settle_all()

    (found,) = written(world.engine, finding)
    assert found["verdict"] == "unverifiable"
    assert "has never logged" in found["reason"]


def test_a_batch_that_was_committed_out_of_order_is_not_skipped(
    migrated_postgres_url: str,
) -> None:
    """A tick ran while a batch with a lower number was not committed yet."""
    engine = open_engine(migrated_postgres_url)
    world = World(engine)
    world.declare(POLICY)
    client, primary, copy = request(1, NOW + SECOND)
    world.write(request(2, NOW), partition=0)
    world.write([], partition=1)
    world.now_us += 60 * SECOND
    world.caught_up()
    with engine.connect() as slow, slow.begin():
        # Its number is lower than that of what is settled before it is committed.
        world.write([copy], partition=1, connection=slow)
        world.write([client, primary], partition=0)
        world.tick()
        assert [(w["missing"], w["matched"]) for w in windows(world)] == [(1, 1)]

    world.settle_all()

    assert [(w["missing"], w["matched"]) for w in windows(world)] == [(1, 1), (0, 2)]
    engine.dispose()


def test_requests_right_after_a_policy_change_are_exempt(world: World) -> None:
    """Proxies differ for a while; then the new version judges."""
    world.write([*request(1, NOW + 8 * SECOND), *request(9, NOW)])
    # From second 10 on there is a second mirror, which gets nothing.
    changed = make_policy(("v1", 100.0), ("v3", 100.0), valid_from_us=NOW + 10 * SECOND)
    world.declare(changed)
    world.write(
        [
            *request(2, NOW + 12 * SECOND),
            *request(3, NOW + 21 * SECOND),
            Given(pod="mirror1", key=9, start_us=NOW + 1),
        ]
    )

    world.settle_all()

    said = [(w["matched"], w["exempt"], w["missing"]) for w in windows(world)]
    assert said == [(2, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert len({w["policy_version_id"] for w in windows(world)}) == 2


def test_a_mirror_that_was_taken_out_owes_nothing_any_more(world: World) -> None:
    """Requests of a version without a mirror are exempt, not missing."""
    world.write(request(1, NOW))
    world.declare(make_policy(valid_from_us=NOW + 10 * SECOND))
    world.write(request(2, NOW + 21 * SECOND)[:2])

    world.settle_all()

    assert [(w["matched"], w["exempt"]) for w in windows(world)] == [(1, 0), (0, 1)]


def routed(name: str, match: tuple[Condition, ...], *mirrors: tuple[str, float]) -> Any:
    """One route of a resource with several."""
    return make_policy(
        *mirrors,
        name=f"weather/forecast/{name}",
        match=match,
        resource="VirtualService weather/forecast",
        route_hosts=(HOST,),
    )


def test_only_requests_of_the_mirrored_route_are_judged(engine: Engine) -> None:
    """The path tells the route."""
    world = World(engine)
    by_path = (Condition(path=StringMatch("prefix", "/weather")),)
    world.declare(routed("weather", by_path, ("v1", 100.0)), routed("rest", ()))
    world.write(
        [*request(1, NOW, path="/weather/today"), *request(2, NOW + SECOND, path="/health")[:2]]
    )

    world.settle_all()

    assert [(w["policy"], w["requests"], w["matched"]) for w in windows(world)] == [
        ("weather/forecast/weather", 1, 1)
    ]


def test_a_route_that_lines_cannot_show_is_unverifiable(engine: Engine) -> None:
    """Without the header nobody knows whether a copy was owed; a copy that came is one."""
    world = World(engine)
    by_header = (Condition(hidden=("headers.x-user",)),)
    world.declare(routed("beta", by_header, ("v1", 100.0)), routed("rest", ()))
    world.write([*request(1, NOW), *request(2, NOW + SECOND)[:2]])

    world.settle_all()

    assert [(w["matched"], w["missing"], w["unverifiable"]) for w in windows(world)] == [(1, 0, 1)]


def test_a_key_that_never_rests_is_ambiguous_in_every_window(world: World) -> None:
    """A constant request id chains its lines for ever; each window takes its own."""
    lines = [line for second in range(0, 400, 2) for line in request(1, NOW + second * SECOND)]
    world.write(lines)
    world.settle_all(600)

    said = windows(world)
    assert len(said) == 40
    assert sum(w["ambiguous"] for w in said) == 200
    assert sum(w["requests"] for w in said) == 0


def test_a_policy_with_a_short_grace_settles_earlier(engine: Engine) -> None:
    """The grace is the policy's own."""
    world = World(engine)
    world.declare(make_policy(("v1", 100.0), rules=Rules(grace_us=4 * SECOND)))
    world.write(request(1, NOW))
    world.now_us = NOW + 19 * SECOND
    world.caught_up()

    assert len(world.tick().settled) == 1


def test_totals_add_the_latest_revisions_up(world: World) -> None:
    """A range is ruled on as a whole."""
    world.write([*request(1, NOW), *request(2, NOW + 12 * SECOND)[:2]])
    world.settle_all()
    world.write(request(2, NOW + 12 * SECOND)[2:])
    world.settle_all()

    with reading(world.engine) as connection:
        everything = totals(connection, POLICY.name)
        nothing = totals(connection, POLICY.name, NOW + 60 * SECOND)
        listed = latest_windows(connection, POLICY.name, 10)

    assert (everything.requests, everything.verdicts["matched"]) == (2, 2)
    assert (everything.statement, everything.windows) == ("proven", 2)
    assert (nothing.requests, nothing.statement, nothing.since_us) == (0, "not_proven", None)
    assert [(w.start_us, w.revision) for w in listed] == [(NOW, 1), (NOW + 10 * SECOND, 2)]


def test_a_range_says_what_log_loss_explains_where_no_window_could(world: World) -> None:
    """One window lost a copy's line, the next a line of v2: only together they tell of loss."""
    world.write([*request(1, NOW)[:2], *request(2, NOW + 1 * SECOND)])
    lost = request(3, NOW + 12 * SECOND)
    world.write([lost[0], lost[2], *request(4, NOW + 13 * SECOND)])
    world.settle_all()

    with reading(world.engine) as connection:
        found = totals(connection, POLICY.name)

    assert (found.control, found.control_lost, found.log_loss) == (4, 1, 1)
    assert (found.verdicts["missing"], found.verdicts["unverifiable"]) == (0, 1)
    assert (found.statement, found.reason) == ("not_proven", "1 unverifiable (1 by log loss)")


def test_a_window_goes_by_what_was_lost_in_the_hour_before(world: World) -> None:
    """A copy's line is lost after one of v2 was: it lacks for the log's sake, not the mirror's."""
    lost = request(1, NOW)
    world.write([lost[0], lost[2], *request(2, NOW + 1 * SECOND)])
    world.write([*request(3, NOW + 12 * SECOND)[:2], *request(4, NOW + 13 * SECOND)])
    world.write(request(5, NOW + 3700 * SECOND)[:2])
    world.settle_all(after_s=3800)

    with reading(world.engine) as connection:
        said = [one.verdicts for one in latest_windows(connection, POLICY.name, 10)]

    assert [(one["unverifiable"], one["missing"]) for one in said] == [(0, 0), (1, 0), (0, 1)]


def test_lines_of_an_id_come_with_pod_and_place(world: World) -> None:
    """Every line of a request, in order of time."""
    world.write(request(1, NOW))

    with reading(world.engine) as connection:
        rows = lines_of(connection, "id-1")

    assert [(row.pod[:11], row.topic, row.record_offset) for row in rows] == [
        ("frontend-v1", "istio-access-logs", 0),
        ("forecast-v2", "istio-access-logs", 1),
        ("forecast-v1", "istio-access-logs", 2),
    ]


def test_another_window_size_continues_where_the_old_one_ended(world: World) -> None:
    """What is settled keeps its size; late lines find it."""
    world.write(request(1, NOW))
    world.settle_all(60)
    rules = TickRules(window_us=30 * SECOND, evidence=world.rules.evidence)
    bigger = World(world.engine, now_us=world.now_us, rules=rules)
    bigger._offsets, bigger._line_ids = world._offsets, world._line_ids
    bigger.write([*request(2, NOW + 5 * SECOND), *request(3, bigger.now_us)])

    bigger.settle_all()

    said = [(w["start_us"] - NOW, w["size_us"], w["revision"]) for w in windows(world)]
    assert said[:2] == [(0, 10 * SECOND, 1), (0, 10 * SECOND, 2)]
    assert said[2][1] == 30 * SECOND


def test_a_tick_writes_nothing_when_nothing_is_new(world: World) -> None:
    """Idle costs a look at the positions."""
    world.write(request(1, NOW))
    world.settle_all()

    with settling(world.engine) as connection:
        ticked = world.ticker.tick(connection, world.now_us)

    assert (ticked.settled, ticked.more) == ([], False)
