"""Reads what an incident's cause is looked for in: its latest findings, and what else there was.

Only when something is told, and bounded: a few hundred findings, a few thousand lines.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from collector.db.tables import host, observation, pod
from collector.records import Identity, Role
from verifier.incidents.causes import Fact, Scene
from verifier.incidents.copied import copied_by_sender
from verifier.incidents.drift import Open
from verifier.incidents.event import Example, Kind
from verifier.incidents.samples import SILENT, UNDECLARED, UNKNOWN
from verifier.incidents.windows import reason_of
from verifier.policies.model import Policy
from verifier.policies.resolve import PodVersions
from verifier.settle.versions import Version
from verifier.settle.windows import Span
from verifier.tables import finding

MAX_FINDINGS: Final = 500
MAX_LINES: Final = 4_000
"""Of each of three stretches: other requests, the mirror before, the mirror now."""
EXAMPLES: Final = 3
_LATEST_US: Final = 600_000_000
"""Findings of the last ten minutes of an incident tell its cause."""
_LONGEST_US: Final = 60_000_000
_SHORTEST_US: Final = 1_000_000
_LINES_A_REQUEST: Final = 3
_VERDICTS: Final = {
    Kind.MISSING: ("missing",),
    Kind.LEAK: ("leak",),
    Kind.MIRROR_SILENT: ("unverifiable",),
    Kind.EVIDENCE_HOLE: ("unverifiable", "ambiguous"),
    Kind.DUPLICATES: ("duplicate",),
    Kind.ORPHANS: ("orphan",),
    Kind.UNDECLARED: ("unverifiable",),
    Kind.UNKNOWN_VERSION: ("unverifiable",),
}
_OF_ARRIVALS: Final = frozenset((Kind.LEAK, Kind.DUPLICATES, Kind.ORPHANS))
_OWN_KINDS: Final = {
    Kind.MIRROR_SILENT: SILENT,
    Kind.UNDECLARED: UNDECLARED,
    Kind.UNKNOWN_VERSION: UNKNOWN,
}
_STRANGERS: Final = frozenset(("server_unknown", "server_other"))
_PARTS: Final = {"client_live": "sender", "client_mirror": "sender", "server_live": "primary",
                 "server_mirror": "mirror"}  # fmt: skip


class Told(msgspec.Struct, frozen=True):
    """The scene of an incident, and examples to show."""

    scene: Scene = Scene()
    examples: tuple[Example, ...] = ()


def read_scene(
    connection: Connection, kind: Kind, version: Version, known: Open, horizon_us: int
) -> Told:
    """The scene of an incident of a policy.

    Args:
        connection: The settling transaction.
        kind: Its kind.
        version: The policy version in force.
        known: The incident.
        horizon_us: Up to when windows are settled: what is looked at ends there.
    """
    if kind is Kind.PERCENTAGE:
        return Told(_of_senders(connection, version, known))
    if kind not in _VERDICTS:
        return Told(Scene(first_us=known.first_us, **_change(version)))
    rows = _findings(connection, kind, version.policy.name, known)
    span_us = _span_us(known)
    around_us = rows[0].start_us if rows else known.last_us
    lines = _Lines(connection, version.policy)
    others = lines.read(around_us - span_us, around_us + span_us)
    scene = Scene(
        found=[_fact(row) for row in rows],
        others=lines.facts(others),
        before=_before(lines, kind, known.first_us, span_us),
        since=lines.mirror_pods(lines.read(horizon_us - span_us, horizon_us)),
        first_us=known.first_us,
        unknown=_strangers(kind, rows),
        **_change(version),
    )
    return Told(scene, tuple(_example(row) for row in rows[:EXAMPLES]))


def _of_senders(connection: Connection, version: Version, known: Open) -> Scene:
    """Of a wrong percentage no finding tells: each request may or may not be copied."""
    policy = version.policy
    span = Span(known.last_us - _span_us(known), known.last_us)
    return Scene(
        senders=copied_by_sender(connection, policy, span),
        declared=max((mirror.percent for mirror in policy.mirrors), default=0.0),
        first_us=known.first_us,
        **_change(version),
    )


def _before(lines: _Lines, kind: Kind, first_us: int, span_us: int) -> dict[str, int]:
    """The mirror's pods before it began; those that are gone explain nothing that arrives."""
    if kind in _OF_ARRIVALS:
        return {}
    return lines.mirror_pods(lines.read(first_us - span_us, first_us))


def _change(version: Version) -> dict[str, Any]:
    return {"changed_us": version.valid_from_us, "version": version.id}


def _span_us(known: Open) -> int:
    """A stretch with about as many lines as are read, from the incident's own traffic."""
    lasted_us = max(1, known.last_us - known.first_us)
    wanted_us = lasted_us * MAX_LINES // (_LINES_A_REQUEST * max(1, known.total))
    return max(_SHORTEST_US, min(_LONGEST_US, wanted_us))


def _findings(connection: Connection, kind: Kind, policy: str, known: Open) -> Sequence[Any]:
    """Its latest findings, the newest first."""
    c = finding.c
    rows = connection.execute(
        select(finding)
        .where(
            c.policy == policy,
            c.window_start_us >= max(known.first_us, known.last_us - _LATEST_US),
            c.window_start_us < known.last_us,
            c.superseded_us.is_(None),
            c.verdict.in_(_VERDICTS[kind]),
        )
        .order_by(c.window_start_us.desc(), c.id)
        .limit(MAX_FINDINGS)
    )
    return [row for row in rows if _is_of(kind, row)]


def _is_of(kind: Kind, row: Any) -> bool:
    reason = reason_of(row.reason, row.mirror)
    if kind in _OWN_KINDS:
        return reason in _OWN_KINDS[kind]
    return kind is not Kind.EVIDENCE_HOLE or reason not in SILENT | UNDECLARED | UNKNOWN


def _strangers(kind: Kind, rows: Sequence[Any]) -> list[str]:
    """The pods whose version is unknown, those with most findings first."""
    if kind is not Kind.UNKNOWN_VERSION:
        return []
    lines = [line for row in rows for line in json.loads(row.evidence)]
    found = Counter(line["pod"] for line in lines if line["side"] in _STRANGERS)
    return [pod for pod, _ in sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))]


def _fact(row: Any) -> Fact:
    """Who took part, of a finding's lines."""
    parts: dict[str, str] = {}
    size: int | None = None
    for line in json.loads(row.evidence):
        part = _PARTS.get(line["side"])
        if part is not None:
            parts.setdefault(part, line["pod"])
        size = line.get("bytes_received", size)
    return Fact(path=_bare(row.path), method=row.method, size_bytes=size, **parts)


def _example(row: Any) -> Example:
    return Example(
        request_id=row.request_id,
        method=row.method,
        path=row.path,
        started_us=row.start_us,
        verdict=row.verdict,
        reason=row.reason,
    )


def _bare(path: str) -> str:
    return path.partition("?")[0]


class _Lines:
    """Lines about a policy's hosts, and whose they are."""

    def __init__(self, connection: Connection, policy: Policy) -> None:
        self._connection = connection
        self._versions = PodVersions((policy,))
        self._mirrors = {one.destination for one in policy.mirrors}
        self._pods: dict[int, Identity] = {}
        query = select(host.c.id).where(host.c.name.in_(policy.hosts))
        self._hosts = list(connection.scalars(query))

    def read(self, from_us: int, to_us: int) -> Sequence[Any]:
        """Some lines that start in a span."""
        c = observation.c
        rows = self._connection.execute(
            select(c.pod_id, c.role, c.path, c.method, c.bytes_received)
            .where(c.start_us >= from_us, c.start_us < to_us, c.host_id.in_(self._hosts))
            .limit(MAX_LINES)
        ).all()
        self._learn({row.pod_id for row in rows})
        return rows

    def _learn(self, numbers: Iterable[int]) -> None:
        unknown = sorted(set(numbers) - self._pods.keys())
        for row in self._connection.execute(select(pod).where(pod.c.id.in_(unknown))):
            labels = tuple(sorted(json.loads(row.labels).items()))
            self._pods[row.id] = Identity(
                row.pod, row.namespace, row.cluster, row.node, row.container, labels
            )

    def _is_mirror(self, row: Any) -> bool:
        return (
            row.role == Role.SERVER
            and self._versions.destination(self._pods[row.pod_id]) in self._mirrors
        )

    def mirror_pods(self, rows: Sequence[Any]) -> dict[str, int]:
        """How many lines each pod of the mirror has among them."""
        return dict(Counter(self._pods[row.pod_id].pod for row in rows if self._is_mirror(row)))

    def facts(self, rows: Sequence[Any]) -> list[Fact]:
        """One fact for each line: who wrote it, and what it says of its request."""
        found = []
        for row in rows:
            name = self._pods[row.pod_id].pod
            part = "mirror" if self._is_mirror(row) else "primary"
            if row.role == Role.CLIENT:
                part = "sender"
            found.append(
                Fact(
                    path=_bare(row.path),
                    method=row.method,
                    size_bytes=row.bytes_received,
                    **{part: name},
                )
            )
        return found
