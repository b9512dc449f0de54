"""Which part a line plays for a policy, and the terms that the policy sets. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from collector.observation import Destination
from collector.records import Role
from verifier.pairing.lines import MirrorGroup, Side
from verifier.policies.model import Policy


def mirror_destinations(policy: Policy) -> tuple[Destination, ...]:
    """The distinct destinations that get copies, in the policy's order."""
    return tuple(dict.fromkeys(mirror.destination for mirror in policy.mirrors))


def mirror_groups(policy: Policy) -> tuple[MirrorGroup, ...]:
    """The policy's mirrors, those of one destination together; same order as the destinations."""
    return tuple(
        MirrorGroup(
            destination.subset or destination.host,
            tuple(
                sorted(
                    (m.percent for m in policy.mirrors if m.destination == destination),
                    reverse=True,
                )
            ),
            live=policy.is_live(destination),
        )
        for destination in mirror_destinations(policy)
    )


class Sides:
    """Tells the part that lines play for one policy.

    Args:
        policy: The policy.
    """

    def __init__(self, policy: Policy) -> None:
        self._live: Final = frozenset(weighted.destination for weighted in policy.live)
        self._mirrors: Final = {d: i for i, d in enumerate(mirror_destinations(policy))}
        self._hosts: Final = frozenset(_hosts(self._live, self._mirrors))

    def client(self, destination: Destination | None) -> tuple[Side, int] | None:
        """Side and mirror index of a sender's line; None when it does not concern the policy.

        Args:
            destination: Host and subset of its outbound cluster.
        """
        if destination is None or destination.host not in self._hosts:
            return None
        if destination in self._live:
            return Side.CLIENT_LIVE, 0
        mirror = self._mirrors.get(destination)
        return (Side.CLIENT_OTHER, 0) if mirror is None else (Side.CLIENT_MIRROR, mirror)

    def server(self, pod: Destination | None, owner: str | None = None) -> tuple[Side, int]:
        """Side and mirror index of a receiver's line.

        Args:
            pod: What the pod that wrote it serves; None when that is unknown.
            owner: Then the service that the pod surely belongs to; None when that is unknown, too.
        """
        if pod is not None:
            mirror = self._mirrors.get(pod)
            if mirror is not None:
                return Side.SERVER_MIRROR, mirror
            if pod in self._live:
                return Side.SERVER_LIVE, 0
        elif owner in self._hosts:
            return Side.SERVER_UNKNOWN, 0
        return Side.SERVER_OTHER, 0

    def side(
        self,
        role: int,
        destination: Destination | None,
        pod: Destination | None,
        owner: str | None = None,
    ) -> tuple[Side, int] | None:
        """Side and mirror index of any line; None when it does not concern the policy.

        A line without a cluster was written by the receiver when its pod serves a watched host,
        else by a sender that answered the request itself.
        """
        if role == Role.SERVER or (role == Role.UNROUTED and pod is not None):
            return self.server(pod, owner)
        if role == Role.UNROUTED:
            return Side.CLIENT_LIVE, 0
        return self.client(destination)


def _hosts(*groups: Iterable[Destination]) -> set[str]:
    """The hosts of destinations."""
    return {destination.host for group in groups for destination in group}
