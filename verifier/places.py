"""Which policy and which side a line belongs to, by all policies that are in force. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from collector.observation import Destination
from collector.records import Identity, Role
from verifier.pairing.lines import Side
from verifier.policies.model import Policy
from verifier.policies.pods import is_gateway
from verifier.policies.resolve import PodVersions, RouteTable, Unknown
from verifier.sides import Sides

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


class Shown(NamedTuple):
    """What a line shows of a request. `destination` and `pod` as in an observation."""

    role: int
    method: str
    path: str
    host: str
    route: str
    pod: Identity
    destination: Destination | None


class Places:
    """Tells the places of lines.

    Attributes:
        routes: Of the policies.
        versions: Of their pods.
    """

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.routes: Final = RouteTable(policies)
        self.versions: Final = PodVersions(policies)
        self._sides: Final = [Sides(policy) for policy in policies]
        self._numbers: Final = {id(policy): n for n, policy in enumerate(policies)}

    def place(self, seen: Shown) -> Place | None:
        """The place of a line; None when no policy concerns it.

        When the line cannot show its route, the side is that of the first route it may have taken.
        """
        route = self.route(seen)
        return None if route is None else self.place_on(route, seen)

    def route(self, seen: Shown) -> Policy | Unknown | None:
        """The route that a line shows; None: that of no policy."""
        # Only senders name the route; Istio writes `default` on every receiver's line.
        name = seen.route if seen.role == Role.CLIENT else ""
        return self.routes.route(seen.method, seen.path, seen.host, name)

    def place_on(self, route: Policy | Unknown, seen: Shown) -> Place | None:
        """The place of a line whose route is known: it follows from role, pod and destination."""
        if seen.role == Role.UNROUTED:
            # Most are senders' answers to requests that have no route.
            pod = self.versions.sure(seen.pod)
        else:
            to = seen.destination if seen.role != Role.CLIENT else None
            pod = self.versions.destination(seen.pod, to)
        if isinstance(route, Unknown):
            return self._weigh(seen, pod, route)
        part = self._part(seen, pod, route)
        if part is not None and route.gateways_only:
            return _by_gateway(seen, part)
        return None if part is None else Place(*part)

    def _part(self, seen: Shown, pod: Destination | None, policy: Policy) -> Part | None:
        """The part that a line plays for one policy; None when it does not concern it."""
        number = self._numbers[id(policy)]
        owner = None
        if pod is None and seen.role == Role.SERVER:
            owner = self.versions.belongs(seen.pod, seen.destination)
        side = self._sides[number].side(seen.role, seen.destination, pod, owner)
        return None if side is None else (int(side[0]), side[1], number)

    def _weigh(self, seen: Shown, pod: Destination | None, route: Unknown) -> Place | None:
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


def _by_gateway(seen: Shown, part: Part) -> Place:
    """Rule: a route that only gateways know is taken by what a gateway sent.

    A receiver's line does not show who sent it, so that without the gateway's line what lacks is
    unverifiable; a call from inside the mesh went another way.
    """
    sent = is_gateway(seen.pod) if seen.role == Role.CLIENT else None
    if sent is None:
        return Place(*part, 1, (part,))
    return Place(*part) if sent else Place(Side.CLIENT_OTHER, 0, part[2])


def route_of(places: Iterable[tuple[int, int]]) -> tuple[int, bool]:
    """The policy whose route the request of some lines took, and whether that is sure.

    Args:
        places: (policy, unknown) of each line; at least one.
    """
    told = list(places)
    known = {policy for policy, unknown in told if not unknown}
    return min(known or {policy for policy, _ in told}), len(known) == 1


def may_be_live(side: int, others: Iterable[Part]) -> bool:
    """Whether an arrival at a mirror may be live traffic of another route."""
    return side == Side.SERVER_MIRROR and any(other[0] == Side.SERVER_LIVE for other in others)
