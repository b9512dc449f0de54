"""Gateway API's HTTPRoutes with `RequestMirror` filters → policies, one for each rule.

Only routes of the mesh (a Service as parent) and of gateways with host names are read. The most
specific match wins, not the first: that is what `Condition.rank` is for.

Source: Gateway API, HTTPRouteRule and HTTPRequestMirrorFilter.
"""

from __future__ import annotations

import re
from typing import Any, Final

from collector.observation import Destination
from verifier.policies.conditions import checked_match, evaluable
from verifier.policies.istio import (
    MAX_WEIGHT,
    Context,
    resource_name,
    subsets_of,
    version_lints,
)
from verifier.policies.model import (
    ALWAYS,
    Condition,
    Lint,
    Mirror,
    Policy,
    StringMatch,
    Weighted,
)
from verifier.policies.names import qualify, read_host
from verifier.policies.node import Node
from verifier.policies.percentages import kept_share
from verifier.policies.rules import annotated_rules

GROUP: Final = "gateway.networking.k8s.io"
_RANK_PER_PATH: Final = 10_000


def read_http_route(document: Node, context: Context) -> list[Policy]:
    """The policies of an HTTPRoute, one for each rule, in order.

    Raises:
        UsageError: A field has the wrong type.
    """
    namespace, name = resource_name(document)
    spec = document.get("spec")
    hosts = _hosts(spec, namespace)
    parents = [parent.get("kind").text("Gateway") for parent in spec.get("parentRefs").items()]
    own_rules = annotated_rules(document)
    lints = version_lints(document, "v1")
    rules = spec.get("rules").items()
    found = []
    for position, rule in enumerate(rules, start=1):
        part = f"/{rule.get('name').text('') or position}" if len(rules) > 1 else ""
        live = _live(rule, namespace)
        mirrors, odd = _mirrors(rule, namespace)
        named = [host for host in hosts if host != "*"]
        named += [one.destination.host for one in live]
        named += [one.destination.host for one in mirrors]
        watched = tuple(dict.fromkeys(named))
        matches = tuple(_condition(entry) for entry in rule.get("matches").items())
        policy = Policy(
            name=f"{namespace}/{name}{part}",
            namespace=namespace,
            hosts=watched,
            match=() if all(one.always_holds() for one in matches) else matches,
            live=live,
            mirrors=mirrors,
            subsets=subsets_of(watched, context.subsets),
            source=rule.where,
            resource=f"HTTPRoute {namespace}/{name}",
            gateways_only=bool(parents) and "Service" not in parents,
            position=position - 1,
            route_hosts=hosts,
            rules=own_rules,
            lints=(*lints, *odd),
        )
        found.append(policy)
    return found


def _hosts(spec: Node, namespace: str) -> tuple[str, ...]:
    """Its host names and the Services it is attached to; `*` when it names neither."""
    found = [read_host(host, namespace) for host in spec.get("hostnames").items()]
    for parent in spec.get("parentRefs").items():
        if parent.get("kind").text("") == "Service":
            home = parent.get("namespace").text(namespace)
            found.append(qualify(parent.get("name").text(), home))
    return tuple(dict.fromkeys(found)) or ("*",)


def _destination(backend: Node, namespace: str) -> Destination:
    home = backend.get("namespace").text(namespace)
    return Destination(qualify(backend.get("name").text(), home))


def _live(rule: Node, namespace: str) -> tuple[Weighted, ...]:
    found = []
    for backend in rule.get("backendRefs").items():
        field = backend.get("weight")
        weight = field.integer(0, MAX_WEIGHT) if field.present else 1
        found.append(Weighted(_destination(backend, namespace), weight))
    return tuple(one for one in found if one.weight)


def _mirrors(rule: Node, namespace: str) -> tuple[tuple[Mirror, ...], list[Lint]]:
    found, lints = [], []
    for filter_ in rule.get("filters").items():
        if filter_.get("type").text("") == "RequestMirror":
            mirror = filter_.get("requestMirror")
            percent, more = _percent(mirror)
            lints += more
            found.append(Mirror(_destination(mirror.get("backendRef"), namespace), percent))
    return tuple(mirror for mirror in found if mirror.percent > 0), lints


def _percent(mirror: Node) -> tuple[float, list[Lint]]:
    """`percent`, or `fraction` of a denominator that is 100 when left out; else all.

    Istio turns a fraction into a percentage, and keeps of it what it keeps of any.
    """
    percent, fraction = mirror.get("percent"), mirror.get("fraction")
    if percent.present:
        return percent.number(0, 100), []
    if not fraction.present:
        return ALWAYS, []
    below = fraction.get("denominator")
    denominator = below.integer(1, MAX_WEIGHT) if below.present else 100
    share = 100 * fraction.get("numerator").integer(0, denominator) / denominator
    return kept_share(fraction, share)


def _condition(entry: Node) -> Condition:
    path, path_rank = _path(entry.get("path"))
    method = entry.get("method")
    hidden = [f"headers.{one.get('name').text()}" for one in entry.get("headers").items()]
    query: list[tuple[str, StringMatch]] = []
    for one in entry.get("queryParams").items():
        match = _typed(one, "Exact")
        if evaluable(match):
            query.append((one.get("name").text(), match))
        else:
            hidden.append(f"queryParams.{one.get('name').text()}")
    if path is not None and not evaluable(path):
        path = None
        hidden.append("path.value")
    details = 1000 * method.present + 30 * len(hidden) + len(query)
    return Condition(
        path=path,
        method=StringMatch("exact", method.text()) if method.present else None,
        hidden=tuple(hidden),
        query=tuple(query),
        rank=-(path_rank * _RANK_PER_PATH + details),
    )


def _path(node: Node) -> tuple[StringMatch | None, int]:
    """A path match and how specific it is: exact before the longest prefix."""
    if not node.present:
        return None, 1  # the default is the prefix /
    if node.get("type").text("PathPrefix") != "PathPrefix":
        match = _typed(node, "Exact")
        return match, 2000 if match.kind == "exact" else 1500
    prefix = node.get("value").text("/").rstrip("/")
    if not prefix:
        return None, 1
    # A prefix of whole path elements: /api matches /api and /api/x, not /apis.
    pattern = StringMatch("regex", f"{re.escape(prefix)}(/.*)?")
    return checked_match(node.get("value"), pattern), len(prefix) + 1


def _typed(node: Node, default: str) -> StringMatch:
    """`{type: Exact | RegularExpression, value}`."""
    kinds: dict[str, Any] = {"Exact": "exact", "RegularExpression": "regex"}
    kind = node.get("type").text(default)
    if kind not in kinds:
        raise node.get("type").error("must be Exact, PathPrefix or RegularExpression")
    return checked_match(node.get("value"), StringMatch(kinds[kind], node.get("value").text()))
