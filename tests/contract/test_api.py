"""The query API over what was settled, the same on both databases."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from collector.db.engine import open_engine, reading, writing
from collector.db.tables import observation, quarantine
from tests.api import ELSEWHERE, asking, make_key, services_of
from tests.clocks import HandClock
from tests.settling import NOW, SECOND, Given, World, make_policy, request
from verifier.api import keys
from verifier.api.scopes import Scope
from verifier.api.services import Services
from verifier.settle.audit import follow
from verifier.times import iso_time

pytestmark = pytest.mark.integration
NAME = "weather/forecast"
ALL = {"policy": NAME, "since": iso_time(NOW)}


def lost(key: int, start_us: int, **fields: Any) -> list[Given]:
    """A request whose copy never came."""
    return [line for line in request(key, start_us, **fields) if line.pod != "mirror0"]


@pytest.fixture
def world(migrated_database_url: str) -> Iterator[World]:
    """Six windows: a request each, and in every second one a lost copy."""
    engine = open_engine(migrated_database_url)
    found = World(engine)
    found.declare(make_policy(("v1", 100)))
    lines = []
    for number in range(6):
        start_us = NOW + number * 10 * SECOND
        lines += request(number, start_us)
        if number % 2:
            lines += lost(100 + number, start_us + SECOND, path=f"/lost/{number}")
    found.write(lines)
    found.settle_all()
    yield found
    engine.dispose()


@pytest.fixture
def services(world: World) -> Services:
    """What the routes work with, at the world's time."""
    return services_of(world.engine, world.now_us)


@pytest.fixture
def api(services: Services) -> Iterator[TestClient]:
    """Asked from this machine, without keys."""
    with asking(services) as found:
        yield found


def problem(answer: Any) -> dict[str, Any]:
    """The problem that an answer is."""
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    return found


def test_a_statement_sums_up_the_windows_of_a_range(api: TestClient) -> None:
    """Three of nine copies are missing; the range is whole windows, and says so."""
    asked = {**ALL, "since": iso_time(NOW + 3 * SECOND), "until": iso_time(NOW + 57 * SECOND)}

    found = api.get("/api/v1/statement", params=asked).json()

    assert (found["statement"], found["reason"]) == ("violated", "3 missing")
    assert found["requests"] == 9
    assert found["verdicts"]["matched"] == 6
    assert found["judged"] == {"since": iso_time(NOW), "until": iso_time(NOW + 60 * SECOND)}
    assert found["asked"]["since"] == asked["since"]


def test_a_window_that_is_not_settled_proves_nothing(api: TestClient, world: World) -> None:
    """All matched, but the end of the range is not settled yet."""
    matched = {**ALL, "until": iso_time(NOW + 10 * SECOND)}
    assert api.get("/api/v1/statement", params=matched).json()["statement"] == "proven"
    beyond = {**matched, "since": iso_time(NOW + 40 * SECOND), "until": iso_time(world.now_us)}

    found = api.get("/api/v1/statement", params={**beyond, "min_requests": 0}).json()

    assert found["statement"] in ("not_proven", "violated")
    few = api.get("/api/v1/statement", params={**matched, "min_requests": 2}).json()
    assert (few["statement"], few["reason"]) == ("not_proven", "1 of at least 2 requests")


def test_where_verdicts_are_late_a_statement_proves_nothing(world: World) -> None:
    """Nothing is settled since then: that is an answer, as programs ask at any time."""
    with asking(services_of(world.engine, world.now_us + 7_200 * SECOND)) as api:
        found = api.get("/api/v1/statement", params={"policy": NAME, "since": "1h"}).json()

    assert (found["statement"], found["requests"]) == ("not_proven", 0)
    assert "settled up to" in found["reason"]


def test_windows_come_in_pages_the_newest_first(api: TestClient) -> None:
    """Following the links brings every window once."""
    starts, url, params = [], "/api/v1/windows", {**ALL, "limit": 4}
    while url:
        answer = api.get(url, params=params)
        starts += [row["start"] for row in answer.json()["items"]]
        url, params = answer.links.get("next", {}).get("url"), None

    assert starts == [iso_time(NOW + number * 10 * SECOND) for number in reversed(range(6))]
    violated = api.get("/api/v1/windows", params={**ALL, "statement": "violated"}).json()
    assert len(violated["items"]) == 3


def test_a_cursor_is_refused_for_another_question(api: TestClient) -> None:
    """With the field's name."""
    cursor = api.get("/api/v1/windows", params={**ALL, "limit": 1}).json()["next_cursor"]

    answer = api.get("/api/v1/findings", params={**ALL, "cursor": cursor})

    assert answer.status_code == 422
    assert problem(answer)["errors"][0]["field"] == "cursor"


def test_a_window_has_a_tag_that_changes_with_its_revision(api: TestClient, world: World) -> None:
    """Not modified, until the late copy comes; then both revisions are there."""
    asked = {"policy": NAME, "start": iso_time(NOW + 10 * SECOND)}
    tag = api.get("/api/v1/window", params=asked).headers["ETag"]
    again = {"If-None-Match": tag}
    assert api.get("/api/v1/window", params=asked, headers=again).status_code == 304
    late = Given(pod="mirror0", key=101, start_us=NOW + 11 * SECOND + 2_000, path="/lost/1")
    world.write([late])
    world.settle_all()

    revisions = api.get("/api/v1/window", params=asked, headers=again).json()

    assert [(one["revision"], one["verdicts"]["missing"]) for one in revisions] == [(2, 0), (1, 1)]
    assert [one["latest"] for one in revisions] == [True, False]
    assert api.get("/api/v1/window", params={**asked, "start": "2020-01-01T00:00:00Z"}).is_error


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        ({}, ["/lost/5", "/lost/3", "/lost/1"]),
        ({"policy": NAME, "verdict": "missing"}, ["/lost/5", "/lost/3", "/lost/1"]),
        ({"policy": "another"}, []),
        ({"verdict": "leak"}, []),
        ({"path": "/lost/3"}, ["/lost/3"]),
        ({"path": "/lost_3"}, []),
        ({"method": "POST"}, []),
        ({"pod": "forecast-v2-7b9c4d5e8-klmno"}, ["/lost/5", "/lost/3", "/lost/1"]),
        ({"pod": "forecast-v2"}, []),
        ({"status": 200, "until": iso_time(NOW + 20 * SECOND)}, ["/lost/1"]),
        ({"status": 20}, []),
        ({"request_id": "id-103"}, ["/lost/3"]),
    ],
)
def test_findings_are_filtered(api: TestClient, wanted: dict[str, Any], paths: list[str]) -> None:
    """By policy, verdict, time, method, path, pod, status and id, each taken literally."""
    answer = api.get("/api/v1/findings", params={"since": iso_time(NOW), **wanted})

    assert [row["path"] for row in answer.json()["items"]] == paths


def test_findings_come_in_pages(api: TestClient) -> None:
    """Each once, with its lines."""
    first = api.get("/api/v1/findings", params={"since": iso_time(NOW), "limit": 2})
    second = api.get(first.links["next"]["url"])

    found = first.json()["items"] + second.json()["items"]
    assert [row["request_id"] for row in found] == ["id-105", "id-103", "id-101"]
    assert {len(row["evidence"]) for row in found} == {2}
    assert "next" not in second.links
    assert api.get(f"/api/v1/findings/{found[0]['id']}").json() == found[0]
    assert api.get("/api/v1/findings/99999").status_code == 404


def test_exports_hold_all_rows_of_a_range(api: TestClient) -> None:
    """As CSV, and as JSON lines."""
    asked = {"since": iso_time(NOW), "form": "ndjson"}
    lines = api.get("/api/v1/findings/export", params=asked).text.splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["/lost/1", "/lost/3", "/lost/5"]

    table = api.get("/api/v1/windows/export", params=ALL).text

    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert [row["verdicts.missing"] for row in rows] == ["0", "1"] * 3


def test_one_request_is_shown_with_every_line(api: TestClient) -> None:
    """Its lines, what they come to, and what was found."""
    found = api.get("/api/v1/requests", params={"id": "id-101"}).json()

    (episode,), (told,) = found["episodes"], found["findings"]
    assert episode["verdicts"] == {"missing": 1}
    assert [line["side"] for line in episode["lines"]] == ["sender, to the primary", "primary"]
    assert (told["verdict"], told["superseded"]) == ("missing", False)


@pytest.mark.parametrize("strange", ["nobody", "a/b?c=d&e#f", "%00", "' OR 1=1 --", "é🙂"])
def test_an_id_may_hold_any_character(api: TestClient, strange: str) -> None:
    """What nobody logged has no episode; nothing breaks."""
    answer = api.get("/api/v1/requests", params={"id": strange})

    assert answer.status_code == 200
    assert answer.json()["episodes"] == []


def test_what_was_erased_cannot_be_read_and_still_counts(api: TestClient, world: World) -> None:
    """Lines lose id and path, findings go; statement and chain stand, and it is written down."""
    before = api.get("/api/v1/statement", params=ALL).json()
    with writing(world.engine) as connection:
        connection.execute(
            insert(quarantine).values(
                topic="t", partition=0, record_offset=1, item=0, reason="broken", at_us=NOW,
                prefix=b"... id-101 ...", length=14, sha256=b"x" * 32,
            )
        )  # fmt: skip

    answer = api.delete("/api/v1/requests", params={"id": "id-101", "why": "asked by its owner"})

    assert answer.json() == {
        "request_id": "id-101", "lines": 2, "findings": 1, "quarantined": 1,
    }  # fmt: skip
    found = api.get("/api/v1/requests", params={"id": "id-101"}).json()
    assert (found["episodes"], found["findings"]) == ([], [])
    assert api.get("/api/v1/statement", params=ALL).json() == before
    with reading(world.engine) as connection:
        chain = follow(connection, NAME)
        paths = set(connection.scalars(select(observation.c.path)))
    assert (chain.broken, chain.linked) == (None, 1)
    assert "/lost/1" not in paths
    assert api.get("/api/v1/quarantine").json()["items"][0]["prefix"] == ""


def test_policies_are_read_looked_over_and_recorded(api: TestClient, world: World) -> None:
    """A changed policy is a new version, an unchanged one is none, a wrong one is told where."""
    document = """policies:
  - {name: weather/forecast, host: forecast.weather, primary: v2,
     mirrors: [{subset: v1, percent: 50}]}
"""
    assert api.get("/api/v1/policies").json()[0]["name"] == NAME
    assert api.post("/api/v1/policies/lint", content=document).json()["policies"] == [NAME]
    assert len(api.get("/api/v1/policies/versions", params={"policy": NAME}).json()) == 1

    made = api.post("/api/v1/policies", content=document).json()["new_versions"]

    versions = api.get("/api/v1/policies/versions", params={"policy": NAME}).json()
    assert [one["version"] for one in versions][1:] == made
    assert versions[0]["valid_to"] == versions[1]["valid_from"] == iso_time(world.now_us)
    assert api.post("/api/v1/policies", content=document).json()["new_versions"] == []
    wrong = api.post("/api/v1/policies", content="policies: [{name: x}]")
    assert wrong.status_code == 422
    assert "body document 1" in problem(wrong)["detail"]
    assert problem(api.post("/api/v1/policies", content=b"\xff" * 2_000_000))["status"] == 413


def test_ingestion_is_shown(api: TestClient, world: World) -> None:
    """Positions with their lag, the watermark, and what lacks."""
    with writing(world.engine) as connection:
        connection.execute(
            insert(quarantine).values(
                topic="t", partition=3, record_offset=7, item=0, reason="passed over", at_us=NOW,
                prefix=b"", length=0, sha256=b"", records=5, record_us=NOW,
            )
        )  # fmt: skip
    world.stop(0)

    positions = api.get("/api/v1/ingest/positions").json()
    holes = api.get("/api/v1/ingest/holes").json()

    assert [(one["partition"], one["lag"], one["state"]) for one in positions] == [
        (0, 0, "stopped")
    ]
    assert [(one["kind"], one["where"], one["records"]) for one in holes][1:] == [
        ("gap", "t/3@7", 5)
    ]
    assert api.get("/api/v1/ingest/watermark").json()["held_by"].endswith("/0")
    assert api.get("/api/v1/quarantine/reasons").json()[0]["records"] == 5


def test_answers_are_compared_by_endpoint(api: TestClient) -> None:
    """The pairs of all requests, and of each endpoint."""
    found = api.get("/api/v1/divergence", params=ALL).json()

    assert found["diverges"] is False
    first = found["endpoints"][0]
    assert (first["endpoint"], first["pairs"]) == ("all", 6)
    assert first["statuses"] == [{"primary": 200, "mirror": 200, "pairs": 6}]


def test_every_route_asks_who_it_is(services: Services) -> None:
    """Once there is a key, no route but the probes answers without one; none is forgotten."""
    make_key(services, Scope.READ)
    with asking(services) as api:
        paths = api.get("/healthz") and api.app.openapi()["paths"]  # type: ignore[attr-defined]
        open_routes = {
            f"{method} {path}"
            for path, methods in paths.items()
            for method in methods
            if api.request(method, path.replace("{number}", "1")).status_code != 401
        }

    assert open_routes == {"get /healthz", "get /readyz"}


SCOPES = {
    Scope.READ: {
        "statement": ALL, "windows": ALL, "findings": ALL, "policies": {}, "ingest/positions": {},
    },
    Scope.RAW: {"requests": {"id": "id-101"}, "findings/export": ALL},
}  # fmt: skip


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_opens_its_scopes_only(services: Services, scope: Scope) -> None:
    """Read shows no lines, raw changes nothing, admin may all."""
    key = make_key(services, scope)
    with asking(services, key) as api:
        for needed, names in SCOPES.items():
            for name, asked in names.items():
                status = api.get(f"/api/v1/{name}", params=asked).status_code
                allowed = scope in (needed, Scope.RAW, Scope.ADMIN)
                assert status == (200 if allowed else 403), name
        shown = api.get("/api/v1/findings", params=ALL).json()["items"][0]["evidence"]
        erased = api.delete("/api/v1/requests", params={"id": "id-101", "why": "t"}).status_code

    assert (shown is None) == (scope is Scope.READ)
    assert erased == (200 if scope is Scope.ADMIN else 403)


def test_a_list_of_ids_is_answered_at_once(api: TestClient) -> None:
    """Each as if it was asked alone, in order, once; what is not found is said plainly."""
    ids = ["nobody", "id-101", "id-0", "id-101"]

    found = api.post("/api/v1/requests/lookup", json={"ids": ids}).json()

    alone = [api.get("/api/v1/requests", params={"id": one}).json() for one in ids[:3]]
    assert found == {"items": alone, "not_found": ["nobody"]}
    assert api.post("/api/v1/requests/lookup", json={"ids": ["x"] * 101}).status_code == 422
    assert api.post("/api/v1/requests/lookup", json={"ids": []}).status_code == 422


def test_a_list_of_ids_is_exported_by_request(api: TestClient) -> None:
    """A row for each request, and one for an id that is not found."""
    ask = {"url": "/api/v1/requests/lookup/export", "json": {"ids": ["nobody", "id-101"]}}

    table = list(csv.DictReader(io.StringIO(api.post(**ask).text)))
    lines = api.post(**ask, params={"form": "ndjson"}).text.splitlines()

    assert [(row["request_id"], row["verdict"]) for row in table] == [
        ("nobody", "not found"), ("id-101", "missing"),
    ]  # fmt: skip
    assert [json.loads(line)["verdict"] for line in lines] == ["not found", "missing"]


def test_a_key_ends(services: Services) -> None:
    """Revoked, over, cut or made up: it opens nothing, and says nothing of why."""
    over = make_key(services, Scope.ADMIN, expires_us=services.now_us(None) - 1)  # type: ignore[arg-type]
    good = make_key(services, Scope.ADMIN)
    for key in (over, good[:-1], f"{good}x", "mp_", "mp_x_y", "nonsense", f"{good[:16]}é"):
        headers = {"X-API-Key": key.encode()}
        with asking(services) as api:
            answer = api.get("/api/v1/policies", headers=headers)
        assert answer.status_code == 401, key
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert key not in answer.text


@pytest.mark.parametrize(
    ("client", "host", "status"),
    [
        (("127.0.0.1", 1), "127.0.0.1:8080", 200),
        (("::1", 1), "localhost:8080", 200),
        (ELSEWHERE, "127.0.0.1:8080", 401),
        (("127.0.0.1", 1), "evil.example", 401),
    ],
)
def test_without_keys_this_machine_alone_may_ask(
    services: Services, client: tuple[str, int], host: str, status: int
) -> None:
    """Nobody from elsewhere, and no page whose name was pointed at this machine."""
    with asking(services, client=client) as api:
        assert api.get("/api/v1/policies", headers={"Host": host}).status_code == status


def test_where_others_can_ask_nothing_is_answered_until_there_is_a_key(world: World) -> None:
    """Alive, not ready, 503 to all but probes, this machine among them; then it opens by itself."""
    services = services_of(world.engine, world.now_us, listen=":8080")
    assert isinstance(services.clock, HandClock)
    asked = ["/", "/login", "/static/page.css", "/metrics", "/api/v1/policies", "/nothing"]
    with asking(services) as api:
        before = [api.get(path) for path in [*asked, "/api/v1/openapi.json"]]
        assert {(one.status_code, one.headers["Retry-After"]) for one in before} == {(503, "5")}
        assert "mirrorproof key create" in problem(before[0])["detail"]
        assert api.get("/healthz").status_code == 200
        assert "mirrorproof key create" in api.get("/readyz").json()["reasons"]["access"]

        key = make_key(services, Scope.READ)
        services.clock.advance(1)

        assert api.get("/readyz").status_code == 200
        assert api.get("/api/v1/policies").status_code == 401
        headers = {"Authorization": f"Bearer {key}"}
        assert api.get("/api/v1/policies", headers=headers).status_code == 200
        with writing(world.engine) as connection:
            keys.revoke(connection, key[:15], world.now_us)
        services.clock.advance(10)
        assert api.get("/api/v1/policies").status_code == 401


def test_who_asks_too_often_is_told_when_to_come_back(world: World) -> None:
    """And guessing keys is limited, too."""
    services = services_of(world.engine, world.now_us, rate_per_s=0.1, rate_burst=2)
    with asking(services, "mp_000000000000_guess") as api:
        statuses = [api.get("/api/v1/policies").status_code for _ in range(3)]
        last = api.get("/api/v1/policies")

    assert statuses == [401, 401, 429]
    assert last.headers["Retry-After"] == "10"
    assert problem(last)["type"].endswith("too-many-requests")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"policy": NAME, "since": "yesterday"}, "since"),
        ({"policy": NAME, "since": "1h", "until": "2h"}, "since"),
        ({"policy": NAME, "since": "0001-01-01T00:00:00Z"}, "since"),
        ({"policy": NAME, "until": "9999999999d"}, "until"),
        ({"policy": NAME, "limit": 0}, "limit"),
        ({"policy": NAME, "limit": 1001}, "limit"),
        ({"policy": NAME, "cursor": "x"}, "cursor"),
        ({"policy": NAME, "statement": "perhaps"}, "statement"),
        ({"policy": NAME, "until": "1h\x00"}, "until"),
        ({}, "policy"),
    ],
)
def test_a_problem_names_the_field(api: TestClient, asked: dict[str, Any], field: str) -> None:
    """What is wrong, where, and what to write instead."""
    answer = api.get("/api/v1/windows", params=asked)

    assert answer.status_code == 422
    (error,) = problem(answer)["errors"]
    assert (error["field"], error["within"]) == (field, "query")


def test_unknown_things_are_problems(api: TestClient) -> None:
    """No such policy, path or method."""
    none = api.get("/api/v1/statement", params={"policy": "none"})
    assert f"there are: {NAME}" in problem(none)["detail"]
    assert problem(api.get("/api/v1/nothing"))["status"] == 404
    assert problem(api.put("/api/v1/policies"))["status"] == 405


def test_probes_tell_of_the_database(services: Services, world: World) -> None:
    """It is alive whatever happens; ready while the schema is there."""
    with asking(services, client=ELSEWHERE) as api:
        assert api.get("/readyz").json() == {"status": "ok", "reasons": {}}
        with writing(world.engine) as connection:
            connection.exec_driver_sql("DROP TABLE alembic_version")
        assert api.get("/healthz").status_code == 200
        answer = api.get("/readyz")

    assert answer.status_code == 503
    assert "database" in answer.json()["reasons"]
