"""The verdicts of one episode. This function is the product.

It knows nothing of time windows, files or databases: the lines of one episode and the terms of
the policy in force go in, counts and findings come out. The order of the lines does not matter.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from collector.traits import Trait
from verifier.pairing.arrivals import Arrivals, sort_arrivals
from verifier.pairing.episodes import distinct
from verifier.pairing.lines import Finding, Judgement, Line, Reason, Side, Terms, Verdict
from verifier.pairing.requests import Requests, count_requests

_UNREADABLE: Final = Trait.AMBIGUOUS | Trait.NO_ID


class _Roles(msgspec.Struct):
    """The readable lines of an episode by the part they play."""

    clients: list[Line] = []
    attempts: list[Line] = []
    bypassing: list[Line] = []
    unknown: list[Line] = []
    leaking: dict[int, list[Line]] = {}
    arrivals: dict[int, list[Line]] = {}


class _Copies(msgspec.Struct):
    """What arrived at one mirror group, measured against what its requests owe."""

    copies: list[Line]
    leaks: list[Finding]
    owed: int = 0
    allowed: int = 0

    @property
    def short(self) -> int:
        return max(0, self.owed - len(self.copies))

    @property
    def surplus(self) -> int:
        return max(0, len(self.copies) - self.allowed)


def judge(lines: list[Line], terms: Terms) -> Judgement:
    """Judges the lines of one episode.

    Args:
        lines: All lines of one episode, in any order; repeated ones count once.
        terms: What the policy in force when its first request started asks.
    """
    found = Judgement()
    episode = distinct(lines)
    if len(episode) > terms.cap:
        _too_many(found, episode)
        return found
    readable = [line for line in episode if not line.traits & _UNREADABLE]
    doubtful = [line for line in episode if line.traits & _UNREADABLE]
    roles = _roles(readable)
    _take_declared_live(roles, terms)
    requests = count_requests(
        roles.clients, roles.attempts, len(roles.bypassing), terms.horizon_us
    )
    measured = [_measure(roles, requests, terms, group) for group in range(len(terms.mirrors))]
    _owe_nested(measured, requests, terms)
    _control(found, roles, requests, terms)
    _judge_requests(found, requests, measured, roles, terms, doubtful)
    _judge_arrivals(found, requests, measured, roles, terms)
    _judge_doubtful(found, doubtful)
    return found


def _too_many(found: Judgement, episode: list[Line]) -> None:
    """Rule: beyond the cap an episode is ambiguous, as one finding."""
    count = _most_of_one_side(episode)
    kept = episode[:20]
    found.find(
        Finding(
            Verdict.AMBIGUOUS, Reason.TOO_MANY_LINES, episode[0].start_us, kept, count=count
        )
    )


def _most_of_one_side(lines: list[Line]) -> int:
    """How many requests a heap of lines stands for: each side logs a request about once."""
    return max(Counter(line.side for line in lines).values())


def _judge_doubtful(found: Judgement, doubtful: list[Line]) -> None:
    """Rule: a line that can be read in two ways, or has no id, is ambiguous, never evidence."""
    if not doubtful:
        return
    no_id = all(line.traits & Trait.NO_ID for line in doubtful)
    reason = Reason.NO_REQUEST_ID if no_id else Reason.EXTRA_QUOTES
    found.find(
        Finding(
            Verdict.AMBIGUOUS,
            reason,
            doubtful[0].start_us,
            doubtful,
            count=_most_of_one_side(doubtful),
        )
    )


def _roles(readable: list[Line]) -> _Roles:
    """Sorts lines by side."""
    roles = _Roles()
    plain = {
        Side.CLIENT_LIVE: roles.clients,
        Side.SERVER_LIVE: roles.attempts,
        Side.CLIENT_OTHER: roles.bypassing,
        Side.SERVER_OTHER: roles.unknown,
    }
    for line in readable:
        if line.side == Side.CLIENT_MIRROR:
            roles.leaking.setdefault(line.mirror, []).append(line)
        elif line.side == Side.SERVER_MIRROR:
            roles.arrivals.setdefault(line.mirror, []).append(line)
        else:
            plain[Side(line.side)].append(line)
    return roles


def _take_declared_live(roles: _Roles, terms: Terms) -> None:
    """Rule: where the policy itself sends live traffic to a mirror, unmarked lines are attempts."""
    for group, mirror in enumerate(terms.mirrors):
        if mirror.live and group in roles.arrivals:
            references = roles.attempts + roles.clients
            arrived = sort_arrivals(roles.arrivals[group], references)
            roles.attempts.extend(arrived.live)
            roles.arrivals[group] = arrived.copies + arrived.unmarked


def _measure(roles: _Roles, requests: Requests, terms: Terms, group: int) -> _Copies:
    """Copies and leaks at one mirror group, and how many copies are owed and allowed there."""
    mirror = terms.mirrors[group]
    leaking = roles.leaking.get(group, [])
    arrived = sort_arrivals(roles.arrivals.get(group, []), roles.attempts + roles.clients)
    _take_live(arrived, leaking)
    owed = requests.firm * mirror.certain
    _trust_policy(arrived, owed, sent=len(leaking))
    copies = sorted(arrived.copies + arrived.unmarked, key=lambda line: line.start_us)
    leaks = [
        Finding(Verdict.LEAK, Reason.LIVE_AT_MIRROR, line.start_us, [line, *leaking], group)
        for line in arrived.live
    ]
    leaks += [
        Finding(Verdict.LEAK, Reason.SENT_TO_MIRROR, line.start_us, [line], group)
        for line in leaking[len(leaks) :]
    ]
    # A leaked request takes the same route, so it is mirrored too; upgrades may reach the mirror
    # as odd requests. Neither is owed, both are legal.
    at_most = requests.firm + requests.optional + requests.further + len(leaks)
    odd = sum(bool(line.traits & Trait.UNMIRRORED) for line in requests.exempt)
    return _Copies(copies, leaks, owed, (at_most + odd) * len(mirror.percents))


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


def _owe_nested(measured: list[_Copies], requests: Requests, terms: Terms) -> None:
    """Rule: the mirrors of a route share one draw, so a smaller sample is inside a larger one.

    A copy at a mirror of 10 % proves that the mirror of 50 % owes one too.
    """
    for group, own in enumerate(measured):
        for other, beside in enumerate(measured):
            smaller = terms.mirrors[other].percents[0]
            mirrors = sum(percent >= smaller for percent in terms.mirrors[group].percents)
            if other != group and mirrors:
                sampled = min(requests.firm, len(beside.copies))
                own.owed = max(own.owed, sampled * mirrors)


def _control(found: Judgement, roles: _Roles, requests: Requests, terms: Terms) -> None:
    """Rule: a request the primary answered, without a line of the primary, was lost in shipping."""
    if not terms.primary_logged:
        return
    unmarked = Trait.UNMIRRORED | Trait.NOT_ROUTED | Trait.NEVER_CONNECTED | Trait.ABANDONED
    answered = sum(not line.traits & unmarked for line in roles.clients)
    found.control = answered
    found.control_lost = min(answered, max(0, requests.firm - len(roles.attempts)))


def _judge_requests(
    found: Judgement,
    requests: Requests,
    measured: list[_Copies],
    roles: _Roles,
    terms: Terms,
    doubtful: list[Line],
) -> None:
    """One verdict for every request of the episode."""
    further = _further_matched(requests, measured, terms)
    optional = _optional_matched(requests, measured, terms)
    total = requests.firm + requests.optional + len(requests.exempt)
    found.requests = total + further
    found.requests_high = total + requests.further
    found.add(Verdict.EXEMPT, len(requests.exempt))
    if terms.exempt is not None or not terms.mirrors:
        found.add(Verdict.EXEMPT, requests.firm + requests.optional)
        return
    missing = _missing(found, requests, measured, roles, terms, doubtful)
    unsampled = _unsampled(requests, measured, terms)
    found.add(Verdict.UNSAMPLED, unsampled)
    found.add(Verdict.MATCHED, requests.firm - missing - unsampled + optional + further)
    found.add(Verdict.EXEMPT, requests.optional - optional)
    if not missing and not unsampled and requests.further == 0:
        _compare(found, requests, measured)


def _spare(requests: Requests, copies: _Copies, per_request: int) -> int:
    """For how many requests beyond the firm ones the copies at one mirror suffice."""
    return max(0, len(copies.copies) - requests.firm * per_request) // per_request


def _optional_matched(requests: Requests, measured: list[_Copies], terms: Terms) -> int:
    """Requests that need no copy, and have one."""
    spare = [
        _spare(requests, copies, max(1, terms.mirrors[group].certain))
        for group, copies in enumerate(measured)
    ]
    return min(requests.optional, *spare) if spare else 0


def _further_matched(requests: Requests, measured: list[_Copies], terms: Terms) -> int:
    """Requests beyond the certain ones that the lines allow and the copies show."""
    if not requests.further or not measured:
        return 0
    spare = [
        _spare(requests, copies, len(terms.mirrors[group].percents))
        - requests.optional
        - len(copies.leaks)
        for group, copies in enumerate(measured)
    ]
    return max(0, min(requests.further, *spare))


def _unsampled(requests: Requests, measured: list[_Copies], terms: Terms) -> int:
    """Rule: below 100 %, a request without any copy was not drawn."""
    if any(mirror.certain for mirror in terms.mirrors):
        return 0
    drawn = max(max(len(copies.copies), copies.owed) for copies in measured)
    return max(0, requests.firm - drawn)


def _missing(
    found: Judgement,
    requests: Requests,
    measured: list[_Copies],
    roles: _Roles,
    terms: Terms,
    doubtful: list[Line],
) -> int:
    """Finds the requests that lack an owed copy; returns how many there are."""
    group = max(range(len(measured)), key=lambda index: measured[index].short)
    short = min(requests.firm, measured[group].short)
    if not short:
        return 0
    unreadable = [line for line in doubtful if line.side == Side.SERVER_MIRROR]
    copies = len(measured[group].copies)
    reason = _why_missing(measured[group], requests, terms, group)
    evidence = [*roles.clients, *roles.attempts, *roles.arrivals.get(group, [])]
    # Which of several requests lacks its copy cannot be told; the later ones are named.
    for number, line in enumerate(requests.lines[requests.firm - short : requests.firm]):
        verdict, why = Verdict.MISSING, reason
        if number < len(roles.unknown):
            verdict, why = Verdict.UNVERIFIABLE, Reason.UNKNOWN_VERSION
        elif number < len(unreadable):
            verdict, why = Verdict.UNVERIFIABLE, Reason.COPY_MAY_BE_AMBIGUOUS
        rest = [other for other in evidence if other is not line]
        found.find(Finding(verdict, why, line.start_us, [line, *rest][: copies + 20], group))
    return short


def _why_missing(copies: _Copies, requests: Requests, terms: Terms, group: int) -> Reason:
    """The reason of a missing copy."""
    if copies.owed > requests.firm * terms.mirrors[group].certain:
        return Reason.BROKEN_NESTING
    return Reason.TOO_FEW_COPIES if copies.copies else Reason.NO_COPY


def _judge_arrivals(
    found: Judgement,
    requests: Requests,
    measured: list[_Copies],
    roles: _Roles,
    terms: Terms,
) -> None:
    """One verdict for every arrival that is no owed copy."""
    known = bool(requests.firm or requests.optional or requests.exempt or requests.further)
    senders = terms.senders_logged or bool(roles.clients or roles.leaking)
    for group, copies in enumerate(measured):
        for leak in copies.leaks:
            found.find(leak)
        if terms.exempt is not None:
            continue
        for line in copies.copies[len(copies.copies) - copies.surplus :]:
            if known or copies.leaks:
                verdict = Verdict.DUPLICATE
                reason = Reason.SURPLUS if senders else Reason.SURPLUS_IN_DOUBT
            elif senders:
                verdict, reason = Verdict.ORPHAN, Reason.NO_REQUEST
            else:
                verdict, reason = Verdict.UNVERIFIABLE, Reason.NO_SENDER_LOG
            lines = [line, *(other for other in copies.copies if other is not line)]
            found.find(Finding(verdict, reason, line.start_us, lines[:20], group))


def _compare(found: Judgement, requests: Requests, measured: list[_Copies]) -> None:
    """Rule: divergence is told of matched pairs with a response, never of interval pairs."""
    if not requests.firm or any(copies.leaks for copies in measured):
        return
    for copies in measured:
        primary = Counter(code for code in requests.statuses if code)
        mirrored = Counter(line.code for line in copies.copies if line.code)
        pairs = min(primary.total(), mirrored.total())
        same = (primary & mirrored).total()
        found.paired += pairs
        found.status_differs += max(0, pairs - same)
