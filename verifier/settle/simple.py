"""Ordinary keys, judged set-wise in the database: they never leave it.

A key is ordinary when its lines around a span are one request (a sender's line, a primary's line,
or both) and at most one arrival at each mirror, all within one horizon of each other, and when
nothing outside what was read can belong to them. What is counted here is word for word what
`verifier.pairing.judge` says of such lines; a differential test holds both together. All other
keys are handed to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Connection, Subquery, and_, case, func, literal, or_, select

from verifier.pairing.lines import Marker, MirrorGroup
from verifier.settle.facts import Fact, reference_of, unpack
from verifier.settle.shapes import MOST_MIRRORS, Shape, shapes
from verifier.settle.simple_keys import ODD, Plan, by_key, is_ordinary, packed_facts
from verifier.tables import LONG_US

_SIMPLE, _LACKING, _ODD = 1, 2, 3
_SHAPES: Final = ODD
"""Shapes of ordinary keys are below; a code is the number of a window times this, and a shape."""
_KEPT: Final = 4
"""Columns of the statement before the packed facts."""


class Counts(msgspec.Struct):
    """What the ordinary keys of one window amount to."""

    requests: int = 0
    matched: int = 0
    missing: int = 0
    unsampled: int = 0
    exempt: int = 0
    control: int = 0
    control_lost: int = 0
    paired: int = 0
    status_differs: int = 0
    markers: dict[Marker, int] = {}

    def add(self, plan: Plan, shape: Shape, number: int, told: Sequence[Fact]) -> None:
        """Adds ordinary requests that have the copies that they owe; their facts by side."""
        (client, primary), copies = told[:2], told[2:]
        reference = reference_of((client, primary))
        code = client.code if shape.client else primary.code
        for copy, is_there in zip(copies, shape.mirrors, strict=True):
            if not is_there:
                continue
            marker = copy.marker(reference)
            self.markers[marker] = self.markers.get(marker, 0) + number
            if copy.code and code:
                self.paired += number
                self.status_differs += number * (copy.code != code)
        self.requests += number
        if not plan.mirrors:
            self.exempt += number
        elif any(shape.mirrors):
            self.matched += number
        else:
            self.unsampled += number


class Lacking(NamedTuple):
    """A key that is one request without its copy; `sent_us` is the start of its line."""

    sent_us: int
    key: bytes
    control: int
    control_lost: int


class Found(msgspec.Struct):
    """What the database says of the keys of a span.

    Attributes:
        counts: What the ordinary keys amount to, by window start.
        lacking: The requests that lack their copy, by window start.
        odd: All other keys with a line in the span.
    """

    counts: dict[int, Counts] = {}
    lacking: dict[int, list[Lacking]] = {}
    odd: list[bytes] = []


def suits(mirrors: Sequence[MirrorGroup]) -> bool:
    """Whether the set-wise form covers a policy with these mirrors."""
    few = len(mirrors) <= MOST_MIRRORS
    return few and all(len(group.percents) == 1 and not group.live for group in mirrors)


def count(connection: Connection, plan: Plan) -> Found:
    """Judges the ordinary keys of a span."""
    found = Found()
    known = _simple(plan) | _lacking(plan)
    asked, sides = plan.primary_logged is not False, 2 + len(plan.mirrors)
    for row in connection.execute(_statement(plan)):
        if row.code is None:
            found.odd.append(row.key)
            continue
        place, shape = row.code // _SHAPES, known[row.code % _SHAPES]
        start = plan.span.start_us + place * plan.size_us
        control = int(shape.client and asked)
        control_lost = int(control and not shape.primary)
        if row.key is not None:
            lacking = found.lacking.setdefault(start, [])
            lacking.append(Lacking(row.sent_us, row.key, control, control_lost))
            continue
        counts = found.counts.setdefault(start, Counts())
        counts.add(plan, shape, row.requests, unpack(row[_KEPT:], sides))
        counts.control += control * row.requests
        counts.control_lost += control_lost * row.requests
    return found


def _simple(plan: Plan) -> dict[int, Shape]:
    return shapes(plan.mirrors, plan.primary_logged, lacking=False)


def _lacking(plan: Plan) -> dict[int, Shape]:
    return shapes(plan.mirrors, plan.primary_logged, lacking=True)


def count_lacking(found: Found, limit: int) -> None:
    """Counts the requests that lack their copy, but for those whose findings are kept.

    These come first in time; all that start as early as the last of them are judged, too, as
    more than their start decides among them.

    Args:
        found: Gets the counts; the others become odd keys.
        limit: How many findings of a window are kept.
    """
    for start, lacking in found.lacking.items():
        counts = found.counts.setdefault(start, Counts())
        last_us = sorted(one.sent_us for one in lacking)[: limit + 1][-1]
        for one in lacking:
            if one.sent_us <= last_us:
                found.odd.append(one.key)
                continue
            counts.requests += 1
            counts.missing += 1
            counts.control += one.control
            counts.control_lost += one.control_lost
    found.lacking = {}


def _statement(plan: Plan) -> Any:
    """Ordinary keys counted by code and facts; lacking and odd ones one by one."""
    keys = _told(plan).c
    code, key, sent_us, *packed = keys
    return select(
        code, key, func.max(sent_us).label("sent_us"), func.count().label("requests"), *packed
    ).group_by(code, *packed, key)


def _told(plan: Plan) -> Subquery:
    """One row for each key that the span concerns; what must not be told apart is null."""
    keys: Any = by_key(plan).c
    span = plan.span
    simple = keys.shape.in_(sorted(_simple(plan)))
    # The copy of a long request may still be running.
    is_short = keys.end_us - keys.min_us <= LONG_US
    lacking = and_(keys.shape.in_(sorted(_lacking(plan))), is_short)
    kind = case(
        (~is_ordinary(plan, keys), _ODD), (simple, _SIMPLE), (lacking, _LACKING), else_=_ODD
    ).label("kind")
    # The line that the finding would name, and the first one.
    sent_us = func.coalesce(keys.client_start, keys.primary_start)
    earlier = keys.primary_start < keys.client_start
    first_us = case((earlier, keys.primary_start), else_=sent_us).label("first_us")
    number = (first_us - span.start_us) // plan.size_us
    code = number * literal(_SHAPES, BigInteger) + keys.shape
    packed = packed_facts(plan, keys)
    c = (
        select(
            keys.key,
            keys.min_us,
            keys.max_us,
            kind,
            first_us,
            sent_us.label("sent_us"),
            code.label("code"),
            *(one.label(f"facts{n}") for n, one in enumerate(packed)),
        )
        .offset(0)
        .subquery()
        .c
    )
    within = and_(c.first_us >= span.start_us, c.first_us < span.end_us)
    # Without a line in the span it is read in vain, no more.
    meets = and_(c.max_us >= span.start_us, c.min_us < span.end_us)
    return (
        select(
            case((c.kind != _ODD, c.code)).label("code"),
            case((c.kind != _SIMPLE, c.key)).label("key"),
            case((c.kind == _LACKING, c.sent_us)).label("sent_us"),
            *(case((c.kind == _SIMPLE, c[f"facts{n}"])) for n in range(len(packed))),
        )
        .where(or_(and_(c.kind != _ODD, within), and_(c.kind == _ODD, meets)))
        .subquery()
    )
