"""The real Alertmanager takes what we send: `make test-alertmanager`."""

from __future__ import annotations

import json
import time

import pytest

from tests.alerting import sender
from tests.events import make_event, resolved
from tests.servers.alertmanager import PROGRAM, alertmanager, alerts_of, is_installed
from verifier.alerts.forms.alertmanager import webhook_request
from verifier.alerts.forms.form import About, Address
from verifier.alerts.outcome import Outcome
from verifier.alerts.trial import trial_events
from verifier.demo.receiver import Receiver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason=f"{PROGRAM} (a Debian package) is not installed"),
]


def test_alertmanager_takes_alerts_repetitions_and_resolutions() -> None:
    """One alert while the incident lasts; then its own webhook says that it is resolved."""
    now_us = time.time_ns() // 1000
    opened = make_event(opened_us=now_us - 60_000_000)
    with Receiver() as hook, alertmanager(hook.url) as url:
        send = sender("alertmanager", url)
        assert send(opened).outcome is Outcome.DELIVERED
        (first,) = alerts_of(url)
        assert send(opened).outcome is Outcome.DELIVERED  # a repetition
        (again,) = alerts_of(url)
        told = hook.wait_for(1)[0].json
        ended = resolved(opened_us=opened.opened_us, resolved_us=time.time_ns() // 1000)
        assert send(ended).outcome is Outcome.DELIVERED
        last = hook.wait_for(2)[-1].json

    assert first["labels"]["alertname"] == "MirrorproofMissing"
    assert first["status"]["state"] == "active"
    assert again["fingerprint"] == first["fingerprint"]
    assert again["endsAt"] >= first["endsAt"]
    assert (told["status"], last["status"]) == ("firing", "resolved")
    ours = json.loads(webhook_request(opened, Address(url=""), About()).body)
    assert set(told) <= set(ours)  # what its webhooks get, those of our form get
    assert set(told["alerts"][0]) <= set(ours["alerts"][0])


def test_alertmanager_takes_a_test_and_its_resolution() -> None:
    """Nothing stays open."""
    with alertmanager() as url:
        send = sender("alertmanager", url)
        results = [send(event) for event in trial_events(time.time_ns() // 1000)]
        left = alerts_of(url)

    assert [result.outcome for result in results] == [Outcome.DELIVERED] * 2
    assert left == []
