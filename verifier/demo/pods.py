"""The pods of the demo's mesh: who they are, as Kubernetes and their logs' shipper name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "weather"
HOST: Final = "forecast.weather.svc.cluster.local"
PORT: Final = 3002
AUTHORITY: Final = f"forecast:{PORT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod: its name, the labels that matter, and the node it runs on."""

    name: str
    app: str
    version: str
    node: str


FRONTEND: Final = Pod(
    name="frontend-v1-6c9d8f7b5d-x2x7p", app="frontend", version="v1", node="node-a"
)
FORECASTS: Final = (
    Pod(name="forecast-v1-5d8f9b7c6-abcde", app="forecast", version="v1", node="node-a"),
    Pod(name="forecast-v1-5d8f9b7c6-fghij", app="forecast", version="v1", node="node-b"),
    Pod(name="forecast-v2-7b9c4d5e8-klmno", app="forecast", version="v2", node="node-a"),
    Pod(name="forecast-v2-7b9c4d5e8-pqrst", app="forecast", version="v2", node="node-b"),
)
PODS: Final = (FRONTEND, *FORECASTS)
NODES: Final = tuple(sorted({pod.node for pod in PODS}))


def cluster_name(version: str) -> str:
    """The name that Istio gives the outbound cluster of a version of `forecast`."""
    return f"outbound|{PORT}|{version}|{HOST}"
