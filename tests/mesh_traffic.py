"""Lines of a small mesh that are made up as real proxies would write them, and the truth of them.

One sender, two pods of v2 and two of v1 on three nodes. Everything follows from a seed.
"""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, datetime
from typing import Final, NamedTuple

SECOND: Final = 1_000_000
NODES: Final = {
    "frontend-v1-6c9d8f7b5d-x2x7p": "node-a",
    "forecast-v1-5d8f9b7c6-abcde": "node-b",
    "forecast-v2-7b9c4d5e8-klmno": "node-b",
    "forecast-v1-5d8f9b7c6-fghij": "node-c",
    "forecast-v2-7b9c4d5e8-pqrst": "node-c",
}
"""On which node each pod runs: a mirror's node has one of the primary, too."""
_TO: Final = "outbound|3002|v2|forecast.weather.svc.cluster.local"
_SENDER: Final = "frontend-v1-6c9d8f7b5d-x2x7p"
_PODS: Final = {
    version: sorted(pod for pod in NODES if f"-{version}-" in pod and pod != _SENDER)
    for version in ("v1", "v2")
}
_TRANSIT_US: Final = 300_000
NAME: Final = "weather/forecast-route"


class Sent(NamedTuple):
    """One record on its way.

    Attributes:
        at_us: When it leaves its node, µs.
        node: Its node.
        value: The record, as Fluent Bit ships it.
        request_id: Of its line; empty: a heartbeat.
    """

    at_us: int
    node: str
    value: bytes
    request_id: str


def policy(*, mirrored: bool = True, grace_s: int = 30, change_grace_s: int = 5) -> str:
    """The policy of this mesh, as YAML."""
    mirror = "mirror: v1, " if mirrored else ""
    rules = f"horizon: 1s, grace: {grace_s}s, change_grace: {change_grace_s}s"
    return (
        f"policies: [{{name: {NAME}, host: forecast.weather, primary: v2, {mirror}"
        f"rules: {{{rules}}}}}]\n"
    )


def partition_of(node: str, partitions: int) -> int:
    """Each node's records go by one partition."""
    return sorted(set(NODES.values())).index(node) % partitions


def request(chance: random.Random, start_us: int, *, copied: bool) -> tuple[str, list[Sent]]:
    """A request at a time: its id and its records, with or without its copy's."""
    request_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    start_us -= start_us % 1000
    took_ms, path = chance.randrange(2, 60), f"/weather?day={chance.randrange(5)}"
    hop_us = 1_000 * chance.randrange(1, 3)
    lines = [
        (_SENDER, start_us, took_ms + 3, "-", _TO),
        (chance.choice(_PODS["v2"]), start_us + hop_us, took_ms, "-", "inbound|3002||"),
    ]  # fmt: skip
    mirror = chance.choice(_PODS["v1"])
    if copied:
        lines.append((mirror, start_us + hop_us, took_ms, "10.0.0.1", "inbound|3002||"))
    return request_id, [
        Sent(
            begin_us + ms * 1000 + _TRANSIT_US,
            NODES[pod],
            _record(pod, _line(request_id, path, begin_us, ms, hops, cluster)),
            request_id,
        )
        for pod, begin_us, ms, hops, cluster in lines
    ]


def heartbeats(at_us: int) -> list[Sent]:
    """A sign of life of each node."""
    time = datetime.fromtimestamp(at_us / 1e6, UTC).isoformat().replace("+00:00", "Z")
    return [
        Sent(
            at_us + _TRANSIT_US,
            node,
            json.dumps({"mirrorproof": "heartbeat", "node": node, "time": time}).encode(),
            "",
        )
        for node in sorted(set(NODES.values()))
    ]


def _line(request_id: str, path: str, start_us: int, took_ms: int, hops: str, cluster: str) -> str:
    time = datetime.fromtimestamp(start_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    route = "-" if cluster.startswith("outbound") else "default"
    return (
        f'[{time}Z] "GET {path} HTTP/1.1" 200 - via_upstream - "-" 0 6 {took_ms} {took_ms} '
        f'"{hops}" "curl/8" "{request_id}" "forecast:3002" "10.0.0.7:3002" {cluster} '
        f"10.0.0.1:1234 10.0.0.7:3002 10.0.0.1:4321 - {route}"
    )


def _record(pod: str, line: str) -> bytes:
    kubernetes = {
        "pod_name": pod,
        "namespace_name": "weather",
        "host": NODES[pod],
        "container_name": "istio-proxy",
        "labels": {"version": "v1" if "-v1-" in pod else "v2"},
    }
    return json.dumps({"log": f"{line}\n", "kubernetes": kubernetes}).encode()
