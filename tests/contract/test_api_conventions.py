"""What holds for every route that reads: times, pages, limits, problems.

The fixture is one small database for all; what differs between databases test others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, insert

from collector.db.engine import open_engine, writing
from collector.db.tables import quarantine
from tests.api import asking, services_of
from tests.settling import NOW, SECOND, World, make_policy, request
from tests.watching import Watched, uncopied
from verifier.api.app import create_app
from verifier.incidents import store
from verifier.times import iso_time

pytestmark = pytest.mark.integration
NAME: Final = "weather/forecast"
RANGE: Final = {"policy": NAME, "since": iso_time(NOW)}
ASKED: Final[dict[str, dict[str, str]]] = {
    "/api/v1/statement": RANGE,
    "/api/v1/windows": RANGE,
    "/api/v1/windows/export": RANGE,
    "/api/v1/window": {"policy": NAME, "start": iso_time(NOW)},
    "/api/v1/findings": RANGE,
    "/api/v1/findings/export": RANGE,
    "/api/v1/findings/{number}": {},
    "/api/v1/requests": {"id": "id-1"},
    "/api/v1/policies": {},
    "/api/v1/policies/versions": {"policy": NAME},
    "/api/v1/ingest/positions": {},
    "/api/v1/ingest/watermark": {},
    "/api/v1/ingest/holes": {},
    "/api/v1/quarantine": {},
    "/api/v1/quarantine/reasons": {},
    "/api/v1/quarantine/{number}": {},
    "/api/v1/certificate": RANGE,
    "/api/v1/divergence": RANGE,
    "/api/v1/incidents": {},
    "/api/v1/incidents/{number}": {},
    "/api/v1/silences": {},
    "/api/v1/alerts/endpoints": {},
}
"""A question that each route answers with something."""
PAGED: Final = {"/api/v1/windows", "/api/v1/findings", "/api/v1/quarantine", "/api/v1/incidents"}
FILES: Final = {"/api/v1/windows/export", "/api/v1/findings/export"}
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def read_routes() -> dict[str, set[str]]:
    """The parameters of the query of every route that reads."""
    engine = create_engine("sqlite://")
    paths = create_app(services_of(engine, 0)).openapi()["paths"]
    engine.dispose()
    return {
        path: {one["name"] for one in methods["get"].get("parameters", ()) if one["in"] == "query"}
        for path, methods in paths.items()
        if path.startswith("/api/") and "get" in methods
    }


ROUTES: Final = read_routes()


@pytest.fixture(scope="module")
def api(_sqlite_template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """An API over a bit of everything."""
    path = tmp_path_factory.mktemp("conventions") / "mirrorproof.db"
    path.write_bytes(_sqlite_template.read_bytes())
    world = make_world(open_engine(f"sqlite:///{path}"))
    with asking(services_of(world.engine, world.now_us)) as found:
        yield found
    world.engine.dispose()


def make_world(engine: Any) -> World:
    """Windows, findings, two incidents, quarantined lines, a silence, a receiver."""
    world = Watched(engine)
    world.declare(make_policy(("v1", 100)))
    world.endpoint()
    world.write([line for number in range(9) for line in request(9_000 + number, NOW + number)])
    world.run(20)
    world.run(140, a_second=1, change=uncopied)
    with writing(engine) as connection:
        asked = {"policy": None, "kind": None, "reason": "r", "author": "a"}
        store.add_silence(connection, {**asked, "from_us": NOW, "until_us": NOW + 9_000 * SECOND})
        store.open_incident(
            connection,
            {
                "policy": NAME, "kind": "leak", "severity": "critical", "opened_us": NOW,
                "first_us": NOW, "last_us": NOW, "sequence": 0, "updated_us": NOW, "counts": "{}",
                "summary": "s", "cause": "", "advice": "", "examples": "[]",
            },
        )  # fmt: skip
        for number, length in enumerate((1, 1, 0)):
            connection.execute(
                insert(quarantine).values(
                    at_us=NOW, topic="t", partition=0, record_offset=number, item=0,
                    reason="not_utf8", prefix=b"x"[:length], length=length, sha256=bytes(32),
                    records=1, record_us=NOW,
                )
            )  # fmt: skip
    return world


def ask(api: TestClient, path: str, **more: Any) -> Any:
    """A route's answer to its question, with some changes."""
    return api.get(path.replace("{number}", "1"), params={**ASKED[path], **more})


def times(value: Any) -> Iterator[str]:
    """Everything that looks like a time, wherever it is."""
    if isinstance(value, dict):
        for one in value.values():
            yield from times(one)
    elif isinstance(value, list):
        for one in value:
            yield from times(one)
    elif isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
        yield value


def test_every_route_that_reads_is_in_the_table() -> None:
    """A new one has to say how it is asked."""
    assert set(ROUTES) == set(ASKED)
    assert {path for path, names in ROUTES.items() if "limit" in names} == PAGED


@pytest.mark.parametrize("path", sorted(ASKED))
def test_times_are_rfc_3339_in_utc(api: TestClient, path: str) -> None:
    """Whatever is answered, and it is something."""
    answer = ask(api, path)

    assert answer.status_code == 200, answer.text
    if path not in FILES:
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()
        assert all(TIME.fullmatch(one) for one in times(answer.json()))


@pytest.mark.parametrize("path", sorted(PAGED))
def test_lists_have_pages_that_links_lead_through(api: TestClient, path: str) -> None:
    """One at a time they are the same as all at once; the last has no link."""
    whole = ask(api, path, limit=200).json()["items"]
    seen: list[Any] = []
    answer = ask(api, path, limit=1)
    while True:
        seen += answer.json()["items"]
        if "Link" not in answer.headers:
            break
        (link,) = re.findall(r'<([^>]+)>; rel="next"', answer.headers["Link"])
        assert urlsplit(link).netloc == ""
        answer = api.get(link)

    assert len(whole) > 1
    assert seen == whole


@pytest.mark.parametrize("path", sorted(ASKED))
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"), ("limit", "1000000"), ("limit", "x"), ("cursor", "x"), ("since", "x"),
        ("until", "2026-11-22"), ("until", "9999-99-99T00:00:00Z"), ("verdict", "mising"),
        ("form", "xml"), ("verdit", "missing"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_named(api: TestClient, path: str, name: str, value: str) -> None:
    """Also a parameter that there is not: a misspelt filter would be none."""
    answer = ask(api, path, **{name: value})

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == name
    assert answer.json()["errors"][0]["reason"]


@pytest.mark.parametrize("path", sorted(path for path in ASKED if "{number}" in path))
@pytest.mark.parametrize(("number", "status"), [("0", 404), ("x", 422), (str(1 << 63), 422)])
def test_numbers_that_name_nothing_are_problems(
    api: TestClient, path: str, number: str, status: int
) -> None:
    """Not found, or no number."""
    answer = api.get(path.replace("{number}", number))

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("{tag}", 304), ("W/{tag}", 304), ('"other", {tag}', 304), ("*", 304), ('"other"', 200),
        ("{bare}", 200), ('"x{bare}"', 200), ('"{bare}x"', 200), ("", 200),
    ],
)  # fmt: skip
def test_a_tag_is_compared_as_a_whole(api: TestClient, given: str, status: int) -> None:
    """A list of tags, weak ones, or any; never a part of one."""
    path = "/api/v1/window"
    tag = ask(api, path).headers["ETag"]
    header = given.format(tag=tag, bare=tag.strip('"'))

    answer = api.get(path, params=ASKED[path], headers={"If-None-Match": header})

    assert answer.status_code == status
    assert answer.headers["ETag"] == tag
    assert (answer.content == b"") == (status == 304)
