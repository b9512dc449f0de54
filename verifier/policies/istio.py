"""Istio's VirtualServices and DestinationRules → policies, one for each http route.

Source: Istio API networking.istio.io (v1alpha3, v1beta1 and v1 have the same fields), and
`pilot/pkg/networking/core/route/route.go` for what an absent field means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from collector.observation import Destination
from verifier.policies.conditions import read_matches
from verifier.policies.delegates import Routes, http_routes
from verifier.policies.model import Condition, Lint, Mirror, Policy, Subset, Weighted
from verifier.policies.names import SubsetTable, read_host
from verifier.policies.node import Node
from verifier.policies.percentages import read_percentage, read_route_percentage

GROUP: Final = "networking.istio.io"
VERSIONS: Final = ("v1alpha3", "v1beta1", "v1")
MAX_WEIGHT: Final = 2**31 - 1


class Context(msgspec.Struct):
    """What a resource cannot say of itself: all files of a call share one.

    Attributes:
        subsets: Of all DestinationRules.
        namespaces: All that the documents name.
        delegates: The http routes of VirtualServices without hosts, by `NAMESPACE/NAME`.
    """

    subsets: SubsetTable
    namespaces: frozenset[str]
    delegates: Mapping[str, Node]


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
    reader = _Reader(f"{namespace}/{name}", namespace, hosts, spec, context)
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
        self, name: str, namespace: str, hosts: tuple[str, ...], spec: Node, context: Context
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.hosts = hosts
        self.context = context
        self.gateways = frozenset(one.text() for one in spec.get("gateways").items())
        self.lints: list[Lint] = []
        if self.gateways and "mesh" not in self.gateways:
            message = (
                "gateways does not name mesh: calls from inside the mesh do not take this route "
                "and are not mirrored"
            )
            self.lints = [spec.get("gateways").lint("warning", "gateways-without-mesh", message)]

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
            source=route.where,
            resource=f"VirtualService {self.name}",
            position=len(earlier),
            route_hosts=self.hosts,
            lints=(*self.lints, *lints),
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
        self.context.subsets.check(host, subset)
        return Destination(host, subset.text(""))


def subsets_of(hosts: Iterable[str], table: SubsetTable) -> tuple[Subset, ...]:
    """The declared subsets of some hosts, in the hosts' order."""
    return tuple(subset for host in hosts for subset in table.of(host) or ())
