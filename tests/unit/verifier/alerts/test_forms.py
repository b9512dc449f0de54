"""What receivers read: the published forms and limits of each."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from tests.events import OPENED_US, make_event, make_example, resolved
from tests.examples import MANY
from verifier.alerts.exchange import Reply, Request
from verifier.alerts.forms import HTTP_FORMS, alertmanager, pagerduty, slack, standard, teams
from verifier.alerts.forms.form import About, Address
from verifier.alerts.outcome import Outcome
from verifier.incidents.event import Event, Kind, Severity

ABOUT = About(source="prod-eu", external_url="https://proof.example.com", now_us=OPENED_US)
SECRETS = tuple("whsec_" + part * 32 for part in ("A", "B"))
ADDRESS = Address(url="https://hooks.example.com/x", secrets=SECRETS)
LIMITS = {
    "standard-webhooks": 20_000,
    "alertmanager": 100_000,
    "alertmanager-webhook": 100_000,
    "slack": 40_000,
    "pagerduty": 512_000,
    "teams": 28_000,
}


def request(form: str, event: Event | None = None, address: Address = ADDRESS) -> Request:
    """What would be sent."""
    return HTTP_FORMS[form].request(event or make_event(), address, ABOUT)


def body(form: str, event: Event | None = None) -> Any:
    """Its body, read."""
    return json.loads(request(form, event).body)


def huge(**changed: Any) -> Event:
    """An event whose every text is longer than any limit."""
    wild = '<!channel> \x00"\\ \ud800 𝕏 & `*_[x](http://evil)' * 3_000
    example = make_example(path=wild, request_id=wild, reason=wild, method=wild, verdict=wild)
    fields = {
        "summary": wild,
        "cause": wild,
        "advice": wild,
        "policy": wild,
        "examples": (example,) * 50,
        "counts": {f"{wild}{number}": 10**18 for number in range(100)},
    }
    return make_event(**{**fields, **changed})


# --- all of them


@pytest.mark.parametrize("form", HTTP_FORMS)
def test_the_largest_event_stays_below_the_limit(form: str) -> None:
    """Whatever strangers put into a path, the alert is sent, in valid JSON."""
    sent = request(form, huge()).body

    assert len(sent) < LIMITS[form]
    assert json.loads(sent)


@settings(max_examples=30 * MANY)
@given(st.text(max_size=300), st.sampled_from(sorted(HTTP_FORMS)))
def test_any_text_can_be_sent(text: str, form: str) -> None:
    """No character breaks a form."""
    event = make_event(summary=text, policy=text, examples=(make_example(path=text),))

    assert json.loads(request(form, event).body)


@pytest.mark.parametrize("form", HTTP_FORMS)
def test_the_authorization_that_is_set_goes_along(form: str) -> None:
    """For receivers behind a gateway."""
    address = Address(url=ADDRESS.url, secrets=SECRETS, authorization="Bearer t0ken")

    assert request(form, address=address).headers["authorization"] == "Bearer t0ken"
    assert "authorization" not in request(form).headers


@pytest.mark.parametrize("form", HTTP_FORMS)
def test_a_test_event_is_marked(form: str) -> None:
    """Whoever reads it knows that nothing happened."""
    assert re.search(rb'TEST|"test": ?("?true)', request(form, make_event(test=True)).body)


# --- Standard Webhooks


def test_standard_webhooks_are_verified_by_the_library_with_each_secret() -> None:
    """The receiver may know the old secret, or the new one."""
    about = About(now_us=time.time_ns() // 1000)
    sent = standard.request(make_event(), ADDRESS, about)

    for secret in SECRETS:
        read = Webhook(secret).verify(sent.body, dict(sent.headers))
        assert read["type"] == "mirrorproof.incident.first"
    assert sent.headers["webhook-id"] == "inc_7_1"
    assert sent.headers["webhook-timestamp"] == str(about.now_us // 1_000_000)


def test_without_a_secret_nothing_is_signed() -> None:
    """An empty signature would look like one."""
    sent = standard.request(make_event(), Address(url="https://x.example"), ABOUT)

    assert "webhook-signature" not in sent.headers


def test_the_body_is_a_cloud_event_and_a_standard_webhook() -> None:
    """Required attributes of the one, recommended ones of the other."""
    found = body("standard-webhooks")

    assert found["specversion"] == "1.0"
    assert found["id"] == "inc_7_1"
    assert found["source"] == "/mirrorproof/prod-eu"
    assert found["subject"] == "weather/forecast-route"
    assert found["time"] == found["timestamp"] == "2025-11-24T16:00:00.000Z"
    assert found["data"]["counts"] == {"requests": 1852, "missing": 368}
    assert found["data"]["examples"][0]["verdict"] == "missing"
    assert found["data"]["url"] == "https://proof.example.com/incidents/7"
    assert (
        request("standard-webhooks")
        .headers["content-type"]
        .startswith("application/cloudevents+json")
    )


# --- Alertmanager


def test_the_labels_of_an_alert_stay_while_the_incident_lasts() -> None:
    """They are its identity; what changes stands in the annotations."""
    first = body("alertmanager")[0]
    grown = body("alertmanager", make_event(2, counts={"missing": 9_999}, summary="more"))[0]
    ended = body("alertmanager", resolved())[0]

    assert first["labels"] == grown["labels"] == ended["labels"]
    assert first["labels"] == {
        "alertname": "MirrorproofMissing",
        "kind": "missing",
        "policy": "weather/forecast-route",
        "severity": "critical",
        "source": "prod-eu",
    }
    assert first["startsAt"] == ended["startsAt"]
    assert grown["annotations"]["summary"] == "more"


def test_an_alert_ends_by_itself_unless_it_is_sent_again() -> None:
    """Four times as late as it is sent again; a resolution ended when it did."""
    assert body("alertmanager")[0]["endsAt"] == "2025-11-24T16:04:00.000Z"
    assert body("alertmanager", resolved())[0]["endsAt"] == "2025-11-24T16:01:00.000Z"


@pytest.mark.parametrize("base", ["http://am:9093", "http://am:9093/", "http://am/x/api/v2/alerts"])
def test_the_path_of_the_api_is_added_where_it_lacks(base: str) -> None:
    """People name the server."""
    url = request("alertmanager", address=Address(url=base)).url

    assert url.count("/api/v2/alerts") == 1
    assert url.endswith("/api/v2/alerts")


def test_a_webhook_gets_what_alertmanager_would_send() -> None:
    """Version 4, with the fields of its documentation."""
    found = body("alertmanager-webhook")

    assert set(found) == {
        *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels"),
        *("commonLabels", "commonAnnotations", "externalURL", "alerts"),
    }
    (alert,) = found["alerts"]
    assert found["version"] == "4"
    assert found["status"] == alert["status"] == "firing"
    assert alert["endsAt"] == "0001-01-01T00:00:00Z"
    assert re.fullmatch(r"[0-9a-f]{16}", alert["fingerprint"])
    ended = body("alertmanager-webhook", resolved())["alerts"][0]
    assert (ended["status"], ended["fingerprint"]) == ("resolved", alert["fingerprint"])


# --- Slack


def test_nothing_in_a_slack_message_is_a_mention_or_a_link_but_ours() -> None:
    """A path may be called <!channel>."""
    event = make_event(summary="<!channel> a & b", examples=(make_example(path="/`<http://x|y>"),))
    text = json.dumps(body("slack", event))

    assert re.findall(r"<[^>]*>", text) == [
        "<https://proof.example.com/incidents/7|Open the incident>"
    ]
    assert "&lt;!channel&gt; a &amp; b" in text


def test_slack_sections_keep_to_their_length() -> None:
    """3000 characters each, 50 blocks."""
    (attachment,) = body("slack", huge())["attachments"]

    assert len(attachment["blocks"]) <= 50
    assert all(len(b["text"]["text"]) <= slack.SECTION for b in attachment["blocks"])


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        (200, b"ok", None),
        (200, b"<html>sign in</html>", Outcome.RETRY),
        (204, b"", Outcome.RETRY),
        (404, b"no_service", None),
        (500, b"ok", None),
    ],
)
def test_slack_says_ok(status: int, said: bytes, outcome: Outcome | None) -> None:
    """A captive portal says 200, too."""
    judged = slack.judge(Reply(status=status, body=said))

    assert (judged and judged.outcome) == outcome


# --- PagerDuty


def test_pagerduty_keeps_one_alert_for_an_incident() -> None:
    """Opened, updated and closed under one key."""
    first, ended = body("pagerduty"), body("pagerduty", resolved())

    assert first["dedup_key"] == ended["dedup_key"] == "mirrorproof/prod-eu/7"
    assert (first["event_action"], ended["event_action"]) == ("trigger", "resolve")
    assert first["routing_key"] == SECRETS[0]


@pytest.mark.parametrize("severity", Severity)
def test_pagerduty_gets_its_fields_within_their_lengths(severity: Severity) -> None:
    """Summary 1024 characters, the key 255, a severity that it knows."""
    event = huge(severity=severity)
    found = json.loads(
        pagerduty.request(event, ADDRESS, About(source="x" * 500, now_us=OPENED_US)).body
    )

    assert len(found["payload"]["summary"]) <= pagerduty.SUMMARY
    assert len(found["dedup_key"]) <= pagerduty.KEY
    assert found["payload"]["severity"] in ("critical", "error", "warning", "info")
    assert found["payload"]["source"]


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        (202, b'{"status":"success","message":"Event processed","dedup_key":"k"}', None),
        (202, b'{"status":"invalid event"}', Outcome.RETRY),
        (200, b"\xff", Outcome.RETRY),
        (200, b"[]", Outcome.RETRY),
        (400, b'{"status":"invalid event"}', None),
    ],
)
def test_pagerduty_says_success(status: int, said: bytes, outcome: Outcome | None) -> None:
    """And nothing else is."""
    judged = pagerduty.judge(Reply(status=status, body=said))

    assert (judged and judged.outcome) == outcome


# --- Teams


def test_teams_gets_an_adaptive_card_without_markdown() -> None:
    """A path could else be a link to anywhere."""
    found = body("teams", make_event(summary="[click](http://evil)"))
    (attachment,) = found["attachments"]
    card = attachment["content"]

    assert found["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.2")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert {run["type"] for block in card["body"] for run in block["inlines"]} == {"TextRun"}
    assert card["actions"][0]["url"] == "https://proof.example.com/incidents/7"


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        (202, b"", None),
        (200, b"1", None),
        (200, b"Microsoft Teams endpoint returned HTTP error 429 with ContextId", "throttled"),
        (200, b"Microsoft Teams endpoint returned HTTP error 413 with ContextId", "refused"),
        (429, b"", None),
    ],
)
def test_teams_may_mean_an_error_by_200(status: int, said: bytes, outcome: str | None) -> None:
    """The retired connectors do."""
    judged = teams.judge(Reply(status=status, body=said))

    assert (judged and judged.outcome) == outcome


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_name_in_alertmanager(kind: Kind) -> None:
    """In the style of its rules."""
    name = alertmanager.labels(make_event(kind=kind), ABOUT)["alertname"]

    assert re.fullmatch(r"Mirrorproof([A-Z][a-z]+)+", name)
