"""From the rows of one key to the judgements of its episodes. Pure.

The version that judges a chain is the one in force at its first line, so that a chain is judged
once, by one version, also across a change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from verifier.pairing.doubt import doubt_clocks, doubt_holes, doubt_leaks, doubt_route, doubt_sample
from verifier.pairing.episodes import distinct, episodes, first_request_us
from verifier.pairing.judge import judge
from verifier.pairing.lines import Finding, Judgement, Line, Reason, Terms, Verdict
from verifier.places import Shown, may_be_live, route_of
from verifier.policies.model import Policy
from verifier.settle.cast import Cast, Directory
from verifier.settle.chains import Chain, chains
from verifier.settle.presence import Moments, Presence
from verifier.settle.running import doubt_running
from verifier.settle.silence import Silence
from verifier.settle.versions import Era, Version, Versions
from verifier.settle.windows import SECOND_US, Span
from verifier.sides import mirror_groups

_KEPT_LINES: Final = 20


class Judged(NamedTuple):
    """One episode's judgement, and when its first request starts."""

    start_us: int
    judgement: Judgement


class Taken(NamedTuple):
    """The policy whose route a request took, as far as its lines tell.

    `may_be_live` tells that what arrived at a mirror may be live traffic of another route.
    """

    policy: Policy
    certain: bool
    may_be_live: bool


def taken_route(rows: Sequence[Any], era: Era, directory: Directory) -> Taken | None:
    """The route that the request of some rows took; None when no policy concerns them."""
    hosts = {directory.hosts[row.host_id] for row in rows}
    sole = era.routes.sole(hosts.pop())
    if sole is not None and sole.gateways_only:
        sole = None  # who sent it decides
    if sole is not None and all(era.routes.sole(host) == sole for host in hosts):
        return Taken(sole, certain=True, may_be_live=False)
    placed = [place for row in rows if (place := era.places.place(_shown(row, directory)))]
    if not placed:
        return None
    number, certain = route_of((place.policy, place.unknown) for place in placed)
    live = any(
        may_be_live(side, place.others)
        for place in placed
        for side, _, policy in ((place.side, place.mirror, place.policy), *place.others)
        if policy == number
    )
    return Taken(era.policies[number], certain, live)


def _shown(row: Any, directory: Directory) -> Shown:
    to = row.destination_id
    return Shown(
        row.role,
        row.method,
        row.path,
        directory.hosts[row.host_id],
        row.route,
        directory.pods[row.pod_id],
        None if to is None else directory.destinations[to],
    )


class Surroundings(msgspec.Struct, frozen=True):
    """What one version of a policy knows beyond the lines of a key.

    Attributes:
        cast: Who plays which part.
        presence: Who wrote when.
        silence: Asked once something is missing: what is known of the mirrors' logs.
        life: What is known of all logs, but for what the lines around tell.
        complete_us: Up to when event time is complete.
    """

    cast: Cast
    presence: Presence
    silence: Callable[[], Silence]
    life: Silence
    complete_us: int = 1 << 62

    def senders_logged(self, start_us: int) -> bool:
        """Whether the senders' lines of a request that started then, in µs, must be there."""
        return self._logged(self.presence.senders, self.presence.sender_pods, start_us)

    def primary_logged(self, start_us: int) -> bool:
        """Whether the primary's lines of a request that started then must be there."""
        return self._logged(self.presence.primary, self.presence.primary_pods, start_us)

    def primary_logged_throughout(self, span: Span) -> bool | None:
        """`primary_logged` where it is the same for a whole span, else None."""
        found = self.presence.primary.throughout(span)
        doubtful = self.life.is_doubtful(self.presence.primary_pods, span)
        return None if found and doubtful else found

    def _logged(self, moments: Moments, pods: frozenset[int], start_us: int) -> bool:
        return (
            moments.logged(start_us)
            and not self.life.is_passed_over(start_us)
            and not self.life.has_lost(pods, start_us)
            and not any(self.life.is_wild(pod, start_us) for pod in pods)
        )


class KeyJudge:
    """Judges the keys of one policy in a span.

    Args:
        name: The policy's name.
        versions: All versions of all policies.
        directory: The numbers of pods, destinations and hosts.
        around: What each version of the policy knows, by its id.
        span: Only episodes whose first request starts here are judged.
    """

    def __init__(
        self,
        name: str,
        versions: Versions,
        directory: Directory,
        around: Mapping[int, Surroundings],
        span: Span,
    ) -> None:
        self._name: Final = name
        self._versions: Final = versions
        self._directory: Final = directory
        self._around: Final = around
        self._span: Final = span
        self._terms: dict[int, Terms] = {}
        own = [version for version in versions.all if version.id in around]
        self.horizon_us: Final = max((v.policy.rules.horizon_us for v in own), default=0)

    def judge(self, rows: Sequence[Any]) -> Iterator[Judged]:
        """The judgements of a key's episodes in the span, in order of time."""
        for chain in chains(rows, self.horizon_us):
            if chain.meets(self._span):
                yield from self._judge_chain(chain)

    def _judge_chain(self, chain: Chain) -> Iterator[Judged]:
        era = self._versions.era(chain.start_us)
        version = era.versions.get(self._name)
        if version is None:
            return
        route = taken_route(chain.rows, era, self._directory)
        if route is None or route.policy.name != self._name:
            return
        around = self._around[version.id]
        lines = _lines(chain.rows, around.cast)
        if chain.is_endless:
            yield from self._endless(lines)
            return
        for episode in episodes(lines, version.policy.rules.horizon_us):
            start = first_request_us(episode)
            if self._span.start_us <= start < self._span.end_us:
                judgement = judge(episode, self._terms_at(version, around, start))
                if not route.certain:
                    doubt_route(judgement)
                if route.may_be_live:
                    doubt_leaks(judgement)
                doubt_clocks(judgement, around.life.is_wild)
                doubt_running(judgement, around.complete_us, version.policy.rules.grace_us)
                hole = partial(_hole, version, around)
                doubt_holes(judgement, hole)
                doubt_sample(judgement, hole, start)
                put_clocks_back(judgement)
                yield Judged(start, judgement)

    def _terms_at(self, version: Version, around: Surroundings, start_us: int) -> Terms:
        """The terms for an episode whose first request starts at a time."""
        terms = self._terms.get(version.id)
        if terms is None:
            policy = version.policy
            terms = Terms(mirror_groups(policy), policy.rules.horizon_us)
            self._terms[version.id] = terms
        is_known = version.is_stored(start_us)
        return msgspec.structs.replace(
            terms,
            exempt=version.exemption(start_us),
            senders_logged=is_known and around.senders_logged(start_us),
            primary_logged=is_known and around.primary_logged(start_us),
            tls=around.presence.tls,
        )

    def _endless(self, lines: Sequence[Line]) -> Iterator[Judged]:
        """Rule: a key that never rests is ambiguous, each line where it starts.

        Told by the second, so that the numbers do not depend on the window size.
        """
        seconds: dict[int, list[Line]] = {}
        for line in distinct(lines):
            if self._span.start_us <= line.start_us < self._span.end_us:
                seconds.setdefault(line.start_us // SECOND_US, []).append(line)
        for found in seconds.values():
            count = max(Counter(line.side for line in found).values())
            start = found[0].start_us
            judgement = Judgement()
            judgement.find(
                Finding(
                    Verdict.AMBIGUOUS, Reason.TOO_MANY_LINES, start, found[:_KEPT_LINES], 0, count
                )
            )
            yield Judged(start, judgement)


def _hole(version: Version, around: Surroundings, mirror: int, start_us: int) -> Reason | None:
    """Why the line of a copy may lack: it was not stored yet, or the mirror's log has a hole."""
    if not version.is_stored(start_us):
        return Reason.NOT_STORED_YET
    return around.silence().hole(mirror, start_us)


def put_clocks_back(judgement: Judgement) -> None:
    """People see the times that the pods wrote."""
    for finding in judgement.findings:
        finding.start_us += getattr(finding.lines[0].where, "ahead_us", 0)
    # One line may be in several findings.
    lines = {id(line): line for one in judgement.findings for line in one.lines}
    for line in lines.values():
        ahead_us = getattr(line.where, "ahead_us", 0)
        line.start_us += ahead_us
        line.end_us += ahead_us


def _lines(rows: Sequence[Any], cast: Cast) -> list[Line]:
    """Rows as pairing sees them; those that do not concern the policy are left out."""
    found = (line_of(row, cast) for row in rows)
    return [line for line in found if line is not None]


def line_of(row: Any, cast: Cast) -> Line | None:
    """A row of `observation` as pairing sees it; None when it does not concern the policy."""
    part = cast.part(row.role, row.pod_id, row.destination_id)
    if part is None:
        return None
    return Line(
        part[0],
        part[1],
        row.start_us,
        row.end_us,
        row.code,
        row.traits,
        row.attempt,
        cast.pod_of(row.pod_id),
        row.line_id,
        row,
    )
