"""Who sends what: messages are claimed for a while, sent, and recorded (`verifier.alerts.records`).

A claim is a short transaction of its own, so that no lock is held while a receiver thinks. Whoever
dies between sending and recording leaves a claim that expires: the message goes out again, with
the same id. Every change holds the endpoint's row first, so that deliverers cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    exists,
    func,
    or_,
    select,
    update,
)

from verifier.alerts.outbox import State
from verifier.alerts.schedule import at_once
from verifier.alerts.tables import alert_endpoint, alert_message
from verifier.incidents.event import Event

_EVENT: Final = msgspec.json.Decoder(Event)
_NEWER_US: Final = 60_000_000
"""What a newer release wrote, and only that can read, is left to it for so long at a time."""
_M: Final = alert_message.c
_AT_ONCE: Final = 500


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is ours to send.

    Attributes:
        id: Of the message.
        endpoint: To whom.
        event: What.
        attempt: Counts attempts, from 1; the fence: a later claim has another one.
        created_us: When it was written.
        delivered_us: When it was accepted first; None: never yet.
    """

    id: int
    endpoint: str
    event: Event
    attempt: int
    created_us: int
    delivered_us: int | None


def due(connection: Connection, names: Collection[str], now_us: int) -> dict[str, int]:
    """How many messages each of these endpoints could be sent now; those with none are left out."""
    e = alert_endpoint.c
    query = (
        select(_M.endpoint, func.count())
        .join_from(alert_message, alert_endpoint, e.name == _M.endpoint)
        .where(_M.endpoint.in_(names), _sendable(now_us), e.disabled_us.is_(None))
        .where(or_(e.hold_us.is_(None), e.hold_us <= now_us))
        .group_by(_M.endpoint)
    )
    return {row.endpoint: row[1] for row in connection.execute(query)}


def _sendable(now_us: int) -> ColumnElement[bool]:
    return and_(_M.finished_us.is_(None), _M.next_us <= now_us, _unclaimed(now_us))


def _unclaimed(now_us: int) -> ColumnElement[bool]:
    return or_(_M.claimed_until_us.is_(None), _M.claimed_until_us <= now_us)


def claim(
    connection: Connection, name: str, now_us: int, *, lease_us: int, concurrency: int
) -> Claim | None:
    """Claims the message that is due first; None: there is none, or the endpoint has enough to do.

    Args:
        connection: In a write transaction of its own.
        name: Of the endpoint.
        now_us: The database's clock.
        lease_us: How long the claim holds; longer than an attempt and its record may take.
        concurrency: Most messages on their way to the endpoint, by all processes together.
    """
    endpoint = lock(connection, name)
    if endpoint is None or endpoint.disabled_us is not None or (endpoint.hold_us or 0) > now_us:
        return None
    running = select(func.count()).where(_M.endpoint == name, _M.claimed_until_us > now_us)
    if (connection.scalar(running) or 0) >= at_once(endpoint.failures, concurrency):
        return None
    found = connection.execute(
        select(alert_message)
        .where(_M.endpoint == name, _sendable(now_us), ~_must_wait(now_us))
        .order_by(_M.next_us, _M.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if found is None:
        return None
    try:
        event = _EVENT.decode(found.event)
    except msgspec.ValidationError:
        later = {"next_us": now_us + _NEWER_US, "last_reason": "waits for a newer release"}
        connection.execute(update(alert_message).where(_M.id == found.id).values(later))
        return None
    values = {
        "claimed_until_us": now_us + lease_us,
        "attempts": found.attempts + 1,
        "last_attempt_us": now_us,
    }
    connection.execute(update(alert_message).where(_M.id == found.id).values(values))
    return Claim(
        id=found.id,
        endpoint=name,
        event=event,
        attempt=found.attempts + 1,
        created_us=found.created_us,
        delivered_us=found.delivered_us,
    )


def lock(connection: Connection, name: str) -> Any:
    """An endpoint's row, ours until the transaction ends; None: there is none."""
    query = select(alert_endpoint).where(alert_endpoint.c.name == name).with_for_update()
    return connection.execute(query).one_or_none()


def _must_wait(now_us: int) -> ColumnElement[bool]:
    """Whether another message of the incident has to go first, so that news stay in order.

    One that is on its way, an earlier one that was never accepted, and for a repetition: anything
    newer.
    """
    other = alert_message.alias("other")
    o = other.c
    return (
        exists()
        .where(o.endpoint == _M.endpoint, o.incident_id == _M.incident_id, o.id != _M.id)
        .where(o.finished_us.is_(None))
        .where(
            or_(
                and_(o.claimed_until_us.is_not(None), o.claimed_until_us > now_us),
                and_(o.state == State.PENDING.value, o.id < _M.id),
                and_(_M.state == State.REPEATING.value, o.id > _M.id),
            )
        )
    )


def held_up(connection: Connection, names: Collection[str], now_us: int) -> list[int]:
    """Messages of these endpoints that wait for their next attempt and hold up newer ones.

    What happened to an incident since that attempt is news that must not wait for hours; `hurry`
    has them tried at once.
    """
    newer = alert_message.alias("newer")
    n = newer.c
    waits = (
        exists()
        .where(n.endpoint == _M.endpoint, n.incident_id == _M.incident_id, n.id > _M.id)
        .where(n.finished_us.is_(None), n.created_us > func.coalesce(_M.last_attempt_us, now_us))
    )
    query = (
        select(_M.id)
        .where(_M.endpoint.in_(names), _M.finished_us.is_(None), _M.next_us > now_us, waits)
        .where(_M.state == State.PENDING.value, _M.claimed_until_us.is_(None))
        .limit(_AT_ONCE)
    )
    return list(connection.scalars(query))


def hurry(connection: Connection, numbers: Collection[int], now_us: int) -> None:
    """Makes messages due."""
    connection.execute(
        update(alert_message)
        .where(_M.id.in_(numbers), _M.finished_us.is_(None), _M.claimed_until_us.is_(None))
        .values(next_us=now_us)
    )
