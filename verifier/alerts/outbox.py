"""The outbox: what is to be delivered, written with the decision that it is to be told.

An incident, its state and its messages are one transaction, so that nothing is told that did not
happen, and nothing that happened is left untold.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from verifier.alerts.tables import alert_endpoint, alert_message
from verifier.alerts.wants import Wants
from verifier.incidents.event import Event, Status

_ENCODER: Final = msgspec.json.Encoder()
_EVENT: Final = msgspec.json.Decoder(Event)
_WANTS: Final = msgspec.json.Decoder(Wants)


class State(StrEnum):
    """Of a message.

    PENDING and REPEATING ones are still to be sent; a repeating one was accepted before.
    DELIVERED: accepted. DEAD: given up, or refused. DROPPED: its endpoint was disabled or removed.
    """

    PENDING = "pending"
    REPEATING = "repeating"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


def enqueue(connection: Connection, event: Event, now_us: int) -> int:
    """Writes one message for each enabled endpoint that wants this event; returns how many.

    The same event again writes nothing: a transaction that is tried again is safe.

    Args:
        connection: The caller's write transaction, in which the incident changes.
        event: What is to be told.
        now_us: When it is told, µs.
    """
    names = _listeners(connection, event)
    if not names:
        return 0
    body = _ENCODER.encode(event).decode()
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [
        {
            "endpoint": name,
            "event_id": event.id,
            "incident_id": event.incident_id,
            "event": body,
            "created_us": now_us,
            "state": State.PENDING.value,
            # At once, also where a clock was set back and the time of settling is ahead of it.
            "next_us": 0,
        }
        for name in names
    ]
    written = connection.execute(
        dialect.insert(alert_message)
        .on_conflict_do_nothing()
        .values(rows)
        .returning(alert_message.c.id)
    )
    return len(written.all())


def _listeners(connection: Connection, event: Event) -> list[str]:
    """The enabled endpoints that get an event.

    A resolution also reaches whoever heard of the incident when it was more severe.
    """
    c = alert_endpoint.c
    rows = connection.execute(
        select(c.name, c.wants).where(c.disabled_us.is_(None)).order_by(c.name)
    )
    heard = _heard(connection, event.incident_id) if event.status == Status.RESOLVED else set()
    return [r.name for r in rows if r.name in heard or _WANTS.decode(r.wants).lets(event)]


def _heard(connection: Connection, incident_id: int) -> set[str]:
    c = alert_message.c
    return set(connection.scalars(select(c.endpoint).where(c.incident_id == incident_id)))
