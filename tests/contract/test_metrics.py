"""What Prometheus reads of collector, verifier and API: in its format, and nothing unnamed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client import openmetrics
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine
from structlog.testing import capture_logs

from collector import log
from collector.db.engine import open_engine, writing
from collector.db.policies import record_versions
from collector.metric import PREFIX, Kind, Place
from collector.metrics import SPECS
from collector.service.app import CollectorApp
from collector.service.health_server import serving
from collector.service.process import MOST_NAMES, OTHER, ProcessMetrics
from collector.settings import Settings, VerifierSettings
from collector.sources.protocol import Partition
from tests.api import asking, make_key, services_of
from tests.clocks import HandClock
from tests.exposing import NOW_US, fill, standing
from tests.lines import START_US, client_line
from tests.memory_source import MemoryBroker, MemorySource
from tests.settling import make_policy
from verifier.api.scopes import Scope
from verifier.app import build, tick_rules
from verifier.monitor import Monitor
from verifier.policies.stored import to_record
from verifier.standing import Standing

pytestmark = pytest.mark.integration
_BY_NAME = {spec.full_name: spec for spec in SPECS}


@dataclass
class Scrape:
    """One answer, parsed."""

    families: list[Metric]

    def value(self, name: str, **labels: str) -> float:
        """Of one series. Raises KeyError: there is none."""
        for family in self.families:
            for sample in family.samples:
                if sample.name == PREFIX + name and sample.labels == labels:
                    return sample.value
        raise KeyError(name, labels)

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a label has."""
        samples = [sample for family in self.families for sample in family.samples]
        return {s.labels[label] for s in samples if s.name == PREFIX + name}


def parsed(text: str) -> Scrape:
    """What an answer says, which must be what is named in the code."""
    found = list(text_string_to_metric_families(text))
    families = [family for family in found if not family.name.startswith("process_")]
    assert len(families) < len(found)  # those of the client library are there, too
    for family in families:
        full = family.name + ("_total" if family.type == "counter" else "")
        spec = _BY_NAME[full]
        assert (family.type, family.documentation) == (spec.kind.value, spec.help)
        for sample in family.samples:
            assert {*sample.labels} - {"le"} == {*spec.labels}, sample
    return Scrape(families)


def names_of(*places: Place) -> set[str]:
    """The metrics that there must be."""
    return {spec.full_name for spec in SPECS if spec.place in places}


def told(found: Scrape) -> set[str]:
    """The metrics that were told, with or without series."""
    return {one.name + ("_total" if one.type == "counter" else "") for one in found.families}


@pytest.fixture
def engine(migrated_database_url: str) -> Iterator[Engine]:
    """A database with one policy."""
    found = open_engine(migrated_database_url)
    with writing(found) as connection:
        record_versions(connection, [to_record(make_policy(("v1", 100.0)))], START_US)
    yield found
    found.dispose()


def ask(port: int, path: str, **headers: str) -> tuple[int, str, str]:
    """Status, content type and text of an answer."""
    request = Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_a_collector_tells_what_it_read_and_how_far_it_is_behind(engine: Engine) -> None:
    """All of its metrics, by its probes' server."""
    clock, broker, process = HandClock(), MemoryBroker(), ProcessMetrics()
    broker.create_topic("logs", 2)
    partitions = (Partition("logs", 0), Partition("logs", 1))
    for number in range(3):
        broker.append(partitions[0], client_line(f"id-{number}").encode(), clock.now_us())
    broker.append(partitions[0], b'[2026-11-22T15:11:42.900Z] "GET / HTTP/1.1" broken', 1)
    collector = CollectorApp(
        Settings(), engine, lambda: MemorySource(broker, partitions), clock, None, process
    )
    stop = Event()
    for _ in range(4):
        collector.ingest.turn(stop)
        clock.advance(6.0)
    with serving(collector.health, "127.0.0.1:0", process) as port:
        status, kind, text = ask(port, "/metrics")
    collector.close()

    found = parsed(text)
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert told(found) == names_of(Place.ALL, Place.LOOPS, Place.COLLECTOR)
    assert found.value("records_total") == found.value("lines_read_total") == 4
    results = ("stored", "ignored", "quarantined")
    assert [found.value("lines_total", result=one) for one in results] == [3, 0, 1]
    assert found.value("consumer_lag_records", topic="logs", partition="0") == 0
    assert found.value("partition_stopped", topic="logs", partition="1") == 0
    assert found.value("db_transaction_seconds_count") >= 1
    assert found.value("last_success_timestamp_seconds", stage="write") > 0


def test_the_age_of_a_lag_is_that_of_the_last_record_read(engine: Engine) -> None:
    """Records that came meanwhile are what is behind; who is not behind has age nought."""
    clock, broker, process = HandClock(), MemoryBroker(), ProcessMetrics()
    broker.create_topic("logs")
    where = Partition("logs", 0)
    broker.append(where, client_line("id-1").encode(), clock.now_us() - 90_000_000)
    collector = CollectorApp(
        Settings(), engine, lambda: MemorySource(broker, (where,)), clock, None, process
    )
    stop = Event()
    for _ in range(4):
        collector.ingest.turn(stop)
    parts = collector.ingest._parts
    read_us = parts.ownership.held[where].record_us
    parts.lag.lag = {where: 5}

    found = parsed(process.answer("")[0].decode())
    collector.close()

    assert read_us == clock.now_us() - 90_000_000
    assert found.value("consumer_lag_records", topic="logs", partition="0") == 5
    assert found.value("consumer_lag_seconds", topic="logs", partition="0") == 90.0


def test_a_verifier_answers_probes_and_prometheus(engine: Engine) -> None:
    """Ready once it settled or stands by; all of its metrics, and how the installation stands."""
    settings = Settings(verifier=VerifierSettings(health_listen="127.0.0.1:0"))
    process = ProcessMetrics()
    Standing(engine, tick_rules(settings.verifier).evidence, process)
    monitor = Monitor(settings.verifier, process)
    verifier = build(settings, engine, monitor=monitor)
    with monitor.serving() as port:
        assert isinstance(port, int)
        assert ask(port, "/readyz")[0] == 503
        monitor.turned(verifier.turn(), 0.1)
        assert [ask(port, path)[0] for path in ("/readyz", "/livez", "/healthz")] == [200] * 3
        found = parsed(ask(port, "/metrics")[2])
        kind, open_metrics = ask(port, "/metrics", Accept="application/openmetrics-text")[1:]
    verifier.leave()

    assert told(found) == names_of(Place.ALL, Place.LOOPS, Place.VERIFIER, Place.DATABASE)
    assert found.value("lease_held") == found.value("database_up") == 1
    assert kind == openmetrics.exposition.CONTENT_TYPE_LATEST
    assert [*openmetrics_parser.text_string_to_metric_families(open_metrics)]


def test_the_api_tells_its_requests_by_route(engine: Engine) -> None:
    """By templates alone, whatever was asked; the template of a request's own number, too."""
    services = services_of(engine, NOW_US)
    with asking(services) as api:
        for path in ("/api/v1/findings/1", "/api/v1/findings/2", "/no/such?x=1", "/healthz"):
            api.get(path)
        api.request("BREW", "/healthz")
        found = parsed(api.get("/metrics").text)

    assert told(found) == names_of(Place.ALL, Place.API, Place.DATABASE) | {
        spec.full_name for spec in SPECS if spec.place is Place.LOOPS
    }
    one = {"method": "GET", "route": "/api/v1/findings/{number}", "status": "404"}
    assert found.value("api_requests_total", **one) == 2
    assert found.value("api_request_seconds_count", route=one["route"]) == 2
    assert found.labels("api_requests_total", "method") == {"GET", "other"}
    routes = found.labels("api_requests_total", "route")
    assert routes == {one["route"], "unmatched", "/healthz"}


def test_every_request_of_the_api_is_one_event(engine: Engine) -> None:
    """Who asked what, and what came of it, without the query, which may hold ids."""
    services = services_of(engine, NOW_US)
    key = make_key(services, Scope.READ)
    log.configure("debug")
    with asking(services, key) as api, capture_logs() as events:
        api.get("/api/v1/findings", params={"path": "secret-id"})
        api.get("/api/v1/requests", params={"id": "secret-id"})

    asked = [one for one in events if one["event"] == "request_answered"]
    assert [(one["path"], one["status"]) for one in asked] == [
        ("/api/v1/findings", 200),
        ("/api/v1/requests", 403),
    ]
    prefix = "_".join(key.split("_")[:2])
    assert all(one["caller"] == f"key:{prefix}" for one in asked)
    assert "secret-id" not in json.dumps(events, default=str)


def test_metrics_of_the_api_need_a_key_once_there_is_one(engine: Engine) -> None:
    """With scope read, as a bearer token, which Prometheus can show; probes need none."""
    services = services_of(engine, NOW_US)
    with asking(services) as api:
        assert api.get("/metrics").status_code == 200
    key = make_key(services, Scope.READ)
    with asking(services) as api:
        assert [api.get(path).status_code for path in ("/metrics", "/readyz")] == [401, 200]
    with asking(services, key) as api:
        assert api.get("/metrics").status_code == 200


def test_the_standing_is_that_of_the_database(engine: Engine) -> None:
    """Lags, incidents and what waits for receivers, at the database's time."""
    fill(engine, policies=1)
    process = ProcessMetrics()
    standing(engine, process)

    found = parsed(process.answer("")[0].decode())

    assert found.value("settled_lag_seconds", policy="weather/forecast") == 20
    assert found.value("incidents_open", kind="missing", severity="critical") == 1
    assert found.value("alerts_pending", endpoint="pager") == 1
    assert found.value("alert_oldest_pending_seconds", endpoint="pager") == 30
    assert found.value("alerts_given_up_total", endpoint="pager") == 3
    assert found.value("alert_endpoint_disabled", endpoint="pager") == 1
    assert found.value("quarantine_waiting") == 0


def test_a_thousand_policies_are_at_most_two_hundred_and_one(engine: Engine) -> None:
    """The latest of those without a name stands for them."""
    fill(engine, policies=1_000)
    process = ProcessMetrics()
    standing(engine, process)

    found = parsed(process.answer("")[0].decode())

    assert len(found.labels("settled_lag_seconds", "policy")) == MOST_NAMES + 1
    assert found.value("settled_lag_seconds", policy=OTHER) >= 20


def test_a_database_that_is_away_takes_no_other_metric_along(engine: Engine) -> None:
    """The answer says so, at once."""
    process = ProcessMetrics()
    away = open_engine(f"sqlite:////nowhere/{'x' * 8}/mirrorproof.db")
    standing(away, process)

    found = parsed(process.answer("")[0].decode())
    away.dispose()

    assert found.value("database_up") == 0
    assert {"mirrorproof_build_info"} <= told(found)


def test_all_of_one_process_is_in_one_answer(engine: Engine) -> None:
    """As of `up`: collector, verifier and API share a registry, and no name is there twice."""
    process, settings = ProcessMetrics(), Settings()
    CollectorApp(
        settings, engine, lambda: MemorySource(MemoryBroker(), ()), HandClock(), None, process
    )
    Monitor(settings.verifier, process)
    services = services_of(engine, NOW_US)
    with asking(services, process=process) as api:
        found = parsed(api.get("/metrics").text)

    assert told(found) == {*_BY_NAME}
    assert len(told(found)) == len(found.families)
    assert {one.type for one in found.families} == {kind.value for kind in Kind}
