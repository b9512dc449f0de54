"""Which policies follow from what a cluster has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from verifier.cluster.resources import DESTINATION_RULE, VIRTUAL_SERVICE, Resource
from verifier.policies.model import Policy
from verifier.policies.read import policies_apart


class Desired(msgspec.Struct, frozen=True):
    """What should be recorded.

    Attributes:
        policies: Those with a mirror, and those that share hosts with them.
        others: How many policies concern no mirror; nothing of them is stored.
        refused: By `KIND NAMESPACE/NAME`, why a resource cannot be read.
        changed_us: By `KIND NAMESPACE/NAME`, when what it says changed last; None: just now, or
            not known.
    """

    policies: tuple[Policy, ...]
    others: int
    refused: Mapping[str, str]
    changed_us: Mapping[str, int | None]


def desired(resources: Iterable[Resource]) -> Desired:
    """What should be recorded, of all resources of a cluster.

    Whole resources: a route is understood by those before it. In Istio's order, which is that of
    their making.
    """
    ordered = sorted(resources, key=lambda one: (one.created_us, one.kind, one.namespace, one.name))
    read = policies_apart([one.node() for one in ordered])
    mirrored = {host for one in read.policies if one.mirrors for host in one.hosts}
    concerned = {one.resource for one in read.policies if not mirrored.isdisjoint(one.hosts)}
    policies = tuple(one for one in read.policies if one.resource in concerned)
    others = len(read.policies) - len(policies)
    return Desired(policies, others, read.refused, _changes(ordered, policies))


def _changes(ordered: Sequence[Resource], policies: Sequence[Policy]) -> dict[str, int | None]:
    """When what each resource says changed last, by itself or by one that it rests on.

    A route may rest on the DestinationRules of its hosts, and on delegates; that a namesake in
    another namespace counts, too, only makes a time less exact.
    """
    names: dict[str, set[str]] = {}
    for policy in policies:
        names.setdefault(policy.resource, set()).update(_short(host) for host in policy.hosts)
    delegates = [one for one in ordered if _is_delegate(one)]
    rules: dict[str, list[Resource]] = {}
    for one in ordered:
        if one.kind == DESTINATION_RULE.name:
            rules.setdefault(_short(_field(one, "host")), []).append(one)
    found = {}
    for one in ordered:
        own = [rule for name in names.get(one.title, ()) for rule in rules.get(name, ())]
        found[one.title] = _latest([one, *own, *(delegates if _delegates(one) else ())])
    return found


def _short(host: object) -> str:
    return host.partition(".")[0] if isinstance(host, str) else ""


def _field(one: Resource, name: str) -> object:
    spec = one.document["spec"]
    return spec.get(name) if isinstance(spec, dict) else None


def _is_delegate(one: Resource) -> bool:
    return one.kind == VIRTUAL_SERVICE.name and not _field(one, "hosts")


def _delegates(one: Resource) -> bool:
    routes = _field(one, "http")
    found = routes if isinstance(routes, list) else []
    return any(isinstance(route, dict) and "delegate" in route for route in found)


def _latest(found: Sequence[Resource]) -> int | None:
    """The latest change; None: one of them changed just now, or is not known."""
    times = [one.changed_us for one in found]
    known = [time for time in times if time is not None]
    return max(known) if len(known) == len(times) else None
