"""Which policy and which side a line belongs to: the policies, asked once per kind of line."""

from __future__ import annotations

from typing import Final

from collector.errors import UsageError
from collector.hosts import HostTable
from collector.observation import Destination, Observation
from collector.records import Identity, Role
from verifier.check.records import MAX_POLICIES
from verifier.policies.model import Policy
from verifier.policies.resolve import PodVersions, RouteTable, Unknown
from verifier.sides import Sides

_CACHE_LIMIT: Final = 100_000

Place = tuple[int, int, int, int]
"""Side, mirror index, policy number, and 1 when the line cannot show its route."""


class Plan:
    """The policies of a run, prepared for judging lines.

    Attributes:
        policies: All policies, in the order of their files.
        hosts: The hosts that they watch.
    """

    def __init__(self, policies: tuple[Policy, ...]) -> None:
        if len(policies) > MAX_POLICIES:
            msg = f"{len(policies)} routes in the policies; at most {MAX_POLICIES} at a time"
            raise UsageError(msg)
        self.policies: Final = policies
        self.hosts: Final = HostTable(host for policy in policies for host in policy.hosts)
        self._routes: Final = RouteTable(policies)
        self._versions: Final = PodVersions(policies)
        self._sides: Final = [Sides(policy) for policy in policies]
        self._numbers: Final = {id(policy): n for n, policy in enumerate(policies)}
        self._pods: dict[tuple[Identity, Destination | None], Destination | None] = {}
        self._places: dict[object, Place | None] = {}
        self._conditional: Final = frozenset(
            host
            for policy in policies
            for host in policy.hosts
            if sum(host in other.hosts for other in policies) > 1 or policy.match
        )

    def place(self, seen: Observation) -> Place | None:
        """Side, mirror index, policy number and `route_unknown` of a line.

        None when no policy concerns it. When the line cannot show its route, the side is that of
        the first route it may have taken.
        """
        log = seen.log
        if self.depends_on_path(seen.host):
            return self._place(seen)
        # All that the answer depends on, where a host has one route for everything.
        question = (seen.pod, log.cluster, log.server_name, seen.host)
        if question in self._places:
            return self._places[question]
        place = self._place(seen)
        if len(self._places) < _CACHE_LIMIT:
            self._places[question] = place
        return place

    def depends_on_path(self, host: str) -> bool:
        """Whether a line's route on a host depends on its method or path."""
        return host in self._conditional

    def _place(self, seen: Observation) -> Place | None:
        log = seen.log
        # Only senders name the route; Istio writes `default` on every receiver's line.
        name = log.route if seen.role == Role.CLIENT else ""
        route = self._routes.route(log.method, log.path, seen.host, name)
        if route is None:
            return None
        policy = route.policies[0] if isinstance(route, Unknown) else route
        number = self._numbers[id(policy)]
        if seen.role == Role.UNROUTED:
            # Most are senders' answers to requests that have no route.
            pod = self.surely_serves(seen.pod)
        else:
            pod = self.serves(seen.pod, seen.destination if seen.role != Role.CLIENT else None)
        side = self._sides[number].side(seen.role, seen.destination, pod)
        if side is None:
            return None
        return int(side[0]), side[1], number, int(isinstance(route, Unknown))

    def serves(self, pod: Identity, server_name: Destination | None) -> Destination | None:
        """The destination that a pod serves, or None when its version is unknown."""
        question = (pod, server_name)
        if question not in self._pods:
            self._pods[question] = self._versions.destination(pod, server_name)
        return self._pods[question]

    def surely_serves(self, pod: Identity) -> Destination | None:
        """As `serves`, of a pod of which no line shows that it receives requests."""
        return self._versions.sure(pod)
