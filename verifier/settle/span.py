"""Judges all windows of a span for one policy: set-wise where it can, else key by key."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Final

from sqlalchemy import Connection

from verifier.pairing.context import settle_surplus
from verifier.pairing.doubt import REACH_US
from verifier.pairing.lines import Verdict
from verifier.pairing.tally import Tally
from verifier.settle import simple
from verifier.settle.cast import Cast, Directory
from verifier.settle.clocks import Clocks, Lesson, learn, read_clocks
from verifier.settle.evidence import Evidence
from verifier.settle.judging import KeyJudge, Surroundings
from verifier.settle.kinds import kinds_in
from verifier.settle.presence import looked_at, sort
from verifier.settle.rows import keys_in, read_rows
from verifier.settle.silence import Silence
from verifier.settle.simple_keys import Plan, reach_us, read_span
from verifier.settle.unreadable import doubt_unreadable
from verifier.settle.versions import Version, Versions
from verifier.settle.windows import SECOND_US, Span
from verifier.settle.written import written
from verifier.sides import mirror_groups

_ALL: Final = sys.maxsize
_COUNTED: Final = (
    "requests", "control", "control_lost", "paired", "status_differs",
)  # fmt: skip


class Judge:
    """Judges spans inside one transaction.

    Args:
        connection: The settling transaction.
        versions: All policy versions.
        directory: The numbers of pods, destinations and hosts.
        casts: Who plays which part, by version; filled here, and good for ever.
        limit: How many findings of a window are kept.
        set_wise: Whether ordinary keys may be judged in the database; tests say no.
        complete_us: Up to when event time is complete.
    """

    def __init__(
        self,
        connection: Connection,
        versions: Versions,
        directory: Directory,
        casts: dict[int, Cast] | None = None,
        *,
        limit: int,
        set_wise: bool = True,
        complete_us: int = 1 << 62,
    ) -> None:
        self._connection: Final = connection
        self._versions: Final = versions
        self._directory: Final = directory
        self._limit: Final = limit
        self._set_wise: Final = set_wise
        self._casts: Final = {} if casts is None else casts
        self._complete_us: Final = complete_us
        self._evidence: Final = Evidence(connection, directory)
        self._clocks: dict[str, Clocks] = {}

    def settle(self, name: str, span: Span, size_us: int) -> dict[int, Tally]:
        """What is judged of each window, by its start. Windows without any verdict may lack.

        Args:
            name: The policy.
            span: Whole windows.
            size_us: The size of each.
        """
        tallies = self._judge(name, span, size_us)
        if any(tally.surplus for tally in tallies.values()):
            self._settle_surplus(name, span, tallies)
        for version in self._versions.of(name):
            doubt_unreadable(self._connection, self._cast(version), tallies.values(), span.start_us)
        for start, tally in tallies.items():
            self._settle_share(name, Span(start, start + size_us), tally)
            tally.trim()
        return tallies

    def _settle_share(self, name: str, window: Span, tally: Tally) -> None:
        """Rule: copies that lack beyond what a hole explains are missing."""
        version = self._versions.era(window.start_us).versions.get(name)
        if version is not None:
            self._evidence.settle_beyond_share(version, self._cast(version), tally, window)

    def nothing(self) -> Tally:
        """What is judged of a window without lines."""
        return Tally(self._limit)

    def _settle_surplus(self, name: str, span: Span, tallies: Mapping[int, Tally]) -> None:
        """Rule: surplus in doubt. What happened around a copy decides, also beyond the span."""
        reach = REACH_US + SECOND_US
        failures: set[int] = set()
        for beside in (
            Span(span.start_us - reach, span.start_us),
            Span(span.end_us, span.end_us + reach),
        ):
            for tally in self._judge(name, beside, reach).values():
                failures.update(tally.failures)
        for tally in tallies.values():
            failures.update(tally.failures)
        for tally in tallies.values():
            settle_surplus(tally, failures)

    def _judge(self, name: str, span: Span, size_us: int) -> dict[int, Tally]:
        hosts = self.hosts_of(name)
        if not hosts:
            return {}
        own = self._versions.of(name)
        horizon_us = max(version.policy.rules.horizon_us for version in own)
        reach = reach_us(horizon_us)
        seen = list(kinds_in(self._connection, hosts, looked_at(span, reach)))
        if not any(span.start_us < (one.second + 1) * SECOND_US for one in seen):
            return {}
        around = {
            version.id: Surroundings(
                cast,
                sort(seen, cast),
                partial(self._evidence.silence_in, version, cast, span),
                self.silence(version),
                self._complete_us,
            )
            for version in own
            for cast in (self._cast(version),)
        }
        tallies: dict[int, Tally] = {}
        clocks = self.clocks(name)
        plan = self._plan(name, span, size_us, hosts, around)
        if plan is None:
            more_us = clocks.most_us
            around_us = Span(span.start_us - more_us, span.end_us + more_us)
            keys = keys_in(self._connection, hosts, around_us)
        else:
            keys = self._count(plan, tallies, around)
        judge = KeyJudge(name, self._versions, self._directory, around, span)
        for _, rows in read_rows(self._connection, keys, span, horizon_us, clocks):
            for start, judgement in judge.judge(rows):
                window = span.start_us + (start - span.start_us) // size_us * size_us
                tallies.setdefault(window, Tally(self._limit)).add(judgement)
        return tallies

    def _count(
        self, plan: Plan, tallies: dict[int, Tally], around: Mapping[int, Surroundings]
    ) -> list[bytes]:
        """Adds the ordinary keys; returns the others."""
        found = simple.count(self._connection, plan)
        silences = (one.silence() for one in around.values())
        clear = not found.lacking or all(one.is_clear(plan.span) for one in silences)
        # Where a hole may excuse what is missing, each finding has to be looked at.
        simple.count_lacking(found, self._limit if clear else _ALL)
        for start, counts in found.counts.items():
            _add_counts(tallies.setdefault(start, Tally(self._limit)), counts)
        return found.odd

    def hosts_of(self, name: str) -> list[int]:
        """Numbers of the hosts whose requests may take a policy's route, in any version."""
        own = self._versions.of(name)
        return sorted(
            number
            for number, host in self._directory.hosts.items()
            if any(
                version.policy in self._versions.era(version.from_us).routes.candidates(host)
                for version in own
            )
        )

    def _plan(
        self,
        name: str,
        span: Span,
        size_us: int,
        hosts: list[int],
        around: Mapping[int, Surroundings],
    ) -> Plan | None:
        """How to judge set-wise; None where the version, the route or the mirrors forbid it."""
        version = self._only_version(name, span, hosts)
        if version is None or not self._set_wise:
            return None
        known = around[version.id]
        mirrors = mirror_groups(version.policy)
        if not simple.suits(mirrors):
            return None
        sampled = not all(group.certain for group in mirrors)
        if sampled and not known.silence().is_clear(span):
            return None  # where there is a hole, who was not drawn cannot be told
        parts = {kind: known.cast.part(*kind) for kind in known.presence.kinds}
        horizon_us, clocks = version.policy.rules.horizon_us, self.clocks(name)
        return Plan(
            span=span,
            size_us=size_us,
            hosts=hosts,
            parts=parts,
            mirrors=mirrors,
            horizon_us=horizon_us,
            primary_logged=known.primary_logged_throughout(span),
            tls=known.presence.tls,
            clocks=clocks,
            written=written(self._connection, read_span(span, horizon_us, clocks)),
        )

    def _only_version(self, name: str, span: Span, hosts: list[int]) -> Version | None:
        """The version that judges every line around a span, on hosts that are all its own."""
        reach = reach_us(max(v.policy.rules.horizon_us for v in self._versions.of(name)))
        begin, end = span.start_us - reach, span.end_us + reach
        eras = self._versions.eras(begin, end)
        if len(eras) != 1 or name not in eras[0].versions:
            return None
        version = eras[0].versions[name]
        if not version.is_plain_after(begin) or version.policy.gateways_only:
            return None
        names = self._directory.hosts
        sole = all(eras[0].routes.sole(names[number]) == version.policy for number in hosts)
        return version if sole else None

    def clocks(self, name: str) -> Clocks:
        """How far the clocks of a policy's pods are ahead."""
        if name not in self._clocks:
            self._clocks[name] = read_clocks(self._connection, name)
        return self._clocks[name]

    def learn_clocks(self, lesson: Lesson) -> int | None:
        """See `verifier.settle.clocks.learn`."""
        found = None
        for version in self._versions.of(lesson.policy)[-1:]:
            found = learn(self._connection, self._cast(version), lesson)
        if found is not None:
            self._clocks.pop(lesson.policy, None)
        return found

    def _cast(self, version: Version) -> Cast:
        found = self._casts.get(version.id)
        if found is None:
            found = self._casts[version.id] = Cast(version.policy, self._directory)
        return found

    def silence(self, version: Version) -> Silence:
        """What is known of the life of a version's mirrors."""
        return self._evidence.silence(version, self._cast(version))


def _add_counts(tally: Tally, found: simple.Counts) -> None:
    """Adds what was judged set-wise."""
    for verdict in (Verdict.MATCHED, Verdict.MISSING, Verdict.UNSAMPLED, Verdict.EXEMPT):
        if number := getattr(found, verdict.value):
            tally.counts[verdict] = tally.counts.get(verdict, 0) + number
    for marker, number in found.markers.items():
        tally.markers[marker] = tally.markers.get(marker, 0) + number
    tally.requests_high += found.requests
    for name in _COUNTED:
        setattr(tally, name, getattr(tally, name) + getattr(found, name))
