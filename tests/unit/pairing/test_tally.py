"""What a tally keeps of findings, of which there may be any number."""

from __future__ import annotations

from tests.factories import client
from verifier.pairing.lines import Finding, Judgement, Reason, Verdict
from verifier.pairing.tally import Tally


def finding(reason: Reason, at_ms: float, lasts_ms: float = 10) -> Finding:
    """Of a request that starts then."""
    line = client(at=at_ms, lasts=lasts_ms)
    return Finding(Verdict.UNVERIFIABLE, reason, line.start_us, [line])


def trimmed(*findings: Finding, limit: int = 1) -> Tally:
    """A tally that keeps so many of these."""
    tally = Tally(limit)
    tally.add(Judgement(findings=list(findings)))
    tally.trim()
    return tally


def waits(tally: Tally) -> set[tuple[Reason, int]]:
    """What is waited for, and when the request began."""
    return {(one.reason, one.start_us // 1000) for one in tally.waiting.values()}


def test_the_earliest_findings_are_kept() -> None:
    """In order of time, whatever is said of them."""
    first, second = finding(Reason.NO_COPY, 1), finding(Reason.STILL_RUNNING, 2)

    assert trimmed(finding(Reason.NO_COPY, 3), second, first, limit=2).findings == [first, second]


def test_what_the_others_wait_for_is_kept() -> None:
    """Else a copy that arrives, or a log that proves complete, would change nothing any more."""
    start = finding(Reason.NO_COPY, 0).start_us // 1000
    tally = trimmed(
        finding(Reason.NO_COPY, 0),
        finding(Reason.STILL_RUNNING, 1, lasts_ms=9_000),
        finding(Reason.STILL_RUNNING, 2, lasts_ms=6_000),
        finding(Reason.MIRROR_LOG_INCOMPLETE, 3),
        finding(Reason.MIRROR_LOG_INCOMPLETE, 4),
        finding(Reason.NO_COPY, 5),
    )

    assert waits(tally) == {
        (Reason.STILL_RUNNING, start + 1),
        (Reason.MIRROR_LOG_INCOMPLETE, start + 4),
    }


def test_sums_of_tallies_wait_for_what_either_waits_for() -> None:
    """In whatever order they are added up."""
    parts = [
        trimmed(finding(Reason.NO_COPY, 0), finding(Reason.MIRROR_LOG_INCOMPLETE, at_ms))
        for at_ms in (5, 7)
    ]
    found = []
    for order in (parts, parts[::-1]):
        total = Tally(1)
        for part in order:
            total.merge(part)
        found.append(waits(total))

    assert found[0] == found[1]
    assert len(found[0]) == 1
