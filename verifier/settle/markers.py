"""Which mark tells copies from live requests, hour by hour, and when that changes.

Verdicts do not depend on it, but an operator should know: since Istio 1.28 copies have no
`-shadow` suffix, and where nothing marks a copy only the policy tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from collector.log import get_logger
from verifier.pairing.lines import Marker
from verifier.settle.record import Settled
from verifier.settle.silence import HOUR_US
from verifier.tables import copy_marker, marker_change

FEW: Final = 20
"""So many copies of a window say what tells them."""
NEARLY_ALL: Final = 0.9
"""One mark tells so many of them: while proxies are exchanged one by one, none does."""

KEPT_US: Final = 400 * 24 * HOUR_US
"""So long before a window its policy's marks are remembered: as windows are, unless settings say
otherwise."""

_log = get_logger(component="markers")


class Change(msgspec.Struct, frozen=True):
    """From a window on something else told copies; `before` is empty for the first of all."""

    policy: str
    start_us: int
    before: str
    after: str


class Told(msgspec.Struct, frozen=True):
    """What told the copies of a policy in some hours: how many by each mark."""

    policy: str
    since_us: int
    until_us: int
    copies: dict[str, int]


def note(connection: Connection, settled: Settled, markers: Mapping[Marker, int]) -> Change | None:
    """Adds what told the copies of a window; those of later revisions were counted already.

    Args:
        connection: The settling transaction.
        settled: The revision that was written.
        markers: By what how many of its copies were told.

    Returns:
        The change, where the window's copies were told by another mark than those before.
    """
    found = {marker: number for marker, number in markers.items() if number}
    if not found or settled.revision > 1:
        return None
    policy, start_us = settled.policy, settled.window.start_us
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for marker, number in sorted(found.items()):
        hour_us = start_us // HOUR_US * HOUR_US
        row = dialect.insert(copy_marker).values(
            policy=policy, hour_us=hour_us, marker=marker.value, copies=number
        )
        connection.execute(
            row.on_conflict_do_update(
                index_elements=["policy", "hour_us", "marker"],
                set_={"copies": copy_marker.c.copies + number},
            )
        )
    if start_us % HOUR_US < settled.window.end_us - start_us:
        forget(connection, policy, start_us - KEPT_US)
    after = dominant(found)
    if after is None:
        return None
    last = last_change(connection, policy)
    if last is not None and (last.after == after.value or start_us <= last.start_us):
        return None
    change = Change(policy, start_us, "" if last is None else last.after, after.value)
    connection.execute(marker_change.insert().values(msgspec.to_builtins(change)))
    if change.before:
        _log.warning("marker_changed", policy=policy, before=change.before, after=change.after)
    return change


def forget(connection: Connection, policy: str, before_us: int) -> None:
    """Forgets the marks of a policy before a time, but what its last change was."""
    hours, c = copy_marker.c, marker_change.c
    connection.execute(delete(copy_marker).where(hours.policy == policy, hours.hour_us < before_us))
    last_us = select(func.max(c.start_us)).where(c.policy == policy).scalar_subquery()
    connection.execute(
        delete(marker_change).where(
            c.policy == policy, c.start_us < before_us, c.start_us < last_us
        )
    )


def dominant(markers: Mapping[Marker, int]) -> Marker | None:
    """The mark that tells nearly all copies; None: there is none, or there are few copies."""
    total = sum(markers.values())
    most = max(markers, key=lambda marker: markers[marker], default=None)
    if most is None or total < FEW or markers[most] < NEARLY_ALL * total:
        return None
    return most


def last_change(connection: Connection, policy: str) -> Change | None:
    """What tells a policy's copies now, and since when; None: not known yet."""
    c = marker_change.c
    query = select(marker_change).where(c.policy == policy).order_by(c.start_us.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else Change(*row)


def changes(connection: Connection, since_us: int) -> list[Change]:
    """All changes since a time but the first of each policy, by policy and time."""
    c = marker_change.c
    query = select(marker_change).where(c.start_us >= since_us, c.before != "")
    return [Change(*row) for row in connection.execute(query.order_by(c.policy, c.start_us))]


def told(connection: Connection, since_us: int) -> list[Told]:
    """What told the copies of each policy since a time, to the hour; by policy."""
    c = copy_marker.c
    query = (
        select(c.policy, c.marker, func.min(c.hour_us), func.max(c.hour_us), func.sum(c.copies))
        .where(c.hour_us >= since_us // HOUR_US * HOUR_US)
        .group_by(c.policy, c.marker)
        .order_by(c.policy, c.marker)
    )
    found: dict[str, Told] = {}
    for policy, marker, first_us, last_us, copies in connection.execute(query):
        before = found.get(policy, Told(policy, first_us, last_us, {}))
        found[policy] = Told(
            policy,
            min(before.since_us, first_us),
            max(before.until_us, last_us + HOUR_US),
            {**before.copies, marker: int(copies)},
        )
    return list(found.values())
