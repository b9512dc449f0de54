"""Who plays which part: pods and destinations by their numbers, sides by policy.

What they are does not change while they have their number, so that they are kept until numbers
are dropped, and sides are decided once for each kind of line instead of once for each line.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec
from sqlalchemy import Column, Connection, func, select

from collector.db.tables import destination, host, pod
from collector.db.unseen import edition
from collector.observation import Destination
from collector.records import Identity, Role
from verifier.pairing.lines import Side
from verifier.policies.model import Policy
from verifier.policies.pods import is_gateway
from verifier.policies.resolve import PodVersions
from verifier.policies.told import ToldLabels
from verifier.settle.cluster_pods import ClusterLife, ClusterPods, Named
from verifier.sides import Sides, mirror_destinations

Part = tuple[Side, int]
"""A side and the index of the mirror group."""


_AT_ONCE: Final = 5_000


class Directory:
    """The numbers of pods, destinations and hosts.

    Attributes:
        pods: Who they are, with the labels that the cluster's API server tells of.
        destinations: Hosts and subsets.
        hosts: Their names.
        cluster: What the API server told of pods.
        edition: Counts how often labels of known pods changed, or numbers were dropped: what was
            decided by them is over.
    """

    def __init__(self) -> None:
        self.pods: Final[dict[int, Identity]] = {}
        self.cluster: Final = ClusterPods()
        self.edition = 0
        self._bare: Final[dict[Named, list[int]]] = {}
        self._told: Final = ToldLabels()
        self._first: Final[dict[tuple[str, Named], int]] = {}
        self._same: Final[dict[int, int]] = {}
        self.destinations: Final[dict[int, Destination]] = {}
        self.hosts: Final[dict[int, str]] = {}
        self._numbers: str | None = None

    def refresh(self, connection: Connection, pods: Collection[int] | None = None) -> None:
        """Learns what is new: in a large cluster there are a hundred thousand pods, and more.

        Args:
            connection: One snapshot.
            pods: The only pods that matter, by their numbers; None: all.
        """
        self._start_anew(edition(connection))
        named: set[Named] = set()
        new = (
            _unknown(connection, pod.c.id, self.pods)
            if pods is None
            else _portions(set(pods).difference(self.pods))
        )
        for some in new:
            for row in connection.execute(select(pod).where(pod.c.id.in_(some))):
                labels = tuple(sorted(json.loads(row.labels).items()))
                found = Identity(
                    row.pod, row.namespace, row.cluster, row.node, row.container, labels
                )
                self.pods[row.id] = found
                if found.pod:
                    named.add(self._note(row.id, found))
        for some in _unknown(connection, destination.c.id, self.destinations):
            for row in connection.execute(select(destination).where(destination.c.id.in_(some))):
                self.destinations[row.id] = Destination(row.host, row.subset)
        for some in _unknown(connection, host.c.id, self.hosts):
            rows = connection.execute(select(host).where(host.c.id.in_(some)))
            self.hosts.update((row.id, row.name) for row in rows)
        self._complete(named | self.cluster.refresh(connection))

    def pod_of(self, number: int) -> int:
        """The number of the pod that has this one: with other labels it has several.

        Rule: a pod is told by its name, as `check` does, so that a line that is delivered again
        with labels is the same line, and a pod does not retry itself under another number.
        """
        return self._same.get(number, number)

    def _start_anew(self, numbers: str) -> None:
        """Forgets all once numbers were dropped: SQLite gives them again."""
        if self._numbers not in (None, numbers):
            for known in (
                self.pods, self.destinations, self.hosts, self._bare, self._told, self._first,
                self._same,
            ):  # fmt: skip
                known.clear()
            self.cluster.forget()
            self.edition += 1
        self._numbers = numbers

    def _note(self, number: int, pod: Identity) -> Named:
        """Takes a pod down by its name."""
        name = pod.namespace, pod.pod
        self._told.note(pod)
        first = self._first.setdefault((pod.cluster, name), number)
        if first != number:
            self._same[number] = first
        if not pod.labels:
            self._bare.setdefault(name, []).append(number)
        return name

    def _complete(self, named: Iterable[Named]) -> None:
        """Adds what the cluster, or other lines, say of pods whose lines have no labels."""
        changed = False
        for number in (one for name in named for one in self._bare.get(name, ())):
            bare = msgspec.structs.replace(self.pods[number], labels=())
            found = self._told.completed(self.cluster.completed(bare))
            changed |= found != self.pods[number]
            self.pods[number] = found
        self.edition += changed


def _unknown(
    connection: Connection, column: Column[int], known: Collection[int]
) -> Iterator[list[int]]:
    """The numbers that are not known yet, in portions. They may appear out of order."""
    if connection.scalar(select(func.count(column))) == len(known):
        return
    yield from _portions(set(connection.scalars(select(column))).difference(known))


def _portions(numbers: Iterable[int]) -> Iterator[list[int]]:
    new = sorted(numbers)
    for begin in range(0, len(new), _AT_ONCE):
        yield new[begin : begin + _AT_ONCE]


class Cast:
    """The parts that lines play for one policy.

    Args:
        policy: The policy.
        directory: The numbers.
    """

    def __init__(self, policy: Policy, directory: Directory) -> None:
        self._policy: Final = policy
        self._sides: Final = Sides(policy)
        self._versions: Final = PodVersions((policy,))
        self._mirrors: Final = mirror_destinations(policy)
        self._directory: Final = directory
        self._cache: dict[tuple[int, int, int | None], Part | None] = {}
        self._pods_seen = 0
        self._mirror_pods: tuple[tuple[int, ...], ...] = ()
        self._lives_seen = 0
        self._mirror_lives: tuple[list[int], ...] = tuple([] for _ in self._mirrors)

    def part(self, role: int, pod_id: int, destination_id: int | None) -> Part | None:
        """Side and mirror of a line; None when it does not concern the policy."""
        by_destination = role == Role.CLIENT and not self._policy.gateways_only
        asked = (role, 0 if by_destination else pod_id, destination_id)
        if asked not in self._cache:
            self._cache[asked] = self._ask(role, pod_id, destination_id)
        return self._cache[asked]

    def pod_of(self, pod_id: int) -> int:
        """See `Directory.pod_of`."""
        return self._directory.pod_of(pod_id)

    def _ask(self, role: int, pod_id: int, destination_id: int | None) -> Part | None:
        to = None if destination_id is None else self._directory.destinations[destination_id]
        if role == Role.CLIENT:
            found = self._sides.client(to)
            past = self._policy.gateways_only and is_gateway(self._directory.pods[pod_id]) is False
            return (Side.CLIENT_OTHER, 0) if found and past else found
        pod = self._directory.pods[pod_id]
        # What has no cluster is mostly a sender's answer to a request that has no route.
        unrouted = role == Role.UNROUTED
        serves = self._versions.sure(pod) if unrouted else self._versions.destination(pod, to)
        return self._sides.side(role, to, serves, self._versions.belongs(pod, to))

    def mirror_of(self, identity: Identity) -> int | None:
        """The mirror group whose pod somebody surely is: `frontend-v1` may be a sender."""
        serves = self._versions.sure(identity)
        return self._mirrors.index(serves) if serves in self._mirrors else None

    def other_pods(self) -> frozenset[str]:
        """The names of the pods that are of no mirror, by name or labels."""
        mirrors = {number for pods in self.mirror_pods() for number in pods}
        pods = self._directory.pods.items()
        return frozenset(one.pod for number, one in pods if one.pod and number not in mirrors)

    def live_pods(self) -> list[int]:
        """The pods that serve live traffic by name or labels, senders among them."""
        live = {weighted.destination for weighted in self._policy.live}
        pods = self._directory.pods.items()
        return [number for number, one in pods if self._versions.destination(one) in live]

    def mirror_pods(self) -> tuple[tuple[int, ...], ...]:
        """The pods that may be of each mirror group by name or labels, senders among them."""
        pods = self._directory.pods
        if len(pods) != self._pods_seen:
            # Only the new ones, as each costs some patterns; a cast ends when pods are forgotten.
            new = list(islice(pods.items(), self._pods_seen, None))
            serves = [(number, self._versions.destination(one)) for number, one in new]
            known = self._mirror_pods or ((),) * len(self._mirrors)
            self._mirror_pods = tuple(
                (*before, *(number for number, found in serves if found == wanted))
                for wanted, before in zip(self._mirrors, known, strict=True)
            )
            self._pods_seen = len(pods)
        return self._mirror_pods

    def mirror_lives(self) -> list[list[ClusterLife]]:
        """The pods of each mirror group as the cluster's API server told of them."""
        lives = self._directory.cluster.lives
        for number, life in list(islice(lives.items(), self._lives_seen, None)):
            serves = self._versions.sure(life.identity)
            if serves in self._mirrors:
                self._mirror_lives[self._mirrors.index(serves)].append(number)
        self._lives_seen = len(lives)
        return [[lives[number] for number in numbers] for numbers in self._mirror_lives]
