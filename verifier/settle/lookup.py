"""`explain` from the database: the lines of one id, judged as settling judges them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, select

from collector.db.kept import hold_lines, lines_kept_from
from collector.keys import same_ids
from verifier.explain import Found, Story, explain, is_sure, show_line
from verifier.pairing.lines import Line, Reason, Side, Terms
from verifier.policies.model import Policy
from verifier.settle.cast import Cast, Directory
from verifier.settle.judging import Surroundings, line_of, taken_route
from verifier.settle.kept import judged_from_us
from verifier.settle.kinds import kinds_in
from verifier.settle.presence import Presence, looked_at, sort
from verifier.settle.report import lines_of
from verifier.settle.simple_keys import reach_us
from verifier.settle.span import Judge
from verifier.settle.versions import Version, VersionStore
from verifier.settle.windows import Span
from verifier.sides import mirror_groups
from verifier.tables import finding
from verifier.times import iso_time

_NO_FINDINGS: Final = 0


class Told(msgspec.Struct, frozen=True):
    """What was found of a request when its window was settled, with the lines of then.

    Times are RFC 3339, UTC; `superseded`: a later revision of the window says something else.
    """

    policy: str
    verdict: str
    reason: str
    window_start: str
    revision: int
    superseded: bool
    method: str
    path: str
    evidence: list[dict[str, Any]]


class Explained(msgspec.Struct, frozen=True):
    """What the database knows of an id.

    Attributes:
        stories: Its episodes.
        findings: What was found when they were settled; outlives the lines.
        lines_kept_from: Lines that start earlier may be dropped; None: none was.
    """

    stories: list[Story]
    findings: list[Told]
    lines_kept_from: str | None


def explain_stored(engine: Engine, request_id: str) -> Explained:
    """The episodes of a request id, each with its verdict by all lines stored until now.

    Args:
        engine: The database.
        request_id: As any proxy logged it; the trace reason inside does not matter.
    """
    return explain_all_stored(engine, [request_id])[0]


def explain_all_stored(engine: Engine, request_ids: Sequence[str]) -> list[Explained]:
    """As `explain_stored`, of each id of a list; policies and pods are read once."""
    with engine.connect() as connection:
        hold_lines(connection)
        return [found for _, found in explain_each(connection, request_ids)]


def explain_in(connection: Connection, request_id: str) -> Explained:
    """As `explain_stored`, in a transaction that holds the lines, see `hold_lines`."""
    return next(explain_each(connection, [request_id]))[1]


def explain_each(
    connection: Connection, request_ids: Sequence[str]
) -> Iterator[tuple[str, Explained]]:
    """Each id with what is known of it, as `explain_in`."""
    kept_us = lines_kept_from(connection)
    kept_from = None if kept_us is None else iso_time(kept_us)
    lookup = _Lookup(connection)
    for one in request_ids:
        stories = lookup.explain(lines_of(connection, one))
        yield one, Explained(stories, _findings(connection, one), kept_from)


def _findings(connection: Connection, request_id: str) -> list[Told]:
    """The findings of an id, in the order in which they were written."""
    query = select(finding).where(finding.c.request_id.in_(same_ids(request_id)))
    return [
        Told(
            row.policy,
            row.verdict,
            row.reason,
            iso_time(row.window_start_us),
            row.revision,
            row.superseded_us is not None,
            row.method,
            row.path,
            json.loads(row.evidence),
        )
        for row in connection.execute(query.order_by(finding.c.id))
    ]


class _Lookup:
    """What is asked of the database around the lines of one id."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Final = connection
        self._versions: Final = VersionStore().read(connection)
        self._directory: Final = Directory()
        self._judge: Final = Judge(connection, self._versions, self._directory, limit=_NO_FINDINGS)
        self._casts: dict[int, Cast] = {}
        self._all_read = False

    def explain(self, rows: Sequence[Any]) -> list[Story]:
        """The stories of rows of one id."""
        keys: dict[bytes, list[Any]] = defaultdict(list)
        # Their own pods are enough, as long as nothing rests on who else logs what.
        self._directory.refresh(self._connection, {row.pod_id for row in rows})
        for row in rows:
            keys[row.key].append(row)
        found = [line for group in keys.values() for line in self._found(group)]
        if any(one.line.side == Side.SERVER_UNKNOWN for one in found):
            # Another line of the pod may tell its labels.
            self._read_all()
            self._casts.clear()
            found = [line for group in keys.values() for line in self._found(group)]
        return explain(found, self._terms, self._hole, self._is_whole)

    def _is_whole(self, policy: Policy, start_us: int) -> bool:
        return start_us >= judged_from_us(self._connection, policy.rules.horizon_us)

    def _found(self, rows: Sequence[Any]) -> list[Found]:
        """The rows of one key that concern a policy."""
        era = self._versions.era(rows[0].start_us)
        route = taken_route(rows, era, self._directory)
        if route is None:
            return []
        version = era.versions[route.policy.name]
        cast = self._casts.setdefault(version.id, Cast(version.policy, self._directory))
        found = []
        for row in rows:
            line = line_of(row, cast)
            if line is None:
                continue
            ahead_us = self._judge.clocks(version.policy.name).ahead_us(row.pod_id, row.start_us)
            place = f"{row.topic}/{row.partition}@{row.record_offset}"
            shown = show_line(line, row.pod, row, place)
            line.start_us -= ahead_us
            line.end_us -= ahead_us
            found.append(
                Found(
                    row.key, version.policy, line, row.method, row.path, shown,
                    unknown=not route.certain,
                )
            )  # fmt: skip
        return found

    def _current(self, policy: Policy, time_us: int) -> Version:
        return self._versions.era(time_us).versions[policy.name]

    def _terms(self, policy: Policy, start_us: int, episode: list[Line]) -> Terms:
        """The terms for an episode whose first request starts then."""
        version = self._current(policy, start_us)
        exempt = version.exemption(start_us)
        plain = Terms(mirror_groups(policy), policy.rules.horizon_us, exempt=exempt)
        if is_sure(episode, plain):
            return plain  # all lines around it would be read for nothing
        self._read_all()
        presence, life = self._presence(policy, start_us), self._judge.silence(version)
        around = Surroundings(Cast(policy, self._directory), presence, lambda: life, life)
        is_known = version.is_stored(start_us)
        return msgspec.structs.replace(
            plain,
            senders_logged=is_known and around.senders_logged(start_us),
            primary_logged=is_known and around.primary_logged(start_us),
            tls=presence.tls,
        )

    def _presence(self, policy: Policy, start_us: int) -> Presence:
        span = Span(start_us, start_us + 1)
        hosts = self._judge.hosts_of(policy.name)
        reach = reach_us(policy.rules.horizon_us)
        seen = kinds_in(self._connection, hosts, looked_at(span, reach))
        return sort(seen, Cast(policy, self._directory))

    def _hole(self, policy: Policy, mirror: int, start_us: int) -> Reason | None:
        version = self._current(policy, start_us)
        if not version.is_stored(start_us):
            return Reason.NOT_STORED_YET
        self._read_all()
        return self._judge.silence(version).hole(mirror, start_us)

    def _read_all(self) -> None:
        """Learns of all pods: who else logs what matters, and most ids can do without."""
        if not self._all_read:
            self._directory.refresh(self._connection)
            self._all_read = True
