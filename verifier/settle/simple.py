"""Ordinary keys, judged set-wise in the database: they never leave it.

A key is ordinary when its lines around a span are one request (a sender's line, a primary's line,
or both) and at most one arrival at each mirror, all within one horizon of each other, and when
nothing outside what was read can belong to them. What is counted here is word for word what
`verifier.pairing.judge` says of such lines; a differential test holds both together. All other
keys are handed to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Subquery, and_, case, func, literal, or_, select

from verifier.pairing.lines import Marker, MirrorGroup
from verifier.settle.shapes import MOST_MIRRORS, Shape, shapes
from verifier.settle.simple_keys import (
    MARKERS,
    ODD,
    Plan,
    by_key,
    is_ordinary,
    marker,
)
from verifier.tables import LONG_US

_SIMPLE, _LACKING, _ODD = 1, 2, 3
_SIZES: Final = (8 ** (3 + MOST_MIRRORS), len(MARKERS) ** MOST_MIRRORS, 8, 8)
"""Of all parts of a `Code` but the first."""


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

    def add(self, plan: Plan, shape: Shape, number: int, markers: int) -> None:
        """Adds ordinary requests that have the copies that they owe; markers as `_markers`."""
        for group, is_there in enumerate(shape.mirrors):
            if is_there:
                told = MARKERS[markers // len(MARKERS) ** group % len(MARKERS)]
                self.markers[told] = self.markers.get(told, 0) + number
        self.requests += number
        if not plan.mirrors:
            self.exempt += number
        elif any(shape.mirrors):
            self.matched += number
        else:
            self.unsampled += number


class Code(NamedTuple):
    """What is told of an ordinary key, as one number: it is all that they are counted by.

    Attributes:
        number: Of the window in the span.
        shape: See `simple_keys`.
        markers: See `_markers`.
        paired: How many copies were answered, as their request was.
        differs: With another status than their request.
    """

    number: Any
    shape: Any
    markers: Any
    paired: Any
    differs: Any

    def packed(self) -> Any:
        """The one number; parts may be expressions of SQL."""
        packed, *parts = self
        for size, part in zip(_SIZES, parts, strict=True):
            packed = packed * size + part
        return packed

    @staticmethod
    def of(packed: int) -> Code:
        """The parts of such a number."""
        parts = []
        for size in reversed(_SIZES):
            packed, part = divmod(packed, size)
            parts.append(part)
        return Code(packed, *reversed(parts))


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
    asked = plan.primary_logged is not False
    for row in connection.execute(_statement(plan)):
        if row.code is None:
            found.odd.append(row.key)
            continue
        told = Code.of(row.code)
        start, shape = plan.span.start_us + told.number * plan.size_us, known[told.shape]
        control = int(shape.client and asked)
        control_lost = int(control and not shape.primary)
        if row.key is not None:
            lacking = found.lacking.setdefault(start, [])
            lacking.append(Lacking(row.sent_us, row.key, control, control_lost))
            continue
        counts = found.counts.setdefault(start, Counts())
        counts.add(plan, shape, row.requests, told.markers)
        counts.control += control * row.requests
        counts.control_lost += control_lost * row.requests
        counts.paired += told.paired * row.requests
        counts.status_differs += told.differs * row.requests
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
    """Ordinary keys counted by code; lacking and odd ones one by one."""
    keys = _told(plan).c
    # The fewer columns are grouped by, the less is sorted.
    return select(
        keys.code,
        keys.key,
        func.max(keys.sent_us).label("sent_us"),
        func.count().label("requests"),
    ).group_by(keys.code, keys.key)


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
    code = Code(number, keys.shape, _markers(plan, keys), *_pairs(plan, keys)).packed()
    code = case((keys.shape < ODD, code))  # beyond, it may not fit
    c = (
        select(
            keys.key,
            keys.min_us,
            keys.max_us,
            kind,
            first_us,
            sent_us.label("sent_us"),
            code.label("code"),
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
        )
        .where(or_(and_(c.kind != _ODD, within), and_(c.kind == _ODD, meets)))
        .subquery()
    )


def _pairs(plan: Plan, keys: Any) -> tuple[Any, Any]:
    """How many copies were answered as their request was, and how many otherwise."""
    code = func.coalesce(keys.client_code, keys.primary_code)
    copies = [keys[f"mirror{group}_code"] for group in range(len(plan.mirrors))]
    # A copy that is not there has no code: null, and so no pair.
    pairs = [case((and_(copy != 0, code != 0), 1), else_=0) for copy in copies]
    differing = [case((and_(copy != 0, code != 0, copy != code), 1), else_=0) for copy in copies]
    return reduce(add, pairs, literal(0)), reduce(add, differing, literal(0))


def _markers(plan: Plan, keys: Any) -> Any:
    """By what the copies are told to be copies, a digit for each mirror group."""
    digits = (marker(keys, group) * len(MARKERS) ** group for group in range(len(plan.mirrors)))
    return reduce(add, digits, literal(0))
