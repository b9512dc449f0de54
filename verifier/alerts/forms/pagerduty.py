"""PagerDuty's Events API v2.

Source: PagerDuty developer documentation, "Send an alert event": lengths, the deduplication key,
and 202 with `"status": "success"`.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from verifier.alerts.exchange import Reply, Request
from verifier.alerts.forms.form import About, Address, Form, Size, fitted, posting
from verifier.alerts.forms.text import cut, plain, title
from verifier.alerts.outcome import Result, failed
from verifier.incidents.event import Event, Status
from verifier.times import iso_time

DEFAULT_URL: Final = "https://events.pagerduty.com/v2/enqueue"
SUMMARY: Final = 1_024
KEY: Final = 255
_MOST_BYTES: Final = 60_000
"""The API takes 512 KB; people do not."""


def dedup_key(event: Event, about: About) -> str:
    """What makes all events of an incident one alert there."""
    key = f"mirrorproof/{about.source}/{'test/' if event.test else ''}{event.incident_id}"
    if len(key) <= KEY:
        return key
    return "mirrorproof/" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def alert(event: Event, address: Address, about: About, size: Size) -> dict[str, Any]:
    """The body."""
    found: dict[str, Any] = {
        "routing_key": address.secrets[0] if address.secrets else "",
        "event_action": "resolve" if event.status == Status.RESOLVED else "trigger",
        "dedup_key": dedup_key(event, about),
        "client": "mirrorproof",
        "payload": {
            "summary": cut(f"{title(event)}: {event.summary}", SUMMARY),
            "source": about.source or "mirrorproof",
            "severity": event.severity.value,
            "timestamp": iso_time(event.at_us),
            "component": cut(event.policy, 200) or "pipeline",
            "group": "mirrorproof",
            "class": event.kind.value,
            "custom_details": plain(event, about, size),
        },
    }
    if link := about.link(event):
        found |= {"client_url": link, "links": [{"href": link, "text": "Open the incident"}]}
    return found


def request(event: Event, address: Address, about: About) -> Request:
    """Triggers or resolves the alert of an incident."""
    return posting(address, fitted(lambda size: alert(event, address, about, size), _MOST_BYTES))


def judge(reply: Reply) -> Result | None:
    """Success says so."""
    if not 200 <= reply.status <= 299:
        return None
    try:
        said = msgspec.json.decode(reply.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = {}
    if said.get("status") == "success":
        return None
    return failed(f"{reply.status}, but not the answer of PagerDuty")


FORM: Final = Form(name="pagerduty", request=request, judge=judge)
