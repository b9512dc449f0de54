"""How many missing copies the silence of some pods explains."""

from __future__ import annotations

import math

import pytest

from tests.factories import attempt
from verifier.pairing.judge import judge
from verifier.pairing.lines import MirrorGroup, Reason, Terms, Verdict
from verifier.pairing.tally import Tally
from verifier.settle.share import most_received, settle_beyond_share, usual_share

SILENT, OTHER, THIRD = 1, 2, 3


def test_the_largest_share_of_an_earlier_hour_counts() -> None:
    """Load balancers are not fair every hour."""
    hours = {0: {SILENT: 300, OTHER: 700}, 1: {SILENT: 500, OTHER: 500}}

    assert usual_share(hours, {SILENT}, {OTHER}) == 0.5


def test_a_new_pod_has_no_usual_share() -> None:
    """Nobody knows how much it receives."""
    assert usual_share({0: {OTHER: 1000}}, {SILENT}, {OTHER}) is None


def test_hours_with_more_pods_do_not_count() -> None:
    """The silent pod may have taken over what the third one received."""
    assert usual_share({0: {SILENT: 300, OTHER: 300, THIRD: 300}}, {SILENT}, {OTHER}) is None


def test_hours_of_hardly_any_traffic_do_not_count() -> None:
    """Shares of few arrivals are chance."""
    assert usual_share({0: {SILENT: 1, OTHER: 99}}, {SILENT}, {OTHER}) is None


@pytest.mark.parametrize(("requests", "share"), [(10, 0.5), (200, 0.1), (1000, 0.5)])
def test_pods_receive_more_than_the_most_once_in_ten_thousand(requests: int, share: float) -> None:
    """By the binomial distribution, summed here in full."""
    most = most_received(requests, share)

    def at_least(number: int) -> float:
        return sum(
            math.comb(requests, k) * share**k * (1 - share) ** (requests - k)
            for k in range(number, requests + 1)
        )

    assert at_least(most + 1) < 1e-4 <= at_least(most)


def test_a_pod_that_receives_everything_explains_everything() -> None:
    """Also where it is the only one."""
    assert most_received(7, 1.0) == 7


def _doubted(requests: int, matched: int) -> Tally:
    """So many requests without a copy, in doubt, and so many with one."""
    tally = Tally(10_000, counts={Verdict.MATCHED: matched})
    for number in range(requests):
        judged = judge([attempt(at=number)], Terms((MirrorGroup("v1", (100.0,)),)))
        judged.findings[0].verdict = Verdict.UNVERIFIABLE
        judged.findings[0].reason = Reason.MIRROR_LOG_INCOMPLETE
        judged.counts = {Verdict.UNVERIFIABLE: 1}
        tally.add(judged)
    return tally


def test_what_lacks_beyond_the_share_is_missing() -> None:
    """A pod of a tenth is silent; 400 of 1000 copies lack."""
    tally = _doubted(400, matched=600)

    settle_beyond_share(tally, 0, 0.1)

    explained = most_received(1000, 0.1)
    assert tally.counts[Verdict.MISSING] == 400 - explained
    assert tally.counts[Verdict.UNVERIFIABLE] == explained
    told = [one for one in tally.findings if one.reason is Reason.BEYOND_SHARE]
    assert len(told) == 400 - explained
    assert {one.verdict for one in told} == {Verdict.MISSING}


def test_what_the_share_explains_stays_unverifiable() -> None:
    """A pod of a half is silent, and half of the copies lack."""
    tally = _doubted(500, matched=500)

    settle_beyond_share(tally, 0, 0.5)

    assert Verdict.MISSING not in tally.counts
