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
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Subquery, and_, case, func, literal, or_, select

from verifier.pairing.lines import Marker, MirrorGroup
from verifier.settle.simple_keys import Plan, by_key, count_if, is_lacking, is_simple, marked


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
    copies: int = 0
    field: int = 0
    shadow_host: int = 0
    forwarded: int = 0

    def markers(self) -> dict[Marker, int]:
        """By what how many arrivals were told to be copies."""
        told = {
            Marker.FIELD: self.field,
            Marker.SHADOW_HOST: self.shadow_host,
            Marker.FORWARDED: self.forwarded,
        }
        return {**told, Marker.POLICY: self.copies - sum(told.values())}


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
    return all(len(group.percents) == 1 and not group.live for group in mirrors)


def count(connection: Connection, plan: Plan) -> Found:
    """Judges the ordinary keys of a span."""
    found = Found()
    for row in connection.execute(_statement(plan)):
        start = None if row.number is None else plan.span.start_us + row.number * plan.size_us
        if start is None:
            found.odd.append(row.key)
        elif row.key is not None:
            lacking = found.lacking.setdefault(start, [])
            lacking.append(Lacking(row.sent_us, row.key, row.control, row.control_lost))
        else:
            found.counts[start] = Counts(
                requests=row.requests,
                matched=row.matched,
                unsampled=row.unsampled,
                exempt=row.exempt,
                control=row.control,
                control_lost=row.control_lost,
                paired=row.paired,
                status_differs=row.status_differs,
                copies=row.copies,
                field=row.field,
                shadow_host=row.shadow_host,
                forwarded=row.forwarded,
            )
    return found


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
    keys = by_key(plan)
    simple, lacking = is_simple(plan, keys), is_lacking(plan, keys)
    first = keys.c.first_us
    within = and_(first >= plan.span.start_us, first < plan.span.end_us)
    index = (first - plan.span.start_us) // plan.size_us
    number = case((or_(simple, lacking), index)).label("number")
    key = case((simple, None), else_=keys.c.key).label("key")
    # The line that the finding would name.
    request = func.coalesce(keys.c.client_start, keys.c.primary_start)
    sent_us = case((lacking, request)).label("sent_us")
    sums = _sums(plan, keys)
    return (
        select(number, key, sent_us, *(total.label(name) for name, total in sums.items()))
        .where(
            or_(
                and_(or_(simple, lacking), within),
                and_(~simple, ~lacking, keys.c.here > 0),
            )
        )
        .group_by(number, key, sent_us)
    )


def _sums(plan: Plan, keys: Subquery) -> dict[str, ColumnElement[int]]:
    c = keys.c
    mirrors = [c[f"mirror{group}_n"] for group in range(len(plan.mirrors))]
    copied = reduce(or_, (number > 0 for number in mirrors)) if mirrors else literal(False)
    none_owed = not mirrors
    certain = any(group.certain for group in plan.mirrors)
    asked = c.client_n if plan.primary_logged is not False else literal(0)
    code = func.coalesce(c.client_code, c.primary_code)
    pairs = [
        and_(c[f"mirror{group}_n"] == 1, c[f"mirror{group}_code"] != 0, code != 0)
        for group in range(len(mirrors))
    ]
    differs = [and_(pair, c[f"mirror{group}_code"] != code) for group, pair in enumerate(pairs)]
    drawn = literal(True) if certain else copied
    told = [marked(keys, group) for group in range(len(mirrors))]
    return {
        "requests": func.count(),
        "matched": count_if(and_(drawn, literal(not none_owed))),
        "unsampled": count_if(and_(~drawn, literal(not none_owed))),
        "exempt": count_if(literal(none_owed)),
        "control": count_if(asked == 1),
        "control_lost": count_if(and_(asked == 1, c.primary_n == 0)),
        "paired": _total(pairs),
        "status_differs": _total(differs),
        "copies": _total([number == 1 for number in mirrors]),
        "field": _total([one[Marker.FIELD] for one in told]),
        "shadow_host": _total([one[Marker.SHADOW_HOST] for one in told]),
        "forwarded": _total([one[Marker.FORWARDED] for one in told]),
    }


def _total(conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[int]:
    if not conditions:
        return literal(0)
    return reduce(add, (count_if(one) for one in conditions))
