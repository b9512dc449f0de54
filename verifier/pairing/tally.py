"""Sums of judgements, mergeable and small: what `reduce` hands back for one share of the keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from verifier.pairing.lines import Finding, Judgement, Marker, Reason, Verdict

_MAX_SURPLUS: Final = 100_000
PASSING: Final = (Reason.STILL_RUNNING, Reason.MIRROR_LOG_INCOMPLETE, Reason.MIRROR_SILENT)
"""Reasons that time may take away: what waits for it is judged again."""


class Tally(msgspec.Struct):
    """What was judged of one policy.

    Attributes:
        limit: How many findings are kept; the earliest are.
        surplus: (start µs) of copies too many that the surroundings decide on.
        untested: Matched requests that tell nothing of the percentage, see `Judgement`.
        failures: Seconds in which copies without any request started, and how many did.
        failing_tenths: The same, in tenths of seconds, without how many.
        markers: By what how many arrivals were told to be copies.
        waiting: Of the findings that are not kept, for each reason that may pass, the one for which
            it passes last.
        log_loss: Of the unverifiable, how many lost log lines explain; set once all is added up.
    """

    limit: int
    counts: dict[Verdict, int] = {}
    requests: int = 0
    requests_high: int = 0
    status_differs: int = 0
    paired: int = 0
    control: int = 0
    control_lost: int = 0
    untested: int = 0
    findings: list[Finding] = []
    surplus: list[int] = []
    failures: dict[int, int] = {}
    failing_tenths: set[int] = set()
    markers: dict[Marker, int] = {}
    waiting: dict[Reason, Finding] = {}
    log_loss: int = 0

    def add(self, judged: Judgement) -> None:
        """Adds one episode's judgement."""
        self._add_counts(judged.counts)
        self._add_markers(judged.markers)
        self.requests += judged.requests
        self.requests_high += judged.requests_high
        self.status_differs += judged.status_differs
        self.paired += judged.paired
        self.control += judged.control
        self.control_lost += judged.control_lost
        self.untested += judged.untested
        for finding in judged.findings:
            if finding.reason is Reason.SURPLUS_IN_DOUBT and len(self.surplus) < _MAX_SURPLUS:
                self.surplus.append(finding.start_us)
            elif finding.reason is Reason.NO_SENDER_LOG:
                second = finding.start_us // 1_000_000
                self.failures[second] = self.failures.get(second, 0) + 1
                self.failing_tenths.add(finding.start_us // 100_000)
        self.findings.extend(judged.findings)
        if len(self.findings) > 4 * self.limit + 1000:
            self.trim()

    def _add_counts(self, counts: dict[Verdict, int]) -> None:
        for verdict, count in counts.items():
            self.counts[verdict] = self.counts.get(verdict, 0) + count

    def _add_markers(self, markers: dict[Marker, int]) -> None:
        for marker, count in markers.items():
            self.markers[marker] = self.markers.get(marker, 0) + count

    def merge(self, other: Tally) -> None:
        """Adds another share's tally of the same policy."""
        self._add_counts(other.counts)
        self._add_markers(other.markers)
        self.requests += other.requests
        self.requests_high += other.requests_high
        self.status_differs += other.status_differs
        self.paired += other.paired
        self.control += other.control
        self.control_lost += other.control_lost
        self.untested += other.untested
        self.findings.extend(other.findings)
        self.surplus.extend(other.surplus)
        for second, count in other.failures.items():
            self.failures[second] = self.failures.get(second, 0) + count
        self.failing_tenths |= other.failing_tenths
        self._note_waiting(other.waiting.values())

    def trim(self) -> None:
        """Keeps the earliest findings, and notes what the others wait for."""
        ordered = sorted(self.findings, key=finding_order)
        self.findings = ordered[: self.limit]
        self._note_waiting(ordered[self.limit :])

    def _note_waiting(self, findings: Iterable[Finding]) -> None:
        for one in findings:
            if one.reason in PASSING:
                known = self.waiting.setdefault(one.reason, one)
                self.waiting[one.reason] = max(known, one, key=_passes_us)

    def move(self, source: Verdict, target: Verdict, count: int) -> None:
        """Turns `count` verdicts into others."""
        self.counts[source] = self.counts.get(source, 0) - count
        self.counts[target] = self.counts.get(target, 0) + count


def _passes_us(finding: Finding) -> int:
    """Grows with the time at which a finding's reason passes, µs: streams have as long again."""
    line = finding.lines[0]
    lasts_us = line.end_us - line.start_us if finding.reason is Reason.STILL_RUNNING else 0
    return finding.start_us + 2 * lasts_us


def finding_order(finding: Finding) -> tuple[int, str, int, int]:
    """A total order of findings by time, which does not depend on how the work was shared.

    Nor, as a line's identity comes before its pod's number, on whose lines came first.
    """
    first = finding.lines[0]
    return (finding.start_us, finding.verdict, first.line_id, first.pod)
