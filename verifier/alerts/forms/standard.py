"""Standard Webhooks: signed, with a CloudEvents body.

Sources: Standard Webhooks 1.0.0; CloudEvents 1.0.2, JSON format. The body satisfies both: the
attributes `type`, `timestamp` and `data` of the one stand among those of the other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from standardwebhooks import Webhook

from verifier.alerts.exchange import Request
from verifier.alerts.forms.form import About, Address, Form, Size, fitted, posting
from verifier.alerts.forms.text import cut, plain
from verifier.incidents.event import Event
from verifier.times import iso_time

MOST_BYTES: Final = 20_000
"""Source: Standard Webhooks, "Payload size": below 20 kB."""


def cloud_event(event: Event, about: About, size: Size) -> dict[str, Any]:
    """The body."""
    at = iso_time(event.at_us)
    source = f"/{quote(cut(about.source, 100))}" if about.source else ""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/mirrorproof{source}",
        "type": f"mirrorproof.incident.{event.reason.value}",
        **({"subject": quote(cut(event.policy, 200))} if event.policy else {}),
        "time": at,
        "timestamp": at,
        "datacontenttype": "application/json",
        "data": plain(event, about, size),
    }


def request(event: Event, address: Address, about: About) -> Request:
    """Signed with every secret, so that a receiver may change from one to the next."""
    body = fitted(lambda size: cloud_event(event, about, size), MOST_BYTES)
    base = posting(address, body, "application/cloudevents+json; charset=utf-8")
    sent_s = about.now_us // 1_000_000
    sent_at = datetime.fromtimestamp(sent_s, UTC)
    headers = {**base.headers, "webhook-id": event.id, "webhook-timestamp": str(sent_s)}
    signed = [Webhook(secret).sign(event.id, sent_at, body.decode()) for secret in address.secrets]
    if signed:
        headers["webhook-signature"] = " ".join(signed)
    return Request(url=base.url, body=body, headers=headers)


FORM: Final = Form(name="standard-webhooks", request=request)
