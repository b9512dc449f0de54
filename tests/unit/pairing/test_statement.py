"""What is stated of a range, and every reason for it (DESIGN section 3, *statement*)."""

from __future__ import annotations

import pytest

from verifier.pairing.lines import Verdict
from verifier.pairing.percentage import judge_percentage
from verifier.pairing.statement import Ruling, Statement, rule, worst
from verifier.pairing.tally import Tally

FULL = judge_percentage(100, 100, 100)


def tally(counts: dict[Verdict, int], requests: int = 1000, high: int = 1000) -> Tally:
    """What was judged of a range."""
    return Tally(0, counts=counts, requests=requests, requests_high=high)


def ruling(*, log_loss: int = 0, **counts: int) -> Ruling:
    """The ruling over verdicts at 100 %."""
    judged = tally({Verdict(name): n for name, n in counts.items()})
    judged.log_loss = log_loss
    return rule(judged, FULL)


def test_every_obligation_matched_is_proven() -> None:
    """With the number of them."""
    assert ruling(matched=7) == Ruling(Statement.PROVEN, "all 7 matched")


def test_one_missing_copy_violates() -> None:
    """Without a tolerance."""
    assert ruling(matched=999, missing=1) == Ruling(Statement.VIOLATED, "1 missing")


def test_a_leak_violates() -> None:
    """Whatever else is matched."""
    assert ruling(matched=9, leak=2) == Ruling(Statement.VIOLATED, "2 leaked")


def test_a_rejected_percentage_violates() -> None:
    """The observed and the declared share are told."""
    percentage = judge_percentage(500, 1000, 30)

    found = rule(tally({Verdict.MATCHED: 500, Verdict.UNSAMPLED: 500}), percentage)

    assert found == Ruling(Statement.VIOLATED, "50.00 % copied instead of 30 %")


def test_a_consistent_percentage_is_proven() -> None:
    """The observed share fits the declared one."""
    percentage = judge_percentage(300, 1000, 30)

    found = rule(tally({Verdict.MATCHED: 300, Verdict.UNSAMPLED: 700}), percentage)

    assert found == Ruling(Statement.PROVEN, "300 of 1000 requests sampled and matched")


def test_a_sample_without_any_copy_proves_nothing() -> None:
    """Three requests without copy fit 30 %, and no mirror at all."""
    found = rule(tally({Verdict.UNSAMPLED: 3}, 3, 3), judge_percentage(0, 3, 30))

    assert found == Ruling(Statement.NOT_PROVEN, "no copy yet of 3 requests")


def test_missing_within_the_tolerance_is_no_violation() -> None:
    """It is a share of the owed copies; at the share itself it still holds."""
    counts = {Verdict.MATCHED: 990, Verdict.MISSING: 10}

    assert rule(tally(counts), FULL, 0.01).statement is Statement.PROVEN
    assert rule(tally(counts), FULL, 0.0099).statement is Statement.VIOLATED


def test_all_missing_violates_whatever_the_number() -> None:
    """No mirror at all."""
    assert ruling(missing=5).statement is Statement.VIOLATED


@pytest.mark.parametrize("verdict", [Verdict.PENDING, Verdict.UNVERIFIABLE])
def test_one_open_or_unverifiable_request_keeps_a_range_from_being_proven(verdict) -> None:
    """Unverifiable never counts as a pass."""
    found = ruling(matched=999, **{str(verdict): 1})

    assert found == Ruling(Statement.NOT_PROVEN, f"1 {verdict}")


def test_few_ambiguous_lines_are_stated_and_accepted() -> None:
    """1 % of the requests, no more: they could hide a loss."""
    assert rule(tally({Verdict.MATCHED: 990, Verdict.AMBIGUOUS: 10}, 990, 990), FULL).statement is (
        Statement.PROVEN
    )
    assert rule(tally({Verdict.MATCHED: 989, Verdict.AMBIGUOUS: 11}, 989, 989), FULL) == Ruling(
        Statement.NOT_PROVEN, "11 ambiguous"
    )


def test_wide_intervals_keep_a_range_from_being_proven() -> None:
    """Above a quarter of requests that may or may not have been."""
    assert rule(tally({Verdict.MATCHED: 75}, 75, 100), FULL).statement is Statement.PROVEN
    assert rule(tally({Verdict.MATCHED: 74}, 74, 100), FULL) == Ruling(
        Statement.NOT_PROVEN, "26 retries or further requests"
    )


@pytest.mark.parametrize("counts", [{}, {"exempt": 9}, {"duplicate": 1}, {"orphan": 1}])
def test_nothing_verified_is_not_proven(counts: dict[str, int]) -> None:
    """Silence proves nothing; exempt requests and findings beside none do not either."""
    assert ruling(**counts) == Ruling(Statement.NOT_PROVEN, "nothing to verify")


@pytest.mark.parametrize("verdict", [Verdict.DUPLICATE, Verdict.ORPHAN, Verdict.EXEMPT])
def test_findings_that_are_no_violations_leave_a_range_proven(verdict: Verdict) -> None:
    """Duplicates and orphans are told, not accused."""
    assert ruling(matched=9, **{str(verdict): 3}).statement is Statement.PROVEN


def test_violations_come_before_doubts_and_are_all_named() -> None:
    """A hole does not hide a loss."""
    found = ruling(matched=1, missing=2, leak=3, unverifiable=4)

    assert found == Ruling(Statement.VIOLATED, "2 missing, 3 leaked")


def test_all_doubts_are_named() -> None:
    """The reader sees what to mend."""
    found = ruling(matched=1, pending=2, unverifiable=4, ambiguous=900)

    assert found.reason == "2 pending, 4 unverifiable, 900 ambiguous"


def test_what_lost_lines_explain_is_told_beside_what_is_unverifiable() -> None:
    """No finding may say so, as windows go by their own control groups."""
    found = ruling(matched=1, unverifiable=4, log_loss=3)

    assert found.reason == "4 unverifiable (3 by log loss)"


def test_the_worst_statement_of_several_policies_counts() -> None:
    """And none of no policy is not proven."""
    proven, doubt, violated = Statement.PROVEN, Statement.NOT_PROVEN, Statement.VIOLATED

    assert worst([proven, doubt, violated]) is violated
    assert worst([doubt, proven]) is doubt
    assert worst([proven]) is proven
    assert worst([]) is doubt
