"""What the verifier said beside what the applications counted: the point of the demo. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
