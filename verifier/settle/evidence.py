"""What the database knows of the logs themselves: whose are complete, and when."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from collector.db.quarantine import passed_over
from collector.db.sign_tables import wild_clock
from collector.db.tables import node_life, observation, position
from collector.records import Identity, Role
from collector.sources.file import pod_of_file
from collector.sources.protocol import Partition
from verifier.pairing.tally import Tally
from verifier.settle.cast import Cast, Directory
from verifier.settle.cluster_pods import ClusterLife
from verifier.settle.filtered import find_filtered
from verifier.settle.late import portions
from verifier.settle.life import Life
from verifier.settle.report import partition_states
from verifier.settle.share import DOUBTS, settle_beyond_share, usual_share
from verifier.settle.silence import HOUR_US, Silence
from verifier.settle.versions import Version
from verifier.settle.windows import Span
from verifier.settle.written import started
from verifier.sides import mirror_groups
from verifier.tables import pod_hour

_FOR_EVER: Final = 1 << 62

Hours = dict[int, dict[int, int]]
"""By pod and hour, in order, how many requests it received."""


class _Known(msgspec.Struct, frozen=True):
    """What is the same for all policies."""

    life: Mapping[tuple[str, str], int]
    gaps: Sequence[tuple[int, int]]
    is_lost: Callable[[tuple[str, str], int, int], bool]
    wild: Mapping[int, Sequence[tuple[int, int]]]
    filed: frozenset[str]


class Told(msgspec.Struct, frozen=True):
    """What the cluster's API server told of mirrors' pods, as `Silence` has it.

    Attributes:
        pods: All pods, those that never logged under numbers below zero.
        lives: By number.
        unheard: Of each mirror, those that never logged.
    """

    pods: Mapping[int, Identity]
    lives: Mapping[int, Sequence[ClusterLife]]
    unheard: Sequence[Sequence[int]]


def of_cluster(
    heard: Sequence[Sequence[int]], directory: Directory, mirrors: Sequence[Sequence[ClusterLife]]
) -> Told:
    """Joins the pods that logged with those that the cluster has.

    Args:
        heard: The pods of each mirror that logged requests.
        directory: Who they are.
        mirrors: The pods of each mirror in the cluster.
    """
    known = directory.pods
    lives = {
        pod: found for pods in heard for pod in pods if (found := directory.cluster.of(known[pod]))
    }
    strangers: dict[int, ClusterLife] = {}
    unheard = []
    for pods, told in zip(heard, mirrors, strict=True):
        names = {(known[pod].namespace, known[pod].pod) for pod in pods}
        # A pod that no node has taken on serves nothing.
        new = [one for one in told if one.name not in names and one.identity.node]
        numbers = range(-1 - len(strangers), -1 - len(strangers) - len(new), -1)
        strangers |= zip(numbers, new, strict=True)
        unheard.append(list(numbers))
    if not strangers:
        return Told(known, lives, unheard)
    pods_too = ChainMap({number: one.identity for number, one in strangers.items()}, known)
    return Told(pods_too, {**lives, **{n: [one] for n, one in strangers.items()}}, unheard)


class Evidence:
    """Reads it inside one transaction, as it is asked for.

    Args:
        connection: The settling transaction.
        directory: The numbers of pods.
    """

    def __init__(self, connection: Connection, directory: Directory) -> None:
        self._connection: Final = connection
        self._directory: Final = directory
        self._known: _Known | None = None
        self._silences: dict[int, Silence] = {}
        self._hours: Final[Hours] = {}
        self._filtered: dict[tuple[int, Span], Silence] = {}

    def silence(self, version: Version, cast: Cast) -> Silence:
        """What is known of the life of a version's mirrors."""
        found = self._silences.get(version.id)
        if found is None:
            found = self._silences[version.id] = self._make(version, cast)
        return found

    def silence_in(self, version: Version, cast: Cast, span: Span) -> Silence:
        """As `silence`, and what the logs around a span show besides."""
        asked = version.id, span
        if asked not in self._filtered:
            found = self.silence(version, cast)
            kinds = find_filtered(self._connection, cast, found.mirrors, span)
            self._filtered[asked] = msgspec.structs.replace(found, errors_only=kinds)
        return self._filtered[asked]

    def settle_beyond_share(self, version: Version, cast: Cast, tally: Tally, window: Span) -> None:
        """Takes for missing what the holes of a window cannot explain."""
        doubts = [one for one in tally.findings if one.reason in DOUBTS]
        silence = self.silence(version, cast)
        for mirror, group in enumerate(mirror_groups(version.policy)):
            starts = [one.start_us for one in doubts if one.mirror == mirror]
            if not starts or group.percents != (100.0,):
                continue
            silent = {pod for start in starts for pod in silence.in_doubt(mirror, start)}
            pods = silence.mirrors[mirror]
            share = usual_share(
                self._arrivals_before(pods, window.start_us),
                silent,
                self._receiving(pods, window),
            )
            if share is not None:
                settle_beyond_share(tally, mirror, share)

    def _make(self, version: Version, cast: Cast) -> Silence:
        known, mirrors = self._read(), cast.mirror_pods()
        hours = _hours(self._connection, [pod for pods in mirrors for pod in pods])
        self._hours.update(hours)
        heard = tuple(tuple(pod for pod in pods if pod in hours) for pods in mirrors)
        told = of_cluster(heard, self._directory, cast.mirror_lives())
        return Silence(
            heard,
            told.pods,
            {pod: list(received) for pod, received in hours.items()},
            known.life,
            version.policy.rules.horizon_us,
            frozenset(
                mirror
                for pod in known.filed
                if (mirror := cast.mirror_of(Identity(pod=pod))) is not None
            ),
            gaps=known.gaps,
            is_lost=known.is_lost,
            wild=known.wild,
            lives=told.lives,
            unheard=told.unheard,
        )

    def _read(self) -> _Known:
        if self._known is None:
            # Naming a file says that it is complete, as for `check`: once all that is read are
            # files that were read to their end, every log is alive for ever.
            states = partition_states(self._connection)
            complete = bool(states) and all(state.finished for state in states)
            self._known = _Known(
                _life(self._connection, complete=complete),
                passed_over(self._connection),
                (lambda *_: False) if complete else Life(self._connection).has_hole,
                _wild(self._connection, self._directory.pods),
                _filed_pods(self._connection),
            )
        return self._known

    def _arrivals_before(self, pods: Sequence[int], time_us: int) -> Hours:
        """By hour, what each pod received in the hours that were over at a time."""
        found: Hours = {}
        for pod in pods:
            for hour, arrivals in self._hours[pod].items():
                if hour + HOUR_US <= time_us:
                    found.setdefault(hour, {})[pod] = arrivals
        return found

    def _receiving(self, pods: Sequence[int], window: Span) -> set[int]:
        """Which pods received requests in a window."""
        c = observation.c
        query = select(c.pod_id).where(
            *started(self._connection, window),
            c.role == int(Role.SERVER),
            c.pod_id.in_(pods),
        )
        return set(self._connection.scalars(query.distinct()))


def _hours(connection: Connection, pods: Sequence[int]) -> Hours:
    found: Hours = {}
    for some in portions(pods):
        query = select(pod_hour).where(pod_hour.c.pod_id.in_(some)).order_by(pod_hour.c.hour_us)
        for row in connection.execute(query):
            found.setdefault(row.pod_id, {})[row.hour_us] = row.arrivals
    return found


def _life(connection: Connection, *, complete: bool) -> dict[tuple[str, str], int]:
    """Until when the log path of each (cluster, node) is known to be alive."""
    rows = connection.execute(select(node_life))
    return {(row.cluster, row.node): _FOR_EVER if complete else row.seen_us for row in rows}


def _wild(connection: Connection, pods: Mapping[int, Identity]) -> dict[int, list[tuple[int, int]]]:
    """From when to when the clock of each pod was too far off."""
    spans: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for row in connection.execute(select(wild_clock)):
        name = (row.cluster, row.namespace, row.pod)
        spans.setdefault(name, []).append((row.first_us, row.last_us))
    if not spans:
        return {}
    named = {number: (one.cluster, one.namespace, one.pod) for number, one in pods.items()}
    return {number: spans[name] for number, name in named.items() if name in spans}


def _filed_pods(connection: Connection) -> frozenset[str]:
    """The pods whose logs were given as files, by the files' names."""
    query = select(position.c.topic).where(position.c.topic.startswith("file:"))
    topics = connection.scalars(query)
    return frozenset(pod for topic in topics if (pod := pod_of_file(Partition(topic, 0))))
