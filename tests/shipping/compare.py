"""What was said of shipped traffic, against what is true of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from collector.keys import mask_request_id
from tests.shipping.traffic import Key, Told, Truth
from verifier.pairing.lines import Reason
from verifier.settle.report import totals
from verifier.tables import finding, settled_window


@dataclass
class Said:
    """What was said of all traffic.

    Attributes:
        verdicts: All verdicts over the whole range.
        findings: By verdict, how many of each request.
        reasons: Why what is unverifiable is so.
        missing_in_windows: Missing by the windows, each judged by itself; None: there are none.
    """

    requests: int
    statement: str
    verdicts: Mapping[str, int]
    findings: dict[str, Counter[Key]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    missing_in_windows: int | None = None

    def find(self, verdict: str, reason: str, key: Key, count: int) -> None:
        """Adds a finding."""
        self.findings.setdefault(verdict, Counter())[key] += count
        if verdict == "unverifiable":
            self.reasons[reason] += count


@dataclass
class Outcome:
    """How what was said compares with the truth.

    Attributes:
        requests: That left any line.
        matched: Said of so many.
        missing: Said of so many.
        lost: Missing in truth, of the requests that left any line.
        false_missing: At least so many of the missing were copied.
        false_matched: At least so many of the matched were not.
        others: Duplicates, leaks and so on.
        false_others: At least so many of the leaks, duplicates and orphans are none. Of one of two
            requests with the same id and path, all lines but the copy's may be lost.
        unverifiable: How many.
        reasons: Of those, as far as they are told.
        false_in_windows: At least so many of those that windows by themselves call missing were
            copied.
    """

    requests: int
    matched: int
    missing: int
    lost: int
    false_missing: int
    false_matched: int
    others: dict[str, int]
    unverifiable: int
    reasons: Counter[str]
    false_others: int = 0
    false_in_windows: int = 0

    @property
    def unexplained(self) -> int:
        """How many are unverifiable for no reason that is told."""
        return self.unverifiable - self.reasons.total()

    @property
    def wrong(self) -> int:
        """How much of it is not true, or lacks a reason."""
        return self.false_missing + self.false_matched + abs(self.unexplained)

    def agrees(self, other: Outcome) -> bool:
        """Whether another form says the same."""
        mine, theirs = (
            (one.requests, one.matched, one.missing, one.unverifiable, one.others)
            for one in (self, other)
        )
        return mine == theirs


def said_live(connection: Connection, policy: str) -> Said:
    """What the settled windows say."""
    found = totals(connection, policy)
    said = Said(found.requests, found.statement, found.verdicts)
    c = finding.c
    rows = connection.execute(select(finding).where(c.policy == policy, c.superseded_us.is_(None)))
    for row in rows:
        key = (mask_request_id(row.request_id), row.path)
        said.find(row.verdict, row.reason, key, row.count)
    # Windows go by control groups of their own; what is stated is stated of the whole range.
    said.reasons[Reason.LOG_LOSS] = found.log_loss
    c = settled_window.c
    lacking = select(func.sum(c.missing - c.log_loss))
    said.missing_in_windows = connection.scalar(
        lacking.where(c.policy == policy, c.superseded_us.is_(None))
    )
    return said


def compare(said: Said, truth: Truth, seen: Collection[Told]) -> Outcome:
    """Holds what was said against the truth.

    Which of several copies a lost line was nobody can know; how many there were, log loss tells.
    So what is missing is compared by number, what is matched by request, too.

    Args:
        said: Of the traffic.
        truth: By request.
        seen: The lines that arrived, each once.
    """
    lacking = said.findings.get("missing", Counter()) + said.findings.get("unverifiable", Counter())
    visible = _visible(seen)
    lost = sum((truth.missing & visible).values())
    sampled = bool(said.verdicts["unsampled"])  # who was not drawn is counted, not named
    false_matched = Counter[Key]() if sampled else (visible - lacking) - truth.matched
    by_number = said.verdicts["matched"] - sum(truth.matched.values())
    return Outcome(
        requests=said.requests,
        matched=said.verdicts["matched"],
        missing=said.verdicts["missing"],
        lost=lost,
        false_missing=max(0, said.verdicts["missing"] - lost),
        false_matched=max(0, by_number, sum(false_matched.values())),
        others={
            name: said.verdicts[name]
            for name in ("unsampled", "exempt", "duplicate", "leak", "orphan", "ambiguous")
            if said.verdicts[name]
        },
        unverifiable=said.verdicts["unverifiable"],
        reasons=+said.reasons,
        false_others=max(0, said.verdicts["leak"] - truth.leaked.total())
        + max(0, said.verdicts["duplicate"] - truth.doubled.total())
        + said.verdicts["orphan"],  # each copy had a request
        false_in_windows=max(0, (said.missing_in_windows or 0) - lost),
    )


def _visible(seen: Collection[Told]) -> Counter[Key]:
    """How many requests of each key the lines that arrived show at least."""
    sent: Counter[Key] = Counter()
    served: Counter[Key] = Counter()
    for one in seen:
        if one.pod.startswith("frontend"):
            sent[one.key] += b"|v2|" in one.text
        elif "-v2-" in one.pod:
            served[one.key] = 1
    return sent | served
