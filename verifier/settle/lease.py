"""One verifier settles at a time: a lease with an epoch, by the database's clock.

The lease is taken in a transaction of its own, and renewed inside every settling transaction,
first and last: the first update locks the row and must hit it, so that a verifier that was
replaced while it computed cannot commit, and nobody takes the lease in the middle of a tick,
however long that is; the last one counts the time from its end. Clocks may jump: whoever stands
by also takes a lease that nobody renewed for its time by his own steady clock, so that one that
expires in a year holds up nobody, and a lease that was taken too early fences its owner, no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.tables import position
from collector.errors import Fenced
from verifier.tables import verifier_lease

NAME: Final = "settle"
"""Of the right to settle; other rights have other names and leases."""

DatabaseClock = Callable[[Connection], int]
"""Tells the time of the database, µs since the epoch."""


class Lease(msgspec.Struct, frozen=True):
    """A right, until it expires or somebody else took it over."""

    owner: str
    epoch: int
    name: str = NAME


def database_now_us(connection: Connection) -> int:
    """The database's wall clock."""
    if connection.dialect.name == "postgresql":
        sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
    else:
        sql = "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS integer)"
    return int(connection.execute(text(sql)).scalar_one())


def newest_us(connection: Connection) -> int | None:
    """The latest time at which any line ended, wild clocks aside, µs; None: there is no line."""
    found: int | None = connection.scalar(select(func.max(position.c.watermark_us)))
    return found


class Seen(msgspec.Struct, frozen=True):
    """The lease as somebody else holds it; what changes with every sign of life."""

    owner: str
    epoch: int
    expires_us: int


class Standby:
    """Whether the holder of the lease has said nothing for too long. Pure but for its memory.

    Args:
        ttl_us: For how long a lease holds.
    """

    def __init__(self, ttl_us: int) -> None:
        self._ttl_us: Final = ttl_us
        self._seen: Seen | None = None
        self._since_s = 0.0

    def is_silent(self, seen: Seen, now_s: float) -> bool:
        """Whether nothing was heard of the holder for the time of a lease.

        Args:
            seen: The lease, just read.
            now_s: A clock that never jumps.
        """
        if seen != self._seen:
            self._seen, self._since_s = seen, now_s
        return now_s - self._since_s > self._ttl_us / 1e6


def look(connection: Connection, name: str = NAME) -> Seen | None:
    """The lease as it is; None: nobody ever had it."""
    c = verifier_lease.c
    query = select(c.owner, c.epoch, c.expires_us).where(c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else Seen(*row)


def is_due(seen: Seen, owner: str, now_us: int) -> bool:
    """Whether somebody may take a lease, by the database's clock."""
    return seen.expires_us < now_us or seen.owner == owner


def take(
    connection: Connection,
    owner: str,
    now_us: int,
    ttl_us: int,
    silent: Seen | None = None,
    name: str = NAME,
) -> Lease | None:
    """Takes the lease when it is free, expired, ours or silent; None when another one has it.

    Args:
        connection: In a write transaction of its own (READ COMMITTED on PostgreSQL).
        owner: Who asks.
        now_us: The database's clock.
        ttl_us: How long it holds without being renewed.
        silent: The lease of somebody who is silent: it is taken if it is still the same.
        name: Which right.
    """
    c = verifier_lease.c
    if look(connection, name) is None:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        values = {"name": name, "owner": "", "epoch": 0, "expires_us": 0}
        statement = dialect.insert(verifier_lease).values(values)
        connection.execute(statement.on_conflict_do_nothing())
    due = (c.expires_us < now_us) | (c.owner == owner)
    if silent is not None:
        due |= (c.epoch == silent.epoch) & (c.expires_us == silent.expires_us)
    # A settling transaction has the row locked: who asks meanwhile does not wait for its end.
    free = select(c.epoch).where(c.name == name, due).with_for_update(skip_locked=True)
    epoch = connection.scalar(free)
    if epoch is None:
        return None
    connection.execute(
        update(verifier_lease)
        .where(c.name == name)
        .values(owner=owner, epoch=epoch + 1, expires_us=now_us + ttl_us)
    )
    return Lease(owner, epoch + 1, name)


def renew(connection: Connection, lease: Lease, now_us: int, ttl_us: int) -> None:
    """Renews the lease inside a settling transaction, and so checks it.

    Raises:
        Fenced: Another one took it.
    """
    done = connection.execute(
        update(verifier_lease)
        .where(
            verifier_lease.c.name == lease.name,
            verifier_lease.c.owner == lease.owner,
            verifier_lease.c.epoch == lease.epoch,
        )
        .values(expires_us=now_us + ttl_us)
    )
    if done.rowcount != 1:
        raise Fenced(f"another verifier settles; epoch {lease.epoch} is over")


def give_back(connection: Connection, lease: Lease) -> None:
    """Lets the next one take over at once. Does nothing when one already did."""
    connection.execute(
        update(verifier_lease)
        .where(verifier_lease.c.name == lease.name, verifier_lease.c.epoch == lease.epoch)
        .values(expires_us=0)
    )
