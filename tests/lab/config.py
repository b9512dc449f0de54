"""What a scenario changes in the mesh: routes, filters and clusters of its proxies, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from verifier.demo.access_log import LogFormat
from verifier.demo.envoy_config import RETRY_POLICY
from verifier.demo.pods import FORECASTS, HOST, NAMESPACE, PORT, Pod, cluster_name

Config = dict[str, Any]
API: Final = "type.googleapis.com/envoy"
V3_POD: Final = Pod(name="forecast-v3-6b8c9d7f5-uvwxy", app="forecast", version="v3", node="node-b")
_FILTERS: Final = f"{API}.extensions.filters.http"
_PLAINTEXT: Final = {"transport_protocol": "raw_buffer"}


def to(version: str, *mirrors: Config, **action: Any) -> Config:
    """The action of a route to a version, with Istio's default retries."""
    found = {"cluster": cluster_name(version), "timeout": "0s", "retry_policy": RETRY_POLICY}
    if mirrors:
        found["request_mirror_policies"] = list(mirrors)
    return found | action


def mirror(version: str = "v1", percent: float = 100, *, suffix: bool = False) -> Config:
    """A mirror of a route; without `-shadow`, as Istio has it since 1.28."""
    share = {"numerator": int(percent * 10_000), "denominator": "MILLION"}
    return {
        "cluster": cluster_name(version),
        "runtime_fraction": {"default_value": share},
        "disable_shadow_host_suffix_append": not suffix,
    }


def prefix(path: str, action: Config, **match: Any) -> Config:
    """A route for the paths that begin so."""
    return {"match": {"prefix": path} | match, "route": action}


MIRRORED: Final = [prefix("/", to("v2", mirror()))]
"""Everything goes to v2, and a copy of it to v1."""


@dataclass(kw_only=True)
class Setup:
    """What differs from an ordinary mesh.

    Attributes:
        routes: Envoy's routes for the host, in order.
        pods: Of forecast.
        log_format: Of all proxies.
        forecast: Changes the bootstrap of a forecast pod's proxy.
        frontend: Changes the bootstrap of the frontend's proxy.
        host: More fields of the virtual host.
        flush_ms: How often proxies write their logs.
        tls: Whether the proxies speak TLS with Istio's server names.
    """

    routes: list[Config] = field(default_factory=lambda: MIRRORED)
    pods: Sequence[Pod] = FORECASTS
    log_format: LogFormat = LogFormat.TEXT
    forecast: Callable[[Pod, Config], None] = lambda _pod, _config: None
    frontend: Callable[[Config], None] = lambda _config: None
    host: Config = field(default_factory=dict)
    flush_ms: int = 50
    tls: bool = False


def render_routes(setup: Setup, routes: Sequence[Config], version: int) -> Config:
    """The frontend's routes as a discovery response."""
    names = ["forecast", f"forecast.{NAMESPACE}", HOST]
    virtual = {
        "name": f"{HOST}:{PORT}",
        "domains": [name + tail for name in names for tail in ("", f":{PORT}")],
        "include_request_attempt_count": True,
        "routes": list(routes),
    } | setup.host
    config = {
        "@type": f"{API}.config.route.v3.RouteConfiguration",
        "name": str(PORT),
        "virtual_hosts": [virtual],
    }
    return {"version_info": str(version), "resources": [config]}


def manager(config: Config) -> Config:
    """The connection manager of a proxy's listener."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    found: Config = chain["filters"][0]["typed_config"]
    return found


def cluster(config: Config, version: str) -> Config:
    """A proxy's cluster of a version."""
    clusters = config["static_resources"]["clusters"]
    found: Config = next(one for one in clusters if one["name"] == cluster_name(version))
    return found


def add_filter(config: Config, kind: str, type_name: str, fields: Config) -> None:
    """Puts an HTTP filter before the router."""
    typed = {"@type": f"{_FILTERS}.{kind}.v3.{type_name}"} | fields
    filters = manager(config)["http_filters"]
    filters.insert(-1, {"name": f"envoy.filters.http.{kind}", "typed_config": typed})


def deny(config: Config, path: str) -> None:
    """Refuses, as Istio's AuthorizationPolicy does, what begins with a path."""
    permission = {"url_path": {"path": {"prefix": path}}}
    policy = {"permissions": [permission], "principals": [{"any": True}]}
    rules = {"action": "DENY", "policies": {"ns[weather]-policy[no]-rule[0]": policy}}
    add_filter(config, "rbac", "RBAC", {"rules": rules})


def limit(config: Config, version: str, **most: int) -> None:
    """Sets a circuit breaker of a version's cluster."""
    cluster(config, version)["circuit_breakers"] = {"thresholds": [most]}


def empty(config: Config, version: str) -> None:
    """Leaves a version without any pod."""
    cluster(config, version)["load_assignment"]["endpoints"] = []


def log_field(config: Config, **fields: str) -> None:
    """Adds fields to the JSON that a proxy logs."""
    manager(config)["access_log"][0]["typed_config"]["log_format"]["json_format"].update(fields)


def speak_tls(config: Config) -> None:
    """Has the frontend's proxy send with TLS and the server name that Istio gives a subset."""
    for one in config["static_resources"]["clusters"]:
        _, port, version, host = one["name"].split("|")
        tls = {
            "@type": f"{API}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": f"outbound_.{port}_.{version}_.{host}",
        }
        one["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": tls}


def accept_tls(config: Config, certificate: str, key: str) -> None:
    """Has a receiving proxy take TLS and plain text, as Istio's PERMISSIVE mode does."""
    listener = config["static_resources"]["listeners"][0]
    plain = listener["filter_chains"][0] | {"filter_chain_match": _PLAINTEXT}
    pair = {
        "certificate_chain": {"inline_string": certificate},
        "private_key": {"inline_string": key},
    }
    tls = {
        "@type": f"{API}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificates": [pair]},
    }
    socket = {"name": "envoy.transport_sockets.tls", "typed_config": tls}
    sure = plain | {"filter_chain_match": {"transport_protocol": "tls"}, "transport_socket": socket}
    listener["filter_chains"] = [sure, plain]
    inspector = f"{API}.extensions.filters.listener.tls_inspector.v3.TlsInspector"
    listener["listener_filters"] = [
        {"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": inspector}}
    ]
