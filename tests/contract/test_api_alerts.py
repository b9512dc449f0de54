"""Incidents, silences and alert endpoints through the API, the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from collector.db.engine import open_engine, writing
from collector.settings.alerts import AlertsSettings
from tests.api import asking, services_of
from tests.settling import NOW, World
from verifier.alerts.outbox import enqueue
from verifier.api.services import Services
from verifier.incidents import store
from verifier.incidents.event import Event, Kind, NotifyReason, Severity, Status

pytestmark = pytest.mark.integration
NAME = "weather/forecast"
HOOK = {"name": "audit", "form": "standard-webhooks", "url": "https://hooks.example.com/secret"}


@pytest.fixture
def services(migrated_database_url: str) -> Iterator[Services]:
    """A database without anything, and endpoints at example.com allowed."""
    engine = open_engine(migrated_database_url)
    alerts = AlertsSettings(api_hosts=("*.example.com",), key=SecretStr("A" * 43))
    yield services_of(World(engine).engine, NOW, alerts=alerts)
    engine.dispose()


@pytest.fixture
def api(services: Services) -> Iterator[TestClient]:
    """Asked from this machine, without keys."""
    with asking(services) as found:
        yield found


def open_incident(services: Services, kind: Kind = Kind.MISSING, policy: str = NAME) -> Event:
    """An incident that was told once."""
    with writing(services.engine) as connection:
        values: dict[str, Any] = {
            "policy": policy, "kind": kind.value, "severity": "critical", "opened_us": NOW,
            "first_us": NOW, "last_us": NOW, "sequence": 1, "told_us": NOW, "updated_us": NOW,
            "counts": '{"missing": 3}', "summary": "3 copies are missing", "cause": "one v1 pod",
            "advice": "look at upstream_cx_connect_fail",
            "examples": f'[{{"request_id": "id-1", "method": "GET", "path": "/", "verdict": '
            f'"missing", "reason": "no copy arrived at v1", "started_us": {NOW}}}]',
        }  # fmt: skip
        number = store.open_incident(connection, values)
        event = Event(
            id=f"inc_{number}_1", incident_id=number, sequence=1, kind=kind, policy=policy,
            severity=Severity.CRITICAL, reason=NotifyReason.FIRST, status=Status.FIRING,
            at_us=NOW, opened_us=NOW, first_us=NOW, last_us=NOW, resolved_us=None,
            counts={"missing": 3}, summary="3 copies are missing", cause="", advice="", examples=(),
        )  # fmt: skip
        enqueue(connection, event, NOW)
    return event


def test_incidents_come_in_pages_with_all_that_was_sent(
    services: Services, api: TestClient
) -> None:
    """The newest first; each with its deliveries, its cause and its examples."""
    assert api.post("/api/v1/alerts/endpoints", json=HOOK).status_code == 201
    numbers = [open_incident(services, kind).incident_id for kind in list(Kind)[:3]]

    first = api.get("/api/v1/incidents", params={"limit": 2})
    second = api.get(first.links["next"]["url"])
    one = api.get(f"/api/v1/incidents/{numbers[0]}").json()

    found = [row["id"] for row in first.json()["items"] + second.json()["items"]]
    assert found == sorted(numbers, reverse=True)
    assert (one["status"], one["cause"]) == ("firing", "one v1 pod")
    assert one["examples"][0]["request_id"] == "id-1"
    (delivery,) = one["deliveries"]
    assert (delivery["endpoint"], delivery["state"]) == ("audit", "pending")
    assert api.get("/api/v1/incidents/999999").status_code == 404


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        ({"policy": NAME}, ["missing"]),
        ({"policy": ""}, ["stalled"]),
        ({"kind": "missing"}, ["missing"]),
        ({"kind": "leak"}, []),
        ({"open_only": True}, ["stalled", "missing"]),
    ],
)
def test_incidents_are_filtered(
    services: Services, api: TestClient, wanted: dict[str, Any], kinds: list[str]
) -> None:
    """By policy, the pipeline's by an empty one, by kind, and by whether they go on."""
    open_incident(services)
    open_incident(services, Kind.STALLED, "")

    rows = api.get("/api/v1/incidents", params=wanted).json()["items"]

    assert [row["kind"] for row in rows] == kinds


def test_a_silence_has_a_reason_an_author_and_an_end(api: TestClient) -> None:
    """Whoever holds the key is its author; it can be ended once."""
    new = {"policy": NAME, "kind": "missing", "reason": "v1 is rebuilt", "lasts": "2h"}

    made = api.post("/api/v1/silences", json=new)

    assert made.status_code == 201
    assert (made.json()["author"], made.json()["policy"]) == ("local", NAME)
    assert api.get("/api/v1/silences").json() == [made.json()]
    number = made.json()["id"]
    assert api.delete(f"/api/v1/silences/{number}").status_code == 204
    assert api.delete(f"/api/v1/silences/{number}").status_code == 404
    assert api.get("/api/v1/silences").json() == []
    assert api.get("/api/v1/silences", params={"over": True}).json()[0]["ended_by"] == "local"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"lasts": "91d"}, "lasts"),
        ({"lasts": "0s"}, "lasts"),
        ({"lasts": "soon"}, "lasts"),
        ({"reason": ""}, "reason"),
        ({"kind": "perhaps"}, "kind"),
        ({"for": "2h"}, "for"),
    ],
)
def test_a_wrong_silence_is_told_by_its_field(
    api: TestClient, changed: dict[str, str], field: str
) -> None:
    """Nothing is silenced by it."""
    answer = api.post("/api/v1/silences", json={"reason": "test", "lasts": "1h", **changed})

    assert answer.status_code == 422
    assert answer.json()["errors"][0] == {
        "field": field, "within": "body", "reason": answer.json()["errors"][0]["reason"],
    }  # fmt: skip
    assert api.get("/api/v1/silences").json() == []


def test_endpoints_are_added_switched_and_forgotten(services: Services, api: TestClient) -> None:
    """And never show what is secret about them."""
    made = api.post("/api/v1/alerts/endpoints", json={**HOOK, "secret": "whsec_" + "A" * 32})
    assert made.status_code == 201
    open_incident(services)

    off = api.post("/api/v1/alerts/endpoints/audit/disable", params={"reason": "moved"}).json()
    (state,) = api.get("/api/v1/alerts/endpoints").json()
    assert off == {"name": "audit", "dropped": 1}
    assert (state["enabled"], state["disabled_reason"]) == (False, "local: moved")
    assert api.post("/api/v1/alerts/endpoints/audit/enable").json()["name"] == "audit"
    assert api.get("/api/v1/alerts/endpoints").json()[0]["enabled"]
    assert api.delete("/api/v1/alerts/endpoints/audit").status_code == 200
    assert api.delete("/api/v1/alerts/endpoints/audit").status_code == 404
    assert "secret" not in made.text + str(state)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"url": "https://elsewhere.test/x"}, "its host is not among alerts.api_hosts"),
        ({"url": "http://hooks.example.com/x"}, "https"),
        ({"form": "pigeon"}, "form"),
        ({"url_file": "/etc/passwd"}, "only for the settings"),
        ({"name": "No Name"}, "name"),
    ],
)
def test_a_wrong_endpoint_is_refused_with_the_reason(
    api: TestClient, changed: dict[str, str], said: str
) -> None:
    """Nothing is added, and no secret is repeated."""
    answer = api.post("/api/v1/alerts/endpoints", json={**HOOK, **changed})

    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert "/secret" not in answer.text
    assert api.get("/api/v1/alerts/endpoints").json() == []


def test_without_a_key_that_seals_it_no_endpoint_is_stored(services: Services) -> None:
    """An address is a secret as well; the problem says how to make a key."""
    own = services.settings
    alerts = own.alerts.model_copy(update={"key": None})
    bare = msgspec.structs.replace(services, settings=own.model_copy(update={"alerts": alerts}))
    with asking(bare) as api:
        answer = api.post("/api/v1/alerts/endpoints", json=HOOK)
        assert api.get("/api/v1/alerts/endpoints").json() == []

    assert answer.status_code == 422
    assert "alerts.key_file is not set" in answer.json()["detail"]


def test_a_test_event_tells_what_became_of_it(api: TestClient) -> None:
    """A receiver that cannot be found is no error of ours."""
    assert api.post("/api/v1/alerts/endpoints/none/test").status_code == 404
    api.post("/api/v1/alerts/endpoints", json={**HOOK, "url": "https://no.such.example.com/x"})

    sent = api.post("/api/v1/alerts/endpoints/audit/test").json()

    assert [one["event"] for one in sent] == ["firing", "resolved"]
    assert {one["outcome"] for one in sent} != {"delivered"}


def test_the_page_shows_open_incidents(services: Services) -> None:
    """On the overview, on its policy, and on a page of its own."""
    number = open_incident(services).incident_id
    with asking(services) as client:
        overview = client.get("/").text
        own = client.get("/incident", params={"number": number}).text
        none = client.get("/incident", params={"number": 999})

    assert "3 copies are missing" in overview
    assert f'href="/incident?number={number}"' in overview
    for said in ("one v1 pod", "upstream_cx_connect_fail", "id-1", "Nobody was told"):
        assert said in own
    assert none.status_code == 404
