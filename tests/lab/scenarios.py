"""The scenarios: what goes on in the mesh, and the policy that it is judged by."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from tests.lab import policies
from tests.lab.config import (
    MIRRORED,
    V3_POD,
    Config,
    Setup,
    add_filter,
    deny,
    empty,
    limit,
    log_field,
    manager,
    mirror,
    prefix,
    to,
)
from tests.lab.run import Call, Run
from verifier.demo.access_log import LogFormat
from verifier.demo.envoy_config import render_cluster
from verifier.demo.pods import FORECASTS, HOST, PORT, Pod, cluster_name

V1: Final = [pod.name for pod in FORECASTS if pod.version == "v1"]
V2: Final = [pod.name for pod in FORECASTS if pod.version == "v2"]
_FULL: Final = policies.istio(("v1", 100))


@dataclass(kw_only=True)
class Scenario:
    """A mesh, what happens in it, and what was declared."""

    drive: Callable[[Run], None]
    setup: Setup = field(default_factory=Setup)
    policy: Callable[[Run], str] = lambda _run: _FULL


def _calls(number: int, **fields: object) -> Iterator[Call]:
    return (Call(**fields) for _ in range(number))  # type: ignore[arg-type]


def _twins(number: int, kind: str, **fields: object) -> Iterator[Call]:
    """Pairs of calls with one id and path, as a page view makes them."""
    for n in range(number):
        rid = str(uuid.uuid4())
        for _ in range(2):
            yield Call(kind=kind, path=f"/{kind}/twin-{n}", rid=rid, **fields)  # type: ignore[arg-type]


def _retries(run: Run) -> None:
    run.many(_calls(30))
    for n, steps in enumerate(("503,200", "503,503,200", "503", "cut", "500,200")):
        run.many(_calls(12, kind=f"fails{n}", script=f"v2:{steps}"))
    run.many(_twins(8, "twice"))
    run.many(_twins(8, "twice_failing", script="v2:503,503,200"))


def _many_retries(config: Config) -> None:
    limit(config, "v2", max_retries=1000)  # Istio's; Envoy's own is 3 at a time


def _hedged(run: Run) -> None:
    run.many(_calls(30))
    run.many(_calls(20, kind="slow", script="v2:200~0.4,200"))


def _outage_of_v2(run: Run) -> None:
    run.many(_calls(30))
    for pod in V2:
        run.mesh.stop_sidecar(pod)
    run.event("stopped")
    run.many(_calls(30, kind="unconnected"))
    run.many(_calls(10, kind="upload", method="POST", body=300_000))
    for pod in V2:
        run.mesh.start_sidecar(pod)
    run.event("started")
    run.many(_calls(30))


def _outage_of_v1(run: Run) -> None:
    numbers = count()
    with run.meanwhile(lambda: Call(path=f"/plain/{next(numbers)}")):
        for pod in V1:
            time.sleep(0.5)
            run.mesh.stop_sidecar(pod)
            run.event(f"stopped {pod}")
        time.sleep(0.6)
        for pod in V1:
            run.mesh.start_sidecar(pod)
            run.event(f"started {pod}")
            time.sleep(0.4)


def _killed(run: Run) -> None:
    run.many(_calls(40), every_s=0.01)
    time.sleep(1.5)  # all written
    run.many(_calls(20, kind="unwritten"), every_s=0.01)
    for pod in V1:
        run.mesh.stop_sidecar(pod, kill=True)
    run.event("killed")


def _overflow(version: str) -> Callable[[Run], None]:
    def drive(run: Run) -> None:
        run.many(_calls(10))
        run.many(_calls(60, kind="slow", script=f"{version}:200~0.03"))

    return drive


def _local_answers(run: Run) -> None:
    run.many(_calls(20))
    for kind in ("faulty", "limited", "refused", "moved", "direct"):
        run.many(_calls(8, kind=kind))
    run.many(_calls(8, kind="unrouted", host="forecast:3002"))


def _answer_locally(config: Config) -> None:
    deny(config, "/refused")
    abort = {"http_status": 503, "percentage": {"numerator": 100}}
    path = {"name": ":path", "string_match": {"prefix": "/faulty"}}
    add_filter(config, "fault", "HTTPFault", {"abort": abort, "headers": [path]})
    add_filter(config, "local_ratelimit", "LocalRateLimit", {"stat_prefix": "limit"})


_LIMIT: Final = {
    "envoy.filters.http.local_ratelimit": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3"
        ".LocalRateLimit",
        "stat_prefix": "limit",
        "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s"},
        "filter_enabled": {"default_value": {"numerator": 100}},
        "filter_enforced": {"default_value": {"numerator": 100}},
    }
}
_LOCAL_ROUTES: Final = [
    {"match": {"prefix": "/moved"}, "redirect": {"path_redirect": "/elsewhere"}},
    {"match": {"prefix": "/direct"}, "direct_response": {"status": 200}},
    prefix("/limited", to("v2", mirror())) | {"typed_per_filter_config": _LIMIT},
    *(prefix(f"/{name}", to("v2", mirror())) for name in ("plain", "faulty", "refused")),
]


def _upgrades(run: Run) -> None:
    run.many(_calls(20))
    upgrade = {"connection": "upgrade", "upgrade": "websocket"}
    run.many(_calls(10, kind="upgrade", headers=upgrade, script="v2:101;v1:101"))
    run.many(_calls(6, kind="declined", headers=upgrade, script="v2:200;v1:200"))
    run.many(_calls(6, kind="connect", method="CONNECT", path="forecast:3002"))


def _allow_upgrades(config: Config) -> None:
    kinds = [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}]
    manager(config)["upgrade_configs"] = kinds


def _allow_upgrades_in(_pod: Pod, config: Config) -> None:
    _allow_upgrades(config)
    routes = manager(config)["route_config"]["virtual_hosts"][0]["routes"]
    routes.insert(
        0, {"match": {"connect_matcher": {}}, "name": "default"} | {"route": routes[0]["route"]}
    )


def _aborts(run: Run) -> None:
    run.many(_calls(20))
    run.many(_calls(20, kind="left", script="v2:200~0.3", leave_s=0.1))
    run.many(_calls(10, kind="left_both", script="v2:200~0.3;v1:200~0.3", leave_s=0.1))
    run.many(_calls(20, kind="cut_upload", method="POST", body=200_000, short=50_000, leave_s=0.1))


def _timeouts(run: Run) -> None:
    run.many(_calls(20))
    run.many(_calls(15, kind="slow_v2", script="v2:200~0.5"))
    run.many(_calls(15, kind="slow_v1", script="v1:200~0.5"))
    run.many(_calls(10, kind="slow_both", script="v1:200~0.5;v2:200~0.5"))


def _bodies(run: Run) -> None:
    run.many(_calls(10))
    run.many(_calls(12, kind="big", method="POST", body=4_000_000))
    deaf = {"method": "POST", "body": 6_000_000, "script": "v1:deaf~0.5"}
    run.many(_calls(6, kind="deaf", **deaf))


def _refusals(run: Run) -> None:
    run.many(_calls(20))
    run.many(_calls(12, kind="denied"))
    for status in (401, 429, 500):
        run.many(_calls(6, kind=f"answers{status}", script=f"v1:{status}"))


def _deny_at_v1(pod: Pod, config: Config) -> None:
    if pod.version == "v1":
        deny(config, "/denied")


def _target_absent(run: Run) -> None:
    run.many(_calls(20))
    run.mesh.reroute([prefix("/", to("v2", mirror("v9")))])
    run.many(_calls(20, kind="no_cluster"))
    run.mesh.reroute([prefix("/", to("v2", mirror("v3")))])
    run.many(_calls(20, kind="no_pod"))
    run.mesh.reroute(MIRRORED)
    run.many(_calls(20))


def _without_v3_pods(config: Config) -> None:
    config["static_resources"]["clusters"].append(render_cluster(cluster_name("v3"), []))


def _many_plain(number: int) -> Callable[[Run], None]:
    def drive(run: Run) -> None:
        run.many(_calls(number))
        run.many(_twins(10, "twice"))

    return drive


def _broken_nesting(run: Run) -> None:
    run.many(_calls(60))
    for pod in V1:
        run.mesh.stop_sidecar(pod)
    run.event("stopped")
    run.many(_calls(80, kind="outage"))


def _leaks(run: Run) -> None:
    run.many(_calls(100))
    run.many(_calls(30, kind="fails", script="v1:503,503,200;v2:503,200"))
    run.many(_twins(20, "twice"))


def _weighted(v1: int) -> Config:
    weights = [{"name": cluster_name("v1"), "weight": v1}]
    weights.append({"name": cluster_name("v2"), "weight": 100 - v1})
    action = to("v2", mirror(), weighted_clusters={"clusters": weights})
    del action["cluster"]
    return prefix("/", action)


def _changes(run: Run) -> None:
    numbers = count()
    with run.meanwhile(lambda: Call(path=f"/plain/{next(numbers)}")):
        time.sleep(1.0)
        run.mesh.reroute(MIRRORED)
        run.event("mirrored")
        time.sleep(1.5)
        run.mesh.reroute([prefix("/", to("v2"))])
        run.event("removed")
        time.sleep(0.7)
        run.mesh.reroute(MIRRORED)
        run.event("restored")
        time.sleep(0.7)


def _routes(run: Run) -> None:
    run.many(_calls(20))
    run.many(_calls(20, kind="report"))
    run.many(_calls(12, kind="beta", headers={"x-user": "beta"}))
    run.many(_calls(12, kind="else", headers={"x-user": "none"}))
    run.many(_calls(12, kind="search", method="POST", body=10))


_ROUTES: Final = [
    prefix("/report", to("v2")),
    prefix("/", to("v2"), headers=[{"name": "x-user", "string_match": {"exact": "none"}}]),
    prefix("/", to("v2", mirror())),
]
_ROUTES_POLICY: Final = policies.routes(
    policies.http("{uri: {prefix: /report}}"),
    policies.http("{headers: {x-user: {exact: none}}}"),
    policies.http("", ("v1", 100)),
)
_NAMES: Final = ("report", "none", "mirrored")
_NAMED_POLICY: Final = policies.routes(
    policies.http("{uri: {prefix: /report}}", name="report"),
    policies.http("{headers: {x-user: {exact: none}}}", name="none"),
    policies.http("", ("v1", 100), name="mirrored"),
)


def _bypasses(run: Run) -> None:
    run.many(_calls(30))
    for pod in V2:
        run.many(_calls(8, kind="direct", pod=pod))
    for pod in (*V1, *V2):
        probe = {"user-agent": "kube-probe/1.31"}
        run.many(_calls(5, kind="probe", pod=pod, host="10.0.0.7:3002", headers=probe))
        scrape = {"user-agent": "Prometheus/3.0"}
        run.many(_calls(5, kind="metrics", pod=pod, host="10.0.0.7:15020", headers=scrape))


def _leaks_past_proxies(run: Run) -> None:
    run.many(_calls(30))
    for pod in V1:
        run.many(_calls(8, kind="direct", pod=pod))


def _redirects(run: Run) -> None:
    run.many(_calls(20))
    run.many(_calls(20, kind="redirected", script="v2:302,200;v1:302,200"))
    # A caller that repeats a request at once, with its id.
    for n in range(10):
        again = Call(kind="again", path=f"/again/{n}", rid=str(uuid.uuid4()))
        for _ in range(3):
            run.make(again)


def _ids(run: Run) -> None:
    run.many(_calls(20))
    run.many(_calls(60, kind="constant", rid="the-only-id"))
    run.many(_calls(40, kind="crowd", path="/crowd", rid="one-id-and-path"))


def _no_ids(run: Run) -> None:
    run.many(_calls(20, kind="rid", rid="an-id-of-the-client"))
    run.many(_calls(20, kind="without"))


def _make_no_ids(config: Config) -> None:
    manager(config)["generate_request_id"] = False


def _make_no_ids_in(_pod: Pod, config: Config) -> None:
    _make_no_ids(config)


def _trace_v1(pod: Pod, config: Config) -> None:
    if pod.version == "v1":
        manager(config)["tracing"] = {"random_sampling": {"value": 100}}


def _long_streams(run: Run) -> None:
    run.many(_calls(20))
    run.many(_calls(10, kind="long", script="v2:200~0.7;v1:200~0.7"))
    run.many(_calls(10, kind="long_v1", script="v1:200~1.2"))


def _log_periodically(_pod: Pod, config: Config) -> None:
    manager(config)["access_log_options"] = {
        "access_log_flush_interval": "0.2s",
        "flush_access_log_on_new_request": True,
    }


def _log_errors_only(pod: Pod, config: Config) -> None:
    if pod.version == "v1":
        least = {"default_value": 400, "runtime_key": "none"}
        errors = {"status_code_filter": {"comparison": {"op": "GE", "value": least}}}
        manager(config)["access_log"][0]["filter"] = errors


def _with_errors(run: Run) -> None:
    run.many(_calls(60))
    run.many(_calls(6, kind="answers500", script="v1:500"))


def _names(run: Run) -> None:
    hosts = ("forecast", "forecast:3002", "forecast.weather", "forecast.weather:3002", HOST)
    for host in (*hosts, f"{HOST}:{PORT}", "Forecast:3002"):
        run.many(_calls(8, host=host))
    gateway = {"x-forwarded-for": "203.0.113.5"}
    run.many(_calls(10, kind="gateway", headers=gateway))
    run.many(_calls(10, kind="two", headers={"x-forwarded-for": "203.0.113.5, 10.9.9.9"}))
    run.many(_calls(10, kind="head", method="HEAD"))


def _numbered(_pod: Pod, config: Config) -> None:
    log_field(config, attempt_count="%REQ(X-ENVOY-ATTEMPT-COUNT)%", stream_id="%STREAM_ID%")


def _shared(*percents: float) -> list[Config]:
    mirrors = [mirror(version, p) for version, p in zip(("v1", "v3"), percents, strict=True)]
    return [prefix("/", to("v2", *mirrors))]


_WITH_V3: Final = (*FORECASTS, V3_POD)
_HEDGING: Final = {
    "hedge_policy": {"hedge_on_per_try_timeout": True},
    "retry_policy": {"retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.15s"},
}

SCENARIOS: Final[dict[str, Scenario]] = {
    "retries": Scenario(drive=_retries, setup=Setup(frontend=_many_retries)),
    "retries_few": Scenario(drive=_retries),
    "retries_numbered": Scenario(
        drive=_retries,
        setup=Setup(log_format=LogFormat.JSON, forecast=_numbered, frontend=_many_retries),
    ),
    "hedged": Scenario(
        drive=_hedged, setup=Setup(routes=[prefix("/", to("v2", mirror(), **_HEDGING))])
    ),
    "outage_v2": Scenario(drive=_outage_of_v2),
    "outage_v1": Scenario(drive=_outage_of_v1),
    "killed_v1": Scenario(drive=_killed, setup=Setup(flush_ms=1000)),
    "overflow_v2": Scenario(
        drive=_overflow("v2"),
        setup=Setup(frontend=lambda config: limit(config, "v2", max_requests=2, max_connections=1)),
    ),
    "overflow_v1": Scenario(
        drive=_overflow("v1"),
        setup=Setup(
            frontend=lambda config: limit(
                config, "v1", max_requests=1, max_connections=1, max_pending_requests=1
            )
        ),
    ),
    "no_host_v2": Scenario(
        drive=lambda run: run.many(_calls(20, kind="no_host")),
        setup=Setup(frontend=lambda config: empty(config, "v2")),
    ),
    "local_answers": Scenario(
        drive=_local_answers, setup=Setup(routes=_LOCAL_ROUTES, frontend=_answer_locally)
    ),
    "upgrades": Scenario(
        drive=_upgrades,
        setup=Setup(
            routes=[
                {"match": {"connect_matcher": {}}, "route": to("v2", mirror())},
                *MIRRORED,
            ],
            host={"domains": ["*"]},
            frontend=_allow_upgrades,
            forecast=_allow_upgrades_in,
        ),
    ),
    "aborts": Scenario(drive=_aborts),
    "timeouts": Scenario(
        drive=_timeouts, setup=Setup(routes=[prefix("/", to("v2", mirror(), timeout="0.2s"))])
    ),
    "bodies": Scenario(drive=_bodies),
    "refusals": Scenario(drive=_refusals, setup=Setup(forecast=_deny_at_v1)),
    "target_absent": Scenario(drive=_target_absent, setup=Setup(frontend=_without_v3_pods)),
    "shared": Scenario(
        drive=_many_plain(200),
        setup=Setup(routes=_shared(50, 20), pods=_WITH_V3),
        policy=lambda _run: policies.istio(("v1", 50), ("v3", 20)),
    ),
    "shared_full": Scenario(
        drive=_many_plain(100),
        setup=Setup(routes=_shared(100, 30), pods=_WITH_V3),
        policy=lambda _run: policies.istio(("v1", 100), ("v3", 30)),
    ),
    "broken_nesting": Scenario(
        drive=_broken_nesting,
        setup=Setup(routes=_shared(50, 20), pods=_WITH_V3),
        policy=lambda _run: policies.istio(("v1", 50), ("v3", 20)),
    ),
    "leaks": Scenario(drive=_leaks, setup=Setup(routes=[_weighted(20)])),
    "weighted": Scenario(
        drive=_leaks,
        setup=Setup(routes=[_weighted(20)]),
        policy=lambda _run: policies.istio(("v1", 100), v1_weight=20),
    ),
    "changes": Scenario(
        drive=_changes,
        setup=Setup(routes=[prefix("/", to("v2"))]),
        policy=lambda run: policies.since(run.events["mirrored"]),
    ),
    "routes": Scenario(
        drive=_routes, setup=Setup(routes=_ROUTES), policy=lambda _run: _ROUTES_POLICY
    ),
    "routes_named": Scenario(
        drive=_routes,
        setup=Setup(routes=[r | {"name": n} for r, n in zip(_ROUTES, _NAMES, strict=True)]),
        policy=lambda _run: _NAMED_POLICY,
    ),
    "bypasses": Scenario(drive=_bypasses, setup=Setup(tls=True)),
    "leaks_past_proxies": Scenario(drive=_leaks_past_proxies, setup=Setup(tls=True)),
    "redirects": Scenario(
        drive=_redirects,
        setup=Setup(routes=[prefix("/", to("v2", mirror(), internal_redirect_policy={}))]),
    ),
    "ids": Scenario(drive=_ids),
    "no_ids": Scenario(drive=_no_ids, setup=Setup(frontend=_make_no_ids, forecast=_make_no_ids_in)),
    "trace_reasons": Scenario(drive=_many_plain(60), setup=Setup(forecast=_trace_v1)),
    "long_streams": Scenario(drive=_long_streams, setup=Setup(forecast=_log_periodically)),
    "errors_only": Scenario(drive=_with_errors, setup=Setup(forecast=_log_errors_only)),
    "names": Scenario(drive=_names),
    "mirror_is_live": Scenario(
        drive=_many_plain(40),
        setup=Setup(routes=[prefix("/", to("v2", mirror("v2")))]),
        policy=lambda _run: policies.istio(("v2", 100)),
    ),
}
