"""What arrived at each mirror, and how many copies are owed there. Rules: *copies*, *nesting*."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from collector.traits import Trait
from verifier.pairing.arrivals import Arrivals, sort_arrivals
from verifier.pairing.lines import Finding, Line, Marker, MirrorGroup, Reason, Side, Terms, Verdict
from verifier.pairing.requests import Requests, fold_attempts

ALWAYS: Final = 100
MAX_EVIDENCE: Final = 20
"""Most lines that a finding keeps: enough for a person, whatever the size of the episode."""


class Roles(msgspec.Struct):
    """The readable lines of an episode by the part they play.

    `unknown` are those of pods of unknown version, `elsewhere` those of pods that may be anything.
    """

    clients: list[Line] = []
    attempts: list[Line] = []
    bypassing: list[Line] = []
    unknown: list[Line] = []
    elsewhere: list[Line] = []
    leaking: dict[int, list[Line]] = {}
    arrivals: dict[int, list[Line]] = {}

    @property
    def doubtful(self) -> list[Line]:
        """Lines of pods that may be the primary's or a mirror's, the watched service's first."""
        return self.unknown + self.elsewhere


class Copies(msgspec.Struct):
    """What arrived at one mirror group, measured against what its requests owe.

    Attributes:
        group: The mirror group.
        copies: Arrivals that are copies, by start.
        markers: By what how many of them were told.
        unmarked: Arrivals that are either copies or live traffic that the policy sends there.
        leaks: Live requests that the policy does not send there.
        owed: The copies that the requests of the episode owe for certain.
        debtors: The requests that owe them.
    """

    group: MirrorGroup
    copies: list[Line] = []
    markers: dict[Marker, int] = {}
    unmarked: list[Line] = []
    leaks: list[Finding] = []
    owed: int = 0
    debtors: int = 0

    @property
    def short(self) -> int:
        """How many requests lack an owed copy, as far as the marked ones tell.

        Whether two copies lack to one request or to two cannot be told; it counts as two.
        """
        return min(self.debtors, max(0, self.owed - len(self.copies)))


def roles_of(readable: list[Line]) -> Roles:
    """Sorts lines by side."""
    roles = Roles()
    plain = {
        Side.CLIENT_LIVE: roles.clients,
        Side.SERVER_LIVE: roles.attempts,
        Side.CLIENT_OTHER: roles.bypassing,
        Side.SERVER_OTHER: roles.elsewhere,
        Side.SERVER_UNKNOWN: roles.unknown,
    }
    for line in readable:
        if line.side == Side.CLIENT_MIRROR:
            roles.leaking.setdefault(line.mirror, []).append(line)
        elif line.side == Side.SERVER_MIRROR:
            roles.arrivals.setdefault(line.mirror, []).append(line)
        else:
            plain[Side(line.side)].append(line)
    return roles


def sort_all(roles: Roles, terms: Terms) -> list[Arrivals]:
    """Sorts the arrivals of every mirror group.

    Rule: where the policy itself sends live traffic to a mirror, live requests there are attempts.
    """
    references = roles.attempts + roles.clients
    found = [
        sort_arrivals(roles.arrivals.get(group, []), references)
        for group in range(len(terms.mirrors))
    ]
    for arrived, mirror in zip(found, terms.mirrors, strict=True):
        if mirror.live:
            roles.attempts.extend(arrived.live)
            arrived.live = []
    return found


def measure(
    roles: Roles, requests: Requests, arrived: list[Arrivals], terms: Terms
) -> list[Copies]:
    """Copies and leaks at every mirror group."""
    found = []
    for index, mirror in enumerate(terms.mirrors):
        at, leaking = arrived[index], roles.leaking.get(index, [])
        copies = Copies(mirror)
        if mirror.live:
            copies.unmarked = at.unmarked
        else:
            _take_live(at, leaking)
            _trust_policy(at, requests.firm * mirror.certain, sent=len(leaking))
            at.copies += at.unmarked
            copies.leaks = _leaks(at.live, leaking, index, terms.horizon_us)
        copies.copies = sorted(at.copies, key=lambda line: line.start_us)
        copies.markers = at.markers
        if rest := len(at.copies) - sum(at.markers.values()):
            copies.markers[Marker.POLICY] = rest
        found.append(copies)
    return found


def markers(measured: list[Copies]) -> dict[Marker, int]:
    """By what the copies at all mirrors were told."""
    found: Counter[Marker] = Counter()
    for copies in measured:
        found.update(copies.markers)
    return found


def _take_live(arrived: Arrivals, leaking: list[Line]) -> None:
    """Rule: live requests that senders routed to the mirror account for unmarked arrivals."""
    connected = sum(not line.traits & Trait.NEVER_CONNECTED for line in leaking)
    for _ in range(min(connected - len(arrived.live), len(arrived.unmarked))):
        arrived.live.append(arrived.unmarked.pop(0))


def _trust_policy(arrived: Arrivals, owed: int, sent: int) -> None:
    """Rule: what no sender sent there live, and a request still owes, is a copy without a mark."""
    lacking = owed - len(arrived.copies) - len(arrived.unmarked)
    for _ in range(min(lacking, len(arrived.live) - sent)):
        arrived.copies.append(arrived.live.pop())


def _leaks(live: list[Line], leaking: list[Line], index: int, horizon_us: int) -> list[Finding]:
    """One finding for every live request at the mirror, its retries folded."""
    seen = fold_attempts(live, horizon_us)
    found = []
    for line in seen:
        rest = [other for other in live if other is not line]
        lines = [line, *leaking, *rest][:MAX_EVIDENCE]
        found.append(Finding(Verdict.LEAK, Reason.LIVE_AT_MIRROR, line.start_us, lines, index))
    found.extend(
        Finding(Verdict.LEAK, Reason.SENT_TO_MIRROR, line.start_us, [line], index)
        for line in leaking[len(seen) :]
    )
    return found


def excused(requests: Requests, measured: list[Copies], unreadable: int) -> int:
    """Requests that may have a copy at every mirror, and owe none.

    A leaked request takes the same route, so it is mirrored too; upgrades may reach the mirror as
    odd requests; the lines that cannot be read, or are of unknown pods, may be requests.
    """
    leaks = sum(len(copies.leaks) for copies in measured)
    return requests.optional + requests.further + len(requests.exempt) + leaks + unreadable


def owe(measured: list[Copies], firm: int, others: int) -> None:
    """Sets how many copies each mirror group is owed.

    Rule: the mirrors of a route share one draw, so that a smaller sample is inside a larger one:
    a copy at a mirror of 10 % proves that each mirror of 10 % or more owes one too.

    Args:
        measured: What arrived.
        firm: Requests that owe their copies.
        others: Requests that may have copies, and owe none.
    """
    drawn = _known_draws(measured, firm, others)
    for copies in measured:
        for percent in copies.group.percents:
            proven = (number for bound, number in drawn if bound <= percent)
            debtors = firm if percent >= 100 else max(proven, default=0)
            copies.owed += debtors
            copies.debtors = max(copies.debtors, debtors)


def _known_draws(measured: list[Copies], firm: int, others: int) -> list[tuple[float, int]]:
    """Pairs (percent, requests that were certainly drawn for every mirror of so much or more)."""
    found = []
    for copies in measured:
        percents = copies.group.percents
        own = len(copies.copies) - others * len(percents)
        for index, percent in enumerate(percents):
            # The larger mirrors of the group account for one copy of each request; the rest
            # arrived through this one and the smaller ones.
            rest = own - index * firm
            drawn = -(-rest // (len(percents) - index))
            found.append((percent, max(0, min(firm, drawn))))
    return found


def shown(measured: list[Copies]) -> int:
    """The number of requests whose copies arrived, as the largest mirrors tell.

    Whatever was drawn for any mirror was drawn for the largest, so that a request without a copy
    there is unsampled, or lacks one.
    """
    return min(len(copies.copies) // number for copies, number in _largest(measured))


def drawn(measured: list[Copies]) -> int:
    """How many requests were drawn: those known to be, and those that further copies show."""
    return min(
        copies.debtors + max(0, len(copies.copies) - copies.owed) // number
        for copies, number in _largest(measured)
    )


def largest(measured: list[Copies]) -> tuple[int, ...]:
    """The groups with the route's largest percentage; empty when that is 100."""
    top = max(copies.group.percents[0] for copies in measured)
    if top >= ALWAYS:
        return ()
    return tuple(n for n, copies in enumerate(measured) if copies.group.percents[0] == top)


def _largest(measured: list[Copies]) -> list[tuple[Copies, int]]:
    """The groups with the route's largest percentage, and how many of their mirrors have it."""
    top = max(copies.group.percents[0] for copies in measured)
    counted = ((copies, copies.group.percents.count(top)) for copies in measured)
    return [(copies, number) for copies, number in counted if number]
