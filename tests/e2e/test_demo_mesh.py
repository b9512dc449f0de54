"""The demo's mesh of real Envoy proxies, which other tests build on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from verifier.demo.access_log import LogFormat
from verifier.demo.apps import Applications
from verifier.demo.envoy_config import Route
from verifier.demo.ledger import Ledger
from verifier.demo.mesh import Mesh
from verifier.demo.pods import FORECASTS, FRONTEND
from verifier.demo.servers import Servers
from verifier.demo.traffic import Traffic

pytestmark = pytest.mark.integration

V1_PODS = [pod.name for pod in FORECASTS if pod.version == "v1"]
V2_PODS = [pod.name for pod in FORECASTS if pod.version == "v2"]


class Lab:
    """A mesh with traffic that can be started and stopped."""

    def __init__(self, stack: ExitStack, log_format: LogFormat, route: Route) -> None:
        servers = stack.enter_context(Servers())
        self.ledger = Ledger()
        self.apps = stack.enter_context(Applications(self.ledger))
        self.mesh = Mesh(
            servers,
            servers.folder / "logs",
            self.apps.ports,
            log_format=log_format,
            flush_ms=50,
            route=route,
        )
        self.mesh.start()

    def drive(self, seconds: float) -> None:
        """Sends traffic for a while and waits until every call is answered."""
        traffic = Traffic(self.mesh.port, self.ledger, 100)
        traffic.start()
        time.sleep(seconds)
        traffic.stop()

    def lines(self, pod: str, count: int) -> list[str]:
        """The log of a pod, once it has so many lines."""
        log: Path = self.mesh.logs[pod]
        deadline = time.monotonic() + 5
        while len(log.read_text().splitlines()) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return log.read_text().splitlines()


Opener = Callable[..., Lab]


@pytest.fixture
def open_lab() -> Iterator[Opener]:
    """Opens labs that end with the test."""
    with ExitStack() as stack:

        def open_one(log_format: LogFormat = LogFormat.TEXT, route: Route | None = None) -> Lab:
            return Lab(stack, log_format, route or Route())

        yield open_one


def test_everything_is_mirrored_at_first(open_lab: Opener) -> None:
    """Every call reaches v2, and a copy of it v1."""
    lab = open_lab()

    lab.drive(1.0)

    truth = lab.ledger.total()
    assert truth.calls > 50
    assert truth.calls == truth.requests == truth.mirrored
    assert len(lab.lines(FRONTEND.name, truth.calls)) == truth.calls


def test_a_route_changes_while_traffic_flows(open_lab: Opener) -> None:
    """A mirror that is removed makes misses, a drifted weight makes leaks; nothing fails."""
    lab = open_lab()
    traffic = Traffic(lab.mesh.port, lab.ledger, 100)
    traffic.start()
    for route in (Route(), Route(mirror_percent=0), Route(v1_weight=50), Route()):
        lab.mesh.set_route(route)
        time.sleep(0.5)
    traffic.stop()

    truth = lab.ledger.total()
    assert truth.unanswered == 0
    assert truth.missing > 10
    assert truth.leaked > 5
    assert truth.mirrored > 30
    assert truth.requests + truth.leaked == truth.calls


def test_copies_carry_the_suffix_unless_it_is_off(open_lab: Opener) -> None:
    """As Istio before and after 1.28; the forwarded address is there in both."""
    for suffix, authority in ((True, '"forecast-shadow:3002"'), (False, '"forecast:3002"')):
        lab = open_lab(route=Route(shadow_suffix=suffix))
        lab.drive(0.3)

        line = lab.lines(V1_PODS[0], 1)[0]
        assert authority in line
        assert " inbound|3002|| " in line
        assert '"-" "demo-browser' not in line


def test_logs_can_be_json(open_lab: Opener) -> None:
    """Istio's other default format, with its keys."""
    lab = open_lab(LogFormat.JSON)

    lab.drive(0.3)

    line = json.loads(lab.lines(FRONTEND.name, 1)[0])
    assert line["upstream_cluster"] == "outbound|3002|v2|forecast.weather.svc.cluster.local"
    assert line["response_code"] == 200


def test_a_stopped_mirror_is_a_miss_and_comes_back(open_lab: Opener) -> None:
    """Without v1's proxies no copy arrives; once they are back, all do, at the same address."""
    lab = open_lab()
    for pod in V1_PODS:
        lab.mesh.stop_sidecar(pod)
    lab.drive(0.3)
    outage = lab.ledger.total()
    for pod in V1_PODS:
        lab.mesh.start_sidecar(pod)
    lab.drive(0.3)

    truth = lab.ledger.total()
    assert outage.missing == outage.requests > 0
    assert truth.missing == outage.missing
    assert truth.mirrored > 0


def test_a_killed_proxy_is_noticed(open_lab: Opener) -> None:
    """A proxy that nobody stopped and that is gone is named."""
    lab = open_lab()
    assert lab.mesh.dead_pods() == []
    process = lab.mesh._sidecars[V2_PODS[0]].process
    assert process is not None

    process.kill()
    process.wait()

    assert lab.mesh.dead_pods() == [V2_PODS[0]]
