"""Whether a quiet mirror's log is known to be alive: what a missing copy rests on. Pure.

A mirror pod that logs nothing may receive nothing, or its log may not arrive. The life of its
node's log path tells the two apart; a pod whose shipper names no node is as alive as its
partition, which the watermark has seen to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from collector.records import Identity
from verifier.pairing.lines import Reason
from verifier.pairing.requests import SLACK_US
from verifier.settle.cluster_pods import ClusterLife, last_end
from verifier.settle.windows import Span

HOUR_US: Final = 3_600_000_000
_SHIPPED_US: Final = 60_000_000
"""Shippers that take longer are rare; a line's own time is in the gap, unread."""


class Silence(msgspec.Struct, frozen=True):
    """What is known of the mirrors' logs of one policy.

    Attributes:
        mirrors: The pods of each mirror group that ever received a request.
        pods: Who they are.
        hours: The hours (their starts, µs) in which each of them received any, in order.
        node_life: Until when the log path of a (cluster, node) is known to be alive, µs.
        horizon_us: The policy's horizon: how long after its request a copy is written.
        errors_only: Mirror groups whose logs hold nothing but errors, see `only_errors_logged`.
        filed: Mirror groups with a pod whose log was given as a file: it is complete, also when
            it is empty.
        gaps: From when to when, µs, records were passed over: nobody knows whose lines they hold.
        is_lost: Whether what a (cluster, node) wrote between two times, µs, did not arrive.
        wild: From when to when, µs, a pod's times were too far from their records'.
        lives: What the cluster's API server told of a pod; those of one name, one after the other.
        unheard: Pods of each mirror group that it told of, and that never logged a request.
    """

    mirrors: Sequence[Sequence[int]]
    pods: Mapping[int, Identity]
    hours: Mapping[int, Sequence[int]]
    node_life: Mapping[tuple[str, str], int]
    horizon_us: int
    filed: frozenset[int] = frozenset()
    errors_only: frozenset[int] = frozenset()
    gaps: Sequence[tuple[int, int]] = ()
    is_lost: Callable[[tuple[str, str], int, int], bool] = lambda _node, _since, _until: False
    wild: Mapping[int, Sequence[tuple[int, int]]] = {}
    lives: Mapping[int, Sequence[ClusterLife]] = {}
    unheard: Sequence[Sequence[int]] = ()

    def hole(self, mirror: int, start_us: int) -> Reason | None:
        """Why the line of a copy that arrived may lack; None: it may not.

        Args:
            mirror: Index of the mirror group.
            start_us: When its request started.
        """
        if self.is_passed_over(start_us):
            return Reason.PASSED_OVER
        if not self.mirrors[mirror]:
            return None if mirror in self.filed else Reason.MIRROR_SILENT
        until = start_us + self.horizon_us
        running = self.running(mirror, start_us)
        if not all(self._alive_us(pod) >= until for pod in running):
            return Reason.MIRROR_LOG_INCOMPLETE
        if self.has_lost(running, start_us):
            return Reason.MIRROR_LOG_LOST
        if any(self.is_wild(pod, start_us) for pod in running):
            return Reason.CLOCK_WILD
        return Reason.MIRROR_ERRORS_ONLY if mirror in self.errors_only else None

    def has_lost(self, pods: Iterable[int], start_us: int, end_us: int | None = None) -> bool:
        """Whether lines of any of these pods about requests that started then may be lost.

        Args:
            pods: By their numbers.
            start_us: When the request started, or the first of several.
            end_us: When the last one did; None: there is one.
        """
        until = (start_us if end_us is None else end_us) + self.horizon_us
        identities = (self.pods[pod] for pod in pods)
        nodes = {(one.cluster, one.node) for one in identities if one.node}
        return any(self.is_lost(node, start_us, until) for node in nodes)

    def is_wild(self, pod: int, start_us: int, end_us: int | None = None) -> bool:
        """Whether a pod's times were too far from their records' then; see `has_lost`."""
        until = (start_us if end_us is None else end_us) + self._written_us
        return any(since < until and start_us <= to for since, to in self.wild.get(pod, ()))

    def is_doubtful(self, pods: Collection[int], span: Span) -> bool:
        """Whether lines of any of these pods may lack, or be misplaced, anywhere in a span."""
        if self.has_lost(pods, span.start_us, span.end_us):
            return True
        return any(self.is_wild(pod, span.start_us, span.end_us) for pod in pods)

    def in_doubt(self, mirror: int, start_us: int) -> list[int]:
        """The pods of a mirror whose lines of then may lack, by their nodes' lives."""
        until = start_us + self.horizon_us
        return [
            pod
            for pod in self.running(mirror, start_us)
            if self._alive_us(pod) < until or self.has_lost((pod,), start_us)
        ]

    def is_passed_over(self, start_us: int) -> bool:
        """Whether lines of a request that started then may be in a gap."""
        return any(
            since < start_us + self._written_us and start_us <= to for since, to in self.gaps
        )

    @property
    def _written_us(self) -> int:
        """So long after a request's start its lines reach Kafka."""
        return self.horizon_us + _SHIPPED_US

    def is_clear(self, span: Span) -> bool:
        """Whether there is no hole at any mirror for requests of a whole span."""
        ends = (span.start_us, span.end_us + SLACK_US)
        if ends[0] // HOUR_US != ends[1] // HOUR_US:
            return False  # other pods may count
        if any(since < ends[1] + self._written_us and ends[0] <= to for since, to in self.gaps):
            return False
        if any(self.is_doubtful(pods, Span(*ends)) for pods in self.mirrors):
            return False
        mirrors = range(len(self.mirrors))
        return all(self.hole(mirror, end) is None for mirror in mirrors for end in ends)

    def running(self, mirror: int, time_us: int) -> list[int]:
        """The mirror's pods at a time.

        Those that logged in its hour or the one before. When none did, those that logged last:
        a mirror that is switched off must not become unverifiable after an hour. Of a cluster that
        is watched, without those that ended, and with those that ran and never logged.
        """
        hour = time_us // HOUR_US * HOUR_US
        pods = [pod for pod in self.mirrors[mirror] if not self._has_ended(pod, time_us)]
        pods = pods or list(self.mirrors[mirror])
        unheard = self._unheard_at(mirror, time_us)
        recent = [pod for pod in pods if {hour, hour - HOUR_US} & set(self.hours.get(pod, ()))]
        if recent:
            return [*recent, *unheard]
        last = {
            pod: max((h for h in self.hours.get(pod, ()) if h < hour), default=0) for pod in pods
        }
        latest = max(last.values())
        return [*(pod for pod in pods if last[pod] == latest), *unheard]

    def _has_ended(self, pod: int, time_us: int) -> bool:
        """Whether a pod was gone by then, as the cluster has it; nothing reached it any more."""
        ended_us = last_end(self.lives.get(pod, ()))
        return ended_us is not None and ended_us + self.horizon_us < time_us

    def _unheard_at(self, mirror: int, time_us: int) -> list[int]:
        """Pods that ran then, as the cluster has it, and of which no request was ever logged.

        Where shippers name no nodes, nothing shows whether their logs are alive.
        """
        if not any(self.pods[pod].node for pod in self.mirrors[mirror]):
            return []
        return [
            pod
            for some in self.unheard[mirror : mirror + 1]
            for pod in some
            if any(one.runs_at(time_us, self.horizon_us) for one in self.lives[pod])
        ]

    def _alive_us(self, pod: int) -> int:
        identity = self.pods[pod]
        if not identity.node:
            return 1 << 62
        return self.node_life.get((identity.cluster, identity.node), 0)

    @property
    def silent(self) -> int:
        """How many mirror groups never said anything."""
        return sum(not pods for pods in self.mirrors)

    def alive_until(self, start_us: int) -> int:
        """Until when the logs of all mirror pods that ran at a time are known to be alive."""
        return min(
            (
                self._alive_us(pod)
                for mirror, pods in enumerate(self.mirrors)
                if pods
                for pod in self.running(mirror, start_us)
            ),
            default=0,
        )

    def recheck_us(self, doubts: Iterable[tuple[Reason, int]]) -> int | None:
        """What a window waits for whose findings doubt a mirror's log; None: for nothing.

        Args:
            doubts: (reason, start µs) of findings.

        Returns:
            A time in µs until which the mirrors' pods must prove alive; or, below zero, the
            number of mirror groups that never said anything.
        """
        found = list(doubts)
        starts = [start for reason, start in found if reason is Reason.MIRROR_LOG_INCOMPLETE]
        if starts:
            return max(starts) + self.horizon_us
        silent = any(reason is Reason.MIRROR_SILENT for reason, _ in found)
        return -self.silent if silent else None

    def is_over(self, recheck_us: int, start_us: int) -> bool:
        """Whether what a window waited for came true.

        Args:
            recheck_us: What `recheck_us` said when it was settled.
            start_us: The window's start.
        """
        if recheck_us < 0:
            return self.silent < -recheck_us
        last_us = recheck_us - self.horizon_us
        return min(self.alive_until(start_us), self.alive_until(last_us)) >= recheck_us
