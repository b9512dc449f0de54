"""The first pass, put together from what its workers tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from collector.records import Identity
from verifier.check.evidence import Part
from verifier.check.kinds import Stretch
from verifier.check.plan import Bare, Plan
from verifier.check.records import Kind
from verifier.check.scan import ChunkReport
from verifier.check.sources import Source
from verifier.policies.told import ToldLabels

_SAMPLES: Final = 5


class LineCounts(msgspec.Struct):
    """How every line that was read ended."""

    read: int = 0
    observations: int = 0
    repeated: int = 0
    ignored: int = 0
    quarantined: int = 0


class Scanned(msgspec.Struct, kw_only=True):
    """The first pass, put together: every pod and every kind has one number for all workers.

    Attributes:
        access_logs: Of each source, how many lines are access logs.
        quarantined: Of each source, how many of those cannot be read.
        lines: How every line ended so far.
        first_lines: Number of the first line of each chunk in its file, from 1.
        pods: Every pod, by its number.
        stretches: The stretch of each pod's lines; None: its log is empty.
        kinds: All kinds of lines.
        parts: What the lines of each pod were; there once all is read.
        seconds: Seconds since the epoch in which lines of watched hosts started.
        shipped: Some file is a stream of many pods' lines.
        refused: (source, line number, reason) of the first quarantined lines.
    """

    access_logs: list[int]
    quarantined: list[int]
    lines: LineCounts = msgspec.field(default_factory=LineCounts)
    first_lines: list[int] = []
    pods: list[Identity] = []
    stretches: dict[Identity, Stretch | None] = {}
    kinds: dict[int, Kind] = {}
    parts: dict[Identity, set[Part]] = {}
    seconds: set[int] = set()
    shipped: bool = False
    refused: list[tuple[int, int, str]] = []
    _numbers: dict[tuple[str, str], dict[str, int]] = {}
    _of_workers: dict[int, list[int]] = {}
    _bare: dict[int, Bare] = {}
    _told: ToldLabels = msgspec.field(default_factory=ToldLabels)

    def join(self, report: ChunkReport, source: int, next_line: int) -> None:
        """Adds what a worker tells of a chunk; gives its new pods common numbers.

        Args:
            report: What it tells.
            source: The number of the chunk's file.
            next_line: How many lines of the file lie before it.
        """
        own = self._of_workers.setdefault(report.worker, [])
        for pod in report.pods:
            self._told.note(pod)
            own.append(self._number_of(pod))
        for number, kind in report.kinds.items():
            self.kinds[number] = kind._replace(pod=own[kind.pod])
        self._bare.update(report.bare)
        for number, stretch in report.stretches.items():
            known = self.stretches.setdefault(self.pods[own[number]], stretch)
            if known is not None:
                known.widen(stretch.first_us, stretch.last_us)
        self.first_lines.append(next_line + 1)
        self.shipped |= report.shipped
        self.seconds |= report.seconds
        self._count(report, source, next_line)

    def _number_of(self, pod: Identity) -> int:
        """The pod's number. Whose lines do not tell the namespace is the one pod of that name."""
        named = self._numbers.setdefault((pod.cluster, pod.pod), {})
        number = named.get(pod.namespace)
        if number is None and len(named) == 1 and "" in (pod.namespace, *named):
            (number,) = named.values()
        if number is None:
            number = len(self.pods)
            self.pods.append(pod)
        named[pod.namespace] = number
        return number

    def _count(self, report: ChunkReport, source: int, next_line: int) -> None:
        self.access_logs[source] += report.observations + report.elsewhere + report.quarantined
        self.quarantined[source] += report.quarantined
        lines = self.lines
        lines.observations += report.observations
        lines.ignored += report.elsewhere + report.other
        lines.quarantined += report.quarantined
        lines.read = lines.observations + lines.ignored + lines.quarantined
        room = _SAMPLES - len(self.refused)
        self.refused += [
            (source, next_line + 1 + index, reason) for index, reason in report.samples[:room]
        ]

    def finish(self, plan: Plan, sources: Iterable[Source]) -> None:
        """Draws what takes all lines: parts of pods, whose labels may have come last."""
        self._carry_labels(plan)
        for kind in self.kinds.values():
            parts = self.parts.setdefault(self.pods[kind.pod], set())
            parts.add((kind.policy, kind.side, kind.mirror))
        for source in sources:
            if source.pod and ("", source.pod) not in self._numbers:
                self.stretches[Identity(pod=source.pod)] = None

    def _carry_labels(self, plan: Plan) -> None:
        """Gives lines without labels those of their pods: see `ToldLabels`."""
        for number, bare in self._bare.items():
            pod = self._told.completed(bare.pod)
            place = plan.place_of(bare, pod) if pod.labels else None
            if place is not None:
                self.kinds[number] = self.kinds[number].at(place)
        full = {pod: self._told.completed(pod) for pod in self.pods}
        self.pods = [full[pod] for pod in self.pods]
        self.stretches = {full[pod]: stretch for pod, stretch in self.stretches.items()}
