"""Verdicts that the surroundings decide: surplus in doubt, log loss, holes, unknown routes."""

from __future__ import annotations

import math

import pytest

from tests.factories import arrival, attempt, mirror, shadow, terms
from verifier.pairing.context import NO_LOSS, Loss, settle_filtered, settle_log_loss, shown_loss
from verifier.pairing.doubt import (
    REACH_US,
    Failures,
    doubt_holes,
    doubt_route,
    doubt_sample,
    explained_by_loss,
    only_errors_logged,
    scattered,
)
from verifier.pairing.judge import judge
from verifier.pairing.lines import Judgement, Reason, Verdict
from verifier.pairing.tally import Tally


@pytest.mark.parametrize("lost", [0, 1, 5, 100])
def test_nothing_missing_needs_no_explanation(lost: int) -> None:
    """Without missing copies, lost lines explain none."""
    assert explained_by_loss(0, 1000, 1000, lost) == 0


def test_without_lost_lines_nothing_is_explained() -> None:
    """A control group that lost nothing leaves every missing copy missing."""
    assert explained_by_loss(7, 1000, 1000, 0) == 0


def test_as_many_missing_as_lost_are_all_explained() -> None:
    """Ten lost lines of a thousand explain ten missing copies of a thousand."""
    assert explained_by_loss(10, 1000, 1000, 10) == 10


def test_outage_beside_log_loss_stays_missing() -> None:
    """Of 400 missing copies, ten lost lines of a thousand explain 35 at most (error 10⁻⁴)."""
    assert explained_by_loss(400, 1000, 1000, 10) == 35


@pytest.mark.parametrize("lost", [1, 3, 10, 40])
def test_what_loss_explains_is_exceeded_once_in_ten_thousand(lost: int) -> None:
    """Lines lost alike on both sides: copies are more than what is explained with that error."""
    most = explained_by_loss(10_000, 500, 1000, lost)

    def more_than(most: int) -> float:
        trials = most + 1 + lost
        return sum(
            math.comb(trials, k) * (1 / 3) ** k * (2 / 3) ** (trials - k)
            for k in range(most + 1, trials + 1)
        )

    assert more_than(most) < 1e-4 <= more_than(most - 1)


@pytest.mark.parametrize("owed", [200, 1000, 3000])
@pytest.mark.parametrize("all_lost", [1, 2, 5, 14, 30])
def test_lost_lines_are_called_missing_at_most_so_often(owed: int, all_lost: int) -> None:
    """With 10⁻⁴, and where all of them are copies', so that the control group shows no loss."""
    share = owed / (owed + 1000)

    def chance(copies: int) -> float:
        ways = math.comb(all_lost, copies)
        return ways * share**copies * (1 - share) ** (all_lost - copies)

    called_missing = sum(
        chance(copies)
        for copies in range(1, all_lost + 1)
        if copies > explained_by_loss(copies, owed, 1000, all_lost - copies)
    )

    assert share**all_lost <= called_missing < 1e-4 + share**all_lost


def test_large_loss_explains_no_more_than_is_missing() -> None:
    """Never more copies are explained than are missing."""
    assert explained_by_loss(3, 1000, 100, 90) == 3


@pytest.mark.parametrize(
    ("missing", "lost", "before", "explained"),
    [
        (1, 0, NO_LOSS, 0),
        (1, 0, Loss(36_000, 0), 0),
        (1, 0, Loss(36_000, 4), 1),
        (50, 0, Loss(36_000, 4), 2),
        (9, 10, Loss(36_000, 0), 9),
    ],
)
def test_what_was_lost_before_explains_what_a_window_lacks(
    missing: int, lost: int, before: Loss, explained: int
) -> None:
    """As much as chance may bring; and never less than the window's own control group does."""
    counts = {Verdict.MATCHED: 100 - missing, Verdict.MISSING: missing}
    tally = Tally(0, counts=counts, control=100, control_lost=lost)

    settle_log_loss(tally, None, before)

    assert tally.log_loss == explained
    assert tally.counts[Verdict.MISSING] == missing - explained


def test_without_senders_an_hour_shows_loss_where_a_window_cannot() -> None:
    """Copies without a request, one in many a second, are lost lines of the primary."""
    tally = Tally(
        0, counts={Verdict.MATCHED: 3_600}, failures=dict.fromkeys(range(0, 3600, 100), 1)
    )

    assert shown_loss(tally, 3600) == Loss(3_636, 36)
    assert shown_loss(tally, None) == NO_LOSS


def test_failures_in_a_row_are_no_scattered_loss() -> None:
    """Copies without a request that crowd in few seconds count little as lost lines."""
    assert scattered(failing_seconds=3, failures=300, seconds=600) == 3


def test_failures_in_nearly_all_seconds_are_scattered_loss() -> None:
    """Copies without a request all over the run all count as lost lines."""
    assert scattered(failing_seconds=600, failures=900, seconds=600) == 900


def test_failures_reach_ten_seconds() -> None:
    """A copy without a request throws doubt on what happens ten seconds around it."""
    failures = Failures([1000])

    assert failures.near(1000_000_000 + REACH_US)
    assert failures.near(1000_000_000 - REACH_US)
    assert not failures.near(1000_000_000 + 2 * REACH_US)


def test_missing_copy_in_a_hole_is_unverifiable() -> None:
    """Where the mirror's log has a hole, what lacks is unverifiable with that reason."""
    judged = judge([attempt()], terms())

    doubt_holes(judged, lambda _mirror, _start: Reason.MIRROR_LOG_INCOMPLETE)

    assert {v: n for v, n in judged.counts.items() if n} == {Verdict.UNVERIFIABLE: 1}
    assert judged.findings[0].reason is Reason.MIRROR_LOG_INCOMPLETE


def test_missing_copy_without_a_hole_stays_missing() -> None:
    """Where the mirror's log is complete, what lacks is missing."""
    judged = judge([attempt()], terms())

    doubt_holes(judged, lambda _mirror, _start: None)

    assert judged.counts == {Verdict.MISSING: 1}


def test_copy_that_came_shows_its_route() -> None:
    """On an unknown route a matched request stays matched."""
    judged = judge([attempt(), arrival(xff=1)], terms())

    doubt_route(judged)

    assert {v: n for v, n in judged.counts.items() if n} == {Verdict.MATCHED: 1}


def test_copy_that_lacks_on_an_unknown_route_is_unverifiable() -> None:
    """On an unknown route a request without a copy is unverifiable."""
    judged = judge([attempt()], terms())

    doubt_route(judged)

    assert judged.findings[0].reason is Reason.ROUTE_UNKNOWN


class TestSample:
    """What lacks of a sample where the mirror's log has a hole."""

    ASKED = terms(mirror(50.0), mirror(50.0, name="v3"))

    def judged(self, *holes: int) -> Judgement:
        """One request without a copy, and the mirrors whose logs have a hole."""
        found = judge([attempt()], self.ASKED)
        doubt_sample(found, lambda m, _: Reason.MIRROR_SILENT if m in holes else None, 0)
        return found

    def test_is_unverifiable(self) -> None:
        """It may have been drawn."""
        found = self.judged(0, 1)

        assert {v: n for v, n in found.counts.items() if n} == {Verdict.UNVERIFIABLE: 1}
        assert [f.reason for f in found.findings] == [Reason.MIRROR_SILENT]

    @pytest.mark.parametrize("hole", [0, 1])
    def test_is_unsampled_where_another_mirror_of_the_same_share_tells(self, hole: int) -> None:
        """All mirrors of a route share one draw."""
        assert self.judged(hole).counts == {Verdict.UNSAMPLED: 1}

    def test_copies_there_are_left_out_of_the_percentage(self) -> None:
        """Counted alone, without those that lack, they would make it 100."""
        found = judge([attempt(), shadow(), shadow(mirror=1)], self.ASKED)
        doubt_sample(found, lambda _mirror, _start: Reason.MIRROR_SILENT, 0)

        assert (found.counts[Verdict.MATCHED], found.untested) == (1, 1)


@pytest.mark.parametrize(
    ("errors", "others", "requests", "filtered"),
    [(3, 0, 7, True), (3, 0, 6, False), (2, 0, 100, False), (3, 1, 100, False), (0, 0, 9, False)],
)
def test_a_log_of_nothing_but_errors_may_be_filtered(
    errors: int, others: int, requests: int, filtered: bool
) -> None:
    """A few errors beside many requests without any copy: other lines may be kept from the log."""
    assert only_errors_logged(errors, others, requests) is filtered


def test_what_lacks_in_a_filtered_log_is_unverifiable() -> None:
    """Six copies failed and are logged; sixty are not."""
    tally = Tally(100, counts={Verdict.MATCHED: 6, Verdict.MISSING: 60})

    settle_filtered(tally, errors_only=True)

    assert tally.counts == {Verdict.MATCHED: 6, Verdict.MISSING: 0, Verdict.UNVERIFIABLE: 60}


def test_a_log_with_any_success_is_not_filtered() -> None:
    """What lacks there is missing."""
    tally = Tally(100, counts={Verdict.MATCHED: 6, Verdict.MISSING: 60})

    settle_filtered(tally, errors_only=False)

    assert tally.counts == {Verdict.MATCHED: 6, Verdict.MISSING: 60}
