"""The web page over what was settled: every state of it, the same on both databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient

from collector.db.engine import open_engine
from tests.api import ELSEWHERE, asking, make_key, services_of
from tests.settling import NOW, World, make_policy, request
from verifier.api.scopes import Scope
from verifier.times import iso_time

pytestmark = pytest.mark.integration
NAME = "weather/forecast"
SINCE = iso_time(NOW)


@pytest.fixture
def world(migrated_database_url: str) -> Iterator[World]:
    """A database without anything."""
    engine = open_engine(migrated_database_url)
    yield World(engine)
    engine.dispose()


def lose_copies(world: World, number: int, path: str = "/") -> None:
    """A matched request, and so many without their copies."""
    world.declare(make_policy(("v1", 100)))
    lines = request(0, NOW)
    for key in range(1, number + 1):
        lines += [one for one in request(key, NOW + key * 1_000, path=path) if one.pod != "mirror0"]
    world.write(lines)
    world.settle_all()


def page(world: World, path: str, **asked: Any) -> str:
    """What a page shows, from this machine."""
    with asking(services_of(world.engine, world.now_us)) as client:
        answer = client.get(path, params=asked)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    return unescape(answer.text)


def test_an_empty_database_says_what_to_do(world: World) -> None:
    """No policy, no partition: each with its next step."""
    shown = page(world, "/")

    assert "mirrorproof policy record" in shown
    assert "is a collector running?" in shown


def test_a_policy_that_is_not_settled_says_so(world: World) -> None:
    """It is listed, without numbers."""
    world.declare(make_policy(("v1", 100)))

    assert "nothing is settled yet" in page(world, "/")
    assert f"no policy '{NAME}' was ever settled" in page(world, "/policy", name=NAME)


def test_the_overview_shows_each_policy_and_partition(world: World) -> None:
    """Violated, with the number of missing copies."""
    lose_copies(world, 3)

    shown = page(world, "/")

    assert re.search(r'class="statement violated">violated<', shown)
    assert re.search(r'class="number bad">3<', shown)
    assert "istio-access-logs/0" in shown


def test_a_policy_shows_verdicts_and_findings_in_pages(world: World) -> None:
    """Fifty at a time; the link brings the others, and each request has its page."""
    lose_copies(world, 60)
    seen: list[str] = []
    asked: dict[str, Any] = {"name": NAME, "since": SINCE}
    for _ in range(2):
        shown = page(world, "/policy", **asked)
        seen += re.findall(r'href="/request\?id=(id-\d+)"', shown)
        if older := re.search(r"before=([\d.]+)", shown):
            asked["before"] = older[1]

    assert sorted(seen) == sorted(f"id-{key}" for key in range(1, 61))
    assert "60 missing" in shown
    assert "Nothing was found with the verdict leak" in page(
        world, "/policy", **{**asked, "verdict": "leak", "before": ""}
    )


def test_a_policy_shows_statuses_of_the_mirror_against_the_primary(world: World) -> None:
    """A matrix; where they differ is marked, and named beside the endpoint."""
    world.declare(make_policy(("v1", 100)))
    lines = [line for key in range(9) for line in request(key, NOW + key * 1_000)]
    world.write([replace(line, code=503) if line.pod == "mirror0" and line.key > 6 else line
                 for line in lines])  # fmt: skip
    world.settle_all()

    shown = page(world, "/policy", name=NAME, since=SINCE)

    matrix = re.search(r'<table class="matrix">.*?</table>', shown, re.DOTALL)
    assert matrix is not None
    cells = re.findall(r'<td class="number (\w*)">(\d+)<', matrix[0])
    assert cells == [("same", "7"), ("differs", "2")]
    assert "200→503 2" in shown


def test_a_request_shows_its_lines_side_by_side(world: World) -> None:
    """With the verdict and the reason; an unknown id says what is known."""
    lose_copies(world, 1)

    shown = page(world, "/request", id="id-1")

    assert "no copy arrived at v1" in shown
    assert shown.count("<th>sender, to the primary</th>") == 1
    assert "No stored line has this id" in page(world, "/request", id="nobody")
    assert "x-request-id" in page(world, "/request")


def test_a_pasted_list_of_ids_is_a_table(world: World) -> None:
    """A row each with verdict, reason and link, in their order; unknown ones said; as CSV, too."""
    lose_copies(world, 1)
    asked = "id-1\r\n  nobody \n\nid-0\nid-1\n"

    shown = page(world, "/requests", ids=asked)

    assert re.findall(r'href="/request\?id=([^"]+)"', shown) == ["id-1", "nobody", "id-0"]
    assert re.findall(r'<span class="verdict v-(\w+)"', shown) == ["missing", "unknown", "matched"]
    assert "no copy arrived at v1" in shown
    assert "3 ids: 1 missing, 1 not found, 1 matched" in shown
    lines = page(world, "/requests", ids=asked, form="csv").splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["id-1", "true"], ["nobody", "false"], ["id-0", "true"],
    ]  # fmt: skip


def test_a_list_that_is_too_long_says_so(world: World) -> None:
    """And shows nothing else; what was pasted stays."""
    with asking(services_of(world.engine, world.now_us)) as client:
        many = client.get("/requests", params={"ids": "\n".join(map(str, range(101)))})

    assert many.status_code == 422
    assert "101 are too many at once; at most 100" in many.text
    assert "<table" not in many.text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"since": "yesterday"}, "since: must be a duration back from now"),
        ({"since": "1h", "until": "2h"}, "since: is not before until"),
        ({"name": "none"}, "no policy 'none' was ever settled"),
    ],
)
def test_a_wrong_question_says_what_is_wrong(
    world: World, asked: dict[str, Any], said: str
) -> None:
    """As a page, with a way back."""
    lose_copies(world, 1)

    shown = page(world, "/policy", **{"name": NAME, "since": SINCE, **asked})

    assert said in shown
    assert 'href="/"' in shown


def test_what_clients_wrote_is_only_ever_text(world: World) -> None:
    """A path with markup is shown, and runs nowhere."""
    lose_copies(world, 1, path="/<script>alert(1)</script>'\"")
    with asking(services_of(world.engine, world.now_us)) as client:
        raw = client.get("/policy", params={"name": NAME, "since": SINCE}).text
        looked_up = client.get("/request", params={"id": "<script>alert(2)</script>"}).text

    assert "<script>alert" not in raw + looked_up
    assert "&lt;script&gt;alert(1)" in raw


def test_a_browser_shows_its_key_once(world: World) -> None:
    """Without a cookie the page asks for a key; with it, pages answer until the key ends."""
    lose_copies(world, 1)
    services = services_of(world.engine, world.now_us)
    key = make_key(services, Scope.READ)
    with asking(services, client=ELSEWHERE) as client:
        assert client.get("/").url.path == "/login"
        wrong = client.post("/login", data={"key": "mp_wrong_key"})
        assert (wrong.status_code, "unknown, revoked, or over" in wrong.text) == (401, True)

        assert client.post("/login", data={"key": key}).url.path == "/"

        assert client.get("/policy", params={"name": NAME, "since": SINCE}).status_code == 200
        assert client.get("/request", params={"id": "id-1"}).status_code == 403
        assert client.get("/api/v1/policies").status_code == 401
        client.cookies.clear()
        client.cookies.set("mirrorproof_session", "forged")
        assert client.get("/").url.path == "/login"


def test_style_script_and_charts_come_from_here(client: TestClient) -> None:
    """Nothing comes from the internet, and nothing else from the disk."""
    for name, kind in (
        ("page.css", "text/css"), ("page.js", "text/javascript"), ("plotly.js", "text/javascript"),
    ):  # fmt: skip
        answer = client.get(f"/static/{name}")
        assert answer.headers["content-type"].startswith(kind)
    assert client.get("/static/..%2Froutes.py").status_code == 404
    for path in ("/", "/request"):
        assert set(re.findall(r'(?:src|href)="(https?:[^"]*)"', client.get(path).text)) == set()


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    """A browser on this machine."""
    with asking(services_of(world.engine, world.now_us)) as found:
        yield found
