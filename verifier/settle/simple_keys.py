"""The lines around a span, one row for each key, and which of these rows are ordinary.

Each line counts one in the octal digit of its part, and one above all parts; the sum of a key's
lines is its shape. As ordinary keys have at most seven lines, their shape tells how many of each
part there are. So a few sums and maxima say all of a key, and which shapes are ordinary is a list
of numbers, made in `shapes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Subquery,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    text,
)

from collector.db.tables import observation
from collector.records import Role
from collector.traits import ORDINARY_MASK, Trait
from verifier.pairing.lines import MirrorGroup, Side
from verifier.pairing.requests import SLACK_US
from verifier.settle.chains import LONGEST_US
from verifier.settle.clocks import RIGHT, Clocks
from verifier.settle.facts import MOST_CODE, hops_of, is_unmarked, number_of, pack
from verifier.settle.presence import Kind
from verifier.settle.shapes import CLIENT, PLAIN, PRIMARY, mirror_part
from verifier.settle.windows import Span
from verifier.tables import LONG_LINE, LONG_US

ODD: Final = 8**8
_NONE: Final = 0
MOST_LINES: Final = 7
_POD_SHIFT: Final = 1 << 32
_NEVER_ORDINARY: Final = Trait.NO_ID | Trait.AMBIGUOUS | Trait.OTHER_NAME


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the database.

    Attributes:
        span: Whole windows of one size.
        size_us: That size.
        hosts: Numbers of the policy's hosts.
        parts: The part of every kind of line in and around the span.
        mirrors: The policy's mirror groups; each with one percentage, none of them live.
        horizon_us: The policy's horizon.
        primary_logged: `Terms.primary_logged` for the whole span; None: it changes, so that keys
            on which it has a bearing are not ordinary.
        tls: `Terms.tls`.
        clocks: How far pods' clocks are ahead.
        written: What is true of all lines of `read_span`.
    """

    span: Span
    size_us: int
    hosts: Sequence[int]
    parts: dict[Kind, tuple[Side, int] | None]
    mirrors: tuple[MirrorGroup, ...]
    horizon_us: int
    primary_logged: bool | None
    tls: bool
    clocks: Clocks = RIGHT
    written: Sequence[ColumnElement[bool]] = ()


def reach_us(horizon_us: int) -> int:
    """How far beyond a span lines are read at first."""
    return 2 * horizon_us + LONG_US


def read_span(span: Span, horizon_us: int, clocks: Clocks) -> Span:
    """When the lines start that are read to judge a span, by their own clocks."""
    reach, more_us = reach_us(horizon_us), clocks.most_us
    return Span(
        span.start_us - reach - LONGEST_US - horizon_us - more_us, span.end_us + reach + more_us
    )


def _part(plan: Plan) -> ColumnElement[int]:
    """The part a line plays, as one number."""
    role, to = observation.c.role, observation.c.destination_id
    clients: dict[int, set[int]] = {CLIENT: set(), ODD: set()}
    servers: dict[int, set[int]] = {}
    for kind, part in plan.parts.items():
        if kind.role == Role.CLIENT:
            if part is not None and kind.destination_id is not None:
                clients[CLIENT if part[0] is Side.CLIENT_LIVE else ODD].add(kind.destination_id)
        elif part is not None and kind.role == Role.SERVER:
            number = kind.pod_id * _POD_SHIFT + (kind.destination_id or 0)
            servers.setdefault(_server_part(part), set()).add(number)
    writer = cast(observation.c.pod_id, BigInteger) * _POD_SHIFT + func.coalesce(to, 0)
    is_client, is_server = role == int(Role.CLIENT), role == int(Role.SERVER)
    return case(
        *((and_(is_client, to.in_(sorted(ids))), part) for part, ids in clients.items() if ids),
        (is_client, _NONE),
        *((and_(is_server, writer.in_(sorted(ids))), part) for part, ids in servers.items()),
        else_=ODD,
    )


def _server_part(part: tuple[Side, int]) -> int:
    if part[0] is Side.SERVER_LIVE:
        return PRIMARY
    return mirror_part(part[1]) if part[0] is Side.SERVER_MIRROR else ODD


def _lines(plan: Plan) -> Any:
    """The lines around the span with their parts, odd ones as such."""
    reach = reach_us(plan.horizon_us)
    c, more_us = observation.c, plan.clocks.most_us
    near = (
        select(c.key, *_times(plan.clocks), c.code, c.traits, _part(plan).label("part"))
        .where(
            c.start_us >= plan.span.start_us - reach - more_us,
            c.start_us < plan.span.end_us + reach + more_us,
            c.host_id.in_(plan.hosts),
            *plan.written,
        )
        .offset(0)  # has the part computed once, whatever asks for it
        .subquery()
        .c
    )
    request = near.part.in_((CLIENT, PRIMARY))
    odd = or_(
        and_(request, near.traits.bitwise_and(ORDINARY_MASK) != 0),
        near.traits.bitwise_and(_NEVER_ORDINARY) != 0,
        near.code > MOST_CODE,
    )
    past = and_(near.part == PRIMARY, near.traits.bitwise_and(Trait.PLAIN) != 0)
    part = case((odd, ODD), *([(past, PLAIN)] if plan.tls else []), else_=near.part)
    fact = number_of(near.code, near.traits).label("fact")
    return (
        select(near.key, near.start_us, near.end_us, fact, part.label("part"))
        .where(near.part != _NONE)
        .offset(0)
        .subquery()
        .c
    )


def by_key(plan: Plan) -> Subquery:
    """One row for each key with lines around the span."""
    lines = _lines(plan)
    is_primary = lines.part.in_((PRIMARY, PLAIN)) if plan.tls else lines.part == PRIMARY
    sides = {"client": lines.part == CLIENT, "primary": is_primary}
    for group in range(len(plan.mirrors)):
        sides[f"mirror{group}"] = lines.part == mirror_part(group)
    columns: list[ColumnElement[Any]] = [
        lines.key,
        func.count().label("lines"),
        func.sum(lines.part).label("shape"),
        func.min(lines.start_us).label("min_us"),
        func.max(lines.start_us).label("max_us"),
        func.max(lines.end_us).label("end_us"),
        _of(sides["client"], lines.start_us).label("client_start"),
        _of(sides["client"], lines.end_us).label("client_end"),
        _of(sides["primary"], lines.start_us).label("primary_start"),
        *(_of(is_side, lines.fact).label(f"{name}_fact") for name, is_side in sides.items()),
    ]
    return select(*columns).group_by(lines.key).subquery()


def _times(clocks: Clocks) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """Start and end of a line by most others' clocks."""
    c = observation.c
    wrong = [
        (and_(c.pod_id == pod, c.start_us >= from_us), ahead)
        for pod, changes in sorted(clocks.changes.items())
        for from_us, ahead in reversed(changes)
    ]
    if not wrong:
        return c.start_us, c.end_us
    ahead_us = case(*wrong, else_=0)
    return (c.start_us - ahead_us).label("start_us"), (c.end_us - ahead_us).label("end_us")


def _of(is_side: ColumnElement[bool], value: ColumnElement[int]) -> ColumnElement[int]:
    """A value of the one line of a side."""
    return func.max(case((is_side, value)))


def is_ordinary(plan: Plan, keys: Any) -> ColumnElement[bool]:
    """Whether a key of the right shape is exactly one ordinary request; never null."""
    reach = reach_us(plan.horizon_us)
    both = and_(
        keys.primary_start >= keys.client_start - SLACK_US,
        keys.primary_start <= keys.client_end + SLACK_US,
    )
    conditions = [
        keys.lines <= MOST_LINES,
        # One episode, of which nothing lies outside of what was read.
        keys.max_us - keys.min_us <= plan.horizon_us,
        keys.min_us - plan.horizon_us - LONG_US >= plan.span.start_us - reach,
        keys.end_us + plan.horizon_us < plan.span.end_us + reach,
        keys.key.not_in(_long_before(plan, plan.span.start_us - reach)),
        # A sender's line accounts for the attempt that lies in its span.
        or_(keys.client_start.is_(None), keys.primary_start.is_(None), both),
    ]
    for group, mirror in enumerate(plan.mirrors):
        if not mirror.certain:
            there = keys[f"mirror{group}_fact"].is_not(None)
            conditions.append(~and_(there, func.coalesce(_looks_live(keys, group), False)))
    return and_(*conditions)


def _long_before(plan: Plan, until_us: int) -> Any:
    """Keys of long lines that started before what was read, and may reach into it."""
    c = observation.c
    return select(c.key).where(
        text(LONG_LINE),
        c.start_us >= until_us - LONGEST_US - plan.horizon_us - plan.clocks.most_us,
        c.start_us < until_us + plan.clocks.most_us,
        c.host_id.in_(plan.hosts),
        *plan.written,
    )


def packed_facts(plan: Plan, keys: Any) -> list[ColumnElement[int]]:
    """The facts of a key's sender, primary and mirrors, packed: see `verifier.settle.facts`."""
    mirrors = [keys[f"mirror{group}_fact"] for group in range(len(plan.mirrors))]
    return pack([keys.client_fact, keys.primary_fact, *mirrors])


def _looks_live(keys: Any, group: int) -> ColumnElement[bool]:
    """Whether the one arrival carries no more forwarded addresses than the request."""
    arrival = keys[f"mirror{group}_fact"]
    hops, client, primary = map(hops_of, (arrival, keys.client_fact, keys.primary_fact))
    fewest = case((or_(client == 0, and_(primary > 0, primary < client)), primary), else_=client)
    # Without a reference, no forwarded address at all (packed as 1) is a live request.
    no_more = or_(and_(fewest > 0, hops <= fewest), and_(fewest == 0, hops == 1))
    return and_(is_unmarked(arrival), hops > 0, no_more)
