"""Envoy's configuration, written as Istio would: pure functions from data to JSON-able dicts.

Invariant: the names of clusters and routes, and what the proxies do to ids and addresses, are
those of Istio's sidecars, so that the access logs of the demo look like those of a mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from verifier.demo.pods import HOST, NAMESPACE, PORT, cluster_name

_API: Final = "type.googleapis.com/envoy"
_ROUTER: Final = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{_API}.extensions.filters.http.router.v3.Router"},
}
_LOOPBACK: Final = "127.0.0.1"
_PER_MILLION: Final = 10_000  # how Istio turns a percentage into Envoy's numerator

RETRY_POLICY: Final = {
    # Istio's default. Source: pilot/pkg/networking/core/route/retry/retry.go
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "retriable_status_codes": [503],
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": f"{_API}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": 5,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What the frontend's proxy does with a request to `forecast`.

    Attributes:
        mirror_percent: Share of the requests that is mirrored to v1, 0 to 100; 0: no mirror.
        v1_weight: Share of the live traffic that goes to v1, 0 to 100; the rest goes to v2.
        mirrors: How often the mirror stands in the route; each makes a copy of its own.
        shadow_suffix: Whether the copy's authority gets `-shadow` (until Istio 1.27).
        timeout_s: Route timeout in seconds; 0: none, as Istio's default.
    """

    mirror_percent: float = 100.0
    v1_weight: int = 0
    mirrors: int = 1
    shadow_suffix: bool = True
    timeout_s: float = 0.0


def _socket(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": _LOOPBACK, "port_value": port}}


def render_cluster(name: str, ports: Sequence[int]) -> dict[str, Any]:
    """A static cluster of the loopback endpoints at `ports`."""
    endpoints = [{"endpoint": {"address": _socket(port)}} for port in ports]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _mirror_policy(route: Route) -> dict[str, Any]:
    share = {
        "numerator": int(route.mirror_percent * _PER_MILLION),
        "denominator": "MILLION",
    }
    return {
        "cluster": cluster_name("v1"),
        "runtime_fraction": {"default_value": share},
        "disable_shadow_host_suffix_append": not route.shadow_suffix,
    }


def _live_action(route: Route) -> dict[str, Any]:
    weights = {"v1": route.v1_weight, "v2": 100 - route.v1_weight}
    live = [name for name, weight in weights.items() if weight]
    if len(live) == 1:
        return {"cluster": cluster_name(live[0])}
    clusters = [{"name": cluster_name(name), "weight": weights[name]} for name in live]
    return {"weighted_clusters": {"clusters": clusters}}


def render_routes(route: Route, version: int) -> dict[str, Any]:
    """The frontend's routes as a discovery response, which Envoy watches as a file.

    Args:
        route: What to do with requests to `forecast`.
        version: Counts up; Envoy shows it once the routes are in force.
    """
    action = _live_action(route) | {
        "timeout": f"{route.timeout_s:g}s",
        "retry_policy": RETRY_POLICY,
    }
    if route.mirror_percent > 0:
        action["request_mirror_policies"] = [_mirror_policy(route)] * route.mirrors
    names = ["forecast", f"forecast.{NAMESPACE}", HOST]
    domains = [name + tail for name in names for tail in ("", f":{PORT}")]
    prefixes = ("/weather", "/report")
    routes = [{"match": {"prefix": prefix}, "route": action} for prefix in prefixes]
    config = {
        "@type": f"{_API}.config.route.v3.RouteConfiguration",
        "name": str(PORT),
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": f"{HOST}:{PORT}",
                "domains": domains,
                "include_request_attempt_count": True,
                "routes": routes,
            }
        ],
    }
    return {"version_info": str(version), "resources": [config]}


def _inbound_routes(cluster: str) -> dict[str, Any]:
    local = {"match": {"prefix": "/"}, "name": "default", "route": {"cluster": cluster}}
    local["route"] = {"cluster": cluster, "timeout": "0s"}
    return {
        "name": cluster,
        "virtual_hosts": [{"name": "inbound|http|0", "domains": ["*"], "routes": [local]}],
    }


def _listener(port: int, access_log: dict[str, Any], routing: dict[str, Any]) -> dict[str, Any]:
    manager = {
        "@type": f"{_API}.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager",
        "stat_prefix": "mesh",
        "access_log": [access_log],
        # As Istio's sidecars: an id that a client chose is kept, a missing one is made.
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "use_remote_address": False,
        "normalize_path": True,
        "http_filters": [_ROUTER],
        **routing,
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "name": "traffic",
        "address": _socket(port),
        # Two labs on one machine must never share a port: the kernel would mix their traffic.
        "enable_reuse_port": False,
        "filter_chains": [{"filters": filters}],
    }


def _bootstrap(listener: dict[str, Any], clusters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "admin": {"address": _socket(0)},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


def render_inbound(app_port: int, access_log: dict[str, Any], port: int = 0) -> dict[str, Any]:
    """The bootstrap of a sidecar in front of an application.

    Args:
        app_port: Where the application listens, on loopback.
        access_log: See `access_log.render_access_log`.
        port: Where the sidecar listens; 0: the kernel chooses.
    """
    cluster = f"inbound|{PORT}||"
    listener = _listener(port, access_log, {"route_config": _inbound_routes(cluster)})
    return _bootstrap(listener, [render_cluster(cluster, [app_port])])


def render_outbound(
    ports: dict[str, list[int]], access_log: dict[str, Any], routes_file: Path, port: int = 0
) -> dict[str, Any]:
    """The bootstrap of the frontend's sidecar.

    Args:
        ports: The ports of the inbound sidecars, by version of `forecast`.
        access_log: See `access_log.render_access_log`.
        routes_file: What `render_routes` gave; Envoy reads it again when it is replaced.
        port: Where the sidecar listens; 0: the kernel chooses.
    """
    source = {"path_config_source": {"path": str(routes_file)}, "resource_api_version": "V3"}
    routing = {"rds": {"route_config_name": str(PORT), "config_source": source}}
    clusters = [render_cluster(cluster_name(version), ports[version]) for version in ports]
    return _bootstrap(_listener(port, access_log, routing), clusters)
