"""Lines as an Istio proxy writes them, for tests of what happens to them afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime

HOST = "forecast.weather.svc.cluster.local"
START_US = 1_795_360_302_900_000
"""2026-11-22T15:11:42.900Z"""


def client_line(
    request_id: str, *, start_us: int = START_US, path: str = "/weather?day=1", host: str = HOST
) -> str:
    """The sending proxy's line of a request to v2 of a host."""
    start = datetime.fromtimestamp(start_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    service = host.partition(".")[0]
    return (
        f'[{start}Z] "GET {path} HTTP/1.1" 200 - via_upstream - "-" 0 100 4 3 "-" "curl/8" '
        f'"{request_id}" "{service}:3002" "10.0.0.7:80" outbound|3002|v2|{host} 10.0.0.1:1234 '
        "10.0.0.2:3002 10.0.0.3:4321 - default"
    )


def shipped(line: str, *, pod: str = "front-1", node: str = "node-a", **labels: str) -> bytes:
    """A line in Fluent Bit's envelope."""
    kubernetes = {
        "pod_name": pod,
        "namespace_name": "weather",
        "host": node,
        "container_name": "istio-proxy",
        "labels": labels,
    }
    return json.dumps({"log": f"{line}\n", "kubernetes": kubernetes}).encode()
