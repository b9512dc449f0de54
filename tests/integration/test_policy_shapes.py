"""Policies of every shape, judged by `check` and live, which say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.facts.both import judged

SENDER = "frontend-5c4d3b2a1f-aaaaa"
V1, V2 = "forecast-v1-5d8f9b7c6-abcde", "forecast-v2-7b9c4d5e8-klmno"
V3, OLD = "forecast-v3-5d8f9b7c6-fghij", "forecast-old-6b8c7d9f5-pqrst"
HOST = "forecast.weather.svc.cluster.local"

pytestmark = pytest.mark.integration


def service(http: str, *, name: str = "forecast", hosts: str = "[forecast]") -> str:
    """A VirtualService."""
    found = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
    spec = f"{{hosts: {hosts}, http: {http}}}"
    return f"{found}metadata: {{name: {name}, namespace: weather}}\nspec: {spec}\n---\n"


LIVE = "route: [{destination: {host: forecast, subset: v2}}]"
TO_V1 = "mirror: {host: forecast, subset: v1}"
DELEGATE = service(f"[{{{LIVE}, mirrorPercent: 100}}]", name="inner", hosts="[]")
SHARED = (
    "mirrors: [{destination: {host: forecast, subset: v1}, percentage: {value: 50}}, "
    "{destination: {host: forecast, subset: v3}, percentage: {value: 10}}]"
)
HTTP_ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: forecast, namespace: weather}
spec:
  parentRefs: [{kind: Service, name: forecast}]
  rules:
  - backendRefs: [{name: forecast}]
    filters:
    - type: RequestMirror
      requestMirror: {backendRef: {name: forecast-old}, fraction: {numerator: 1, denominator: 2}}
"""

Copies = dict[str, list[int]]


def line(number: int, cluster: str, forwarded: str = "-") -> bytes:
    """A line of a request, a second after the one before; copies are forwarded by the sender."""
    return (
        f'[2026-11-22T15:11:{number:02}.900Z] "GET /weather/{number} HTTP/1.1" 200 - via - '
        f'"-" 0 100 4 3 "{forwarded}" "curl/8" "id-{number}" "forecast:3002" '
        f'"10.0.0.7:80" {cluster} '
        "10.0.0.1:1234 10.0.0.2:3002 10.0.0.3:4321 - default\n"
    ).encode()


@pytest.mark.parametrize(
    ("policy", "copies", "expected"),
    [
        pytest.param(
            service(f"[{{{LIVE}, {TO_V1}, mirrorPercent: 0, mirrorPercentage: {{value: 100}}}}]"),
            {V1: [1, 2]},
            {"matched": 2, "missing": 2},
            id="mirrorPercentage comes before mirrorPercent",
        ),
        pytest.param(
            service(f"[{{{LIVE}, {TO_V1}, mirrorPercent: 100, mirrorPercentage: {{value: 50}}}}]"),
            {V1: [1, 2]},
            {"matched": 2, "unsampled": 2},
            id="also where it is the smaller one",
        ),
        pytest.param(
            DELEGATE
            + service(f"[{{delegate: {{name: inner}}, {TO_V1}, mirrorPercentage: {{value: 50}}}}]"),
            {V1: [1]},
            {"matched": 1, "unsampled": 3},
            id="a delegate takes what it lacks from its root",
        ),
        pytest.param(
            service(f"[{{{LIVE}, mirror: {{host: forecast-old}}}}]"),
            {OLD: [1, 2, 3]},
            {"matched": 3, "missing": 1},
            id="a mirror of another host, without a subset",
        ),
        pytest.param(
            service(f"[{{{LIVE}, {SHARED}}}]"),
            {V1: [1, 2], V3: [1]},
            {"matched": 2, "unsampled": 2},
            id="a smaller sample inside a larger one",
        ),
        pytest.param(
            service(f"[{{{LIVE}, {SHARED}}}]"),
            {V1: [1, 2], V3: [1, 3]},
            {"matched": 2, "missing": 1, "unsampled": 1},
            id="a copy of 10 % without that of 50 % is missing one",
        ),
        pytest.param(
            service(f"[{{match: [{{uri: {{prefix: /weather/1}}}}], {LIVE}}}, {{{LIVE}, {TO_V1}}}]"),
            {V1: [2, 3]},
            {"matched": 2, "missing": 1},
            id="only the second of two http routes is mirrored",
        ),
        pytest.param(
            HTTP_ROUTE, {OLD: [1, 2]}, {"matched": 2, "unsampled": 2}, id="a fraction of HTTPRoute"
        ),
    ],
)
def test_every_shape_is_judged_alike(
    migrated_sqlite_url: str, tmp_path: Path, policy: str, copies: Copies, expected: dict[str, int]
) -> None:
    """Four requests of one sender, of which some have copies."""
    asked, cluster = [1, 2, 3, 4], "outbound|3002|v2|" if "subset" in policy else "outbound|3002||"
    logs = {
        SENDER: [line(n, cluster + HOST) for n in asked],
        V2: [line(n, "inbound|3002||") for n in asked],
    }
    logs |= {
        pod: [line(n, "inbound|3002||", "10.0.0.1") for n in numbers]
        for pod, numbers in copies.items()
    }
    (tmp_path / "policy.yaml").write_text(policy)

    found = judged(migrated_sqlite_url, tmp_path / "policy.yaml", logs, tmp_path)

    assert found.verdicts == expected
