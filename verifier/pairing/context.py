"""Verdicts that only the whole run decides, once all shares of the keys are judged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from verifier.pairing.doubt import Failures, explained_by_loss, only_errors_logged, scattered
from verifier.pairing.lines import Finding, Reason, Verdict
from verifier.pairing.tally import Tally

_BUSY_PER_S: Final = 50
"""From so many requests a second on, tenths of seconds tell scattered loss from outages."""


def settle_surplus(tally: Tally, failing_seconds: Iterable[int]) -> None:
    """Rule: surplus in doubt. Decides it by what happened around it.

    Args:
        tally: Whose surplus to decide.
        failing_seconds: Seconds since the epoch, around it too, in which copies without any
            request started.
    """
    failures = Failures(failing_seconds)
    doubtful = sum(failures.near(start) for start in tally.surplus)
    if doubtful:
        tally.move(Verdict.DUPLICATE, Verdict.UNVERIFIABLE, doubtful)
    for finding in tally.findings:
        if finding.reason is not Reason.SURPLUS_IN_DOUBT:
            continue
        if failures.near(finding.start_us):
            finding.verdict = Verdict.UNVERIFIABLE
        else:
            finding.reason = Reason.SURPLUS


def settle_unreadable(tally: Tally, lines: int) -> None:
    """Rule: a line that cannot be read may be the copy. As many missing ones are in doubt.

    Args:
        tally: Whose missing copies to doubt.
        lines: How many lines of the mirror's logs were quarantined.
    """
    doubtful = min(lines, tally.counts.get(Verdict.MISSING, 0))
    if doubtful:
        tally.move(Verdict.MISSING, Verdict.UNVERIFIABLE, doubtful)
        _doubt_first(tally, Verdict.MISSING, doubtful, Reason.MIRROR_UNREADABLE)


def settle_filtered(tally: Tally, *, errors_only: bool) -> None:
    """Rule: of a log that is filtered by status, what lacks says nothing.

    Args:
        tally: Of a policy with one mirror.
        errors_only: Whether all lines of the mirror have a status of 400 or more.
    """
    missing = tally.counts.get(Verdict.MISSING, 0)
    logged = tally.counts.get(Verdict.MATCHED, 0)
    others = 0 if errors_only else logged
    if missing and only_errors_logged(logged, others, missing + logged):
        tally.move(Verdict.MISSING, Verdict.UNVERIFIABLE, missing)
        _doubt_first(tally, Verdict.MISSING, missing, Reason.MIRROR_ERRORS_ONLY)


class Loss(msgspec.Struct, frozen=True):
    """What a stretch of time shows of lines lost in shipping.

    Attributes:
        control: Requests that are known to have been answered by the primary.
        lost: Those of them without a line of the primary.
    """

    control: int = 0
    lost: int = 0


NO_LOSS: Final = Loss()


def shown_loss(tally: Tally, seconds: int | None) -> Loss:
    """What was judged shows of lost lines.

    Args:
        tally: What was judged.
        seconds: How many seconds saw any line, to estimate the loss without senders' logs; None:
            only their control group tells.
    """
    if tally.control or seconds is None:
        return Loss(tally.control, tally.control_lost)
    without_request = sum(tally.failures.values())
    control = tally.counts.get(Verdict.MATCHED, 0) + without_request
    lost = scattered(len(tally.failures), without_request, seconds)
    if tally.failing_tenths and control >= _BUSY_PER_S * seconds:
        # With so many requests nearly every second of a short run loses a line by chance.
        lost = max(lost, scattered(len(tally.failing_tenths), without_request, 10 * seconds))
    return Loss(control, lost)


def settle_log_loss(tally: Tally, seconds: int | None = None, before: Loss = NO_LOSS) -> None:
    """Rule: log loss is not mirror loss. As many missing copies as lines are lost are in doubt.

    A few seconds may lose the line of a copy, and none of the control group's: what was lost just
    before counts, too. Where more was lost now than before, only what was lost now does.

    Args:
        tally: Whose missing copies to doubt.
        seconds: As for `shown_loss`.
        before: What the time before shows.
    """
    missing = tally.counts.get(Verdict.MISSING, 0)
    owed = missing + tally.counts.get(Verdict.MATCHED, 0)
    own = shown_loss(tally, seconds)
    explained = max(
        explained_by_loss(missing, owed, own.control, own.lost),
        explained_by_loss(missing, owed, own.control + before.control, own.lost + before.lost),
    )
    if explained:
        tally.move(Verdict.MISSING, Verdict.UNVERIFIABLE, explained)
        _doubt_first(tally, Verdict.MISSING, explained, Reason.LOG_LOSS)
        tally.log_loss += explained
    orphans = tally.counts.get(Verdict.ORPHAN, 0)
    if tally.control_lost and orphans:
        tally.move(Verdict.ORPHAN, Verdict.UNVERIFIABLE, orphans)
        _doubt_first(tally, Verdict.ORPHAN, orphans, Reason.LOG_LOSS)
        tally.log_loss += orphans


def _doubt_first(tally: Tally, verdict: Verdict, count: int, reason: Reason) -> None:
    """Marks findings as unverifiable, the most lonely first: an outage comes in a row."""
    found = sorted(
        (finding for finding in tally.findings if finding.verdict is verdict),
        # Settled again, the same ones: of those that started at once the order read is arbitrary.
        key=lambda finding: (finding.start_us, min(line.line_id for line in finding.lines)),
    )
    gaps = [(-_loneliness(found, index), index) for index in range(len(found))]
    for _, index in sorted(gaps)[:count]:
        found[index].verdict, found[index].reason = Verdict.UNVERIFIABLE, reason


def _loneliness(found: list[Finding], index: int) -> int:
    """Time to the nearest other finding, µs."""
    start = found[index].start_us
    near = [abs(start - found[i].start_us) for i in (index - 1, index + 1) if 0 <= i < len(found)]
    return min(near, default=1 << 62)
