"""What the cluster's pods change about verdicts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, insert

from collector.db.dimensions import identity_digest
from collector.db.engine import reading, writing
from collector.db.tables import pod as pods_table
from collector.records import Identity
from tests.settling import NOW, PODS, SECOND, Given, World, make_policy, written
from verifier.cluster.pod_lives import PodLives
from verifier.cluster.pods import PodLife
from verifier.settle.cast import Directory
from verifier.settle.cluster_pods import ClusterPods
from verifier.tables import settled_window

pytestmark = pytest.mark.integration

UNKNOWN = PODS["unknown"]


def pod(version: str, **fields: Any) -> PodLife:
    """The pod whose name shows no version, as the cluster has it."""
    values: dict[str, Any] = {
        "namespace": UNKNOWN.namespace,
        "name": UNKNOWN.pod,
        "uid": "u1",
        "node": "node-a",
        "labels": (("app", "forecast"), ("version", version)),
        "started_us": NOW,
    }
    return PodLife(**(values | fields))


def tell(engine: Engine, *pods: PodLife, now_us: int = NOW, cluster: str = "") -> None:
    """The cluster has these pods, and no others."""
    with writing(engine) as connection:
        PodLives(cluster).write(connection, {one.uid: one for one in pods}, {}, now_us)


def window_of(engine: Engine, time_us: int) -> dict[str, Any]:
    """The latest revision of the window of a time."""
    rows = written(engine, settled_window)
    return next(
        row
        for row in rows
        if row["start_us"] == time_us // (10 * SECOND) * 10 * SECOND and not row["superseded_us"]
    )


def known(engine: Engine) -> ClusterPods:
    """What a verifier that starts learns."""
    found = ClusterPods()
    with reading(engine) as connection:
        found.refresh(connection)
    return found


def test_labels_of_the_cluster_tell_the_version(engine: Engine) -> None:
    """Of a pod whose shipper adds none; what was decided without them is decided anew."""
    world = World(engine)
    world.declare(make_policy(("v1", 100.0)))
    start = NOW + 20 * SECOND
    lines = [
        Given(pod="client", key=1, start_us=start),
        Given(pod="primary", key=1, start_us=start + 1_000),
        Given(pod="unknown", key=1, start_us=start + 2_000),
    ]
    world.write(lines)
    world.settle_all()
    first = window_of(engine, start)
    assert (first["unverifiable"], first["statement"]) == (1, "not_proven")

    tell(engine, pod("v1"))
    world.tick()
    again = window_of(engine, start)
    assert (again["revision"], again["matched"], again["statement"]) == (2, 1, "proven")
    later = [Given(pod=one.pod, key=2, start_us=one.start_us + 400 * SECOND) for one in lines]
    world.now_us += 400 * SECOND
    world.write(later)
    world.settle_all()
    assert sum(row["matched"] for row in written(engine, settled_window)) == 2


def test_a_request_that_labels_move_to_another_window_is_counted_there(engine: Engine) -> None:
    """Its first line is of a pod that nobody took for the primary's, just before the window."""
    world = World(engine)
    world.declare(make_policy(("v1", 100.0)))
    edge = NOW + 30 * SECOND
    world.write(
        [
            Given(pod="unknown", key=1, start_us=edge - 10_000),
            Given(pod="client", key=1, start_us=edge + 5_000),
            Given(pod="mirror0", key=1, start_us=edge + 6_000),
        ]
    )
    world.settle_all()
    assert window_of(engine, edge)["requests"] == 1

    tell(engine, pod("v2"))
    world.tick()

    assert [window_of(engine, at)["matched"] for at in (edge - 1, edge)] == [1, 0]


def test_a_name_that_is_used_again_has_what_its_pods_share(engine: Engine) -> None:
    """Which of them wrote a line nobody knows; an envelope's own labels come first."""
    tell(engine, pod("v1"))
    tell(engine, pod("v2", uid="u2"), now_us=NOW + SECOND)
    found = known(engine)
    assert found.completed(UNKNOWN).labels == (("app", "forecast"),)
    labelled = Identity(UNKNOWN.pod, UNKNOWN.namespace, labels=(("version", "v3"),))
    assert found.completed(labelled) == labelled
    assert [one.ended_us for one in found.of(UNKNOWN)] == [NOW + SECOND, None]


def test_pods_of_another_cluster_are_others(engine: Engine) -> None:
    """Where both are named; else they are taken for one."""
    tell(engine, pod("v1"), cluster="east")
    found = known(engine)
    west = Identity(UNKNOWN.pod, UNKNOWN.namespace, cluster="west")
    assert found.of(west) == []
    assert len(found.of(UNKNOWN)) == 1


def test_only_what_was_written_since_is_read(engine: Engine) -> None:
    """Also where the clock was set back meanwhile; unchanged pods are written once."""
    directory = Directory()
    lives = PodLives("")
    with writing(engine) as connection:
        assert lives.write(connection, {"u1": pod("v1")}, {}, NOW) == 1
        assert lives.write(connection, {"u1": pod("v1")}, {}, NOW + 1) == 0
        directory.refresh(connection)
    with writing(engine) as connection:
        assert lives.write(connection, {"u1": pod("v2")}, {}, NOW - 3_600 * SECOND) == 1
        assert directory.cluster.refresh(connection) == {(UNKNOWN.namespace, UNKNOWN.pod)}
        assert directory.cluster.refresh(connection) == set()


def test_labels_of_later_lines_tell_the_version_of_the_first(engine: Engine) -> None:
    """Shippers know no labels of a pod that has just started; names that are used again differ."""
    labels = {"app": "forecast", "version": "v1"}
    directory = Directory()
    with writing(engine) as connection:
        tell_pod(connection, UNKNOWN.pod, {})
        directory.refresh(connection)
        tell_pod(connection, UNKNOWN.pod, labels)
        directory.refresh(connection)
        assert directory.edition == 1
        assert dict(directory.pods[1].labels) == labels
        assert directory.pod_of(2) == directory.pod_of(1) == 1
        tell_pod(connection, UNKNOWN.pod, labels | {"version": "v2"})
        directory.refresh(connection)
        assert dict(directory.pods[1].labels) == {"app": "forecast"}
        assert dict(directory.pods[2].labels) == labels


def tell_pod(connection: Connection, name: str, labels: dict[str, str]) -> None:
    """A pod as the collector writes it."""
    identity = Identity(name, "weather", labels=tuple(sorted(labels.items())))
    connection.execute(
        insert(pods_table).values(
            digest=identity_digest(identity), cluster="", namespace="weather", pod=name, node="",
            container="", labels=json.dumps(labels),
        )
    )  # fmt: skip
