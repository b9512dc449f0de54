"""Judges all windows of a span for one policy: set-wise where it can, else key by key."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from collector.db.quarantine import passed_over
from collector.db.tables import node_life, position
from collector.records import Identity
from collector.sources.file import pod_of_file
from collector.sources.protocol import Partition
from verifier.pairing.context import settle_surplus
from verifier.pairing.doubt import REACH_US
from verifier.pairing.lines import Verdict
from verifier.pairing.tally import Tally
from verifier.settle import simple
from verifier.settle.cast import Cast, Directory
from verifier.settle.filtered import find_filtered
from verifier.settle.judging import KeyJudge, Surroundings
from verifier.settle.presence import look, sort
from verifier.settle.report import partition_states
from verifier.settle.rows import keys_in, read_rows
from verifier.settle.silence import Silence
from verifier.settle.simple_keys import Plan, reach_us
from verifier.settle.unreadable import doubt_unreadable
from verifier.settle.versions import Version, Versions
from verifier.settle.windows import SECOND_US, Span
from verifier.sides import mirror_groups
from verifier.tables import pod_hour

_ALL: Final = sys.maxsize
_FOR_EVER: Final = 1 << 62
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
    ) -> None:
        self._connection: Final = connection
        self._versions: Final = versions
        self._directory: Final = directory
        self._limit: Final = limit
        self._set_wise: Final = set_wise
        self._casts: Final = {} if casts is None else casts
        self._silences: dict[int, Silence] = {}
        self._filtered: dict[tuple[int, Span], Silence] = {}
        self._gaps: Sequence[tuple[int, int]] = ()
        self._evidence: tuple[dict[int, list[int]], dict[tuple[str, str], int]] | None = None

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
        for tally in tallies.values():
            tally.trim()
        return tallies

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
        seen = look(self._connection, hosts, span, reach)
        if not any(span.start_us <= second * SECOND_US + SECOND_US - 1 for second, _ in seen):
            return {}
        around = {
            version.id: Surroundings(
                cast,
                sort(seen, cast),
                partial(self._silence_in, version, span),
                partial(self._is_passed_over, version),
            )
            for version in own
            for cast in (self._cast(version),)
        }
        tallies: dict[int, Tally] = {}
        plan = self._plan(name, span, size_us, hosts, around)
        if plan is None:
            keys = keys_in(self._connection, hosts, span)
        else:
            keys = self._count(plan, tallies, around)
        judge = KeyJudge(name, self._versions, self._directory, around, span)
        for _, rows in read_rows(self._connection, keys, span, horizon_us):
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
        return Plan(
            span=span,
            size_us=size_us,
            hosts=hosts,
            parts=parts,
            mirrors=mirrors,
            horizon_us=version.policy.rules.horizon_us,
            primary_logged=known.presence.primary.throughout(span),
            tls=known.presence.tls,
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

    def _cast(self, version: Version) -> Cast:
        found = self._casts.get(version.id)
        if found is None:
            found = self._casts[version.id] = Cast(version.policy, self._directory)
        return found

    def silence(self, version: Version) -> Silence:
        """What is known of the life of a version's mirrors."""
        if version.id in self._silences:
            return self._silences[version.id]
        if self._evidence is None:
            self._evidence = _hours(self._connection), _life(self._connection)
            self._gaps = passed_over(self._connection)
        hours, life = self._evidence
        cast = self._cast(version)
        self._silences[version.id] = Silence(
            tuple(tuple(pod for pod in pods if pod in hours) for pods in cast.mirror_pods()),
            self._directory.pods,
            hours,
            life,
            version.policy.rules.horizon_us,
            frozenset(
                mirror
                for pod in self._filed_pods()
                if (mirror := cast.mirror_of(Identity(pod=pod))) is not None
            ),
            gaps=self._gaps,
        )
        return self._silences[version.id]

    def _is_passed_over(self, version: Version, start_us: int) -> bool:
        return self.silence(version).is_passed_over(start_us)

    def _silence_in(self, version: Version, span: Span) -> Silence:
        """As `silence`, and what the logs around a span show besides."""
        asked = version.id, span
        if asked not in self._filtered:
            found = self.silence(version)
            kinds = find_filtered(self._connection, self._cast(version), found.mirrors, span)
            self._filtered[asked] = msgspec.structs.replace(found, errors_only=kinds)
        return self._filtered[asked]

    def _filed_pods(self) -> set[str]:
        """The pods whose logs were given as files, by the files' names."""
        query = select(position.c.topic).where(position.c.topic.startswith("file:"))
        topics = self._connection.scalars(query)
        return {pod for topic in topics if (pod := pod_of_file(Partition(topic, 0)))}


def _hours(connection: Connection) -> dict[int, list[int]]:
    """The hours in which each pod logged, in order."""
    found: dict[int, list[int]] = {}
    for row in connection.execute(select(pod_hour).order_by(pod_hour.c.hour_us)):
        found.setdefault(row.pod_id, []).append(row.hour_us)
    return found


def _life(connection: Connection) -> dict[tuple[str, str], int]:
    """Until when the log path of each (cluster, node) is known to be alive.

    For ever, once all that is read are files that were read to their end: naming a file says that
    it is complete, as for `check`.
    """
    states = partition_states(connection)
    complete = bool(states) and all(state.finished for state in states)
    rows = connection.execute(select(node_life))
    return {(row.cluster, row.node): _FOR_EVER if complete else row.seen_us for row in rows}


def _add_counts(tally: Tally, found: simple.Counts) -> None:
    """Adds what was judged set-wise."""
    for verdict in (Verdict.MATCHED, Verdict.MISSING, Verdict.UNSAMPLED, Verdict.EXEMPT):
        if number := getattr(found, verdict.value):
            tally.counts[verdict] = tally.counts.get(verdict, 0) + number
    for marker, number in found.markers().items():
        tally.markers[marker] = tally.markers.get(marker, 0) + number
    tally.requests_high += found.requests
    for name in _COUNTED:
        setattr(tally, name, getattr(tally, name) + getattr(found, name))
