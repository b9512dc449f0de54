"""What the judgement of a window, or of many, amounts to. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from verifier.pairing.context import NO_LOSS, Loss, settle_log_loss
from verifier.pairing.lines import Verdict
from verifier.pairing.percentage import CHECK_ERROR, Percentage, judge_percentage
from verifier.pairing.statement import Ruling, Statement, rule
from verifier.pairing.tally import Tally
from verifier.policies.model import Policy
from verifier.settle.windows import SECOND_US

RULES_VERSION: Final = 3
"""Raised when the same lines would be judged differently. Windows keep that of their verdicts.

2: what a pod of unknown version received is unverifiable, and nothing is proven beside it.
3: what lines were lost in the hour before a window explains copies that lack in it.
"""

FALSE_ALARMS_A_YEAR: Final = 0.01
"""How many windows a year may call a percentage wrong that is right, at most."""

_YEAR_US: Final = 365.25 * 24 * 3600 * 1_000_000
_NO_MIRROR: Final = Ruling(Statement.NOT_PROVEN, "the route has no mirror")


class Result(msgspec.Struct, frozen=True):
    """What a range amounts to.

    Attributes:
        log_loss: How many of the missing copies lost lines explain.
        verdicts: The counts with those moved to unverifiable; every verdict is there.
        percentage: Declared and observed share.
        ruling: The statement and its reason.
    """

    log_loss: int
    verdicts: dict[str, int]
    percentage: Percentage
    ruling: Ruling


def window_error(size_us: int) -> float:
    """How often one window may reject a right percentage. By the union bound over a year."""
    return FALSE_ALARMS_A_YEAR * size_us / _YEAR_US


def rule_on(
    policy: Policy,
    tally: Tally,
    *,
    length_us: int | None = None,
    before: Loss = NO_LOSS,
    error: float = CHECK_ERROR,
) -> Result:
    """States what a tally amounts to. Takes log loss off it, from counts and findings.

    Args:
        policy: The version in force.
        tally: As judged.
        length_us: How long a range is that is long enough to estimate log loss without the
            senders' logs; None: it is not.
        before: What the time before it shows of log loss.
        error: How often a right percentage may be rejected.
    """
    missing = tally.counts.get(Verdict.MISSING, 0)
    seconds = None if length_us is None else max(1, length_us // SECOND_US)
    settle_log_loss(tally, seconds, before)
    verdicts = {verdict.value: tally.counts.get(verdict, 0) for verdict in Verdict}
    copied = verdicts[Verdict.MATCHED]
    owed = copied + verdicts[Verdict.MISSING] + verdicts[Verdict.UNSAMPLED]
    declared = max((mirror.percent for mirror in policy.mirrors), default=0.0)
    # Beside requests without a copy in a hole are others with one: none of them was left out.
    doubtful = verdicts[Verdict.UNVERIFIABLE]
    percentage = judge_percentage(copied, owed, declared, error, doubtful=doubtful)
    ruling = _NO_MIRROR
    if policy.mirrors:
        ruling = rule(tally, percentage, policy.rules.tolerance)
    return Result(missing - verdicts[Verdict.MISSING], verdicts, percentage, ruling)
