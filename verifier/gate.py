"""The answer that a release pipeline waits for: is the mirroring of a policy proven?"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from collector.db.tables import policy_version
from collector.errors import UsageError
from verifier.pairing.statement import Ruling, Statement
from verifier.settle.drift import Drift, drift_of
from verifier.settle.report import Totals, totals
from verifier.tables import finding
from verifier.times import iso_time, time_or_none

MAX_LAG_US: Final = 300_000_000
"""What is settled only up to longer ago says nothing of now."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. Times in µs since the epoch.

    Attributes:
        policy: Name of the policy.
        since_us: Windows that start then or later count.
        settled_to_us: Up to then all windows must be settled.
        min_requests: Fewer requests prove nothing.
    """

    policy: str
    since_us: int
    settled_to_us: int
    min_requests: int


def decide(asked: Asked, found: Totals, drift: Drift | None = None) -> Ruling:
    """The statement over what is settled; a violation needs no more than what there is.

    Args:
        asked: What is asked.
        found: The sum of the range.
        drift: What the watch over all windows says, also of those before the range.
    """
    ruling = Ruling(Statement(found.statement), found.reason)
    if ruling.statement is Statement.VIOLATED:
        return ruling
    if drift is not None and drift.decision.decided and drift.terms.declared < 1:
        return Ruling(Statement.VIOLATED, _drifted(drift))
    doubts = [] if ruling.statement is Statement.PROVEN else [ruling.reason]
    if found.settled_to_us is None or found.settled_to_us < asked.settled_to_us:
        settled = "nothing" if found.settled_to_us is None else iso_time(found.settled_to_us)
        doubts.append(f"settled up to {settled}, not {iso_time(asked.settled_to_us)}")
    if found.requests < asked.min_requests:
        doubts.append(f"{found.requests} of at least {asked.min_requests} requests")
    return Ruling(Statement.NOT_PROVEN, ", ".join(doubts)) if doubts else ruling


def look(connection: Connection, asked: Asked) -> tuple[Totals, Ruling]:
    """What is settled of the range, and what it amounts to; of a new policy that is nothing yet.

    Raises:
        UsageError: No such policy was ever recorded.
    """
    names = connection.scalars(select(policy_version.c.name).distinct()).all()
    if asked.policy not in names:
        known = ", ".join(sorted(names)) or "none yet"
        msg = f"no policy {asked.policy!r} was ever recorded; there are: {known}"
        raise UsageError(msg)
    found = totals(connection, asked.policy, asked.since_us)
    return found, decide(asked, found, drift_of(connection, asked.policy))


def to_json(connection: Connection, found: Totals, ruling: Ruling, limit: int) -> dict[str, Any]:
    """The answer in the form of `check --json`, with the range, and evidence by its positions.

    Args:
        connection: The transaction that looked.
        found: What it saw.
        ruling: What that amounts to.
        limit: At most so many findings, by time.
    """
    share = found.percentage
    policy = {
        "name": found.policy,
        "statement": ruling.statement.value,
        "reason": ruling.reason,
        "since": time_or_none(found.since_us),
        "until": time_or_none(found.until_us),
        "settled_to": time_or_none(found.settled_to_us),
        "windows": found.windows,
        "primary": {"requests": found.requests, "requests_high": found.requests_high},
        "verdicts": found.verdicts,
        "log_loss": found.log_loss,
        "percentage": msgspec.to_builtins(share),
        "drift": _drift_json(drift_of(connection, found.policy)),
        "divergence": {"status": found.status_differs, "pairs": found.paired},
        "findings": _findings(connection, found, limit),
    }
    return {"statement": ruling.statement.value, "policies": [policy]}


def _drifted(drift: Drift) -> str:
    """What a decided watch over a sampled policy says."""
    seen, since_us = drift.decision, drift.decision.since_us
    since = "" if since_us is None else f" since {iso_time(since_us)}"
    share = "" if seen.share is None else f"{100 * seen.share:.2f} % "
    return f"{share}copied instead of {100 * drift.terms.declared:g} %{since}"


def _drift_json(drift: Drift | None) -> dict[str, Any] | None:
    """The watch over all windows so far; of missing copies where all are owed."""
    if drift is None:
        return None
    seen = drift.decision
    return {
        "decided": seen.decided,
        "of": "copied" if drift.terms.declared < 1 else "missing",
        "since": time_or_none(seen.since_us),
        "through": time_or_none(drift.through_us),
        "requests": seen.trials,
        "share": None if seen.share is None else round(100 * seen.share, 4),
        "chance_a_year": seen.chance_a_year,
    }


def _findings(connection: Connection, found: Totals, limit: int) -> list[dict[str, Any]]:
    """The first findings of the latest revisions in the range."""
    if found.since_us is None or found.until_us is None:
        return []
    c = finding.c
    query = (
        select(finding)
        .where(c.policy == found.policy, c.superseded_us.is_(None))
        .where(c.window_start_us >= found.since_us, c.window_start_us < found.until_us)
        .order_by(c.window_start_us, c.start_us, c.id)
        .limit(limit)
    )
    return [_finding_json(row) for row in connection.execute(query)]


def _finding_json(row: Any) -> dict[str, Any]:
    places = ("pod", "topic", "partition", "offset")
    return {
        "verdict": row.verdict,
        "request_id": row.request_id,
        "method": row.method,
        "path": row.path,
        "started_at": iso_time(row.start_us),
        "reason": row.reason,
        "count": row.count,
        "evidence": [{name: one[name] for name in places} for one in json.loads(row.evidence)],
    }
