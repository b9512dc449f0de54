"""Pods of the cluster, in the database: what changed since it was last written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from collector.redact import scrub
from verifier.cluster.pods import PodLife
from verifier.cluster.resources import Name
from verifier.cluster.tables import cluster_pod

_AT_ONCE: Final = 500


class PodLives:
    """What the database knows of a cluster's pods that run, kept to write only what changes.

    Args:
        cluster: The cluster's name.
    """

    def __init__(self, cluster: str) -> None:
        self._cluster: Final = scrub(cluster)
        self._written: dict[str, PodLife] | None = None

    def names(self, connection: Connection) -> list[Name]:
        """Namespace and name of each pod that runs, as somebody wrote last."""
        return [(one.namespace, one.name) for one in _running(connection, self._cluster).values()]

    def forget(self) -> None:
        """Nothing is known for sure any more: a write may have failed, or was somebody else's."""
        self._written = None

    def write(
        self,
        connection: Connection,
        running: Mapping[str, PodLife],
        departed: Mapping[str, PodLife],
        now_us: int,
        is_held: Callable[[str], bool] = lambda _namespace: False,
    ) -> int:
        """Writes down which pods there are; returns how many rows that took.

        Args:
            connection: In a write transaction; call `forget` if it does not commit.
            running: All pods of the places that are followed, by uid.
            departed: Pods that went.
            now_us: The database's clock: those that are gone ended by then.
            is_held: Whether a namespace was not listed yet, so that nothing in it is gone.
        """
        known = self._written
        if known is None:
            known = _running(connection, self._cluster)
        new = {uid: one for uid, one in running.items() if known.get(uid) != one}
        new |= departed
        absent = known.keys() - running.keys() - departed.keys()
        held = {uid for uid in absent if is_held(known[uid].namespace)}
        new |= {uid: known[uid] for uid in absent - held}
        gone = new.keys() - running.keys()
        # Readers ask for what is newer than what they know, also when the clock was set back.
        newest_us = connection.scalar(select(func.max(cluster_pod.c.recorded_us))) if new else None
        at_us = now_us if newest_us is None else max(now_us, newest_us + 1)
        rows = [
            _values(self._cluster, one, now_us, at_us, ended=uid in gone)
            for uid, one in new.items()
        ]
        for begin in range(0, len(rows), _AT_ONCE):
            _upsert(connection, rows[begin : begin + _AT_ONCE])
        self._written = {**running, **{uid: known[uid] for uid in held}}
        return len(rows)


def _running(connection: Connection, cluster: str) -> dict[str, PodLife]:
    c = cluster_pod.c
    query = select(cluster_pod).where(c.cluster == cluster, c.ended_us.is_(None))
    return {
        row.uid: PodLife(
            row.namespace,
            row.pod,
            row.uid,
            row.node,
            tuple(sorted(json.loads(row.labels).items())),
            row.started_us,
        )
        for row in connection.execute(query)
    }


def _values(cluster: str, one: PodLife, now_us: int, at_us: int, *, ended: bool) -> dict[str, Any]:
    ended_us = one.ended_us
    if ended and ended_us is None:
        ended_us = max(now_us, one.started_us)
    labels = {scrub(name): scrub(value) for name, value in one.labels}
    return {
        "cluster": cluster,
        "uid": scrub(one.uid),
        "namespace": scrub(one.namespace),
        "pod": scrub(one.name),
        "node": scrub(one.node),
        "labels": json.dumps(labels, ensure_ascii=False, sort_keys=True),
        "started_us": one.started_us,
        "ended_us": ended_us,
        "recorded_us": at_us,
    }


def _upsert(connection: Connection, rows: list[dict[str, Any]]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(cluster_pod).values(rows)
    told = ("node", "labels", "started_us", "ended_us", "recorded_us")
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["cluster", "uid"],
            set_={name: statement.excluded[name] for name in told},
        )
    )
