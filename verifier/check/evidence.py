"""Which logs are complete, and when: what a missing copy rests on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from collector.observation import Destination
from collector.records import Identity
from collector.traits import Trait
from verifier.check.kinds import Stretch
from verifier.check.plan import Plan
from verifier.check.records import Kind
from verifier.check.sources import Source
from verifier.pairing.doubt import FIRST_ERROR
from verifier.pairing.lines import Reason, Side, Terms
from verifier.policies.model import Policy
from verifier.sides import mirror_destinations, mirror_groups

MARGIN_US: Final = 1_000_000
"""Without `assume_complete`, how far from a pod's first and last line its log is trusted."""


class Coverage(msgspec.Struct, frozen=True):
    """What is known of the logs of one side of a policy.

    Attributes:
        known: Some log of it was given.
        from_us: From when on all of them are complete; None: since ever.
        until_us: Until when; None: for ever.
    """

    known: bool
    from_us: int | None = None
    until_us: int | None = None

    @property
    def constant(self) -> bool:
        """Whether `holds` gives the same answer for every time."""
        return not self.known or self.from_us is None

    def holds(self, start_us: int) -> bool:
        """Whether a line of that time would be there."""
        if not self.known:
            return False
        if self.from_us is None or self.until_us is None:
            return True
        return self.from_us <= start_us <= self.until_us


def _cover(stretches: list[Stretch | None], *, assume_complete: bool, shipped: bool) -> Coverage:
    """Coverage by the pods of one side; None stands for a pod whose log is empty."""
    if assume_complete:
        return Coverage(known=bool(stretches) or shipped)
    seen = [stretch for stretch in stretches if stretch is not None]
    if not seen or len(seen) < len(stretches):
        return Coverage(known=False)
    return Coverage(
        known=True,
        from_us=max(stretch.first_us for stretch in seen) + MARGIN_US,
        until_us=min(stretch.last_us for stretch in seen) - MARGIN_US,
    )


class PolicyEvidence(msgspec.Struct, frozen=True):
    """The coverage of one policy's sides, and the terms it is judged by."""

    terms: Terms
    mirrors: tuple[Coverage, ...]
    senders: Coverage
    primary: Coverage

    def terms_at(self, start_us: int) -> Terms:
        """The terms for an episode whose first request starts then."""
        senders, primary = self.senders.holds(start_us), self.primary.holds(start_us)
        if senders == self.terms.senders_logged and primary == self.terms.primary_logged:
            return self.terms
        return msgspec.structs.replace(self.terms, senders_logged=senders, primary_logged=primary)

    def hole(self, mirror: int, start_us: int) -> Reason | None:
        """Why a copy's line may lack at a mirror although the copy arrived; None: it may not."""
        coverage = self.mirrors[mirror]
        if coverage.holds(start_us):
            return None
        return Reason.MIRROR_LOG_INCOMPLETE if coverage.known else Reason.MIRROR_SILENT


Part = tuple[int, int, int]
"""A part that some line of a pod played: policy, side and mirror group."""

_CLIENT_SIDES: Final = frozenset((Side.CLIENT_LIVE, Side.CLIENT_MIRROR, Side.CLIENT_OTHER))


def _served(plan: Plan, pod: Identity, parts: Collection[Part]) -> Destination | None:
    """What a pod serves: its lines tell that it receives requests, or its name has to."""
    sides = {side for _, side, _ in parts}
    if not sides:
        return plan.surely_serves(pod)
    return None if sides <= _CLIENT_SIDES else plan.serves(pod, None)


def weigh(
    plan: Plan,
    number: int,
    pods: Mapping[Identity, Stretch | None],
    parts: Mapping[Identity, Collection[Part]],
    *,
    assume_complete: bool,
    shipped: bool,
    tls: bool,
) -> PolicyEvidence:
    """The evidence of one policy.

    Args:
        plan: The policies.
        number: Which of them.
        pods: Every pod whose log was given, with the stretch of its lines (None: empty).
        parts: What the lines of each pod were; a pod without lines may be absent.
        assume_complete: A named log is complete, also when it is empty.
        shipped: Some file is a stream of many pods' lines.
        tls: Senders reach the primary with TLS server names.
    """
    policy: Policy = plan.policies[number]
    played = {pod: {part[1:] for part in parts.get(pod, ()) if part[0] == number} for pod in pods}
    served = {pod: _served(plan, pod, parts.get(pod, ())) for pod in pods}
    live = {weighted.destination for weighted in policy.live}

    def cover(wanted: Collection[Destination], part: tuple[int, int]) -> Coverage:
        chosen = [
            stretch for pod, stretch in pods.items() if part in played[pod] or served[pod] in wanted
        ]
        return _cover(chosen, assume_complete=assume_complete, shipped=shipped)

    senders = [
        stretch for pod, stretch in pods.items() if any(p[0] in _CLIENT_SIDES for p in played[pod])
    ]
    primary_part = (int(Side.SERVER_LIVE), 0)
    primary_seen = any(primary_part in some for some in played.values())
    return PolicyEvidence(
        Terms(mirror_groups(policy), policy.rules.horizon_us, tls=tls),
        tuple(
            cover({destination}, (int(Side.SERVER_MIRROR), mirror))
            for mirror, destination in enumerate(mirror_destinations(policy))
        ),
        _cover(senders, assume_complete=assume_complete, shipped=False),
        cover(live, primary_part) if primary_seen else Coverage(known=False),
    )


def speaks_tls(kinds: Iterable[Kind], policy: int) -> bool:
    """Whether the primary's pods of a policy log TLS server names."""
    return any(
        kind.policy == policy and kind.side == Side.SERVER_LIVE and not kind.traits & Trait.PLAIN
        for kind in kinds
    )


def logs_only_errors(kinds: Iterable[Kind], policy: int) -> bool:
    """Whether all lines of a policy's mirrors have a status of 400 or more."""
    codes = [k.code for k in kinds if k.policy == policy and k.side == Side.SERVER_MIRROR]
    return bool(codes) and min(codes) >= FIRST_ERROR


def unreadable(
    plan: Plan,
    policy: int,
    parts: Mapping[Identity, Collection[Part]],
    quarantined: Iterable[tuple[Source, int]],
) -> int:
    """How many lines that cannot be read may be of a policy's mirrors.

    Args:
        plan: The policies.
        policy: Which of them.
        parts: What the lines of each pod were.
        quarantined: How many lines of each log cannot be read.
    """
    mirrors = mirror_destinations(plan.policies[policy])
    found = 0
    for source, count in quarantined:
        pod = Identity(pod=source.pod)
        sides = {part[1] for part in parts.get(pod, ()) if part[0] == policy}
        receives = Side.SERVER_MIRROR in sides if sides else plan.surely_serves(pod) in mirrors
        if receives or not source.pod:
            found += count
    return found
