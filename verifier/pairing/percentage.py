"""Whether an observed share of copies fits the declared one. Rule: *percentage*.

Envoy draws for each request on its own, so that the number of copies is binomial.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import msgspec

CHECK_ERROR: Final = 1e-4
"""How often `check` may reject a percentage that is right (DESIGN section 3)."""

_Z95: Final = NormalDist().inv_cdf(0.975)


class Percentage(msgspec.Struct, frozen=True):
    """A declared and an observed share of copies, in percent, with its 95 % interval."""

    declared: float
    observed: float | None
    low: float | None
    high: float | None
    consistent: bool


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share, each bound from 0 to 1. `trials` is above 0."""
    share = successes / trials
    shift = _Z95**2 / trials
    centre = (share + shift / 2) / (1 + shift)
    half = _Z95 * math.sqrt(share * (1 - share) / trials + shift / (4 * trials)) / (1 + shift)
    return max(0.0, centre - half), min(1.0, centre + half)


def _log_term(successes: int, trials: int, share: float) -> float:
    """Logarithm of the binomial probability of exactly `successes`."""
    return (
        math.lgamma(trials + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(trials - successes + 1)
        + successes * math.log(share)
        + (trials - successes) * math.log1p(-share)
    )


def tail(successes: int, trials: int, share: float) -> float:
    """Probability of a result at least as far on the same side of the mean as `successes`.

    Args:
        successes: How many were observed, 0 to `trials`.
        trials: How many draws there were.
        share: The declared probability, above 0 and below 1.
    """
    upper = successes > trials * share
    step = 1 if upper else -1
    first = _log_term(successes, trials, share)
    total, k, term = 0.0, successes, 1.0
    # Terms fall away from the mean; summing them relative to the first cannot underflow.
    while 0 <= k <= trials and term > 1e-18:
        total += term
        nearer = k
        k += step
        if upper:
            term *= (trials - nearer) / k * share / (1 - share) if k <= trials else 0.0
        else:
            term *= nearer / (trials - k) * (1 - share) / share if k >= 0 else 0.0
    return min(1.0, math.exp(first) * total)


def judge_percentage(
    copied: int,
    requests: int,
    declared: float,
    error: float = CHECK_ERROR,
    *,
    doubtful: int = 0,
) -> Percentage:
    """Compares the copied share with the declared percentage.

    Args:
        copied: Requests whose copy arrived.
        requests: Requests that could have been copied, without those that holes touch.
        declared: Percentage from 0 to 100.
        error: How often a right percentage may be rejected, two-sided.
        doubtful: Further requests, of which any may have been copied.
    """
    if requests == 0:
        return Percentage(declared, None, None, None, consistent=True)
    low, high = wilson_interval(copied, requests)
    if declared <= 0 or declared >= 100:
        consistent = copied == (requests if declared >= 100 else 0)
    else:
        trials = requests + doubtful
        nearest = min(max(copied, round(trials * declared / 100)), copied + doubtful)
        consistent = tail(nearest, trials, declared / 100) >= error / 2
    observed = 100 * copied / requests
    return Percentage(
        declared,
        round(observed, 4),
        round(100 * low, 4),
        round(100 * high, 4),
        consistent,
    )
