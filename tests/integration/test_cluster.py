"""Policies and pods from a cluster, in the database, and what is judged by them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from collector.clock import SystemClock
from collector.db.engine import open_engine, reading, writing
from collector.db.tables import policy_version
from collector.errors import MirrorproofError, Retryable
from tests.cluster_server import (
    ClusterServer,
    Fault,
    destination_rule,
    eventually,
    pod,
    virtual_service,
)
from tests.settling import NOW, SECOND, Given, World, request, written
from verifier.cluster.api_server import ApiServer
from verifier.cluster.tables import cluster_pod
from verifier.cluster.watcher import ClusterWatcher, Watching
from verifier.policies.read import read_policies
from verifier.policy_files.declared import declare, troubles
from verifier.settle.progress import progress_of
from verifier.settle.replay import waiting
from verifier.settle.windows import Span
from verifier.tables import settled_window, verifier_lease

pytestmark = pytest.mark.integration

NAME = "weather/forecast-route"
HOUR_US = 3_600 * SECOND


@pytest.fixture
def cluster() -> Iterator[ClusterServer]:
    """A cluster with a DestinationRule."""
    with ClusterServer() as server:
        server.put("destinationrules", destination_rule())
        yield server


@pytest.fixture
def world(migrated_database_url: str) -> Iterator[World]:
    """A migrated database, whose clock the test turns."""
    engine = open_engine(migrated_database_url)
    yield World(engine)
    engine.dispose()


class Watched:
    """A watcher in a thread, as a context manager."""

    def __init__(
        self, world: World, cluster: ClusterServer, folder: Path, owner: str = "one", **more: Any
    ) -> None:
        self.engine, self.world = world.engine, world
        self.away = 0
        self.writes = 0
        self.died: BaseException | None = None
        self._stop = Event()
        parts = Watching(
            engine=world.engine,
            server=ApiServer(cluster.settings(folder)),
            clock=SystemClock(),
            owner=owner,
            rest_s=0.02,
            database_now_us=self._now_us,
            written=self._written,
            **more,
        )
        self.watcher = ClusterWatcher(parts)
        self._thread = Thread(target=self._run)

    def _now_us(self, _connection: object) -> int:
        if self.away > 0:
            self.away -= 1
            raise Retryable("the database is away")
        return self.world.now_us

    def _written(self, _counts: dict[str, int], _refused: int) -> None:
        self.writes += 1

    def _run(self) -> None:
        try:
            self.watcher.run(self._stop)
        except MirrorproofError as error:
            self.died = error

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def shows(self, *wanted: tuple[str, float, bool]) -> None:
        """Waits until the versions are these."""
        eventually(lambda: versions(self.engine) == list(wanted))


def versions(engine: Engine) -> list[tuple[str, float, bool]]:
    """Name, percentage (0: no mirror), and whether it is in force, of all versions."""
    found = []
    for row in written(engine, policy_version):
        mirrors = json.loads(row["document"])["mirrors"]
        percent = mirrors[0].get("percent", 100.0) if mirrors else 0.0
        found.append((row["name"], percent, row["valid_to_us"] is None))
    return found


def routed(percent: float, **more: Any) -> dict[str, Any]:
    """The VirtualService with this percentage."""
    found = virtual_service(**more)
    found["spec"]["http"][0]["mirrorPercentage"] = {"value": percent}
    return found


def pods(engine: Engine) -> dict[str, tuple[str, bool]]:
    """Version and whether it runs, of each pod."""
    return {
        row["pod"]: (json.loads(row["labels"])["version"], row["ended_us"] is None)
        for row in written(engine, cluster_pod)
    }


def wrong(engine: Engine) -> list[str]:
    """What is wrong, as every process can tell."""
    with reading(engine) as connection:
        return troubles(connection)


def test_policies_and_pods_follow_the_cluster(
    world: World, cluster: ClusterServer, tmp_path: Path
) -> None:
    """New, changed and deleted; what cannot be read is told, and stays as it was."""
    cluster.put("virtualservices", routed(100))
    cluster.put("pods", pod("forecast-v1-a", "v1"))
    with Watched(world, cluster, tmp_path) as watched:
        watched.shows((NAME, 100, True))
        eventually(lambda: pods(world.engine) == {"forecast-v1-a": ("v1", True)})
        world.now_us += HOUR_US
        cluster.put("virtualservices", routed(50))
        watched.shows((NAME, 100, False), (NAME, 50, True))
        cluster.put("virtualservices", routed(500))
        eventually(lambda: "must be between" in "".join(wrong(world.engine)))
        cluster.delete("virtualservices", "weather", "forecast-route")
        watched.shows((NAME, 100, False), (NAME, 50, False))
        cluster.delete("pods", "weather", "forecast-v1-a")
        eventually(lambda: pods(world.engine) == {"forecast-v1-a": ("v1", False)})
        eventually(lambda: not wrong(world.engine))
    first, second = written(world.engine, policy_version)
    assert (first["valid_from_us"], first["valid_to_us"]) == (NOW, NOW + HOUR_US)
    assert second["valid_from_us"] == second["recorded_us"] == NOW + HOUR_US


def test_what_changed_while_nobody_watched_holds_since_it_was_made(
    world: World, cluster: ClusterServer, tmp_path: Path
) -> None:
    """A change has its own time, and what was judged since then is settled again."""
    created = {"generation": 1, "creationTimestamp": "2025-10-01T00:00:00Z"}
    rule = destination_rule()
    cluster.put("destinationrules", {**rule, "metadata": {**rule["metadata"], **created}})
    cluster.put("virtualservices", routed(100, **created))
    with Watched(world, cluster, tmp_path) as watched:
        watched.shows((NAME, 100, True))
    world.write(request(1, NOW + 60 * SECOND))
    world.settle_all()
    world.now_us = NOW + HOUR_US
    managed = [{"manager": "kubectl", "time": "2025-10-09T08:54:00Z"}]
    cluster.put("virtualservices", routed(50, managedFields=managed))
    with Watched(world, cluster, tmp_path) as watched:
        watched.shows((NAME, 100, False), (NAME, 50, True))
    assert written(world.engine, policy_version)[1]["valid_from_us"] == NOW + 40 * SECOND
    with reading(world.engine) as connection:
        assert progress_of(connection, NAME) is not None
        assert waiting(connection, [NAME], Span(NOW, world.now_us)) > 0


def test_a_lost_mirror_or_a_deletion_is_found_after_a_pause(
    world: World, cluster: ClusterServer, tmp_path: Path
) -> None:
    """What went while nobody watched ends, pods too; a file's own policies stay."""
    cluster.put("virtualservices", routed(100))
    cluster.put("virtualservices", routed(100, name="second"))
    cluster.put("pods", pod("forecast-v1-a", "v1"))
    with Watched(world, cluster, tmp_path) as watched:
        watched.shows((NAME, 100, True), ("weather/second", 100, True))
    cluster.put("virtualservices", virtual_service(mirror=False))
    cluster.delete("virtualservices", "weather", "second")
    cluster.delete("pods", "weather", "forecast-v1-a")
    with Watched(world, cluster, tmp_path) as watched:
        watched.shows((NAME, 100, False), ("weather/second", 100, False))
        eventually(lambda: pods(world.engine) == {"forecast-v1-a": ("v1", False)})


def test_no_answer_of_the_server_ends_a_policy(
    world: World, cluster: ClusterServer, tmp_path: Path
) -> None:
    """Empty lists, refusals and a kind that vanished: the policy stays, and it is told."""
    cluster.put("virtualservices", routed(100))
    with Watched(world, cluster, tmp_path) as watched:
        watched.shows((NAME, 100, True))
    for break_it in (
        lambda: cluster.empty.add("virtualservices"),
        lambda: cluster.missing.add("virtualservices"),
        lambda: cluster.faults.append(Fault(403, "virtualservices", times=99)),
    ):
        break_it()
        with Watched(world, cluster, tmp_path) as watched:
            eventually(lambda: bool(wrong(world.engine)))
            assert versions(world.engine) == [(NAME, 100, True)]
        cluster.empty, cluster.missing, cluster.faults = set(), set(), []


def test_what_files_declare_is_theirs(world: World, cluster: ClusterServer, tmp_path: Path) -> None:
    """The cluster says nothing of it until they declare it no more."""
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({**routed(10), "kind": "VirtualService"}))
    with writing(world.engine) as connection:
        declare(connection, [file], read_policies([file]), world.now_us)
    cluster.put("virtualservices", routed(100))
    with Watched(world, cluster, tmp_path) as watched:
        eventually(lambda: watched.writes > 1)
        assert versions(world.engine) == [(NAME, 10, True)]
        with writing(world.engine) as connection:
            declare(connection, [file], [], world.now_us)
        cluster.put("virtualservices", routed(50))
        watched.shows((NAME, 10, False), (NAME, 50, True))


def test_one_replica_watches_and_another_takes_over(
    world: World, cluster: ClusterServer, tmp_path: Path
) -> None:
    """Who is replaced writes nothing more, and asks the server nothing."""
    with Watched(world, cluster, tmp_path) as first:
        eventually(lambda: first.writes > 0)
        with Watched(world, cluster, tmp_path, owner="two") as second:
            steal = update(verifier_lease).where(verifier_lease.c.name == "cluster")
            with writing(world.engine) as connection:
                connection.execute(steal.values(owner="two", epoch=99))
            cluster.put("virtualservices", routed(100))
            second.shows((NAME, 100, True))
            assert second.writes > 0
            with reading(world.engine) as connection:
                lease = connection.execute(select(verifier_lease)).one()
            assert (lease.owner, lease.epoch) == ("two", 100)


def test_a_database_that_is_away_is_waited_for(
    world: World, cluster: ClusterServer, tmp_path: Path
) -> None:
    """What is known is kept meanwhile, and written once it is back; nothing is listed again."""
    with Watched(world, cluster, tmp_path) as watched:
        eventually(lambda: watched.writes > 1)
        asked = len(cluster.asked)
        watched.away = 3
        cluster.put("virtualservices", routed(100))
        watched.shows((NAME, 100, True))
        assert watched.away == 0
        assert not [path for path in cluster.asked[asked:] if "watch=true" not in path]


def test_traffic_is_judged_by_what_the_cluster_said_then(
    world: World, cluster: ClusterServer, tmp_path: Path
) -> None:
    """A mirror that is taken away and given back while requests go on: no copy is missing."""
    cluster.put("virtualservices", virtual_service())
    with Watched(world, cluster, tmp_path) as watched:
        watched.shows((NAME, 100, True))
        world.now_us += 60 * SECOND
        world.write(request(1, world.now_us))
        world.now_us += 60 * SECOND
        cluster.put("virtualservices", virtual_service(mirror=False))
        watched.shows((NAME, 100, False))
        world.now_us += 60 * SECOND
        world.write(
            [
                Given(pod="client", key=2, start_us=world.now_us),
                Given(pod="primary", key=2, start_us=world.now_us + 1_000),
            ]
        )
        world.now_us += 60 * SECOND
        cluster.put("virtualservices", virtual_service())
        watched.shows((NAME, 100, False), (NAME, 100, True))
        world.now_us += 60 * SECOND
        world.write(request(3, world.now_us))
    world.settle_all()
    windows = written(world.engine, settled_window)
    assert sum(row["matched"] for row in windows) == 2
    assert sum(row["missing"] + row["orphan"] + row["leak"] for row in windows) == 0


def test_a_server_that_cannot_be_found_ends_the_process(world: World, tmp_path: Path) -> None:
    """Neither a kubeconfig nor a service account: nobody would ever watch."""
    with ClusterServer() as server, Watched(world, server, tmp_path) as watched:
        eventually(lambda: watched.writes > 0)
        (tmp_path / "kubeconfig").unlink()
        server.token = "another"
        server.cut()
        eventually(lambda: watched.died is not None)
    assert "cluster.kubeconfig" in str(watched.died)
