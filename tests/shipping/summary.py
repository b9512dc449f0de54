"""What was said of many recordings, summed up by fault and by who said it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.shipping.compare import Outcome

ROW_HEAD = (
    "| on the way | recording | by | requests | matched | missing, of lost copies"
    " | false: missing, matched, other | unverifiable, and why |\n|---|---|---|---|---|---|---|---|"
)
SUM_HEAD = (
    "| on the way | by | recordings | requests | matched | missing, of lost copies"
    " | false: missing, matched, other | false in single windows | unverifiable, and why |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def row(case: str, recording: str, form: str, found: Outcome) -> str:
    """One row for one recording."""
    return (
        f"| {case} | {recording} | {form} | {found.requests} | {found.matched}"
        f" | {found.missing - found.false_missing} of {found.lost}"
        f" | {found.false_missing}, {found.false_matched}, {found.false_others}"
        f" | {why(found.unverifiable, found.reasons)} |"
    )


def why(unverifiable: int, reasons: Counter[str]) -> str:
    """How many are unverifiable, by reason; those without any are named."""
    told: Counter[str] = Counter()
    for reason, count in reasons.items():
        told[reason.partition(":")[0]] += count
    if unverifiable != told.total():
        told["NO REASON"] = unverifiable - told.total()
    listed = ", ".join(f"{reason}: {count}" for reason, count in told.most_common())
    return f"{unverifiable} ({listed})" if unverifiable else "0"


@dataclass
class Sums:
    """All recordings with one fault, by one form of the product."""

    case: str
    form: str
    recordings: int = 0
    requests: int = 0
    matched: int = 0
    missing: int = 0
    lost: int = 0
    false_missing: int = 0
    false_matched: int = 0
    false_others: int = 0
    false_in_windows: int = 0
    unverifiable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, found: Outcome) -> None:
        """Adds a recording."""
        self.recordings += 1
        self.requests += found.requests
        self.matched += found.matched
        self.missing += found.missing
        self.lost += found.lost
        self.false_missing += found.false_missing
        self.false_matched += found.false_matched
        self.false_others += found.false_others
        self.false_in_windows += found.false_in_windows
        self.unverifiable += found.unverifiable
        self.reasons += found.reasons

    def row(self) -> str:
        """One row of the summary."""
        windows = self.false_in_windows if self.form == "live" else ""
        return (
            f"| {self.case} | {self.form} | {self.recordings} | {self.requests} | {self.matched}"
            f" | {self.missing - self.false_missing} of {self.lost}"
            f" | {self.false_missing}, {self.false_matched}, {self.false_others} | {windows}"
            f" | {why(self.unverifiable, self.reasons)} |"
        )
