"""Pods as the cluster's API server told of them: labels that shippers leave out, starts and ends.

Read as they are written, and kept: in a large cluster there are many.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from collector.records import Identity
from verifier.cluster.tables import cluster_pod

Labels = tuple[tuple[str, str], ...]
Named = tuple[str, str]
"""Namespace and name of a pod."""


class ClusterLife(msgspec.Struct, frozen=True):
    """One pod of a cluster. Times in µs since the epoch.

    Attributes:
        identity: Who it is, with its labels and node.
        started_us: It served nothing before.
        ended_us: Nor after; None: it runs.
    """

    identity: Identity
    started_us: int
    ended_us: int | None

    @property
    def name(self) -> Named:
        """Namespace and name."""
        return self.identity.namespace, self.identity.pod

    def runs_at(self, time_us: int, margin_us: int) -> bool:
        """Whether it may have served then, by clocks that differ by a margin."""
        ended = self.ended_us is not None and self.ended_us + margin_us < time_us
        return not ended and self.started_us - margin_us <= time_us


class ClusterPods:
    """All that is known of them.

    Attributes:
        lives: By the row's number, in the order in which they were told.
    """

    def __init__(self) -> None:
        self.lives: Final[dict[int, ClusterLife]] = {}
        self._by_name: Final[dict[Named, list[int]]] = {}
        self._through_us = -(1 << 62)

    def forget(self) -> None:
        """Has all be read again: pods that ended long ago are not there any more."""
        self.lives.clear()
        self._by_name.clear()
        self._through_us = -(1 << 62)

    def refresh(self, connection: Connection) -> set[Named]:
        """Learns what was written since; returns the pods whose labels may be others now."""
        c = cluster_pod.c
        query = select(cluster_pod).where(c.recorded_us >= self._through_us).order_by(c.id)
        changed = set()
        for row in connection.execute(query):
            self._through_us = max(self._through_us, row.recorded_us)
            labels = tuple(sorted(json.loads(row.labels).items()))
            identity = Identity(row.pod, row.namespace, row.cluster, row.node, "", labels)
            life = ClusterLife(identity, row.started_us, row.ended_us)
            before = self.lives.get(row.id)
            self.lives[row.id] = life
            if before is None:
                self._by_name.setdefault(life.name, []).append(row.id)
            if before is None or before.identity.labels != labels:
                changed.add(life.name)
        return changed

    def of(self, pod: Identity) -> list[ClusterLife]:
        """The lives of a pod that logged; several where a name was used again."""
        found = (self.lives[one] for one in self._by_name.get((pod.namespace, pod.pod), ()))
        return [one for one in found if _may_be_of(one.identity.cluster, pod.cluster)]

    def completed(self, pod: Identity) -> Identity:
        """Who wrote a line, with the labels that its shipper left out.

        Rule: what an envelope says comes first; where a name was used again, what all its pods
        have in common.
        """
        labels = [] if pod.labels else [set(one.identity.labels) for one in self.of(pod)]
        if not labels:
            return pod
        common = tuple(sorted(set.intersection(*labels)))
        return Identity(pod.pod, pod.namespace, pod.cluster, pod.node, pod.container, common)


def _may_be_of(one: str, other: str) -> bool:
    """Whether two names of clusters, which may lack, stand for one."""
    return "" in (one, other) or one == other


def last_end(lives: Iterable[ClusterLife]) -> int | None:
    """When the last of some pods ended, µs; None: one runs, or there are none."""
    ends = [one.ended_us for one in lives]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None
