"""Ends collectors that froze while they wrote, and keep rows locked that others wait for."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

_END_FROZEN: Final = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename = current_user "
    "AND query LIKE 'COPY observation %' AND state = 'active' AND wait_event = 'ClientRead' "
    "AND query_start < now() - interval '10 seconds'"
)


def end_frozen(connection: Connection) -> int:
    """Ends the sessions of those who stopped in the middle of copying rows.

    The server itself ends whoever falls silent between two statements; it waits without end for
    the rows of one that has begun. Who only was slow gets an error, and tries again.

    Returns:
        How many there were; always 0 on SQLite.
    """
    if connection.dialect.name != "postgresql":
        return 0
    return int(connection.execute(_END_FROZEN).scalar_one())
