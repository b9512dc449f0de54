"""One verifier settles at a time: a lease with an epoch, by the database's clock.

The lease is taken in a transaction of its own, and renewed inside every settling transaction:
that update locks the row and must hit it, so that a verifier that was replaced while it computed
cannot commit, and nobody can take the lease in the middle of a commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from collector.errors import Fenced
from verifier.tables import verifier_lease

NAME: Final = "settle"

DatabaseClock = Callable[[Connection], int]
"""Tells the time of the database, µs since the epoch."""


class Lease(msgspec.Struct, frozen=True):
    """The right to settle, until it expires or somebody else took it over."""

    owner: str
    epoch: int


def database_now_us(connection: Connection) -> int:
    """The database's wall clock."""
    if connection.dialect.name == "postgresql":
        sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
    else:
        sql = "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS integer)"
    return int(connection.execute(text(sql)).scalar_one())


def take(connection: Connection, owner: str, now_us: int, ttl_us: int) -> Lease | None:
    """Takes the lease when it is free, expired or ours; None when another one has it.

    Args:
        connection: In a write transaction of its own (READ COMMITTED on PostgreSQL).
        owner: Who asks.
        now_us: The database's clock.
        ttl_us: How long it holds without being renewed.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(verifier_lease)
        .values(name=NAME, owner="", epoch=0, expires_us=0)
        .on_conflict_do_nothing()
    )
    epoch = connection.execute(
        update(verifier_lease)
        .where(
            verifier_lease.c.name == NAME,
            (verifier_lease.c.expires_us < now_us) | (verifier_lease.c.owner == owner),
        )
        .values(owner=owner, epoch=verifier_lease.c.epoch + 1, expires_us=now_us + ttl_us)
        .returning(verifier_lease.c.epoch)
    ).scalar_one_or_none()
    return None if epoch is None else Lease(owner, epoch)


def renew(connection: Connection, lease: Lease, now_us: int, ttl_us: int) -> None:
    """Renews the lease inside a settling transaction, and so checks it.

    Raises:
        Fenced: Another one took it.
    """
    done = connection.execute(
        update(verifier_lease)
        .where(
            verifier_lease.c.name == NAME,
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
        .where(verifier_lease.c.name == NAME, verifier_lease.c.epoch == lease.epoch)
        .values(expires_us=0)
    )


def holder(connection: Connection) -> str | None:
    """Who has the lease, expired or not; None: nobody ever had."""
    return connection.scalar(select(verifier_lease.c.owner).where(verifier_lease.c.name == NAME))
