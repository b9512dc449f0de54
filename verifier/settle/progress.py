"""How far a policy is settled, and in which windows."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from verifier.settle.windows import Grid
from verifier.tables import settled_policy


class Progress(msgspec.Struct, frozen=True):
    """How far a policy is settled.

    Attributes:
        settled_to_us: Windows before it are settled.
        grid: Its windows.
    """

    settled_to_us: int
    grid: Grid


def progress_of(connection: Connection, policy: str) -> Progress | None:
    """How far a policy is settled; None: nothing of it ever was."""
    c = settled_policy.c
    row = connection.execute(
        select(c.settled_to_us, c.sizes).where(c.policy == policy)
    ).one_or_none()
    return None if row is None else Progress(row.settled_to_us, Grid.read(row.sizes))


def save_progress(connection: Connection, policy: str, progress: Progress) -> None:
    """Writes down how far a policy is settled."""
    moved = {"settled_to_us": progress.settled_to_us, "sizes": progress.grid.to_text()}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(settled_policy)
        .values(policy=policy, **moved)
        .on_conflict_do_update(index_elements=["policy"], set_=moved)
    )
