"""The policies of the scenarios, as a user would write them."""

from __future__ import annotations

from datetime import UTC, datetime

_RULE = """\
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: forecast, namespace: weather}
spec:
  host: forecast
  subsets:
"""


def istio(*mirrors: tuple[str, float], v1_weight: int = 0) -> str:
    """A VirtualService that sends to v2, and copies to these versions with these percentages."""
    live = [("v2", 100 - v1_weight), *([("v1", v1_weight)] if v1_weight else [])]
    return _service([_http("", live, mirrors)])


def routes(*https: str) -> str:
    """A VirtualService with several http routes, see `http`."""
    return _service(https)


def http(match: str, *mirrors: tuple[str, float], name: str = "") -> str:
    """An http route to v2; `match` is one condition in YAML's flow form, or empty."""
    return _http(match, [("v2", 100)], mirrors, name)


def _http(match: str, live: object, mirrors: object, name: str = "") -> str:
    told = [f"name: {name}"] if name else []
    told += [f"match: [{match}]"] if match else []
    told += ["route:"]
    told += [
        f"- {{destination: {{host: forecast, subset: {version}}}, weight: {weight}}}"
        for version, weight in live  # type: ignore[attr-defined]
    ]
    if mirrors:
        told += ["mirrors:"]
        told += [
            f"- {{destination: {{host: forecast, subset: {version}}}, percentage: {{value: {p}}}}}"
            for version, p in mirrors  # type: ignore[attr-defined]
        ]
    return "    - " + "\n      ".join(told) + "\n"


def _service(https: object) -> str:
    subsets = "".join(
        f"    - {{name: {version}, labels: {{version: {version}}}}}\n"
        for version in ("v1", "v2", "v3")
    )
    return (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
        "metadata: {name: forecast-route, namespace: weather}\n"
        "spec:\n  hosts: [forecast]\n  http:\n"
        + "".join(https)  # type: ignore[arg-type]
        + _RULE
        + subsets
    )


def since(time_s: float, grace: str = "500ms") -> str:
    """A mirror of 100 % that came into force at a time, in seconds since the epoch."""
    stamp = datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds")
    return (
        "policies:\n  - name: weather/forecast-route\n    host: forecast.weather\n"
        "    primary: v2\n    mirror: v1\n"
        f"    valid_from: {stamp}\n    rules: {{change_grace: {grace}}}\n"
    )
