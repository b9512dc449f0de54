"""When the gate opens."""

from __future__ import annotations

import pytest

from verifier.gate import Asked, decide
from verifier.pairing.lines import Verdict
from verifier.pairing.percentage import Percentage
from verifier.pairing.statement import Ruling, Statement
from verifier.settle.drift import Drift, Terms
from verifier.settle.report import Totals
from verifier.statistics.sequential import Decision

ASKED = Asked(policy="weather/forecast", since_us=0, settled_to_us=100, min_requests=10)


def settled(statement: str, reason: str, *, to_us: int | None = 100, requests: int = 10) -> Totals:
    """What is settled of a range."""
    return Totals(
        policy="weather/forecast", windows=1, since_us=0, until_us=100, settled_to_us=to_us,
        requests=requests, requests_high=requests, verdicts=dict.fromkeys(Verdict, 0),
        statement=statement, reason=reason, percentage=Percentage(100, 100, 99, 100, True),
        paired=0, status_differs=0, control=0, control_lost=0, log_loss=0, unsettled=[], too_late=0,
    )  # fmt: skip


def test_proven_over_enough_requests_is_proven() -> None:
    """All is settled, enough was seen, all matched."""
    found = decide(ASKED, settled("proven", "all 10 matched"))
    assert found == Ruling(Statement.PROVEN, "all 10 matched")


@pytest.mark.parametrize(
    ("to_us", "requests", "reason"),
    [
        (100, 9, "9 of at least 10 requests"),
        (None, 10, "settled up to nothing, not 1970-01-01T00:00:00.000Z"),
        (99, 0, "settled up to 1970-01-01T00:00:00.000Z, not 1970-01-01T00:00:00.000Z, "
                "0 of at least 10 requests"),
    ],
)  # fmt: skip
def test_too_little_is_not_proven(to_us: int | None, requests: int, reason: str) -> None:
    """Too few requests, or windows that are not settled, prove nothing."""
    found = decide(ASKED, settled("proven", "all matched", to_us=to_us, requests=requests))
    assert found == Ruling(Statement.NOT_PROVEN, reason)


def test_a_violation_needs_no_more() -> None:
    """One violation decides, however little is settled."""
    found = decide(ASKED, settled("violated", "1 missing", to_us=None, requests=1))
    assert found == Ruling(Statement.VIOLATED, "1 missing")


def test_every_doubt_is_named() -> None:
    """What is not proven anyway keeps its reason beside the new ones."""
    found = decide(ASKED, settled("not_proven", "3 unverifiable", requests=3))
    assert found == Ruling(Statement.NOT_PROVEN, "3 unverifiable, 3 of at least 10 requests")


def test_a_drift_over_all_windows_violates_a_share() -> None:
    """What the watch over all windows decided counts, though the range alone looks right."""
    seen = Decision(decided=True, since_us=0, events=3, trials=10, share=0.3)
    drift = Drift(policy="p", terms=Terms(0.5, 0.0), decision=seen, through_us=100)
    found = decide(ASKED, settled("proven", "5 of 10 requests sampled and matched"), drift)

    reason = "30.00 % copied instead of 50 % since 1970-01-01T00:00:00.000Z"
    assert found == Ruling(Statement.VIOLATED, reason)
