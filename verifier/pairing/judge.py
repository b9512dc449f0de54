"""The verdicts of one episode. This function is the product.

It knows nothing of time windows, files or databases: the lines of one episode and the terms of
the policy in force go in, counts and findings come out. The order of the lines does not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from collector.traits import Trait
from verifier.pairing.episodes import concerned, distinct, ended
from verifier.pairing.lines import Finding, Judgement, Line, Reason, Side, Terms, Verdict
from verifier.pairing.owed import (
    MAX_EVIDENCE,
    Copies,
    Roles,
    drawn,
    excused,
    largest,
    markers,
    measure,
    owe,
    roles_of,
    shown,
    sort_all,
)
from verifier.pairing.requests import Requests, count_requests

_UNREADABLE: Final = Trait.AMBIGUOUS | Trait.NO_ID
_REQUEST_SIDES: Final = (Side.CLIENT_LIVE, Side.SERVER_LIVE, Side.CLIENT_MIRROR)


class _Case(msgspec.Struct):
    """An episode in work: its lines by role, and what follows from them."""

    terms: Terms
    roles: Roles
    doubtful: list[Line]
    requests: Requests
    measured: list[Copies]
    shown: int = 0

    def maybe(self, group: int) -> list[tuple[Line, Reason]]:
        """Lines that may be copies at a mirror, and why they may."""
        unreadable = (
            line
            for line in self.doubtful
            if line.side == Side.SERVER_MIRROR and line.mirror == group
        )
        return [
            *((line, Reason.UNKNOWN_VERSION) for line in self.roles.doubtful),
            *((line, Reason.COPY_MAY_BE_AMBIGUOUS) for line in unreadable),
            *((line, Reason.MIRROR_TAKES_LIVE) for line in self.measured[group].unmarked),
        ]


def judge(lines: list[Line], terms: Terms) -> Judgement:
    """Judges the lines of one episode.

    Args:
        lines: All lines of one episode, in any order; repeated ones count once.
        terms: What the policy in force when its first request started asks.
    """
    found = Judgement()
    told = distinct(lines)
    known = concerned(told)
    found.unconcerned = len(told) - len(known)
    episode = ended(known)
    if len(episode) > terms.cap:
        _too_many(found, episode)
        return found
    doubtful = [line for line in episode if line.traits & _UNREADABLE]
    case = _open(roles_of([x for x in episode if not x.traits & _UNREADABLE]), doubtful, terms)
    _control(found, case)
    if terms.exempt is not None or not terms.mirrors:
        _exempt_all(found, case)
    else:
        _judge_requests(found, case)
        _judge_arrivals(found, case)
        _judge_unknown(found, case)
    _judge_doubtful(found, doubtful)
    return found


def _open(roles: Roles, doubtful: list[Line], terms: Terms) -> _Case:
    """Counts the requests, and the copies that they owe."""
    arrived = sort_all(roles, terms)
    requests = count_requests(roles.clients, roles.attempts, len(roles.bypassing), terms.horizon_us)
    case = _Case(terms, roles, doubtful, requests, measure(roles, requests, arrived, terms))
    if case.measured:
        owe(case.measured, requests.firm, _others(case))
        case.shown = shown(case.measured)
    return case


def _others(case: _Case) -> int:
    """Requests that may have copies, and owe none."""
    hidden = _most_of_one_side(line for line in case.doubtful if line.side in _REQUEST_SIDES)
    return excused(case.requests, case.measured, hidden + len(case.roles.doubtful))


def _too_many(found: Judgement, episode: list[Line]) -> None:
    """Rule: beyond the cap an episode is ambiguous, as one finding."""
    count = _most_of_one_side(episode)
    kept, start_us = episode[:MAX_EVIDENCE], episode[0].start_us
    found.find(Finding(Verdict.AMBIGUOUS, Reason.TOO_MANY_LINES, start_us, kept, count=count))


def _most_of_one_side(lines: Iterable[Line]) -> int:
    """How many requests a heap of lines stands for: each side logs a request about once."""
    return max(Counter(line.side for line in lines).values(), default=0)


def _judge_doubtful(found: Judgement, doubtful: list[Line]) -> None:
    """Rule: a line that can be read in two ways, or has no id, is ambiguous, never evidence."""
    if not doubtful:
        return
    no_id = all(line.traits & Trait.NO_ID for line in doubtful)
    reason = Reason.NO_REQUEST_ID if no_id else Reason.EXTRA_QUOTES
    count = _most_of_one_side(doubtful)
    kept, start_us = doubtful[:MAX_EVIDENCE], doubtful[0].start_us
    found.find(Finding(Verdict.AMBIGUOUS, reason, start_us, kept, count=count))


def _control(found: Judgement, case: _Case) -> None:
    """Rule: a request the primary answered, without a line of the primary, was lost in shipping."""
    if not case.terms.primary_logged:
        return
    unanswered = Trait.UNMIRRORED | Trait.NOT_ROUTED | Trait.NEVER_CONNECTED | Trait.ABANDONED
    answered = sum(not line.traits & unanswered for line in case.roles.clients)
    # A pod of unknown version may well be the primary's.
    logged = len(case.roles.attempts) + len(case.roles.unknown)
    lost = max(0, case.requests.firm - logged)
    found.control = answered
    found.control_lost = min(answered, lost)


def _exempt_all(found: Judgement, case: _Case) -> None:
    """Rule: with no mirror in force, or within a grace, nothing is owed and nothing leaks."""
    requests = case.requests
    found.requests = requests.certain
    found.requests_high = requests.certain + requests.further
    _exempt_by_nature(found, requests)
    reason = case.terms.exempt or Reason.NO_MIRROR_IN_FORCE
    found.excuse(reason, requests.firm + requests.optional)


def _exempt_by_nature(found: Judgement, requests: Requests) -> None:
    """Requests that no policy mirrors."""
    never = sum(bool(line.traits & Trait.UNMIRRORED) for line in requests.exempt)
    found.excuse(Reason.NEVER_MIRRORED, never)
    found.excuse(Reason.NOT_ROUTED, len(requests.exempt) - never)
    found.excuse(Reason.BYPASSED, requests.bypassed)


def _judge_requests(found: Judgement, case: _Case) -> None:
    """One verdict for every request of the episode."""
    requests = case.requests
    # Copies are taken for those of firm requests first, and for those of doubtful ones last.
    beyond = max(0, case.shown - requests.firm)
    optional = min(requests.optional, beyond)
    leaks = sum(len(copies.leaks) for copies in case.measured)
    further = max(0, min(requests.further, beyond - requests.optional - leaks))
    found.requests = requests.certain + further
    found.requests_high = requests.certain + requests.further
    _exempt_by_nature(found, requests)
    not_connected = min(requests.not_connected, requests.optional - optional)
    found.excuse(Reason.NOT_CONNECTED, not_connected)
    found.excuse(Reason.ABANDONED, requests.optional - optional - not_connected)
    lacking = _lacking(found, case)
    found.add(Verdict.MATCHED, requests.firm - lacking + optional + further)
    if not lacking and requests.further == 0 and not leaks:
        _compare(found, case)


def _lacking(found: Judgement, case: _Case) -> int:
    """The firm requests that are not matched: missing, unverifiable, unsampled. How many."""
    firm = case.requests.firm
    groups = range(len(case.measured))
    short = {group: case.measured[group].short for group in groups}
    sure = {group: short[group] - len(case.maybe(group)) for group in groups}
    # Among equals the largest sample tells best whether a request was drawn.
    worst = max(groups, key=lambda group: (short[group], case.measured[group].group.percents[0]))
    surest = max(groups, key=sure.__getitem__)
    lacking = min(firm, short[worst])
    missing = max(0, min(lacking, sure[surest]))
    unsampled = max(0, firm - drawn(case.measured))
    maybe = case.maybe(worst)
    unverifiable = lacking - missing + min(unsampled, max(0, len(maybe) - short[worst]))
    # Which of several requests lacks its copy cannot be told; the later ones are named.
    named = case.requests.lines[firm - missing - unverifiable : firm]
    for line, (_, reason) in zip(named[:unverifiable], maybe, strict=False):
        _find_lacking(found, case, Verdict.UNVERIFIABLE, reason, line, worst)
    for line in named[unverifiable:]:
        if not _came_past(case, line):
            _find_lacking(found, case, Verdict.MISSING, _why_missing(case, surest), line, surest)
        elif case.terms.senders_logged:
            found.excuse(Reason.PAST_PROXIES, 1)
        else:
            _find_lacking(found, case, Verdict.UNVERIFIABLE, Reason.PAST_PROXIES, line, surest)
    unsampled -= unverifiable - (lacking - missing)
    found.add(Verdict.UNSAMPLED, unsampled)
    named_from = firm - missing - unverifiable
    found.unsampled = case.requests.lines[named_from - unsampled : named_from]
    found.largest = largest(case.measured)
    return missing + unverifiable + unsampled


def _came_past(case: _Case, line: Line) -> bool:
    """Rule: what no proxy of the mesh sent, by its lines, was not on the route."""
    return bool(case.terms.tls and line.traits & Trait.PLAIN and not case.roles.clients)


def _find_lacking(
    found: Judgement, case: _Case, verdict: Verdict, reason: Reason, line: Line, group: int
) -> None:
    """Notes one request that lacks a copy, with its evidence."""
    roles = case.roles
    received = [*roles.doubtful, *roles.arrivals.get(group, [])]
    evidence = [*roles.clients, *roles.attempts, *received]
    rest = [other for other in evidence if other is not line][: MAX_EVIDENCE - 1]
    found.find(Finding(verdict, reason, line.start_us, [line, *rest], group))


def _why_missing(case: _Case, group: int) -> Reason:
    """The reason of a missing copy."""
    copies = case.measured[group]
    if copies.owed > case.requests.firm * copies.group.certain:
        return Reason.BROKEN_NESTING
    return Reason.TOO_FEW_COPIES if copies.copies else Reason.NO_COPY


def _judge_arrivals(found: Judgement, case: _Case) -> None:
    """One verdict for every arrival that is no owed copy."""
    others, found.markers = _others(case), markers(case.measured)
    for group, copies in enumerate(case.measured):
        for leak in copies.leaks:
            found.find(leak)
        allowed = (case.requests.firm + others) * len(copies.group.percents)
        for line in copies.copies[allowed:]:
            rest = [other for other in copies.copies if other is not line][: MAX_EVIDENCE - 1]
            _find_surplus(found, case, [line, *rest], group)
        if not case.requests.certain and not others and not copies.copies:
            for line in copies.unmarked:
                reason = Reason.MIRROR_TAKES_LIVE
                found.find(Finding(Verdict.UNVERIFIABLE, reason, line.start_us, [line], group))


def _judge_unknown(found: Judgement, case: _Case) -> None:
    """Rule: what a pod of unknown version received is live traffic or a copy: nothing is proven.

    But for the lines that are told already, as the copies that lack may be among them.
    """
    told = sum(one.reason is Reason.UNKNOWN_VERSION for one in found.findings)
    for line in case.roles.unknown[told:]:
        reason = Reason.UNKNOWN_RECEIVER
        found.find(Finding(Verdict.UNVERIFIABLE, reason, line.start_us, [line]))


def _find_surplus(found: Judgement, case: _Case, lines: list[Line], group: int) -> None:
    """Notes one copy that no request accounts for: the first of the lines."""
    roles = case.roles
    senders = case.terms.senders_logged or bool(roles.clients or roles.leaking)
    if case.requests.certain or _others(case):
        verdict = Verdict.DUPLICATE
        reason = Reason.SURPLUS if senders else Reason.SURPLUS_IN_DOUBT
    elif senders:
        verdict, reason = Verdict.ORPHAN, Reason.NO_REQUEST
    else:
        verdict, reason = Verdict.UNVERIFIABLE, Reason.NO_SENDER_LOG
    found.find(Finding(verdict, reason, lines[0].start_us, lines, group))


def _compare(found: Judgement, case: _Case) -> None:
    """Rule: divergence is told of matched pairs with a response, never of interval pairs."""
    for copies in case.measured:
        primary = Counter(code for code in case.requests.statuses if code)
        mirrored = Counter(line.code for line in copies.copies if line.code)
        pairs = min(primary.total(), mirrored.total())
        same = (primary & mirrored).total()
        found.paired += pairs
        found.status_differs += max(0, pairs - same)
