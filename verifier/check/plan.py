"""Which policy and which side a line belongs to: the policies, asked once per kind of line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from collector.errors import UsageError
from collector.formats.parse import Format, LineParser
from collector.hosts import HostTable
from collector.observation import Destination, Observation
from collector.records import Identity
from verifier.check.records import MAX_POLICIES
from verifier.places import Place, Places, Shown
from verifier.policies.model import Policy
from verifier.policies.resolve import Unknown

_CACHE_LIMIT: Final = 100_000


class Bare(msgspec.Struct, frozen=True):
    """What the place of a line rests on whose pod has no labels: others may tell them later.

    Attributes:
        pod: Who wrote it.
        role: Of the line.
        destination: As in an observation.
        policies: The numbers of those whose route its request may have taken; at least one.
        sure: Whether it took the first one's, and the line shows that.
        otherwise: Whether it may also have taken no route at all.
    """

    pod: Identity
    role: int
    destination: Destination | None
    policies: tuple[int, ...]
    sure: bool
    otherwise: bool


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
        self._all: Final = Places(policies)
        self._versions: Final = self._all.versions
        self._numbers: Final = {id(policy): number for number, policy in enumerate(policies)}
        self._pods: dict[tuple[Identity, Destination | None], Destination | None] = {}
        self._places: dict[object, Place | None] = {}
        self._bare: dict[object, Bare | None] = {}
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

    def bare(self, seen: Observation) -> Bare | None:
        """What to ask again once the labels of its pod are known; None: they are, or no use."""
        if seen.pod.labels or not seen.pod.pod:
            return None
        log = seen.log
        if self.depends_on_path(seen.host):
            return self._read_bare(seen)
        question = (seen.pod, log.cluster, log.server_name, seen.host)
        if question not in self._bare:
            if len(self._bare) >= _CACHE_LIMIT:
                return self._read_bare(seen)
            self._bare[question] = self._read_bare(seen)
        return self._bare[question]

    def _read_bare(self, seen: Observation) -> Bare | None:
        route = self._all.route(_shown(seen))
        if route is None:
            return None
        known = Unknown((route,), otherwise=False) if isinstance(route, Policy) else route
        numbers = tuple(self._numbers[id(policy)] for policy in known.policies)
        sure = known is not route
        return Bare(seen.pod, seen.role, seen.destination, numbers, sure, known.otherwise)

    def place_of(self, bare: Bare, pod: Identity) -> Place | None:
        """The place of a line whose pod's labels were told by others."""
        policies = tuple(self.policies[number] for number in bare.policies)
        route = policies[0] if bare.sure else Unknown(policies, bare.otherwise)
        return self._all.place_on(route, Shown(bare.role, "", "", "", "", pod, bare.destination))

    def depends_on_path(self, host: str) -> bool:
        """Whether a line's route on a host depends on its method or path."""
        return host in self._conditional

    def _place(self, seen: Observation) -> Place | None:
        return self._all.place(_shown(seen))

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


def _shown(seen: Observation) -> Shown:
    log = seen.log
    return Shown(seen.role, log.method, log.path, seen.host, log.route, seen.pod, seen.destination)


def _uses(policy: Policy, destination: Destination) -> bool:
    """Whether a policy sends requests or copies to a destination."""
    return policy.is_live(destination) or policy.mirror_of(destination) is not None
