"""Canonical host names of policies, and the subsets that DestinationRules declare for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from verifier.policies.model import Subset
from verifier.policies.node import Node

CLUSTER_DOMAIN: Final = "svc.cluster.local"
_HOST: Final = re.compile(r"\*|(\*\.)?[a-z0-9_]([a-z0-9_.:-]*[a-z0-9_])?")


def qualify(host: str, namespace: str, namespaces: Collection[str] = ()) -> str:
    """The canonical name of a host: services fully qualified, others as they are.

    Istio itself expands only names without a dot, by the namespace of the resource; the other
    forms of a service's name are the same service to us.

    Args:
        host: `forecast`, `forecast.weather`, `forecast.weather.svc`, `api.example.com`, `*`.
        namespace: What a name without a dot belongs to.
        namespaces: Known namespaces: `forecast.weather` is a service when `weather` is one.
    """
    host = host.lower().rstrip(".")
    parts = host.split(".")
    if parts[0] == "*":
        return host
    if len(parts) == 1:
        return f"{host}.{namespace}.{CLUSTER_DOMAIN}"
    if len(parts) == 2 and (parts[1] == namespace or parts[1] in namespaces):
        return f"{host}.{CLUSTER_DOMAIN}"
    if parts[2:] in (["svc"], ["svc", "cluster"]):
        return f"{parts[0]}.{parts[1]}.{CLUSTER_DOMAIN}"
    return host


def read_host(node: Node, namespace: str, namespaces: Collection[str] = ()) -> str:
    """The canonical name of the host in a field.

    Raises:
        UsageError: It is missing or no host name.
    """
    host = node.text()
    if not _HOST.fullmatch(host.lower().rstrip(".")):
        raise node.error(f"{host!r} is no host name")
    return qualify(host, namespace, namespaces)


class SubsetTable:
    """The subsets of hosts, from all DestinationRules together."""

    def __init__(self) -> None:
        self._subsets: dict[str, dict[str, Subset]] = {}

    def declare(self, host: str, subsets: Iterable[Subset]) -> None:
        """Adds the subsets of one DestinationRule, which may have none."""
        known = self._subsets.setdefault(host, {})
        for subset in subsets:
            known.setdefault(subset.name, subset)

    def of(self, host: str) -> tuple[Subset, ...] | None:
        """The subsets of a host, or None when no DestinationRule speaks of it.

        A rule for the very host comes before one for a wildcard, and the longest wildcard wins.
        """
        found = self._subsets.get(host)
        if found is None:
            wild = [name for name in self._subsets if name[0] == "*" and host.endswith(name[1:])]
            if not wild:
                return None
            found = self._subsets[max(wild, key=len)]
        return tuple(Subset(host, subset.name, subset.labels) for subset in found.values())

    def problem(self, host: str, name: str) -> str:
        """What is wrong with a destination's subset; empty: nothing.

        There are DestinationRules for the host, and none declares it.
        """
        known = self.of(host)
        if not name or known is None or name in {one.name for one in known}:
            return ""
        names = ", ".join(one.name for one in known) or "none"
        return f"unknown subset {name!r}: the DestinationRule of {host} declares {names}"


def read_labels(node: Node) -> tuple[tuple[str, str], ...]:
    """A mapping of labels as sorted pairs.

    Raises:
        UsageError: It is no mapping of texts.
    """
    return tuple(sorted((name, value.text()) for name, value in node.fields().items()))


def read_destination_rule(spec: Node, namespace: str, namespaces: Collection[str]) -> SubsetsOf:
    """Host and subsets of a DestinationRule's `spec`.

    Raises:
        UsageError: A field has the wrong type.
    """
    host = read_host(spec.get("host"), namespace, namespaces)
    subsets = tuple(
        Subset(host, entry.get("name").text(), read_labels(entry.get("labels")))
        for entry in spec.get("subsets").items()
    )
    return host, subsets


SubsetsOf = tuple[str, tuple[Subset, ...]]
