"""What is told about an incident: one notification, whichever way it is delivered. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What drifts. Those before `QUARANTINE` are of one policy, the others of the pipeline."""

    MISSING = "missing"
    LEAK = "leak"
    PERCENTAGE = "percentage"
    STATUS_DIVERGENCE = "status_divergence"
    LATENCY_DIVERGENCE = "latency_divergence"
    SIZE_DIVERGENCE = "size_divergence"
    MIRROR_SILENT = "mirror_silent"
    EVIDENCE_HOLE = "evidence_hole"
    DUPLICATES = "duplicates"
    ORPHANS = "orphans"
    UNDECLARED = "undeclared"
    UNKNOWN_VERSION = "unknown_version"
    LINT = "lint"
    MARKER = "marker"
    QUARANTINE = "quarantine"
    STALLED = "stalled"
    GAP = "gap"
    NO_COLLECTOR = "no_collector"
    UNACKNOWLEDGED = "unacknowledged"
    WATERMARK_LAG = "watermark_lag"


class Severity(StrEnum):
    """How soon somebody should look: at once, today, some day."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class NotifyReason(StrEnum):
    """Why something is told now."""

    FIRST = "first"
    GREW = "grew"
    STILL_THERE = "still_there"
    RESOLVED = "resolved"
    TEST = "test"


class Status(StrEnum):
    """Whether the drift goes on."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One finding as evidence; redacted before it was stored. `started_us`: µs UTC."""

    request_id: str
    method: str
    path: str
    started_us: int
    verdict: str
    reason: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One notification about an incident. Times in µs since the epoch, UTC.

    Attributes:
        id: Unique, `inc_INCIDENT_SEQUENCE`; the same in every attempt of a delivery.
        incident_id: Which incident.
        sequence: Counts the notifications of one incident, from 1.
        kind: What drifts.
        policy: Its name; empty for the pipeline as a whole.
        severity: How soon somebody should look.
        reason: Why it is told now.
        status: Whether it goes on.
        at_us: When this was decided, by the database's clock.
        opened_us: When the incident opened, by the same clock.
        first_us: Event time of the first drift that it counts.
        last_us: Event time of the last.
        resolved_us: When it ended, by the database's clock; None: it goes on.
        counts: What was counted since `first_us`, by name.
        summary: One line: what, where, how much.
        cause: The likely cause, one or two sentences; empty: none stands out.
        advice: What to look at next.
        examples: A few findings; none for the pipeline.
        test: Sent to try an endpoint; no incident stands behind it.
    """

    id: str
    incident_id: int
    sequence: int
    kind: Kind
    policy: str
    severity: Severity
    reason: NotifyReason
    status: Status
    at_us: int
    opened_us: int
    first_us: int
    last_us: int
    resolved_us: int | None
    counts: dict[str, int]
    summary: str
    cause: str
    advice: str
    examples: tuple[Example, ...]
    test: bool = False


def event_id(incident_id: int, sequence: int) -> str:
    """The id of an incident's notification, the same however often it is made."""
    return f"inc_{incident_id}_{sequence}"
