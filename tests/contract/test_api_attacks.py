"""What attackers, crowds and slow clients get from the API: never more than is theirs."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from collector.db.engine import open_engine
from collector.errors import UsageError
from collector.settings import Settings
from collector.settings.alerts import AlertsSettings
from tests.api import asking, make_key, services_of
from tests.settling import NOW, World, make_policy, request
from verifier.api.limits import AT_ONCE, MAX_BODY
from verifier.api.lines import PatientForAWhile
from verifier.api.scopes import Scope
from verifier.api.server import Server, make_services
from verifier.api.services import Services

ON = "/api/v1/alerts/endpoints/audit/enable"
SILENCE = {"reason": "test", "lasts": "1h"}


@pytest.fixture
def services(migrated_sqlite_url: str) -> Iterator[Services]:
    """What the routes work with, over an empty database."""
    engine = open_engine(migrated_sqlite_url)
    yield services_of(engine, NOW)
    engine.dispose()


@pytest.fixture
def api(services: Services) -> Iterator[TestClient]:
    """Asked from this machine, without keys."""
    with asking(services) as found:
        yield found


def test_a_key_of_alerts_that_cannot_be_read_is_told_at_the_start(services: Services) -> None:
    """Not when somebody adds an endpoint; verifiers refuse it alike."""
    wrong = services_of(services.engine, NOW, AlertsSettings(key_file=Path("/nowhere/key")))

    with pytest.raises(UsageError, match=r"alerts\.key_file: cannot read /nowhere/key"):
        Server(wrong)


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:8080"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://127.0.0.1:3000"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8080"}, False),
        ({"X-Forwarded-For": "192.0.2.7"}, False),
    ],
    ids=str,
)
def test_a_page_elsewhere_changes_nothing_here(
    api: TestClient, headers: dict[str, str], is_ours: bool
) -> None:
    """Its form is sent by a browser of this machine, which says where it is from."""
    status = api.post(ON, headers=headers).status_code

    assert status == (404 if is_ours else 401)


def test_a_link_from_elsewhere_may_be_followed(api: TestClient) -> None:
    """To look is no change."""
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    assert api.get("/", headers=elsewhere).status_code == 200


@pytest.mark.parametrize("path", ["silences", "alerts/endpoints", "policies", "policies/lint"])
@pytest.mark.parametrize("is_told", [True, False], ids=["with its length", "in pieces"])
def test_no_body_is_read_beyond_the_limit(api: TestClient, path: str, is_told: bool) -> None:
    """Whatever its length claims."""
    read = 0

    def pieces() -> Iterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += MAX_BODY // 4
            yield b" " * (MAX_BODY // 4)

    body: Any = b" " * (MAX_BODY + 1) if is_told else pieces()
    headers = {"Content-Type": "application/json"}

    answer = api.post(f"/api/v1/{path}", content=body, headers=headers)

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/", "/login", "/api/v1/policies", "/api/v1/nothing", "/healthz", "/static/page.js"]
)
def test_every_answer_says_how_browsers_may_use_it(api: TestClient, path: str) -> None:
    """In no frame, as no other type, from no other site; and what is read is kept nowhere."""
    headers = api.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert ("no-store" in headers["Cache-Control"]) == (not path.startswith("/static/"))


@pytest.mark.parametrize(
    "then",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/policy//x", "/static/page.js",
     "/policy?a=\\\\b", "/request?id=a\r\nSet-Cookie: x=y", "javascript:alert(1)"],
)  # fmt: skip
def test_showing_a_key_leads_nowhere_else(services: Services, then: str) -> None:
    """Only to pages of ours; and no header is written by whoever made the link."""
    key = make_key(services, Scope.RAW)
    with asking(services) as api:
        answer = api.post("/login", data={"key": key, "then": then}, follow_redirects=False)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert len(answer.headers.get_list("Set-Cookie")) == 1


def test_a_shared_link_is_shown_after_the_key(services: Services) -> None:
    """With everything that it asks."""
    key = make_key(services, Scope.RAW)
    link = "/request?id=a%22%3E%3Cscript%3E%26b"
    with asking(services) as api:
        form = api.get(link)
        assert form.url.path == "/login"
        assert "<script>" not in form.text.replace('<script src="/static/', "")
        answer = api.post("/login", data={"key": key, "then": link}, follow_redirects=False)
        assert answer.headers["Location"] == link
        cookie = answer.headers["Set-Cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert api.get(link).status_code == 200


def test_a_session_opens_pages_only(services: Services) -> None:
    """The API wants the key itself, so that no form of another page can use the cookie."""
    key = make_key(services, Scope.ADMIN)
    with asking(services) as api:
        assert api.post("/login", data={"key": key}).status_code == 200
        assert api.get("/").status_code == 200
        assert api.post(ON).status_code == 401
        assert api.get("/api/v1/policies").status_code == 401


def test_links_hold_no_line_of_a_header(api: TestClient, services: Services) -> None:
    """What was asked is in `Link`, as an address has it."""
    world = World(services.engine)
    world.declare(make_policy(("v1", 100)))
    strange = '/a>; rel="evil", <\r\nSet-Cookie: b=c'
    lines = [one for key in (1, 2) for one in request(key, NOW, path=strange)]
    world.write([one for one in lines if one.pod != "mirror0"])
    world.settle_all()
    asked = {"since": "1970-01-01T00:00:00Z", "limit": 1, "path": strange}

    with asking(services_of(services.engine, world.now_us)) as client:
        answer = client.get("/api/v1/findings", params=asked)

    assert answer.headers["Link"].count("<") == answer.headers["Link"].count(">") == 1
    assert "Set-Cookie" not in answer.headers
    assert "\n" not in answer.headers["Link"]


def test_errors_tell_no_secret(services: Services) -> None:
    """Neither of the database, nor a key that was shown, nor the body that was wrong."""
    key = make_key(services, Scope.ADMIN)
    with asking(services, key) as api:
        with services.engine.begin() as connection:
            connection.execute(text("ALTER TABLE settled_policy RENAME TO gone"))
        broken = api.get("/api/v1/statement", params={"policy": "x"})
        wrong = api.post("/api/v1/alerts/endpoints", json={"url": "https://h/s3cret", "form": 1})
    with asking(services) as api:
        unknown = api.get("/api/v1/policies", headers={"X-API-Key": key[:-1]})

    for answer in (broken, wrong, unknown):
        assert answer.headers["content-type"] == "application/problem+json"
        assert not {"SELECT", "s3cret", key[-20:-1]} & set(answer.text.replace("/", " ").split())
    assert broken.status_code == 503


def test_a_question_that_takes_too_long_is_given_up(migrated_sqlite_url: str) -> None:
    """With the way out."""
    engine = open_engine(migrated_sqlite_url)
    services = services_of(engine, NOW, statement_timeout_s=0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"

    with asking(services) as api:

        @api.app.get("/endless")  # type: ignore[attr-defined, untyped-decorator]
        def ask() -> None:
            with services.reading() as connection:
                connection.execute(text(endless))

        answer = api.get("/endless")
        with services.reading() as connection:
            assert connection.scalar(text("SELECT 1")) == 1

    engine.dispose()
    assert answer.status_code == 503
    assert "shorter range" in answer.json()["detail"]


@pytest.fixture
def server(migrated_database_url: str) -> Iterator[Server]:
    """A real server, on either database."""
    engine = open_engine(migrated_database_url)
    settings = Settings.model_validate(
        {
            "database": {"url": engine.url.render_as_string(hide_password=False)},
            "api": {"listen": "127.0.0.1:0", "rate_burst": 100_000},
        }
    )
    found = Server(make_services(settings, engine))
    engine.dispose()
    stop = threading.Event()
    thread = threading.Thread(target=found.run, args=(stop,))
    thread.start()
    yield found
    stop.set()
    thread.join()


@pytest.mark.integration
def test_a_crowd_is_answered_in_turns(server: Server) -> None:
    """More at once than there are threads and connections: all are answered."""
    paths = ["/api/v1/policies", "/", "/api/v1/silences", "/readyz"]
    found: list[int] = []

    def ask(number: int) -> None:
        url = server.url + paths[number % len(paths)]
        found.append(httpx2.get(url, timeout=60, trust_env=False).status_code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8 * AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [200] * len(threads)


@pytest.mark.integration
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HT",
        b"POST /api/v1/policies/lint HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_who_dawdles_is_cut_off(
    server: Server, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """A request comes within a time, or its place is given to others."""
    monkeypatch.setattr(PatientForAWhile, "ASK_S", 0.2)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            while line.recv(4096):
                pass

    answer = httpx2.get(f"{server.url}/healthz", trust_env=False)
    assert json.loads(answer.text)["status"] == "ok"
