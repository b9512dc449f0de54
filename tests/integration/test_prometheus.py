"""The real Prometheus reads our metrics, and rules and dashboard ask it: `make test-monitoring`."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from collector.db.engine import open_engine, writing
from collector.db.policies import record_versions
from collector.metric import Kind
from collector.metrics import SPECS
from collector.service.app import CollectorApp
from collector.service.health_server import serving
from collector.service.process import ProcessMetrics
from collector.settings import Settings
from collector.sources.protocol import Partition
from tests.api import asking, services_of
from tests.clocks import HandClock
from tests.dashboard import expressions
from tests.exposing import NOW_US, fill
from tests.lines import START_US, client_line
from tests.memory_source import MemoryBroker, MemorySource
from tests.servers.prometheus import PROGRAM, is_installed, prometheus
from tests.settling import make_policy
from verifier.alerts.outcome import Outcome
from verifier.monitor import Monitor
from verifier.pairing.percentage import Percentage
from verifier.pairing.statement import Ruling, Statement
from verifier.policies.stored import to_record
from verifier.settle.record import Settled
from verifier.settle.ruling import Result
from verifier.settle.tick import Ticked
from verifier.settle.versions import Versions
from verifier.settle.watermark import Watermark
from verifier.settle.windows import Span

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason=f"{PROGRAM} (a Debian package) is not installed"),
]
_RULES = Path(__file__).parents[2] / "deploy" / "chart" / "files" / "rules.yaml"
_CLUSTER = "mirrorproof_cluster_"  # has series where a cluster is watched
_VARIABLES = {"$__rate_interval": "5m", "$__range": "5m", "$policy": ".*"}


def ticked() -> Ticked:
    """A round that settled a window, and corrected it."""
    share = Percentage(100.0, 90.0, 80.0, 95.0, consistent=False)
    result = Result(0, {"matched": 9, "missing": 1}, share, Ruling(Statement.VIOLATED, "1 missing"))
    done = [Settled("weather/forecast", Span(0, 10), n, 10, result, 0) for n in (1, 2)]
    return Ticked(Watermark(0), done, more=False, batches=[], versions=Versions(()))


def test_every_rule_and_panel_is_answered(migrated_sqlite_url: str) -> None:
    """Of an installation that has something of everything, no query is wrong or stays empty."""
    engine, process, settings = open_engine(migrated_sqlite_url), ProcessMetrics(), Settings()
    with writing(engine) as connection:
        record_versions(connection, [to_record(make_policy(("v1", 100.0)))], START_US)
    fill(engine, policies=1)
    broker, where = MemoryBroker(), Partition("logs", 0)
    broker.create_topic("logs")
    clock = HandClock(NOW_US)
    broker.append(where, client_line("id-1").encode(), clock.now_us() - 1_000_000)
    collector = CollectorApp(
        settings, engine, lambda: MemorySource(broker, (where,)), clock, None, process
    )
    stop = Event()
    for _ in range(4):
        collector.ingest.turn(stop)
        clock.advance(3.0)
    monitor = Monitor(settings.verifier, process)
    monitor.turned(ticked(), 0.1)
    monitor.attempted("pager", Outcome.DELIVERED)
    collector.health.trouble("kafka_away", "refused")
    with asking(services_of(engine, clock.now_us()), process=process) as api:
        api.get("/api/v1/policies")
        with (
            serving(collector.health, "127.0.0.1:0", process) as port,
            prometheus(port, _RULES) as server,
        ):
            server.wait(lambda: scraped(server.query("count_over_time(up[1m])")) >= 2)
            names = [spec.full_name for spec in SPECS if spec.kind is not Kind.HISTOGRAM]
            asked = [*names, *map(filled, expressions())]
            empty = [one for one in asked if not server.query(one) and _CLUSTER not in one]
            server.wait(lambda: all(one["health"] == "ok" for one in server.rules()))
            firing = {one["name"] for one in server.rules() if one["state"] == "firing"}
    collector.close()

    assert empty == []
    assert "MirrorproofIncident" in firing


def scraped(series: list[object]) -> float:
    """How often the process was read."""
    return float(series[0]["value"][1]) if series else 0  # type: ignore[index]


def filled(expression: str) -> str:
    """As Grafana asks: with its variables."""
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    return expression
