"""The percentage test against exact arithmetic and simulation (DESIGN section 3)."""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import MANY
from verifier.pairing.percentage import CHECK_ERROR, judge_percentage, tail, wilson_interval


def exact_tail(successes: int, trials: int, share: Fraction) -> Fraction:
    """The binomial tail on the side of the mean on which the result lies."""
    upper = successes > trials * share
    wanted = range(successes, trials + 1) if upper else range(successes + 1)
    return sum(
        (math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in wanted),
        start=Fraction(0),
    )


@settings(max_examples=60 * MANY)
@given(st.data())
def test_the_tail_is_the_exact_binomial_sum(data: st.DataObject) -> None:
    """To ten digits, for any share that Istio can express."""
    trials = data.draw(st.integers(1, 250))
    successes = data.draw(st.integers(0, trials))
    parts = data.draw(st.sampled_from([1, 100, 1000, 5000, 9000, 9999]))
    share = Fraction(parts, 10_000)

    found = tail(successes, trials, parts / 10_000)

    assert found == pytest.approx(float(exact_tail(successes, trials, share)), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9999])
def test_the_tail_stays_within_bounds_for_a_year_of_requests(share: float) -> None:
    """Ten billion draws neither overflow nor take long."""
    trials = 10**10
    spread = math.sqrt(trials * share * (1 - share))
    mean = round(trials * share)

    assert tail(mean, trials, share) == pytest.approx(0.5, abs=0.01)
    assert tail(mean + round(3 * spread), trials, share) == pytest.approx(0.00135, rel=0.05)
    assert tail(round(trials / 2), trials, share) < 1e-12


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (5, 10), (0, 1000), (999, 1000)])
def test_the_interval_solves_its_own_equation(successes: int, trials: int) -> None:
    """Each Wilson bound is the share at which the result is 1.96 standard errors away."""
    z2 = 1.959963984540054**2

    for bound in wilson_interval(successes, trials):
        distance = (successes / trials - bound) ** 2
        at_the_edge = bound in (0.0, 1.0)
        assert at_the_edge or distance == pytest.approx(z2 * bound * (1 - bound) / trials)


def test_the_interval_holds_the_observed_share() -> None:
    """It is reported beside it, in percent."""
    found = judge_percentage(294, 1005, 30)

    assert found.low is not None
    assert found.low < 29.2537 < found.high
    assert (found.observed, found.consistent) == (29.2537, True)


@pytest.mark.parametrize(("copied", "consistent"), [(294, True), (150, False), (450, False)])
def test_a_share_far_from_the_declared_one_is_rejected(copied: int, consistent: bool) -> None:
    """On either side."""
    assert judge_percentage(copied, 1005, 30).consistent is consistent


def test_a_full_mirror_admits_no_exception_and_none_admits_no_copy() -> None:
    """100 % and 0 % are no statistics."""
    assert judge_percentage(10, 10, 100).consistent
    assert not judge_percentage(9, 10, 100).consistent
    assert judge_percentage(0, 10, 0).consistent
    assert not judge_percentage(1, 10, 0).consistent


def test_nothing_to_judge_is_no_contradiction() -> None:
    """And no observation."""
    found = judge_percentage(0, 0, 30)

    assert (found.observed, found.low, found.high, found.consistent) == (None, None, None, True)


@pytest.mark.parametrize(("trials", "declared"), [(50, 30.0), (400, 10.0), (1000, 1.0), (20, 50.0)])
def test_a_right_percentage_is_rejected_no_oftener_than_stated(
    trials: int, declared: float
) -> None:
    """The exact chance of a false alarm, summed over all results, keeps to the error."""
    share = Fraction(declared) / 100

    for error in (CHECK_ERROR, 0.05):
        wrong = sum(
            (
                math.comb(trials, k) * share**k * (1 - share) ** (trials - k)
                for k in range(trials + 1)
                if not judge_percentage(k, trials, declared, error).consistent
            ),
            start=Fraction(0),
        )
        assert wrong <= error


def test_simulated_sampling_is_rejected_no_oftener_than_stated() -> None:
    """4000 ranges of 200 requests at 30 %, each request drawn for itself."""
    random = Random(20261122)
    rejected = 0
    for _ in range(4000):
        copied = sum(random.random() < 0.3 for _ in range(200))
        rejected += not judge_percentage(copied, 200, 30, 0.01).consistent

    assert rejected <= 4000 * 0.01


def test_a_wrong_percentage_is_found_in_a_range_of_usual_size() -> None:
    """20 % instead of 30 % over 1000 requests: found nearly always, at an error of 10⁻⁴."""
    random = Random(7)
    missed = 0
    for _ in range(300):
        copied = sum(random.random() < 0.2 for _ in range(1000))
        missed += judge_percentage(copied, 1000, 30).consistent

    assert missed <= 3


def test_requests_in_doubt_reject_no_percentage() -> None:
    """Half of the requests lie in a hole: any of them may have been copied."""
    assert not judge_percentage(60, 400, 30).consistent
    assert judge_percentage(60, 400, 30, doubtful=200).consistent


def test_requests_in_doubt_cannot_explain_everything() -> None:
    """Ten more copies do not make a tenth a half."""
    assert not judge_percentage(40, 400, 50, doubtful=10).consistent
