"""A route that only gateways know: who sent a request decides whether it owes a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.facts.both import Said, judged

POLICY = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: forecast, namespace: weather}
spec:
  hosts: [forecast]
  gateways: [edge]
  http:
  - route: [{destination: {host: forecast, subset: v2}}]
    mirror: {host: forecast, subset: v1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: forecast, namespace: weather}
spec:
  host: forecast
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
"""
V1, V2 = "forecast-v1-5d8f9b7c6-abcde", "forecast-v2-7b9c4d5e8-klmno"
GATEWAY, INSIDE = "istio-ingressgateway-6c9d8f7b5d-x2x7p", "frontend-5c4d3b2a1f-aaaaa"

pytestmark = pytest.mark.integration


def line(number: int, cluster: str) -> bytes:
    """A line of a request, a second after the one before."""
    return (
        f'[2026-11-22T15:11:{number:02}.900Z] "GET /weather/{number} HTTP/1.1" 200 - via - '
        f'"-" 0 100 4 3 "-" "curl/8" "id-{number}" "forecast:3002" "10.0.0.7:80" {cluster} '
        "10.0.0.1:1234 10.0.0.2:3002 10.0.0.3:4321 - default\n"
    ).encode()


def told(url: str, folder: Path, senders: dict[str, list[int]], copied: list[int]) -> Said:
    """What is said of requests of some senders, of which some were copied."""
    out, into = "outbound|3002|v2|forecast.weather.svc.cluster.local", "inbound|3002||"
    logs = {pod: [line(n, out) for n in numbers] for pod, numbers in senders.items()}
    every = sorted(n for numbers in senders.values() for n in numbers)
    logs |= {V2: [line(n, into) for n in every], V1: [line(n, into) for n in copied]}
    (folder / "policy.yaml").write_text(POLICY)
    kept = {pod: lines for pod, lines in logs.items() if pod != "nobody"}
    return judged(url, folder / "policy.yaml", kept, folder)


def test_calls_from_inside_the_mesh_owe_nothing(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """They went another way; the gateway's own owe their copies."""
    senders = {GATEWAY: [1, 2, 3], INSIDE: [11, 12]}
    found = told(migrated_sqlite_url, tmp_path, senders, [1, 2])

    assert found.verdicts == {"matched": 2, "missing": 1, "exempt": 2}
    assert found.paths("missing").total() == 1


def test_without_the_senders_logs_what_lacks_is_unverifiable(
    migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """A receiver's line does not show who sent it; a copy that came proves its request."""
    found = told(migrated_sqlite_url, tmp_path, {"nobody": [1, 2, 3]}, [1, 2])

    assert found.verdicts == {"matched": 2, "unverifiable": 1}
    assert found.reasons == {"route unknown: the log does not show what the route matches on"}
