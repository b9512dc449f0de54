"""Endpoints as people and programs read them; no secret. Pure."""

from __future__ import annotations

from typing import Any

from verifier.alerts.registry import EndpointState
from verifier.times import iso_time


def state_json(state: EndpointState) -> dict[str, Any]:
    """One endpoint as `--json` and the API say it; times in RFC 3339, UTC."""
    moments = {
        "disabled_at": state.disabled_us,
        "held_until": state.hold_us,
        "oldest_pending_at": state.oldest_us,
        "last_attempt_at": state.last_attempt_us,
        "last_success_at": state.last_success_us,
    }
    return {
        "name": state.name,
        "form": state.form,
        "origin": state.origin,
        "kinds": list(state.wants.kinds),
        "policies": list(state.wants.policies),
        "least_severity": state.wants.least_severity.value,
        "enabled": state.disabled_us is None,
        "disabled_reason": state.disabled_reason,
        "failures": state.failures,
        "pending": state.pending,
        "repeating": state.repeating,
        "delivered": state.delivered,
        "dead": state.dead,
        "last_reason": state.last_reason,
        **{name: None if at is None else iso_time(at) for name, at in moments.items()},
    }
