"""Rates: bursts are let through, then the long-run rate holds."""

from __future__ import annotations

import pytest

from verifier.api.rates import Rates


def test_a_burst_is_let_through_and_then_the_rate_holds() -> None:
    """Three at once, then one each half second."""
    rates = Rates(per_s=2, burst=3)

    assert [rates.take("a", 0.0) for _ in range(3)] == [0, 0, 0]
    assert rates.take("a", 0.0) == pytest.approx(0.5)
    assert rates.take("a", 0.5) == 0
    assert rates.take("a", 0.5) == pytest.approx(0.5)


def test_callers_do_not_share_their_tokens() -> None:
    """One who asks too often holds back nobody else."""
    rates = Rates(per_s=1, burst=1)
    rates.take("loud", 0.0)

    assert rates.take("loud", 0.0) > 0
    assert rates.take("quiet", 0.0) == 0


def test_whoever_asked_longest_ago_is_forgotten() -> None:
    """Ever new callers take no ever growing memory; who comes back has a full bucket."""
    rates = Rates(per_s=1, burst=1)
    for number in range(10_002):
        rates.take(str(number), 0.0)

    assert rates.take("0", 0.0) == 0
    assert rates.take("10001", 0.0) > 0
