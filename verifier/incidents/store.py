"""What is remembered of incidents, in the database. All inside the settling transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from verifier.incidents.drift import Drift
from verifier.incidents.event import Event, Kind
from verifier.incidents.tables import incident, incident_cursor, incident_state, silence

Key = tuple[str, Kind]
"""Policy (empty: the pipeline) and kind."""

_KINDS: Final = tuple(Kind)
_STATE: Final = msgspec.json.Decoder(Drift)


def read_states(connection: Connection) -> dict[Key, Drift]:
    """What is remembered of every kind of every policy; where nothing is, there is no entry.

    Kinds of a newer program, with which this one shares the database in an upgrade, stay as they
    are.
    """
    rows = connection.execute(select(incident_state).where(incident_state.c.kind.in_(_KINDS)))
    return {(row.policy, Kind(row.kind)): _STATE.decode(row.state) for row in rows}


def save_state(connection: Connection, key: Key, state: Drift) -> None:
    """Remembers a state; the empty one is forgotten."""
    policy, kind = key
    if state.is_empty:
        connection.execute(
            delete(incident_state).where(
                incident_state.c.policy == policy, incident_state.c.kind == kind.value
            )
        )
        return
    text = msgspec.json.encode(state).decode()
    connection.execute(
        _dialect(connection)
        .insert(incident_state)
        .values(policy=policy, kind=kind.value, state=text)
        .on_conflict_do_update(index_elements=["policy", "kind"], set_={"state": text})
    )


def read_cursors(connection: Connection) -> dict[str, int]:
    """Up to when the windows of each policy are counted, µs."""
    return {row.policy: row.counted_to_us for row in connection.execute(select(incident_cursor))}


def save_cursor(connection: Connection, policy: str, counted_to_us: int) -> None:
    """Windows of a policy before a time are counted."""
    connection.execute(
        _dialect(connection)
        .insert(incident_cursor)
        .values(policy=policy, counted_to_us=counted_to_us)
        .on_conflict_do_update(index_elements=["policy"], set_={"counted_to_us": counted_to_us})
    )


# --- incidents


def open_incident(connection: Connection, values: dict[str, Any]) -> int:
    """Writes a new incident; returns its number."""
    done = connection.execute(insert(incident).values(values).returning(incident.c.id))
    return int(done.scalar_one())


def update_incident(connection: Connection, incident_id: int, values: dict[str, Any]) -> None:
    """Writes what changed of an incident."""
    connection.execute(update(incident).where(incident.c.id == incident_id).values(values))


def told_values(event: Event) -> dict[str, Any]:
    """What an incident's row says after a notification about it."""
    return {
        "severity": event.severity.value,
        "sequence": event.sequence,
        "told_us": event.at_us,
        "counts": msgspec.json.encode(event.counts).decode(),
        "summary": event.summary,
        "cause": event.cause,
        "advice": event.advice,
        "examples": msgspec.json.encode(event.examples).decode(),
    }


# --- silences

LONGEST_SILENCE_US: Final = 90 * 86_400_000_000
"""A silence that outlives whoever asked for it hides what it should not."""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Something that nobody is told of for a time. Times in µs UTC.

    Attributes:
        id: Its number.
        policy: None: every policy, and the pipeline; empty: the pipeline.
        kind: None: every kind. May be one of a newer release, which none of ours is.
        reason: Why.
        author: Who asked for it.
        from_us: Since when.
        until_us: Until when.
        ended_us: When somebody ended it before; None: nobody did.
        ended_by: Who.
    """

    id: int
    policy: str | None
    kind: str | None
    reason: str
    author: str
    from_us: int
    until_us: int
    ended_us: int | None = None
    ended_by: str | None = None

    def covers(self, key: Key) -> bool:
        """Whether it is about a kind of a policy."""
        policy, kind = key
        return self.policy in (None, policy) and self.kind in (None, kind)


def add_silence(connection: Connection, values: dict[str, Any]) -> int:
    """Writes a silence; returns its number."""
    done = connection.execute(insert(silence).values(values).returning(silence.c.id))
    return int(done.scalar_one())


def end_silence(connection: Connection, number: int, who: str, now_us: int) -> bool:
    """Ends a silence now. False: there is none of this number that is not over."""
    c = silence.c
    done = connection.execute(
        update(silence)
        .where(c.id == number, c.until_us > now_us, c.ended_us.is_(None))
        .values(ended_us=now_us, ended_by=who)
    )
    return done.rowcount == 1


def silences(connection: Connection, now_us: int | None, limit: int = 1_000) -> list[Silence]:
    """Silences, newest first; also those of kinds that only a newer program knows.

    Args:
        connection: Any.
        now_us: Those in force then; None: all.
        limit: At most so many.
    """
    c = silence.c
    query = select(silence).order_by(c.id.desc()).limit(limit)
    if now_us is not None:
        query = query.where(c.from_us <= now_us, c.until_us > now_us, c.ended_us.is_(None))
    return [Silence(**row._mapping) for row in connection.execute(query)]


def is_silenced(found: Iterable[Silence], key: Key) -> bool:
    """Whether any of these silences covers a kind of a policy."""
    return any(one.covers(key) for one in found)


# --- reading, for people


def incidents(
    connection: Connection,
    *,
    policy: str | None = None,
    kind: Kind | None = None,
    only_open: bool = False,
    before_id: int | None = None,
    limit: int = 100,
) -> Sequence[Any]:
    """Rows of incidents, newest first.

    Args:
        connection: Any.
        policy: Of this policy only; empty: of the pipeline.
        kind: Of this kind only.
        only_open: Whether resolved ones are left out.
        before_id: Only older ones than this, for the next page.
        limit: At most so many.
    """
    c = incident.c
    where: list[ColumnElement[bool]] = []
    if policy is not None:
        where.append(c.policy == policy)
    if kind is not None:
        where.append(c.kind == kind.value)
    if only_open:
        where.append(c.resolved_us.is_(None))
    if before_id is not None:
        where.append(c.id < before_id)
    query = select(incident).where(*where).order_by(c.id.desc()).limit(limit)
    return connection.execute(query).all()


def incident_row(connection: Connection, number: int) -> Any | None:
    """One incident, or None."""
    return connection.execute(select(incident).where(incident.c.id == number)).one_or_none()


def _dialect(connection: Connection) -> Any:
    return postgresql if connection.dialect.name == "postgresql" else sqlite
