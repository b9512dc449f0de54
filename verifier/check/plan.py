"""Which policy and which side a line belongs to: the policies, asked once per kind of line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from collector.errors import UsageError
from collector.formats.parse import Format, LineParser
from collector.hosts import HostTable
from collector.observation import Destination, Observation
from collector.records import Identity, Role
from verifier.check.records import MAX_POLICIES
from verifier.pairing.lines import Side
from verifier.policies.model import Policy
from verifier.policies.resolve import PodVersions, RouteTable, Unknown
from verifier.sides import Sides

_CACHE_LIMIT: Final = 100_000
_LIVE: Final = frozenset((Side.CLIENT_LIVE, Side.SERVER_LIVE))
_MIRRORED: Final = frozenset((Side.CLIENT_MIRROR, Side.SERVER_MIRROR))

Part = tuple[int, int, int]
"""Side, mirror index and policy number."""


class Place(NamedTuple):
    """What a line is: its part, and what else it may be.

    `unknown` is 1 when the line cannot show its route; `others` then holds its part for every
    route that it may have taken.
    """

    side: int
    mirror: int
    policy: int
    unknown: int = 0
    others: tuple[Part, ...] = ()


class Plan:
    """The policies of a run, prepared for judging lines.

    Attributes:
        policies: All policies, in the order of their files.
        hosts: The hosts that they watch.
        lines: Reads lines, of all formats in force.

    Args:
        formats: Those of the user.

    Raises:
        UsageError: Too many policies, or formats that look alike.
    """

    def __init__(self, policies: tuple[Policy, ...], formats: Sequence[Format] = ()) -> None:
        if len(policies) > MAX_POLICIES:
            msg = f"{len(policies)} routes in the policies; at most {MAX_POLICIES} at a time"
            raise UsageError(msg)
        self.policies: Final = policies
        self.lines: Final = LineParser(formats)
        self.hosts: Final = HostTable(host for policy in policies for host in policy.hosts)
        self._routes: Final = RouteTable(policies)
        self._versions: Final = PodVersions(policies)
        self._sides: Final = [Sides(policy) for policy in policies]
        self._numbers: Final = {id(policy): n for n, policy in enumerate(policies)}
        self._pods: dict[tuple[Identity, Destination | None], Destination | None] = {}
        self._places: dict[object, Place | None] = {}
        self._own_hosts: dict[Identity, str] = {}
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
        if seen.role == Role.UNROUTED:
            # Most are senders' answers to requests that have no route.
            pod = self.surely_serves(seen.pod)
        else:
            pod = self.serves(seen.pod, seen.destination if seen.role != Role.CLIENT else None)
        if isinstance(route, Unknown):
            return self._weigh(seen, pod, route)
        part = self._part(seen, pod, route)
        return None if part is None else Place(*part)

    def _part(self, seen: Observation, pod: Destination | None, policy: Policy) -> Part | None:
        """The part that a line plays for one policy; None when it does not concern it."""
        number = self._numbers[id(policy)]
        side = self._sides[number].side(seen.role, seen.destination, pod)
        return None if side is None else (int(side[0]), side[1], number)

    def _weigh(self, seen: Observation, pod: Destination | None, route: Unknown) -> Place | None:
        """What a line is whose conditions leave several routes: where it went tells some apart.

        Of the routes that remain, those with a mirror come first: what they owe is then doubted,
        not excused.
        """
        ordered = sorted(route.policies, key=lambda policy: not policy.mirrors)
        parts = [part for policy in ordered if (part := self._part(seen, pod, policy)) is not None]
        if not parts:
            return None
        live = [part for part in parts if part[0] in _LIVE]
        mirrored = any(part[0] in _MIRRORED for part in parts)
        subset = seen.destination is not None and seen.destination.subset
        if len(live) == 1 and not mirrored and (not route.otherwise or subset):
            return Place(*live[0])
        told = live if live and not mirrored else [p for p in parts if p[0] in _MIRRORED] or parts
        return Place(*told[0], 1, tuple(parts))

    def serves(self, pod: Identity, server_name: Destination | None) -> Destination | None:
        """The destination that a pod serves, or None when its version is unknown."""
        question = (pod, server_name)
        if question not in self._pods:
            self._pods[question] = self._versions.destination(pod, server_name)
        return self._pods[question]

    def own_host(self, pod: Identity) -> str:
        """The host by which senders' clusters call what a pod serves; empty when it is unsure.

        A mirror may be a service of its own: its copies are told by the host of the live one.
        """
        if pod not in self._own_hosts:
            serves = self.surely_serves(pod)
            users = [] if serves is None else [p for p in self.policies if _uses(p, serves)]
            live = next((one.destination.host for p in users for one in p.live), "")
            self._own_hosts[pod] = live
        return self._own_hosts[pod]

    def surely_serves(self, pod: Identity) -> Destination | None:
        """As `serves`, of a pod of which no line shows that it receives requests."""
        return self._versions.sure(pod)


def _uses(policy: Policy, destination: Destination) -> bool:
    """Whether a policy sends requests or copies to a destination."""
    return policy.is_live(destination) or policy.mirror_of(destination) is not None
