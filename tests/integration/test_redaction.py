"""No secret that a line carries is anywhere in the database, whatever became of the line."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine, select

from collector.db.engine import reading, writing
from collector.db.policies import record_versions
from collector.db.tables import observation, quarantine
from collector.service.app import build_from_files
from collector.settings import CollectorSettings, DatabaseSettings, Settings, VerifierSettings
from tests.lines import HOST, START_US, client_line, shipped
from tests.settling import make_policy
from verifier.app import tick_rules
from verifier.policies.stored import to_record
from verifier.settle.tick import Ticker
from verifier.settle.transaction import settling
from verifier.tables import finding

pytestmark = pytest.mark.integration
MARK = "Xs3cr3t"
"""Begins every planted secret."""


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """With a policy."""
    with writing(engine) as connection:
        record_versions(connection, [to_record(make_policy(("v1", 100.0)))], 0)
    return engine


def secret(name: str) -> str:
    """A secret that can be told from the others."""
    return f"{MARK}{name}"


def json_line(**fields: object) -> str:
    """A line of Istio's JSON format, with fields of its user."""
    values: dict[str, object] = {
        "start_time": "2026-11-22T15:11:42.900Z",
        "method": "GET",
        "path": f"/json?k={secret('JsonPath')}",
        "protocol": "HTTP/1.1",
        "response_code": 200,
        "duration": 4,
        "request_id": "id-json",
        "authority": f"user:{secret('Userinfo')}@forecast:3002",
        "upstream_cluster": f"outbound|3002|v2|{HOST}",
        "user_agent": f"agent {secret('Agent')}",
        "x_forwarded_for": "10.9.8.7",
    }
    return json.dumps(values | fields)


def lines() -> list[bytes]:
    """Readable ones with secrets in places that they have, and broken ones of every shape."""
    broken = client_line("id-2", path=f"/b?token={secret('Broken')}").replace(" 200 ", " 2o0 ")
    agent = json_line(authorization=f"Bearer {secret('Extra')}", cookie=f"sid={secret('Cookie')}")
    return [
        shipped(client_line("id-1", path=f"/a?day=1&token={secret('Query')}")),
        shipped(client_line("id-3", path=f"/a;jsessionid={secret('Session')}?{secret('Bare')}")),
        shipped(agent, token=secret("Label") * 0 + "label"),
        shipped(broken),
        shipped(json_line(response_code="x" * 3, authorization=f"Basic {secret('BadJson')}")),
        shipped(json_line(duration=10**30, cookie=f"a={secret('BadA')}; b={secret('BadB')}")),
        f'prefix "GET /c?x={secret("Prefix")} HTTP/1.1" 200 - "Bearer {secret("Bearer")}"'.encode(),
        b'{"log":"\xff' + json.dumps(f'"GET /d?y={secret("Nested")} HTTP/1.1" 200 x').encode(),
        b'{"password":"' + secret("Truncated").encode(),
        b'{"log": {"deep": "GET /e?z=' + secret("Deep").encode() + b' HTTP/1.1"}',
    ]


def everything(engine: Engine) -> bytes:
    """All that the database holds: of SQLite the files, of PostgreSQL every table."""
    if engine.dialect.name == "sqlite":
        name = engine.url.database or ""
        files = (Path(f"{name}{end}") for end in ("", "-wal"))
        return b"".join(file.read_bytes() for file in files if file.exists())
    found = []
    with engine.connect() as connection:
        connection.exec_driver_sql("SET bytea_output = 'escape'")
        query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        for table in connection.exec_driver_sql(query).scalars().all():
            raw = connection.connection.driver_connection
            assert raw is not None
            with raw.cursor().copy(f'COPY (SELECT t::text, * FROM "{table}" t) TO STDOUT') as copy:
                found += [bytes(part) for part in copy]
    return b"".join(found)


def collect(engine: Engine, folder: Path, **own: object) -> None:
    """Reads the lines as the product does, and settles them."""
    file = folder / "front-1.log"
    file.write_bytes(b"\n".join(lines()) + b"\n")
    url = engine.url.render_as_string(hide_password=False)
    settings = Settings(
        database=DatabaseSettings.model_validate({"url": url}),
        collector=CollectorSettings.model_validate(own),
    )
    stop = Event()
    build_from_files(settings, [file], stop).run(stop)
    with settling(engine) as connection:
        Ticker(tick_rules(VerifierSettings())).tick(connection, START_US + 10**9)


@pytest.mark.parametrize("treatment", ["drop", "hash"])
def test_no_secret_is_stored_anywhere(engine: Engine, tmp_path: Path, treatment: str) -> None:
    """Neither with lines nor in quarantine, nor in findings, which copy from lines."""
    collect(engine, tmp_path, user_agent=treatment, forwarded_for=treatment, keep_query="day")

    held = everything(engine)
    with reading(engine) as connection:
        stored = connection.execute(select(observation.c.path, observation.c.user_agent)).all()
        refused = connection.execute(select(quarantine.c.reason)).all()
        found = connection.execute(select(finding.c.path)).all()
    assert len(stored) >= 3
    assert len(refused) >= 3
    assert len(found) >= 2
    assert b"/a?day=1&token=***" in held
    begin = held.find(MARK.encode())
    assert begin == -1, held[begin - 100 : begin + 100]
    assert b"10.9.8.7" not in held
    assert {row.user_agent is None for row in stored} == {treatment == "drop"}


def test_what_is_to_be_kept_is_kept(engine: Engine, tmp_path: Path) -> None:
    """The test above can fail: by other settings the same places hold their values."""
    collect(engine, tmp_path, user_agent="store", forwarded_for="store", keep_query="*")

    held = everything(engine)
    for name in ("Query", "Session", "Agent", "JsonPath"):
        assert secret(name).encode() in held, name
    assert b"10.9.8.7" in held
    # These are nobody's to keep.
    for name in ("Userinfo", "Extra", "Cookie", "BadJson", "Bearer", "Truncated"):
        assert secret(name).encode() not in held, name


def test_redaction_changes_no_key(engine: Engine, tmp_path: Path) -> None:
    """Keys are of the whole path: requests that look alike afterwards are still told apart."""
    file = tmp_path / "front-1.log"
    paths = ("/a?k=1", "/a?k=2", "/a?k=1")
    file.write_bytes(b"\n".join(shipped(client_line("one", path=path)) for path in paths) + b"\n")
    url = engine.url.render_as_string(hide_password=False)
    stop = Event()
    settings = Settings(database=DatabaseSettings.model_validate({"url": url}))
    build_from_files(settings, [file], stop).run(stop)

    with reading(engine) as connection:
        c = observation.c
        rows = connection.execute(select(c.key, c.path).order_by(c.record_offset)).all()
    assert {row.path for row in rows} == {"/a?k=***"}
    assert rows[0].key == rows[2].key != rows[1].key
