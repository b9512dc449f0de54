"""Events of incidents, as tests need them."""

from __future__ import annotations

from typing import Any

from verifier.incidents.event import (
    Event,
    Example,
    Kind,
    NotifyReason,
    Severity,
    Status,
    event_id,
)

OPENED_US = 1_764_000_000_000_000
"""2025-11-24T16:00:00Z."""


def make_example(**changed: Any) -> Example:
    """A missing copy."""
    fields: dict[str, Any] = {
        "request_id": "46ce024f-97b3-4a45-8f73-2d4ef365608d",
        "method": "GET",
        "path": "/weather?locate=redacted",
        "started_us": OPENED_US - 20_000_000,
        "verdict": "missing",
        "reason": "no copy arrived at v1",
    }
    return Example(**{**fields, **changed})


def make_event(sequence: int = 1, **changed: Any) -> Event:
    """The opening of incident 7, or what is changed; a resolution resolves a minute later."""
    fields: dict[str, Any] = {
        "incident_id": 7,
        "sequence": sequence,
        "kind": Kind.MISSING,
        "policy": "weather/forecast-route",
        "severity": Severity.CRITICAL,
        "reason": NotifyReason.FIRST,
        "status": Status.FIRING,
        "at_us": OPENED_US,
        "opened_us": OPENED_US,
        "first_us": OPENED_US - 20_000_000,
        "last_us": OPENED_US - 10_000_000,
        "resolved_us": None,
        "counts": {"requests": 1852, "missing": 368},
        "summary": "368 of 1852 requests to forecast have no copy at v1",
        "cause": "All of them carry a body of more than 64 kB.",
        "advice": "Look at the listener's per_connection_buffer_limit_bytes.",
        "examples": (make_example(),),
    }
    fields.update(changed)
    fields.setdefault("id", event_id(fields["incident_id"], sequence))
    return Event(**fields)


def resolved(sequence: int = 2, **changed: Any) -> Event:
    """The end of incident 7, a minute after it opened."""
    at_us = OPENED_US + 60_000_000
    return make_event(
        sequence,
        **{
            "reason": NotifyReason.RESOLVED,
            "status": Status.RESOLVED,
            "at_us": at_us,
            "resolved_us": at_us,
            **changed,
        },
    )
