"""Alertmanager: as a client of its API, and in the form in which it calls webhooks itself.

Sources: Prometheus Alertmanager, `docs/alerts_api.md` (labels are an alert's identity; clients send
it again before `endsAt`, resolved ones for five minutes, to every instance) and
`docs/configuration.md` (webhook_config, version 4).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from verifier.alerts.exchange import Request
from verifier.alerts.forms.form import About, Address, Form, Size, fitted, posting
from verifier.alerts.forms.text import counted, cut, example_line
from verifier.alerts.repeat import Repeat
from verifier.incidents.event import Event, Status
from verifier.times import iso_time

REPEAT: Final = Repeat(every_us=60_000_000, resolved_us=360_000_000)
"""Each minute, as Prometheus does by default (`--rules.alert.resend-delay`); a resolution for at
least five minutes, and one time more, as the last may fail."""
LASTS_US: Final = 4 * REPEAT.every_us
"""An alert that is not sent again ends after so long, again as of Prometheus."""
_PATH: Final = "/api/v2/alerts"
_MOST_BYTES: Final = 100_000
_NEVER: Final = "0001-01-01T00:00:00Z"
"""How Alertmanager writes the end of what has none."""


def labels(event: Event, about: About) -> dict[str, str]:
    """The identity of an alert: few values, the same while the incident lasts."""
    found = {
        "alertname": "Mirrorproof" + "".join(w.capitalize() for w in event.kind.split("_")),
        "kind": event.kind.value,
        "policy": cut(event.policy, 200),
        "severity": event.severity.value,
        "source": about.source,
        "test": "true" if event.test else "",
    }
    return {name: value for name, value in found.items() if value}


def notes(event: Event, size: Size) -> dict[str, str]:
    """What people read; it may change while the incident lasts."""
    examples = "\n".join(example_line(one) for one in event.examples[: size.examples])
    found = {
        "summary": cut(event.summary, size.characters),
        "cause": cut(event.cause, size.characters),
        "advice": cut(event.advice, size.characters),
        "counts": cut(counted(event), size.characters),
        "examples": examples,
        "incident": str(event.incident_id),
    }
    return {name: value for name, value in found.items() if value}


def alert(event: Event, about: About, size: Size) -> dict[str, Any]:
    """One alert of `POST /api/v2/alerts`."""
    if event.status == Status.RESOLVED:
        ends_us = max(event.resolved_us or event.at_us, event.opened_us)
    else:
        ends_us = about.now_us + LASTS_US
    link = about.link(event)
    return {
        "labels": labels(event, about),
        "annotations": notes(event, size),
        "startsAt": iso_time(event.opened_us),
        "endsAt": iso_time(ends_us),
        **({"generatorURL": link} if link else {}),
    }


def api_request(event: Event, address: Address, about: About) -> Request:
    """Posts one alert to the API of an instance."""
    body = fitted(lambda size: [alert(event, about, size)], _MOST_BYTES)
    base = posting(address, body)
    url = base.url.rstrip("/").removesuffix(_PATH) + _PATH
    return Request(url=url, body=body, headers=base.headers)


def notification(event: Event, about: About, size: Size) -> dict[str, Any]:
    """The body that Alertmanager posts to webhooks, version 4, of one alert."""
    own = labels(event, about)
    said = notes(event, size)
    firing = event.status == Status.FIRING
    ends_at = _NEVER if firing else iso_time(event.resolved_us or event.at_us)
    name = "\0".join(f"{key}\0{value}" for key, value in sorted(own.items()))
    return {
        "version": "4",
        "groupKey": f'{{}}:{{incident="{event.incident_id}"}}',
        "truncatedAlerts": 0,
        "status": event.status.value,
        "receiver": "mirrorproof",
        "groupLabels": {"alertname": own["alertname"]},
        "commonLabels": own,
        "commonAnnotations": said,
        "externalURL": about.external_url,
        "alerts": [
            {
                "status": event.status.value,
                "labels": own,
                "annotations": said,
                "startsAt": iso_time(event.opened_us),
                "endsAt": ends_at,
                "generatorURL": about.link(event),
                "fingerprint": hashlib.blake2b(name.encode(), digest_size=8).hexdigest(),
            }
        ],
    }


def webhook_request(event: Event, address: Address, about: About) -> Request:
    """Posts what a webhook of Alertmanager would get."""
    return posting(address, fitted(lambda size: notification(event, about, size), _MOST_BYTES))


FORM: Final = Form(name="alertmanager", request=api_request)
WEBHOOK_FORM: Final = Form(name="alertmanager-webhook", request=webhook_request)
