"""What is stated of a policy over a range: proven, violated or not proven. Rule: *statement*."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from verifier.pairing.lines import Verdict
from verifier.pairing.percentage import Percentage
from verifier.pairing.tally import Tally

MAX_AMBIGUOUS_SHARE: Final = 0.01
"""Above this share of ambiguous requests nothing is proven: they could hide a loss."""

MAX_DOUBTFUL_SHARE: Final = 0.25
"""Above this share of requests that may or may not have taken place nothing is proven. Without
the senders' logs each retry leaves such a doubt; with them there is none."""


class Statement(StrEnum):
    """The outcome of a range; from best to worst: proven, not proven, violated."""

    PROVEN = "proven"
    VIOLATED = "violated"
    NOT_PROVEN = "not_proven"


class Ruling(msgspec.Struct, frozen=True):
    """A statement and the reason for it, in words."""

    statement: Statement
    reason: str


def rule(tally: Tally, percentage: Percentage, tolerance: float = 0.0) -> Ruling:
    """States what was judged of a range amounts to.

    Args:
        tally: Of the whole range, log loss taken off.
        percentage: The percentage test of the same range.
        tolerance: Accepted share of missing copies, 0 to 1.
    """
    violations = _violations(tally.counts, percentage, tolerance)
    if violations:
        return Ruling(Statement.VIOLATED, ", ".join(violations))
    doubts = _doubts(tally)
    if doubts:
        return Ruling(Statement.NOT_PROVEN, ", ".join(doubts))
    return Ruling(Statement.PROVEN, _proof(tally.counts))


def _violations(
    counts: Mapping[Verdict, int], percentage: Percentage, tolerance: float
) -> list[str]:
    """What breaks the policy."""
    found = []
    missing = counts.get(Verdict.MISSING, 0)
    owed = missing + counts.get(Verdict.MATCHED, 0)
    if missing and missing > tolerance * owed:
        found.append(f"{missing} missing")
    if leaks := counts.get(Verdict.LEAK, 0):
        found.append(f"{leaks} leaked")
    if not percentage.consistent and percentage.declared < 100:
        found.append(f"{percentage.observed:.2f} % copied instead of {percentage.declared:g} %")
    return found


def _doubts(tally: Tally) -> list[str]:
    """What keeps a range without violation from being proven."""
    counts, requests, requests_high = tally.counts, tally.requests, tally.requests_high
    verified = counts.get(Verdict.MATCHED, 0) + counts.get(Verdict.UNSAMPLED, 0)
    found = []
    if pending := counts.get(Verdict.PENDING, 0):
        found.append(f"{pending} pending")
    if unverifiable := counts.get(Verdict.UNVERIFIABLE, 0):
        # No finding may say so: a window's own control group may have lost nothing.
        lost = f" ({tally.log_loss} by log loss)" if tally.log_loss else ""
        found.append(f"{unverifiable} unverifiable{lost}")
    ambiguous = counts.get(Verdict.AMBIGUOUS, 0)
    if ambiguous > MAX_AMBIGUOUS_SHARE * (requests + ambiguous):
        found.append(f"{ambiguous} ambiguous")
    if requests_high - requests > MAX_DOUBTFUL_SHARE * requests_high:
        found.append(f"{requests_high - requests} retries or further requests")
    if counts.get(Verdict.UNSAMPLED, 0) and not counts.get(Verdict.MATCHED, 0):
        # Few requests fit any small percentage, and no mirror at all.
        found.append(f"no copy yet of {verified} requests")
    if not found and not verified:
        found.append("nothing to verify")
    return found


def _proof(counts: Mapping[Verdict, int]) -> str:
    """What a proven range rests on."""
    matched, unsampled = counts.get(Verdict.MATCHED, 0), counts.get(Verdict.UNSAMPLED, 0)
    if unsampled:
        return f"{matched} of {matched + unsampled} requests sampled and matched"
    return f"all {matched} matched"


_SEVERITY: Final = (Statement.PROVEN, Statement.NOT_PROVEN, Statement.VIOLATED)


def worst(statements: Iterable[Statement]) -> Statement:
    """The worst of several statements; `not_proven` of none, for nothing was verified."""
    return max(statements, key=_SEVERITY.index, default=Statement.NOT_PROVEN)
