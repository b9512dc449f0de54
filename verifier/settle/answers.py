"""Compares the answers of a sample of requests in the windows that were settled just now.

A sample by key, so that it costs the same however many requests there are; the keys are hashes
with a secret, so that nobody can choose to be in it. A window is looked at once, when it is first
settled: how answers differ is no verdict, and what comes late says nothing else than the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, insert, select

from collector.db.tables import observation
from collector.traits import ORDINARY_MASK, Trait
from verifier.pairing.lines import Side, Verdict
from verifier.settle.cast import Cast, Directory
from verifier.settle.judging import taken_route
from verifier.settle.record import Settled
from verifier.settle.span import Judge
from verifier.settle.versions import Versions
from verifier.settle.windows import Span
from verifier.settle.written import started
from verifier.statistics.compare import Answer, Compared, Pair, bounded
from verifier.statistics.endpoints import endpoint_of
from verifier.tables import endpoint_hour

HOUR_US: Final = 3_600_000_000
KEPT_US: Final = 14 * 24 * HOUR_US
"""How long the hours are kept."""
SAMPLE: Final = 500
"""About so many pairs of neighbouring windows are compared."""

_UNREADABLE: Final = Trait.NO_ID | Trait.AMBIGUOUS | Trait.PARTIAL
_KEY_SPACE: Final = 1 << 32


class Found(NamedTuple):
    """A pair: when its request started, and at which endpoint."""

    start_us: int
    endpoint: str
    pair: Pair


class Answers:
    """Compares answers inside the settling transaction.

    Args:
        connection: That transaction.
        versions: The policies.
        directory: The numbers of pods, destinations and hosts.
        judge: Knows the hosts of a policy.
    """

    def __init__(
        self, connection: Connection, versions: Versions, directory: Directory, judge: Judge
    ) -> None:
        self._connection: Final = connection
        self._versions: Final = versions
        self._directory: Final = directory
        self._judge: Final = judge
        self._casts: Final[dict[int, Cast]] = {}

    def take(self, settled: Iterable[Settled]) -> None:
        """Adds the answers of windows that were settled for the first time to their hours."""
        new: defaultdict[str, list[Settled]] = defaultdict(list)
        for one in settled:
            if one.revision == 1 and one.result.verdicts[Verdict.MATCHED]:
                new[one.policy].append(one)
        for policy, windows in new.items():
            hours: defaultdict[int, dict[str, Compared]] = defaultdict(dict)
            for run in _runs(windows):
                for found in self._pairs(policy, run):
                    hour = hours[found.start_us // HOUR_US * HOUR_US]
                    hour.setdefault(found.endpoint, Compared()).add(found.pair)
            for hour_us, compared in hours.items():
                add_hour(self._connection, policy, hour_us, compared)

    def _pairs(self, policy: str, run: Sequence[Settled]) -> Iterator[Found]:
        """The pairs of neighbouring windows, as far as they are in the sample."""
        span = Span(run[0].window.start_us, run[-1].window.end_us)
        matched = sum(one.result.verdicts[Verdict.MATCHED] for one in run)
        keys: defaultdict[bytes, dict[tuple[int, int], Any]] = defaultdict(dict)
        for row in self._rows(policy, span, SAMPLE / matched):
            keys[row.key][row.pod_id, row.line_id] = row
        for lines in keys.values():
            yield from self._pairs_of(policy, span, list(lines.values()))

    def _rows(self, policy: str, span: Span, share: float) -> Iterator[Any]:
        """The lines around a span of about a share of its requests."""
        horizon_us = max(v.policy.rules.horizon_us for v in self._versions.of(policy))
        c = observation.c
        around = Span(span.start_us - horizon_us, span.end_us + horizon_us)
        query = select(
            c.key, c.pod_id, c.line_id, c.start_us, c.end_us, c.code, c.traits, c.role, c.route,
            c.host_id, c.destination_id, c.method, c.path, c.bytes_sent,
        ).where(
            *started(self._connection, around),
            c.host_id.in_(self._judge.hosts_of(policy)),
        )  # fmt: skip
        if share < 1:
            query = query.where(c.key < int(share * _KEY_SPACE).to_bytes(4, "big"))
        yield from self._connection.execute(query)

    def _pairs_of(self, policy: str, span: Span, rows: list[Any]) -> Iterator[Found]:
        """The pairs of a key that is one request, with one copy at a mirror."""
        start_us = min(row.start_us for row in rows)
        era = self._versions.era(start_us)
        version = era.versions.get(policy)
        taken = taken_route(rows, era, self._directory)
        if version is None or taken is None or taken.policy.name != policy:
            return
        if not taken.certain or taken.may_be_live or not span.start_us <= start_us < span.end_us:
            return
        cast = self._casts.setdefault(version.id, Cast(version.policy, self._directory))
        sides = _sides(cast, rows)
        if sides is None:
            return
        row = sides.get((Side.SERVER_LIVE, 0)) or sides.get((Side.CLIENT_LIVE, 0))
        if row is None:
            return
        served = (Side.SERVER_LIVE, 0) in sides
        pod = self._directory.pods[row.pod_id].pod if served else None
        ours = _answer(row, timed=served)
        for (side, _), copy in sorted(sides.items()):
            if side is Side.SERVER_MIRROR:
                pair = Pair(ours, _answer(copy, timed=True), pod)
                yield Found(start_us, endpoint_of(row.method, row.path), pair)


def _sides(cast: Cast, rows: Iterable[Any]) -> dict[tuple[Side, int], Any] | None:
    """The line of each side; None when there are two of one, or a line that is odd."""
    found: dict[tuple[Side, int], Any] = {}
    for row in rows:
        part = cast.part(row.role, row.pod_id, row.destination_id)
        if part is None:
            continue
        side = part[0]
        copy = side is Side.SERVER_MIRROR
        if row.traits & (_UNREADABLE if copy else ORDINARY_MASK) or not row.code:
            return None
        if side not in (Side.CLIENT_LIVE, Side.SERVER_LIVE, Side.SERVER_MIRROR):
            return None
        place = side, part[1] if copy else 0
        if place in found:
            return None
        found[place] = row
    return found


def _answer(row: Any, *, timed: bool) -> Answer:
    took_ms = (row.end_us - row.start_us) / 1000 if timed else None
    return Answer(row.code, took_ms, row.bytes_sent)


def _runs(windows: Iterable[Settled]) -> Iterator[list[Settled]]:
    """Windows in order, neighbours together."""
    run: list[Settled] = []
    for one in sorted(windows, key=lambda one: one.window.start_us):
        if run and run[-1].window.end_us != one.window.start_us:
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def add_hour(
    connection: Connection, policy: str, hour_us: int, compared: dict[str, Compared]
) -> None:
    """Adds pairs to an hour; a new hour lets the oldest go."""
    c = endpoint_hour.c
    here = c.policy == policy, c.hour_us == hour_us
    rows = connection.execute(select(c.endpoint, c.compared).where(*here))
    before = {row.endpoint: bytes(row.compared) for row in rows}
    if not before:
        old = c.policy == policy, c.hour_us < hour_us - KEPT_US
        connection.execute(delete(endpoint_hour).where(*old))
    total = {name: msgspec.json.decode(said, type=Compared) for name, said in before.items()}
    for name, one in compared.items():
        total.setdefault(name, Compared()).merge(one)
    after = {name: msgspec.json.encode(one) for name, one in bounded(total).items()}
    changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    connection.execute(delete(endpoint_hour).where(*here, c.endpoint.in_(changed)))
    written = [
        {"policy": policy, "hour_us": hour_us, "endpoint": name, "compared": after[name]}
        for name in sorted(changed)
        if name in after
    ]
    connection.execute(insert(endpoint_hour), written)
