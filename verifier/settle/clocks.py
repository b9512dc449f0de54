"""How far pods' clocks are ahead, learned as windows are settled, and remembered.

Learned once for each stretch of time, before it is judged for the first time, and never again for
a stretch that is settled anew: what is said of a window depends on its lines and on what is
stored here, and not on when it is said.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, insert, select

from collector.db.tables import observation
from collector.reader import MAX_SKEW_US
from verifier.pairing.clocks import MIN_PAIRS, MIN_US, ROLES, Gaps, Told
from verifier.pairing.lines import Side
from verifier.settle.cast import Cast
from verifier.settle.windows import Span
from verifier.settle.written import started
from verifier.tables import pod_clock

_NEAR_US: Final = 5_000_000
"""Most clocks are less wrong; where pods seem to take no part, it is looked further off."""
_EVERY_US: Final = 60_000_000
_FAR_EVERY_US: Final = 600_000_000
_BACK_US: Final = 600_000_000
"""A clock that is found to be wrong was so before, where nothing tells otherwise."""
_ENOUGH: Final = 2_000
_MOST: Final = 20_000
_SHARES: Final = (b"\x01", b"\x10", None)
"""Keys below these are looked at: few of many, all of few."""
_KEPT: Final = 10_000
"""Changes that are remembered of a policy."""

Changes = Mapping[int, Sequence[tuple[int, int]]]
"""By pod, from when (µs) its clock is how far ahead (µs), in order of time."""


class Clocks:
    """How far the clocks of a policy's pods are ahead.

    Args:
        changes: What was learned.
    """

    def __init__(self, changes: Changes) -> None:
        self.changes: Final = changes
        self.most_us: Final = max(
            (abs(ahead) for some in changes.values() for _, ahead in some), default=0
        )

    def ahead_us(self, pod: int, time_us: int) -> int:
        """How far a pod's clock is ahead when it shows a time; 0: near most others'."""
        some = self.changes.get(pod)
        if not some:
            return 0
        place = bisect_right(some, (time_us, MAX_SKEW_US)) - 1
        return 0 if place < 0 else some[place][1]

    def set(self, row: Any) -> Any:
        """A row with the times that it would have by most others' clocks."""
        ahead = self.ahead_us(row.pod_id, row.start_us) if self.changes else 0
        return SetRow(row, ahead) if ahead else row


class SetRow:
    """A row of `observation` whose pod's clock is wrong, with times that are right.

    Args:
        row: As it was written.
        ahead_us: How far the pod's clock is ahead.
    """

    __slots__ = ("ahead_us", "end_us", "row", "start_us")

    def __init__(self, row: Any, ahead_us: int) -> None:
        self.row: Final = row
        self.ahead_us: Final = ahead_us
        self.start_us: Final[int] = row.start_us - ahead_us
        self.end_us: Final[int] = row.end_us - ahead_us

    def __getattr__(self, name: str) -> Any:
        """All other columns, as they were written."""
        return getattr(self.row, name)


RIGHT: Final = Clocks({})
"""All clocks are right."""


def read_clocks(connection: Connection, policy: str) -> Clocks:
    """What is remembered of a policy's pods."""
    changes: dict[int, list[tuple[int, int]]] = {}
    c = pod_clock.c
    query = select(c.pod_id, c.from_us, c.ahead_us).where(c.policy == policy).order_by(c.from_us)
    for row in connection.execute(query):
        changes.setdefault(row.pod_id, []).append((row.from_us, row.ahead_us))
    return Clocks(changes)


class Lesson(msgspec.Struct, frozen=True):
    """Where to learn.

    Attributes:
        policy: Whose pods.
        hosts: Numbers of its hosts.
        span: What is judged next, for the first time.
        now_us: The database's clock.
        is_first: Whether nothing was ever settled of the policy.
    """

    policy: str
    hosts: Collection[int]
    span: Span
    now_us: int
    is_first: bool


def learn(connection: Connection, cast: Cast, lesson: Lesson) -> int | None:
    """Learns the clocks of a policy's pods from a stretch, where it is time to.

    Returns:
        From when on lines are seen in another light, µs; None: nothing new.
    """
    if not (lesson.is_first or _holds_multiple(lesson.span, _EVERY_US)):
        return None
    known = read_clocks(connection, lesson.policy)
    gaps, lines = _compare(connection, cast, lesson, _NEAR_US + known.most_us)
    lonely = any(count >= 2 * MIN_PAIRS > gaps.pairs().get(pod, 0) for pod, count in lines.items())
    if lonely and (lesson.is_first or _holds_multiple(lesson.span, _FAR_EVERY_US)):
        gaps, lines = _compare(connection, cast, lesson, MAX_SKEW_US)
    found = _changed(known, gaps, lesson.span.start_us)
    if not found:
        return None
    back = Span(lesson.span.start_us - _BACK_US, lesson.span.start_us)
    before = _compare(connection, cast, _at(lesson, back), MAX_SKEW_US)[0].ahead()
    pairs, since_us = gaps.pairs(), lesson.span.start_us
    rows = []
    for pod, ahead in found.items():
        was_known = pod in before and abs(before[pod] - ahead) >= MIN_US
        from_us = lesson.span.start_us if was_known or known.changes.get(pod) else back.start_us
        since_us = min(since_us, from_us)
        rows.append(
            {
                "policy": lesson.policy,
                "pod_id": pod,
                "from_us": from_us,
                "ahead_us": ahead,
                "pairs": pairs[pod],
                "learned_us": lesson.now_us,
            }
        )
    connection.execute(insert(pod_clock), rows)
    _forget(connection, lesson.policy)
    return since_us


def _at(lesson: Lesson, span: Span) -> Lesson:
    return msgspec.structs.replace(lesson, span=span)


def _holds_multiple(span: Span, size_us: int) -> bool:
    """Whether a stretch holds the begin of a minute, or of whatever lasts so long."""
    return (span.end_us - 1) // size_us * size_us >= span.start_us


def _changed(known: Clocks, gaps: Gaps, time_us: int) -> dict[int, int]:
    """The pods whose clocks are not as they were known to be."""
    found = {}
    for pod, ahead in gaps.ahead().items():
        rounded = ahead if MIN_US <= abs(ahead) <= MAX_SKEW_US else 0
        if abs(rounded - known.ahead_us(pod, time_us + known.most_us)) >= MIN_US:
            found[pod] = rounded
    return found


def _compare(
    connection: Connection, cast: Cast, lesson: Lesson, reach_us: int
) -> tuple[Gaps, dict[int, int]]:
    """What requests around a stretch show, and how many lines of each pod were looked at."""
    span = Span(lesson.span.start_us - reach_us, lesson.span.end_us + reach_us)
    keys: dict[bytes, dict[tuple[int, int], tuple[Side, Told]]] = {}
    lines: dict[int, int] = {}
    for row in _sample(connection, lesson.hosts, span):
        part = cast.part(row.role, row.pod_id, row.destination_id)
        if part is None or part[0] not in ROLES:
            continue
        told = Told(row.pod_id, row.start_us, row.end_us, part[0] is Side.CLIENT_LIVE)
        keys.setdefault(row.key, {})[row.pod_id, row.line_id] = (part[0], told)
        lines[row.pod_id] = lines.get(row.pod_id, 0) + 1
    gaps = Gaps()
    for found in keys.values():
        sides = [side for side, _ in found.values()]
        gaps.add([told for side, told in found.values() if sides.count(side) == 1])
    return gaps, lines


def _sample(connection: Connection, hosts: Collection[int], span: Span) -> Sequence[Any]:
    """Some of the lines that start in a span: all lines of some keys, which are hashes."""
    c = observation.c
    columns = (c.key, c.pod_id, c.line_id, c.role, c.destination_id, c.start_us, c.end_us)
    where = [*started(connection, span), c.host_id.in_(hosts)]
    rows: Sequence[Any] = ()
    for below in _SHARES:
        query = select(*columns).where(*where).limit(_MOST)
        rows = connection.execute(query if below is None else query.where(c.key < below)).all()
        if len(rows) >= _ENOUGH:
            break
    return rows


def _forget(connection: Connection, policy: str) -> None:
    """Forgets the oldest of too many changes."""
    c = pod_clock.c
    newest = select(c.from_us).where(c.policy == policy).order_by(c.from_us.desc())
    oldest = connection.scalar(newest.offset(_KEPT).limit(1))
    if oldest is not None:
        connection.execute(delete(pod_clock).where(c.policy == policy, c.from_us <= oldest))
