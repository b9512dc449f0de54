"""What was said of a run's traffic, held against the truth, by plain SQL."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from tests.mesh_traffic import NAME
from tests.soak.traffic import Truth


@dataclass
class Outcome:
    """How it compares.

    Attributes:
        requests: That there were.
        uncopied: Of them, so many lacked their copy.
        matched: Said of so many.
        verdicts: Of findings, how many of each verdict and reason.
        false_missing: Ids of requests that are said to miss a copy that they had, or did not owe.
        false_matched: Ids of requests without a copy of which nothing is said.
        wrong: What else does not hold, one line each.
    """

    requests: int
    uncopied: int
    matched: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    false_missing: list[str] = field(default_factory=list)
    false_matched: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


_FINDINGS = (
    "SELECT request_id, verdict, reason, count FROM finding "
    f"WHERE policy = '{NAME}' AND superseded_us IS NULL"
)
_SETTLED = (
    "SELECT sum(requests) AS requests, sum(matched) AS matched FROM settled_window "
    f"WHERE policy = '{NAME}' AND superseded_us IS NULL"
)


def compare(connection: Connection, truth: Truth, *, exempt: set[str]) -> Outcome:
    """Compares.

    Args:
        connection: To the database at the end.
        truth: Of all requests.
        exempt: Those around a change of the policy: nothing need be said of them.
    """
    outcome = Outcome(len(truth.at_us), len(truth.uncopied))
    doubtful: set[str] = set()
    for request_id, verdict, reason, count in connection.execute(text(_FINDINGS)):
        outcome.verdicts[f"{verdict}: {reason}"] += count
        doubtful.add(request_id)
        if verdict == "missing" and request_id not in truth.uncopied:
            outcome.false_missing.append(request_id)
        if request_id and request_id not in truth.at_us:
            outcome.wrong.append(f"finding of a request that nobody made: {request_id}")
    outcome.false_matched = sorted(truth.uncopied - doubtful - exempt)
    settled = connection.execute(text(_SETTLED)).one()
    outcome.matched, requests = int(settled.matched or 0), int(settled.requests or 0)
    copied = len(truth.at_us) - len(truth.uncopied) - len(truth.off)
    if outcome.matched > copied:
        outcome.wrong.append(f"{outcome.matched} matched, but only {copied} were copied")
    if requests > len(truth.at_us):
        outcome.wrong.append(f"{requests} requests counted of {len(truth.at_us)}")
    return outcome
