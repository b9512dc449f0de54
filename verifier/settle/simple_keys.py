"""The lines around a span, one row for each key, and which of these rows are ordinary."""

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
    literal,
    or_,
    select,
    text,
)

from collector.db.tables import observation
from collector.records import Role
from collector.traits import HOP_LIMIT, HOP_SHIFT, ORDINARY_MASK, Trait
from verifier.pairing.lines import Marker, MirrorGroup, Side
from verifier.pairing.requests import SLACK_US
from verifier.settle.chains import LONGEST_US
from verifier.settle.clocks import RIGHT, Clocks
from verifier.settle.presence import Kind
from verifier.settle.windows import Span
from verifier.tables import LONG_LINE, LONG_US

_NONE, _CLIENT, _PRIMARY, _ODD, _MIRROR = 0, 1, 4, 9, 10
_POD_SHIFT: Final = 1 << 32
_NEVER_ORDINARY: Final = Trait.NO_ID | Trait.AMBIGUOUS | Trait.OTHER_NAME
_MARKED: Final = Trait.MARKED | Trait.SHADOW_HOST


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


def reach_us(horizon_us: int) -> int:
    """How far beyond a span lines are read at first."""
    return 2 * horizon_us + LONG_US


def _part(plan: Plan) -> ColumnElement[int]:
    """The part a line plays, as one number."""
    role, to = observation.c.role, observation.c.destination_id
    clients: dict[int, set[int]] = {_CLIENT: set(), _ODD: set()}
    servers: dict[int, set[int]] = {}
    for kind, part in plan.parts.items():
        if kind.role == Role.CLIENT:
            if part is not None and kind.destination_id is not None:
                clients[_CLIENT if part[0] is Side.CLIENT_LIVE else _ODD].add(kind.destination_id)
        elif part is not None and kind.role == Role.SERVER:
            number = kind.pod_id * _POD_SHIFT + (kind.destination_id or 0)
            servers.setdefault(_server_part(part), set()).add(number)
    writer = cast(observation.c.pod_id, BigInteger) * _POD_SHIFT + func.coalesce(to, 0)
    is_client, is_server = role == int(Role.CLIENT), role == int(Role.SERVER)
    return case(
        *((and_(is_client, to.in_(sorted(ids))), part) for part, ids in clients.items() if ids),
        (is_client, _NONE),
        *((and_(is_server, writer.in_(sorted(ids))), part) for part, ids in servers.items()),
        else_=_ODD,
    )


def _server_part(part: tuple[Side, int]) -> int:
    if part[0] is Side.SERVER_LIVE:
        return _PRIMARY
    return _MIRROR + part[1] if part[0] is Side.SERVER_MIRROR else _ODD


def by_key(plan: Plan) -> Subquery:
    """One row for each key with lines around the span."""
    reach = reach_us(plan.horizon_us)
    c, more_us = observation.c, plan.clocks.most_us
    lines = (
        select(c.key, *_times(plan.clocks), c.code, c.traits, _part(plan).label("part"))
        .where(
            c.start_us >= plan.span.start_us - reach - more_us,
            c.start_us < plan.span.end_us + reach + more_us,
            c.host_id.in_(plan.hosts),
        )
        .subquery()
        .c
    )
    request = lines.part.in_((_CLIENT, _PRIMARY))
    odd = or_(
        lines.part == _ODD,
        and_(request, lines.traits.bitwise_and(ORDINARY_MASK) != 0),
        lines.traits.bitwise_and(_NEVER_ORDINARY) != 0,
    )
    here = and_(lines.start_us >= plan.span.start_us, lines.start_us < plan.span.end_us)
    columns: list[ColumnElement[Any]] = [
        lines.key,
        count_if(odd).label("odd"),
        count_if(here).label("here"),
        func.min(case((request, lines.start_us))).label("first_us"),
        func.min(lines.start_us).label("min_us"),
        func.max(lines.start_us).label("max_us"),
        func.max(lines.end_us).label("end_us"),
        *_side_columns(lines, "client", _CLIENT),
        *_side_columns(lines, "primary", _PRIMARY),
    ]
    for group in range(len(plan.mirrors)):
        columns += _side_columns(lines, f"mirror{group}", _MIRROR + group)
    return select(*columns).where(lines.part != _NONE).group_by(lines.key).subquery()


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


def count_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """How many rows fulfil a condition. Sums of whole numbers are decimals on PostgreSQL."""
    return func.count(case((condition, 1)))


def _side_columns(lines: Any, name: str, part: int) -> list[ColumnElement[Any]]:
    """Number, start, end, code and traits of the lines of one part; of one line where it is one."""
    is_part = lines.part == part
    values = {"start": lines.start_us, "end": lines.end_us, "code": lines.code, "t": lines.traits}
    return [
        count_if(is_part).label(f"{name}_n"),
        *(func.max(case((is_part, v))).label(f"{name}_{what}") for what, v in values.items()),
    ]


def is_simple(plan: Plan, keys: Subquery) -> ColumnElement[bool]:
    """Whether a key is one request with the copies that it owes; never null."""
    mirrors = range(len(plan.mirrors))
    copied = [one for group in mirrors for one in _mirror_conditions(plan, keys, group)]
    return _and_never_null([*_one_request(plan, keys), *copied])


def is_lacking(plan: Plan, keys: Subquery) -> ColumnElement[bool]:
    """Whether a key is one request without its one copy; never null.

    Asked only of policies with one mirror, of 100 %.
    """
    if len(plan.mirrors) != 1 or not plan.mirrors[0].certain:
        return literal(False)
    # The copy of a long request may still be running.
    is_short = keys.c.end_us - keys.c.min_us <= LONG_US
    conditions = [*_one_request(plan, keys), keys.c.mirror0_n == 0, is_short]
    if plan.tls:
        plain = keys.c.primary_t.bitwise_and(Trait.PLAIN) != 0
        conditions.append(or_(keys.c.client_n > 0, ~plain))
    return _and_never_null(conditions)


def _and_never_null(conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Its negation is true for every other row."""
    return and_(*(func.coalesce(condition, False) for condition in conditions))


def _one_request(plan: Plan, keys: Subquery) -> list[ColumnElement[bool]]:
    """The conditions under which a key is exactly one ordinary request, whatever its copies."""
    c = keys.c
    reach = reach_us(plan.horizon_us)
    conditions = [
        c.odd == 0,
        c.client_n <= 1,
        c.primary_n <= 1,
        c.client_n + c.primary_n >= 1,
        # One episode, of which nothing lies outside of what was read.
        c.max_us - c.min_us <= plan.horizon_us,
        c.min_us - plan.horizon_us - LONG_US >= plan.span.start_us - reach,
        c.end_us + plan.horizon_us < plan.span.end_us + reach,
        c.key.not_in(_long_before(plan, plan.span.start_us - reach)),
        # A sender's line accounts for the attempt that lies in its span.
        or_(
            c.client_n + c.primary_n == 1,
            and_(
                c.primary_start >= c.client_start - SLACK_US,
                c.primary_start <= c.client_end + SLACK_US,
            ),
        ),
    ]
    if plan.primary_logged is None:
        conditions.append(or_(c.client_n == 0, c.primary_n == 1))
    return conditions


def _long_before(plan: Plan, until_us: int) -> Any:
    """Keys of long lines that started before what was read, and may reach into it."""
    c = observation.c
    return select(c.key).where(
        text(LONG_LINE),
        c.start_us >= until_us - LONGEST_US - plan.horizon_us - plan.clocks.most_us,
        c.start_us < until_us + plan.clocks.most_us,
        c.host_id.in_(plan.hosts),
    )


def _mirror_conditions(plan: Plan, keys: Subquery, group: int) -> list[ColumnElement[bool]]:
    number = keys.c[f"mirror{group}_n"]
    if plan.mirrors[group].certain:
        return [number == 1]
    found = [number <= 1, or_(number == 0, ~_looks_live(keys, group))]
    # All mirrors share one draw: who has a larger share gets what a smaller one gets.
    for other, mirror in enumerate(plan.mirrors):
        if other != group and plan.mirrors[group].percents[0] >= mirror.percents[0]:
            found.append(number >= keys.c[f"mirror{other}_n"])
    return found


def marked(keys: Subquery, group: int) -> dict[Marker, ColumnElement[bool]]:
    """By what the one arrival at a mirror is told to be a copy; none of them: by the policy."""
    one, traits = keys.c[f"mirror{group}_n"] == 1, keys.c[f"mirror{group}_t"]
    field = traits.bitwise_and(int(Trait.MARKED)) != 0
    shadow = traits.bitwise_and(int(Trait.SHADOW_HOST)) != 0
    hops, reference = _hops(traits), _reference(keys)
    return {
        Marker.FIELD: and_(one, field),
        Marker.SHADOW_HOST: and_(one, ~field, shadow),
        Marker.FORWARDED: and_(one, ~field, ~shadow, reference > 0, hops > reference),
    }


def _reference(keys: Subquery) -> ColumnElement[int]:
    """How many addresses the request carries, packed: the fewest of those that are logged."""
    primary, client = _hops(keys.c.primary_t), _hops(keys.c.client_t)
    return case((or_(client == 0, and_(primary > 0, primary < client)), primary), else_=client)


def _looks_live(keys: Subquery, group: int) -> ColumnElement[bool]:
    """Whether the one arrival carries no more forwarded addresses than the request."""
    traits = keys.c[f"mirror{group}_t"]
    hops, reference = _hops(traits), _reference(keys)
    unmarked = traits.bitwise_and(_MARKED) == 0
    # Without a reference, no forwarded address at all (packed as 1) is a live request.
    no_more = or_(and_(reference > 0, hops <= reference), and_(reference == 0, hops == 1))
    return and_(unmarked, hops > 0, no_more)


def _hops(traits: ColumnElement[int]) -> ColumnElement[int]:
    """The packed number of forwarded addresses; 0: not known. See `forwarded_hops`."""
    packed = func.coalesce(traits, 0).bitwise_rshift(HOP_SHIFT)
    return case((packed <= HOP_LIMIT, packed), else_=0)
