"""Copies of streams: how long they are waited for."""

from __future__ import annotations

from tests.factories import attempt, terms
from verifier.pairing.judge import judge
from verifier.pairing.lines import Reason, Verdict
from verifier.settle.running import CAP_US, awaited_us, doubt_running

SECOND = 1_000_000
GRACE = 30 * SECOND


def test_the_copy_of_a_short_request_is_waited_for_a_grace() -> None:
    """Which windows wait for anyhow."""
    assert awaited_us(0, SECOND, GRACE) == 31 * SECOND


def test_the_copy_of_a_long_request_may_run_as_long_again() -> None:
    """Both streams end when their parts do."""
    assert awaited_us(0, 60 * SECOND, GRACE) == 150 * SECOND


def test_no_copy_is_waited_for_longer_than_the_cap() -> None:
    """A stream of a day is not waited for until tomorrow."""
    day = 86_400 * SECOND

    assert awaited_us(0, day, GRACE) == day + GRACE + CAP_US


def test_what_lacks_of_a_long_request_is_unverifiable_until_then() -> None:
    """Then it is missing."""
    early, late = (judge([attempt(at=0, lasts=60_000)], terms()) for _ in range(2))

    doubt_running(early, 150 * SECOND - 1, GRACE)
    doubt_running(late, 150 * SECOND, GRACE)

    assert early.findings[0].reason is Reason.STILL_RUNNING
    assert {v: n for v, n in early.counts.items() if n} == {Verdict.UNVERIFIABLE: 1}
    assert late.counts == {Verdict.MISSING: 1}


def test_what_lacks_of_a_short_request_is_missing_at_once() -> None:
    """Whatever the watermark."""
    judged = judge([attempt(at=0, lasts=5)], terms())

    doubt_running(judged, 0, GRACE)

    assert judged.counts == {Verdict.MISSING: 1}
