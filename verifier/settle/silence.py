"""Whether a quiet mirror's log is known to be alive: what a missing copy rests on. Pure.

A mirror pod that logs nothing may receive nothing, or its log may not arrive. The life of its
node's log path tells the two apart; a pod whose shipper names no node is as alive as its
partition, which the watermark has seen to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from collector.records import Identity
from verifier.pairing.lines import Reason

HOUR_US: Final = 3_600_000_000


class Silence(msgspec.Struct, frozen=True):
    """What is known of the mirrors' logs of one policy.

    Attributes:
        mirrors: The pods of each mirror group that were ever seen.
        pods: Who they are.
        hours: The hours (their starts, µs) in which each of them logged, in order.
        node_life: Until when the log path of a (cluster, node) is known to be alive, µs.
        horizon_us: The policy's horizon: how long after its request a copy is written.
        filed: Mirror groups with a pod whose log was given as a file: it is complete, also when
            it is empty.
    """

    mirrors: Sequence[Sequence[int]]
    pods: Mapping[int, Identity]
    hours: Mapping[int, Sequence[int]]
    node_life: Mapping[tuple[str, str], int]
    horizon_us: int
    filed: frozenset[int] = frozenset()

    def hole(self, mirror: int, start_us: int) -> Reason | None:
        """Why the line of a copy that arrived may lack; None: it may not.

        Args:
            mirror: Index of the mirror group.
            start_us: When its request started.
        """
        if not self.mirrors[mirror]:
            return None if mirror in self.filed else Reason.MIRROR_SILENT
        until = start_us + self.horizon_us
        alive = all(self._alive_us(pod) >= until for pod in self._running(mirror, start_us))
        return None if alive else Reason.MIRROR_LOG_INCOMPLETE

    def _running(self, mirror: int, time_us: int) -> list[int]:
        """The mirror's pods at a time.

        Those that logged in its hour or the one before. When none did, those that logged last:
        a mirror that is switched off must not become unverifiable after an hour.
        """
        hour = time_us // HOUR_US * HOUR_US
        pods = self.mirrors[mirror]
        recent = [pod for pod in pods if {hour, hour - HOUR_US} & set(self.hours.get(pod, ()))]
        if recent:
            return recent
        last = {
            pod: max((h for h in self.hours.get(pod, ()) if h < hour), default=0) for pod in pods
        }
        latest = max(last.values())
        return [pod for pod in pods if last[pod] == latest]

    def _alive_us(self, pod: int) -> int:
        identity = self.pods[pod]
        if not identity.node:
            return 1 << 62
        return self.node_life.get((identity.cluster, identity.node), 0)

    def alive_until(self, start_us: int) -> int:
        """Until when the logs of all mirror pods that ran at a time are known to be alive."""
        return min(
            (
                self._alive_us(pod)
                for mirror, pods in enumerate(self.mirrors)
                if pods
                for pod in self._running(mirror, start_us)
            ),
            default=0,
        )
