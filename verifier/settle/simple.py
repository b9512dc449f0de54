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
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
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
from verifier.pairing.lines import MirrorGroup, Side
from verifier.pairing.requests import SLACK_US
from verifier.settle.chains import LONGEST_US
from verifier.settle.presence import Kind
from verifier.settle.windows import Span
from verifier.tables import LONG_LINE, LONG_US

_NONE, _CLIENT, _PRIMARY, _ODD, _MIRROR = 0, 1, 4, 9, 10
_POD_SHIFT: Final = 1 << 32
_UNREADABLE: Final = int(Trait.NO_ID | Trait.AMBIGUOUS)
_MARKED: Final = int(Trait.MARKED | Trait.SHADOW_HOST)


class Counts(msgspec.Struct):
    """What the ordinary keys of one window amount to."""

    requests: int = 0
    matched: int = 0
    unsampled: int = 0
    exempt: int = 0
    control: int = 0
    control_lost: int = 0
    paired: int = 0
    status_differs: int = 0


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
    """

    span: Span
    size_us: int
    hosts: Sequence[int]
    parts: dict[Kind, tuple[Side, int] | None]
    mirrors: tuple[MirrorGroup, ...]
    horizon_us: int
    primary_logged: bool | None


def suits(mirrors: Sequence[MirrorGroup]) -> bool:
    """Whether the set-wise form covers a policy with these mirrors."""
    return all(len(group.percents) == 1 and not group.live for group in mirrors)


def reach_us(horizon_us: int) -> int:
    """How far beyond a span lines are read at first."""
    return 2 * horizon_us + LONG_US


def count(connection: Connection, plan: Plan) -> tuple[dict[int, Counts], list[bytes]]:
    """Judges the ordinary keys of a span.

    Returns:
        The counts by window start, and the keys with a line in the span that are not ordinary.
    """
    found: dict[int, Counts] = {}
    odd: list[bytes] = []
    for row in connection.execute(_statement(plan)):
        if row.key is not None:
            odd.append(row.key)
            continue
        start = plan.span.start_us + row.number * plan.size_us
        found[start] = Counts(
            requests=row.requests,
            matched=row.matched,
            unsampled=row.unsampled,
            exempt=row.exempt,
            control=row.control,
            control_lost=row.control_lost,
            paired=row.paired,
            status_differs=row.status_differs,
        )
    return found, odd


def _statement(plan: Plan) -> Any:
    keys = _by_key(plan)
    simple = _is_simple(plan, keys)
    first = keys.c.first_us
    within = and_(first >= plan.span.start_us, first < plan.span.end_us)
    number = case((simple, (first - plan.span.start_us) // plan.size_us)).label("number")
    key = case((simple, None), else_=keys.c.key).label("key")
    sums = _sums(plan, keys)
    return (
        select(number, key, *(total.label(name) for name, total in sums.items()))
        .where(or_(and_(simple, within), and_(~simple, keys.c.here > 0)))
        .group_by(number, key)
    )


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


def _by_key(plan: Plan) -> Subquery:
    """One row for each key with lines around the span."""
    reach = reach_us(plan.horizon_us)
    c = observation.c
    lines = (
        select(c.key, c.start_us, c.end_us, c.code, c.traits, _part(plan).label("part"))
        .where(
            c.start_us >= plan.span.start_us - reach,
            c.start_us < plan.span.end_us + reach,
            c.host_id.in_(plan.hosts),
        )
        .subquery()
        .c
    )
    request = lines.part.in_((_CLIENT, _PRIMARY))
    odd = or_(
        lines.part == _ODD,
        and_(request, lines.traits.bitwise_and(int(ORDINARY_MASK)) != 0),
        lines.traits.bitwise_and(_UNREADABLE) != 0,
    )
    here = and_(lines.start_us >= plan.span.start_us, lines.start_us < plan.span.end_us)
    columns: list[ColumnElement[Any]] = [
        lines.key,
        _count(odd).label("odd"),
        _count(here).label("here"),
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


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))


def _side_columns(lines: Any, name: str, part: int) -> list[ColumnElement[Any]]:
    """Number, start, end, code and traits of the lines of one part; of one line where it is one."""
    is_part = lines.part == part
    values = {"start": lines.start_us, "end": lines.end_us, "code": lines.code, "t": lines.traits}
    return [
        _count(is_part).label(f"{name}_n"),
        *(func.max(case((is_part, v))).label(f"{name}_{what}") for what, v in values.items()),
    ]


def _is_simple(plan: Plan, keys: Subquery) -> ColumnElement[bool]:
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
    for group in range(len(plan.mirrors)):
        conditions += _mirror_conditions(plan, keys, group)
    # Never null: `~simple` must be true for every key that is not simple.
    return and_(*(func.coalesce(condition, False) for condition in conditions))


def _long_before(plan: Plan, until_us: int) -> Any:
    """Keys of long lines that started before what was read, and may reach into it."""
    c = observation.c
    return select(c.key).where(
        text(LONG_LINE),
        c.start_us >= until_us - LONGEST_US - plan.horizon_us,
        c.start_us < until_us,
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


def _looks_live(keys: Subquery, group: int) -> ColumnElement[bool]:
    """Whether the one arrival carries no more forwarded addresses than the request."""
    traits = keys.c[f"mirror{group}_t"]
    hops = _hops(traits)
    primary, client = _hops(keys.c.primary_t), _hops(keys.c.client_t)
    # The fewest of those that are logged.
    reference = case((or_(client == 0, and_(primary > 0, primary < client)), primary), else_=client)
    unmarked = traits.bitwise_and(_MARKED) == 0
    # Without a reference, no forwarded address at all (packed as 1) is a live request.
    no_more = or_(and_(reference > 0, hops <= reference), and_(reference == 0, hops == 1))
    return and_(unmarked, hops > 0, no_more)


def _hops(traits: ColumnElement[int]) -> ColumnElement[int]:
    """The packed number of forwarded addresses; 0: not known. See `forwarded_hops`."""
    packed = func.coalesce(traits, 0).bitwise_rshift(HOP_SHIFT)
    return case((packed <= HOP_LIMIT, packed), else_=0)


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
    return {
        "requests": func.count(),
        "matched": _count(and_(drawn, literal(not none_owed))),
        "unsampled": _count(and_(~drawn, literal(not none_owed))),
        "exempt": _count(literal(none_owed)),
        "control": _count(asked == 1),
        "control_lost": _count(and_(asked == 1, c.primary_n == 0)),
        "paired": _total(pairs),
        "status_differs": _total(differs),
    }


def _total(conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[int]:
    if not conditions:
        return literal(0)
    return reduce(lambda left, right: left + right, (_count(one) for one in conditions))
