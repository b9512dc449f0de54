"""`mirrorproof doctor` on real brokers, databases and receivers, well and ill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from sqlalchemy import insert, update

from collector.clock import SystemClock
from collector.db.engine import open_engine, writing
from collector.db.tables import batch, instance, position
from collector.errors import MirrorproofError
from collector.settings import ApiSettings, DatabaseSettings, KafkaSettings, Settings
from collector.settings.alerts import AlertsSettings, EndpointSettings
from tests.lines import client_line, shipped
from tests.servers.kafka import KafkaBroker
from tests.servers.process import free_ports
from tests.settling import TOPIC, World, make_policy, request
from verifier.alerts.tables import alert_endpoint
from verifier.api import keys
from verifier.api.scopes import Scope
from verifier.demo.receiver import Receiver
from verifier.doctor import database, kafka, outside
from verifier.doctor.finding import Finding, Status
from verifier.doctor.judge_kafka import Place
from verifier.settle import lease

pytestmark = pytest.mark.integration
HEARTBEAT = b'{"mirrorproof":"heartbeat","node":"node-a","time":"2026-11-22T15:11:42Z"}'


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> KafkaBroker:
    """The broker; `kafka` is the module that is tested here."""
    found: KafkaBroker = request.getfixturevalue("kafka")
    return found


def found_by(look: Callable[[Callable[[Finding], object]], object]) -> dict[str, Finding]:
    """What a check reports, by name, also when it ends early."""
    found: dict[str, Finding] = {}
    try:
        look(lambda one: found.__setitem__(one.name, one))
    except MirrorproofError as error:
        found["error"] = Finding("error", Status.FAIL, str(error))
    return found


def statuses(found: dict[str, Finding]) -> dict[str, str]:
    """How each is."""
    return {name: one.status.value for name, one in found.items()}


def of_kafka(own: KafkaSettings, places: Callable[[], list[Place]]) -> dict[str, Finding]:
    """What the brokers tell; of how long topics keep records, see the test of Apache Kafka."""
    now_us, settings = time.time_ns() // 1_000, Settings(kafka=own)
    return found_by(
        lambda report: kafka.examine(settings, places, now_us, report, lambda *_: 1_800.0)
    )


def test_brokers_topics_and_records_are_looked_at(broker: KafkaBroker) -> None:
    """The last records of each partition, read without a group; what the database knows counts."""
    topic = broker.create_topic(2)
    lines = [shipped(client_line(f"46ce024f-97b3-4a45-8f73-{n:012}")) for n in range(150)]
    broker.send(topic, [*lines, HEARTBEAT])
    own = KafkaSettings(bootstrap_servers=(broker.bootstrap,), topics=(topic, "no-such-topic"))
    read = [Place(name=f"{topic}/{n}", next_offset=10_000, owner="c") for n in (0, 1)]

    found = of_kafka(own, list)
    beyond = of_kafka(own, lambda: read)

    assert statuses(found) == {
        "brokers": "ok", f"topic {topic}": "ok", "topic no-such-topic": "fail",
        "record times": "ok", "log format": "ok", "lag": "fail",
        f"retention of {topic}": "fail", "retention of no-such-topic": "fail",
    }  # fmt: skip
    assert "never read" in found["lag"].seen
    assert "access log" in found["log format"].seen
    assert "beyond the end" in beyond["lag"].seen


def test_how_long_a_topic_keeps_records_is_asked(group_kafka: KafkaBroker) -> None:
    """By its configuration, which Apache Kafka tells; of a topic that is not there, nothing."""
    topic = group_kafka.create_topic(1)
    own = KafkaSettings(bootstrap_servers=(group_kafka.bootstrap,), topics=(topic,))

    assert kafka.retention_s(own, topic) == 7 * 86_400
    assert kafka.retention_s(own, "no-such-topic") is None


def settings_of(url: str, **sections: object) -> Settings:
    """Settings with a database."""
    return Settings(database=DatabaseSettings(url=url), **sections)  # type: ignore[arg-type]


def of_database(settings: Settings) -> dict[str, Finding]:
    """What the database tells."""
    return found_by(lambda report: database.examine(settings, SystemClock(), report))


def test_a_new_database_has_nobody_at_work(migrated_database_url: str) -> None:
    """Schema and clock are right, and each lack says what to do."""
    found = of_database(settings_of(migrated_database_url))

    assert statuses(found) == {
        "database": "ok", "schema": "ok", "clock": "ok", "partitions": "ok", "api keys": "ok",
        "collectors": "fail", "verifier": "fail", "heartbeats": "warn", "quarantine": "ok",
        "our retention": "ok", "receivers": "warn", "policies": "warn",
    }  # fmt: skip


def test_a_database_that_is_not_migrated_is_asked_no_more(database_url: str) -> None:
    """One is empty, or a file that is not there; neither is made."""
    found = of_database(settings_of(database_url))

    if database_url.startswith("sqlite"):
        assert statuses(found) == {"error": "fail"}
    else:
        assert statuses(found) == {"database": "ok", "schema": "fail", "error": "fail"}
        assert "mirrorproof migrate" in found["schema"].do


def test_an_installation_at_work_is_well(migrated_database_url: str) -> None:
    """Somebody collects, somebody settles, both sides of the policy are heard, a key opens."""
    engine = open_engine(migrated_database_url)
    now_us = time.time_ns() // 1_000
    world = World(engine, now_us=now_us - 200_000_000)
    world.declare(make_policy(("v1", 100.0)))
    start_us = world.now_us
    world.write([one for n in range(30) for one in request(n, start_us + n * 10_000)])
    world.settle_all()
    with writing(engine) as connection:
        connection.execute(insert(instance).values(
            owner="c", policy_version_id=1, started_us=now_us, seen_us=now_us))  # fmt: skip
        connection.execute(update(batch).values(heartbeats=3, ignored=3, read=batch.c.read + 3))
        connection.execute(insert(alert_endpoint).values(
            name="pager", origin="settings", form="slack", wants="{}", fingerprint="",
            created_us=0, dead=0, disabled_us=None))  # fmt: skip
        keys.create(connection, "test", {Scope.READ}, now_us, None)
        assert lease.take(connection, "v", now_us, 600_000_000)

    found = of_database(settings_of(migrated_database_url))
    with writing(engine) as connection:
        connection.execute(update(position).values(state="stopped", reason="truncated"))
        connection.execute(update(alert_endpoint).values(disabled_us=now_us))
    ill = of_database(settings_of(migrated_database_url))
    engine.dispose()

    # Lines of this test have no mark of copies.
    marked = {"mark of copies of weather/forecast"}
    assert {name for name, how in statuses(found).items() if how != "ok"} == marked
    assert "logs of weather/forecast" in found
    worse = {name for name, how in statuses(ill).items() if how != "ok"} - marked
    assert worse == {"partitions", "receivers"}
    assert f"{TOPIC}/0: truncated" in ill["partitions"].seen


def endpoint(url: str, **fields: object) -> EndpointSettings:
    """A receiver."""
    return EndpointSettings(name="r", form="slack", url=url, allow_http=True, **fields)  # type: ignore[arg-type]


def of_receiver(own: EndpointSettings) -> Finding:
    """How a receiver is."""
    (one,) = outside.receivers_of(Settings(alerts=AlertsSettings(endpoints=(own,))))
    return outside.receiver(one)


def test_receivers_are_tried_without_sending() -> None:
    """One that answers got nothing; others are named with the reason, without the address."""
    with Receiver() as there:
        good = of_receiver(endpoint(there.url, allow_private=True))
        secure = there.url.replace("http:", "https:")
        found = {
            "refused to call a loopback": of_receiver(endpoint(there.url)),
            "TLS": of_receiver(endpoint(secure, allow_private=True)),
            "host not found": of_receiver(endpoint("https://receiver.invalid/SECRET")),
        }
        assert there.received == []
    gone = of_receiver(endpoint(there.url, allow_private=True))

    assert good.status.value == "ok"
    assert gone.status.value == "fail"
    for words, one in found.items():
        assert one.status.value == "fail"
        assert words in one.seen
        assert "127.0.0.1" not in one.seen


@contextmanager
def serving(documents: dict[str, object]) -> Iterator[str]:
    """A server of JSON documents by their paths; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = documents.get(self.path)
            body = json.dumps(known).encode()
            self.send_response(404 if known is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_provider_of_tokens_must_tell_keys_and_be_who_it_says() -> None:
    """Keys, and a discovery document that names the same issuer and address."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    key = json.loads(ECAlgorithm.to_jwk(public)) | {"kid": "a"}
    documents: dict[str, object] = {"/keys": {"keys": [key]}}

    with serving(documents) as base:
        own = ApiSettings(oidc_issuer=base, oidc_audience="a", oidc_jwks_url=f"{base}/keys")
        settings = Settings(api=own)
        seen = [outside.provider(settings).status.value]
        discovery = {"issuer": base, "jwks_uri": f"{base}/keys"}
        for said in (discovery, discovery | {"issuer": "https://other"}):
            documents["/.well-known/openid-configuration"] = said
            seen.append(outside.provider(settings).status.value)
        documents.pop("/keys")
        seen.append(outside.provider(settings).status.value)

    assert seen == ["ok", "ok", "fail", "fail"]
    assert outside.provider(Settings()).status.value == "skipped"


def test_the_command_tells_people_and_programs(migrated_sqlite_url: str) -> None:
    """Brokers that are away are said once, and all else is looked at; JSON has every finding."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "verifier", "doctor"]
    away = ["--bootstrap-servers", f"127.0.0.1:{port}", "--database-url", migrated_sqlite_url]
    # Processes of their own: kafka-python leaves refused sockets behind.
    shown, told, wrong = (
        subprocess.run([*command, *more], capture_output=True, text=True, timeout=120, check=False)
        for more in (away, [*away, "--json"], ["--timeout", "0"])
    )

    assert (shown.returncode, told.returncode, wrong.returncode) == (1, 1, 2), told.stderr
    found = json.loads(told.stdout)
    assert found["ok"] is False
    assert {"brokers", "lag", "schema", "disk", "oidc"} <= {
        one["name"] for one in found["findings"]
    }
    assert f"FAIL    brokers: cannot reach Kafka at 127.0.0.1:{port}: " in shown.stdout
    assert "SKIPPED topic istio-access-logs" in shown.stdout
