"""Istio's VirtualServices and DestinationRules → policies, one for each http route.

Source: Istio API networking.istio.io (v1alpha3, v1beta1 and v1 have the same fields), and
`pilot/pkg/networking/core/route/route.go` for what an absent field means.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from collector.observation import Destination
from verifier.policies.conditions import read_matches
from verifier.policies.delegates import Routes, http_routes
from verifier.policies.model import Condition, Lint, Mirror, Policy, Subset, Weighted
from verifier.policies.names import SubsetTable, read_host
from verifier.policies.node import Node
from verifier.policies.percentages import read_percentage, read_route_percentage
from verifier.policies.rules import annotated_rules

GROUP: Final = "networking.istio.io"
VERSIONS: Final = ("v1alpha3", "v1beta1", "v1")
MAX_WEIGHT: Final = 2**31 - 1


class Context(msgspec.Struct):
    """What a resource cannot say of itself: all files of a call share one.

    Attributes:
        subsets: Of all DestinationRules.
        namespaces: All that the documents name.
        delegates: The http routes of VirtualServices without hosts, by `NAMESPACE/NAME`.
        strict: Whether a subset that no DestinationRule of its host has is refused, or a lint.
    """

    subsets: SubsetTable
    namespaces: frozenset[str]
    delegates: dict[str, Node]
    strict: bool = True


def read_virtual_service(document: Node, context: Context) -> list[Policy]:
    """The policies of a VirtualService, one for each http route, in order.

    A delegate (a VirtualService without hosts) has none of its own.

    Raises:
        UsageError: A field has the wrong type, or names an unknown subset.
    """
    spec = document.get("spec")
    namespace, name = resource_name(document)
    entries = spec.get("hosts").items()
    if not entries:
        return []
    hosts = tuple(read_host(host, namespace, context.namespaces) for host in entries)
    routes = http_routes(spec, namespace, context.delegates)
    reader = _Reader(f"{namespace}/{name}", namespace, hosts, document, context)
    return reader.policies(routes)


def resource_name(document: Node) -> tuple[str, str]:
    """Namespace and name of a resource; a missing namespace is `default`.

    Raises:
        UsageError: It has no name.
    """
    metadata = document.get("metadata")
    return metadata.get("namespace").text("default"), metadata.get("name").text()


class _Reader:
    """Makes the policies of one VirtualService."""

    def __init__(
        self, name: str, namespace: str, hosts: tuple[str, ...], document: Node, context: Context
    ) -> None:
        spec = document.get("spec")
        self.name = name
        self.namespace = namespace
        self.hosts = hosts
        self.context = context
        self.gateways = frozenset(one.text() for one in spec.get("gateways").items())
        self.rules = annotated_rules(document)
        self.lints = [*version_lints(document, VERSIONS[-1]), *host_lints(hosts, spec)]
        if self.gateways and "mesh" not in self.gateways:
            message = (
                "gateways does not name mesh: calls from inside the mesh do not take this route "
                "and are not mirrored"
            )
            self.lints.append(
                spec.get("gateways").lint("warning", "gateways-without-mesh", message)
            )

    def policies(self, routes: Routes) -> list[Policy]:
        """One policy for each route, each knowing those before it."""
        found: list[Policy] = []
        earlier: tuple[tuple[str, tuple[Condition, ...]], ...] = ()
        taken: set[str] = set()
        for position, (route, namespace) in enumerate(routes, start=1):
            name = self.name
            if len(routes) > 1:
                part = route.get("name").text("") or str(position)
                part = f"{part}-{position}" if part in taken else part
                taken.add(part)
                name = f"{name}/{part}"
            policy = self._policy(route, namespace, name, earlier)
            earlier = (*earlier, (name, policy.match))
            found.append(policy)
        return found

    def _policy(
        self,
        route: Node,
        namespace: str,
        name: str,
        earlier: tuple[tuple[str, tuple[Condition, ...]], ...],
    ) -> Policy:
        self.unknown: list[Lint] = []
        live = self._live(route, namespace)
        mirrors, lints = self._mirrors(route, namespace)
        destinations = [*(one.destination for one in live), *(one.destination for one in mirrors)]
        named = [host for host in self.hosts if host != "*"]
        hosts = tuple(dict.fromkeys([*named, *(one.host for one in destinations)]))
        return Policy(
            name=name,
            namespace=self.namespace,
            hosts=hosts,
            match=read_matches(route, self.gateways),
            earlier=earlier,
            live=live,
            mirrors=mirrors,
            subsets=subsets_of(hosts, self.context.subsets),
            route_name=route.get("name").text(""),
            rules=self.rules,
            source=route.where,
            resource=f"VirtualService {self.name}",
            gateways_only=bool(self.gateways) and "mesh" not in self.gateways,
            position=len(earlier),
            route_hosts=self.hosts,
            lints=(*self.lints, *lints, *self.unknown),
        )

    def _live(self, route: Node, namespace: str) -> tuple[Weighted, ...]:
        entries = route.get("route").items()
        found = []
        for entry in entries:
            destination = self._destination(entry.get("destination"), namespace)
            field = entry.get("weight")
            weight = field.integer(0, MAX_WEIGHT) if field.present else 0
            found.append(Weighted(destination, 100 if len(entries) == 1 else weight))
        live = tuple(one for one in found if one.weight)
        if found and not live:
            raise route.get("route").error("the weights add up to 0; one must be above it")
        return live

    def _mirrors(self, route: Node, namespace: str) -> tuple[tuple[Mirror, ...], list[Lint]]:
        """`mirror`, then `mirrors`: Istio appends both; those of 0 % do not exist."""
        found: list[Mirror] = []
        percent, lints = read_route_percentage(route)
        one = route.get("mirror")
        if one.present:
            found.append(Mirror(self._destination(one, namespace), percent))
        for entry in route.get("mirrors").items():
            percent, more = read_percentage(entry.get("percentage"))
            lints += more
            found.append(Mirror(self._destination(entry.get("destination"), namespace), percent))
        return tuple(mirror for mirror in found if mirror.percent > 0), lints

    def _destination(self, node: Node, namespace: str) -> Destination:
        host = read_host(node.get("host"), namespace, self.context.namespaces)
        subset = node.get("subset")
        problem = self.context.subsets.problem(host, subset.text(""))
        if problem and self.context.strict:
            raise subset.error(problem)
        if problem:
            self.unknown.append(subset.lint("error", "unknown-subset", problem))
        return Destination(host, subset.text(""))


def version_lints(document: Node, current: str) -> list[Lint]:
    """Remarks on an API version older than the current one."""
    field = document.get("apiVersion")
    group, _, version = field.text("").rpartition("/")
    if not version.startswith("v1alpha"):
        return []
    message = f"{version} is deprecated for {current} of {group}"
    return [field.lint("note", "deprecated-api-version", message)]


def host_lints(hosts: Iterable[str], spec: Node) -> list[Lint]:
    """Remarks on wildcards: which names callers use does not show in the policy."""
    wild = [host for host in hosts if host.startswith("*")]
    if not wild:
        return []
    message = (
        f"host {wild[0]} stands for any name, and lines are stored of the hosts that are named: "
        "requests under other names are seen by their senders' and TLS names only"
    )
    return [spec.get("hosts").lint("warning", "wildcard-host", message)]


def subsets_of(hosts: Iterable[str], table: SubsetTable) -> tuple[Subset, ...]:
    """The declared subsets of some hosts, in the hosts' order."""
    return tuple(subset for host in hosts for subset in table.of(host) or ())
