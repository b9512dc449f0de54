"""What one episode cannot tell alone: verdicts that the surroundings decide. Pure.

*Surplus in doubt*: without senders' logs, a copy too many is either a duplicate or the copy of a
second request with the same key that never reached the primary. Where requests fail to reach the
primary, copies without any request are seen too: within `REACH_US` of one, the surplus is
unverifiable; else it is a duplicate.

*Log loss*: the control group (requests that senders saw answered, without a line of the primary)
tells how many lines shipping loses; as many missing copies are lost lines, not lost copies. Without
senders' logs, copies without a request are the control group, as far as they are scattered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from verifier.pairing.lines import Finding, Judgement, Reason, Verdict
from verifier.pairing.percentage import CHECK_ERROR, tail

REACH_US: Final = 10_000_000
"""How far a failing primary throws doubt on surplus copies, µs."""

_NEARLY_ALL: Final = 0.8
_SECOND_US: Final = 1_000_000


def doubt(judgement: Judgement, finding: Finding, reason: Reason) -> None:
    """Turns a finding of a judgement into an unverifiable one."""
    judgement.counts[finding.verdict] -= finding.count
    judgement.add(Verdict.UNVERIFIABLE, finding.count)
    finding.verdict, finding.reason = Verdict.UNVERIFIABLE, reason


def doubt_route(judgement: Judgement) -> None:
    """Rule: without knowing the route, a copy that lacks says nothing; one that came does."""
    for finding in judgement.findings:
        if finding.verdict is Verdict.MISSING:
            doubt(judgement, finding, Reason.ROUTE_UNKNOWN)
    judgement.add(Verdict.UNVERIFIABLE, judgement.counts.pop(Verdict.UNSAMPLED, 0))


def doubt_leaks(judgement: Judgement) -> None:
    """Rule: live traffic at a mirror that another route may send there is no leak for certain."""
    for finding in judgement.findings:
        if finding.reason is Reason.LIVE_AT_MIRROR:
            doubt(judgement, finding, Reason.ROUTE_UNKNOWN)


def doubt_holes(judgement: Judgement, hole: Callable[[int, int], Reason | None]) -> None:
    """Rule: what lacks where the evidence has a hole is unverifiable, not missing.

    Args:
        judgement: Of one episode.
        hole: Tells, by mirror group and time in µs, why a copy's line may lack; None: it may not.
    """
    for finding in judgement.findings:
        if finding.verdict is Verdict.MISSING:
            reason = hole(finding.mirror, finding.start_us)
            if reason is not None:
                doubt(judgement, finding, reason)


def doubt_clocks(judgement: Judgement, is_wild: Callable[[int, int], bool]) -> None:
    """Rule: lines of pods whose clocks are far off do not meet the others; alone they say nothing.

    Args:
        judgement: Of one episode.
        is_wild: Tells of a pod whether its clock was wrong when a line started, µs.
    """
    for finding in judgement.findings:
        if finding.verdict in (Verdict.MISSING, Verdict.ORPHAN) and all(
            is_wild(line.pod, line.start_us) for line in finding.lines
        ):
            doubt(judgement, finding, Reason.OWN_CLOCK_WILD)


def doubt_sample(
    judgement: Judgement, hole: Callable[[int, int], Reason | None], start_us: int
) -> None:
    """Rule: where the evidence has a hole, a request without a copy may well have been drawn.

    The requests that a hole touches are left out of the percentage, also those whose copy came:
    counted alone, they would make it 100.

    Args:
        judgement: Of one episode.
        hole: As for `doubt_holes`.
        start_us: When the episode's first request started.
    """
    reasons = [hole(mirror, start_us) for mirror in judgement.largest]
    # One complete log of a mirror with the largest share tells who was not drawn.
    reason = reasons[0] if reasons and all(reasons) else None
    if reason is None:
        return
    judgement.untested = judgement.counts.get(Verdict.MATCHED, 0)
    judgement.add(Verdict.UNSAMPLED, -len(judgement.unsampled))
    for line in judgement.unsampled:
        group = judgement.largest[0]
        judgement.find(Finding(Verdict.UNVERIFIABLE, reason, line.start_us, [line], group))


FIRST_ERROR: Final = 400
FEW_ERRORS: Final = 3
"""So many lines of a mirror, all errors, may show that its log is filtered."""


def only_errors_logged(errors: int, others: int, requests: int) -> bool:
    """Rule: a mirror that logged nothing but errors, and of few requests, may log nothing else.

    Istio's Telemetry can filter a log by status. That such a mirror failed on every copy that
    came, and most copies did not come, is less likely.

    Args:
        errors: Its lines with a status of 400 or more.
        others: Its other lines.
        requests: How many requests owe it a copy.
    """
    return not others and errors >= FEW_ERRORS and requests > 2 * errors


class Failures:
    """When copies without any request started.

    Args:
        seconds: Since the epoch.
    """

    def __init__(self, seconds: Iterable[int]) -> None:
        self._seconds: Final = frozenset(seconds)

    def near(self, start_us: int) -> bool:
        """Whether such a copy started within `REACH_US` of a time, to the second."""
        second, reach = start_us // _SECOND_US, REACH_US // _SECOND_US
        return any(s in self._seconds for s in range(second - reach, second + reach + 1))


def scattered(failing_seconds: int, failures: int, seconds: int) -> int:
    """How many of the copies without a request scattered loss explains, and no outage.

    Without senders' logs, a copy without a request is a lost line of the primary, or a request
    that never reached it. Lost lines scatter over the seconds of a run, failures come in a row:
    the number of seconds that saw any tells how many there would be if they were scattered.

    Args:
        failing_seconds: Seconds with such a copy.
        failures: How many such copies there are.
        seconds: How many seconds the run lasts.
    """
    if failing_seconds >= _NEARLY_ALL * seconds:
        return failures  # too many seconds for the logarithm to tell; an outage is shorter
    return min(failures, round(-seconds * math.log1p(-failing_seconds / seconds)))


def explained_by_loss(missing: int, owed: int, control: int, lost: int) -> int:
    """How many missing copies lost log lines explain, at most.

    Were lines lost alike on both sides, the lost ones would fall on copies and on the control
    group as their sizes are. What goes beyond the most that is so at an error of 10⁻⁴ is missing
    for certain, so that with this error no lost line is called a missing copy.

    Args:
        missing: Requests without the copy that was owed.
        owed: Requests whose copy was owed and could have been logged.
        control: Requests that senders saw answered by the primary.
        lost: Those of them without a line of the primary.

    Returns:
        0 when the control group lost nothing: a loss that never shows is taken for none.
    """
    if not lost or not missing:
        return 0
    share = owed / (owed + control)
    certain, bound = 0, missing + 1
    # The largest number that loss explains: it explains every smaller one, too.
    while bound - certain > 1:
        middle = (certain + bound) // 2
        if _may_be_lost(middle, lost, share):
            certain = middle
        else:
            bound = middle
    return certain


def _may_be_lost(copies: int, lost: int, share: float) -> bool:
    """Whether of all lost lines so many may be copies', each being one with probability `share`."""
    trials = copies + lost
    return copies <= trials * share or tail(copies, trials, share) >= CHECK_ERROR
