"""From when policy versions are in force for verdicts: once every live collector watches them.

What is decided here is written beside the version and never changes, so that settling a window
again says the same. Any transaction that may complete a decision asks: a collector that
acknowledges, who records a version, and the verifier.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, exists, func, select, update

from collector.db.tables import instance, policy_version, position
from collector.errors import Outdated

DEAD_US: Final = 60_000_000
"""A collector that was not seen for a minute is dead: nobody waits for it. It looks every few
seconds (`collector.policy_refresh_s`); one that comes back reads anew, see `require_current`."""
WATCHED_AFTER_END_US: Final = 3_600_000_000
"""Lines about a policy that ended may still arrive for an hour."""
_SINCE_EVER: Final = -(1 << 62)


def confirm(connection: Connection, now_us: int) -> list[int]:
    """Puts the versions in force that every live collector watches; returns their ids.

    Without a live collector nobody is waited for: who starts later watches all from its first
    record on.

    Args:
        connection: In a write transaction.
        now_us: Wall clock.
    """
    c = policy_version.c
    waiting = connection.execute(
        select(c.id, c.hosts).where(c.acknowledged_us.is_(None)).order_by(c.id)
    ).all()
    if not waiting:
        return []
    live = instance.c.seen_us > now_us - DEAD_US
    watched = connection.scalar(select(func.min(instance.c.policy_version_id)).where(live))
    done = [row for row in waiting if watched is None or row.id <= watched]
    for row in done:
        stored_from_us = _stored_from_us(connection, set(json.loads(row.hosts)), row.id, now_us)
        connection.execute(
            update(policy_version)
            .where(c.id == row.id)
            .values(acknowledged_us=now_us, stored_from_us=stored_from_us)
        )
    return [row.id for row in done]


def _stored_from_us(
    connection: Connection, hosts: set[str], version_id: int, now_us: int
) -> int | None:
    """From when all lines about hosts are stored; None: since ever.

    A host that nobody watched before is stored from the latest line on that was read by now, in
    any partition: all that ends later is yet to be read.
    """
    c = policy_version.c
    ended_us = now_us - WATCHED_AFTER_END_US
    others = connection.execute(
        select(c.hosts, c.stored_from_us).where(
            c.acknowledged_us.is_not(None),
            c.id != version_id,
            c.valid_to_us.is_(None) | (c.valid_to_us > ended_us),
        )
    ).all()
    read_us = connection.scalar(select(func.max(position.c.watermark_us)))
    found = max((_watched_since(host, others, read_us) for host in hosts), default=_SINCE_EVER)
    return None if found == _SINCE_EVER else found


def _watched_since(host: str, others: Sequence[Row[Any, Any]], read_us: int | None) -> int:
    since = [
        _SINCE_EVER if row.stored_from_us is None else row.stored_from_us
        for row in others
        if host in json.loads(row.hosts)
    ]
    return min(since, default=_SINCE_EVER if read_us is None else read_us)


def require_current(connection: Connection, policy_version_id: int) -> None:
    """Refuses what a collector read that was taken for dead: it may lack lines about new hosts.

    Args:
        connection: The transaction that writes it.
        policy_version_id: The newest version that was watched.

    Raises:
        Outdated: A newer version came into force without it.
    """
    c = policy_version.c
    newer = exists().where(c.id > policy_version_id, c.acknowledged_us.is_not(None))
    if connection.scalar(select(newer)):
        raise Outdated("policies came into force while this collector was taken for dead")
