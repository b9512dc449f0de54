"""What the verifier said beside what the applications counted: the point of the demo. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from verifier.demo.ledger import Truth

REQUEST_VERDICTS: Final = (
    "matched",
    "missing",
    "unsampled",
    "exempt",
    "pending",
    "unverifiable",
)
"""Verdicts that speak of a request; the others speak of arrivals and lines."""
_UNEXPECTED: Final = (
    "unsampled",
    "exempt",
    "pending",
    "unverifiable",
    "ambiguous",
    "duplicate",
    "orphan",
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure from both sides.

    Attributes:
        what: What is counted.
        counted: What the applications counted.
        said: What the verifier said.
    """

    what: str
    counted: int
    said: int

    @property
    def agrees(self) -> bool:
        """Whether both sides have the same figure."""
        return self.counted == self.said


def compare(truth: Truth, verdicts: Mapping[str, int]) -> list[Comparison]:
    """All figures, in the order in which they are shown.

    Args:
        truth: The applications' totals.
        verdicts: The verifier's totals by verdict; absent ones are 0.
    """
    said = {name: verdicts.get(name, 0) for name in (*REQUEST_VERDICTS, *verdicts)}
    requests = sum(said[name] for name in REQUEST_VERDICTS)
    rest = sum(verdicts.get(name, 0) for name in _UNEXPECTED)
    return [
        Comparison("requests to v2", truth.requests, requests),
        Comparison("mirrored to v1 (matched)", truth.mirrored, said["matched"]),
        Comparison("not mirrored (missing)", truth.missing, said["missing"]),
        Comparison("live traffic at v1 (leak)", truth.leaked, verdicts.get("leak", 0)),
        Comparison("anything else", 0, rest),
    ]


def agree(comparisons: list[Comparison]) -> bool:
    """Whether both sides have the same figures throughout."""
    return all(row.agrees for row in comparisons)


def tell_delays(delays_s: Sequence[float], window_s: float, grace_s: float, tick_s: float) -> str:
    """How long lost copies waited for being found, beside how long they may; empty: none was lost.

    Args:
        delays_s: From each request's start to its finding, in seconds, in order.
        window_s: Size of a window: so long a request may wait for the end of its own.
        grace_s: After that, for its lines to arrive.
        tick_s: After that, for the verifier's next tick.
    """
    if not delays_s:
        return ""
    bound_s = window_s + grace_s + tick_s
    return (
        f"From a lost copy to its finding: {median(delays_s):.1f} s in the median, "
        f"{delays_s[-1]:.1f} s at most; a window of {window_s:g} s, a grace of {grace_s:g} s and "
        f"a tick of {tick_s:g} s are {bound_s:g} s."
    )
