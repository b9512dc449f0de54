"""The partitions of `observation` on PostgreSQL: one a day of ingestion, made ahead.

There is no default partition: a row whose day is missing would be an error, loud and at once, and
dropping a day is how old rows go. SQLite has an ordinary table.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, Engine, text

from collector.db.engine import writing

DAY_US: Final = 24 * 3600 * 1_000_000
_DAYS_AHEAD: Final = 2
_LOCK_KEY: Final = 6_013_742_282
"""Names the advisory lock under which partitions are made; differs from the migrations'."""


def partition_name(day: int) -> str:
    """The table of a day, counted from the epoch: `observation_20261122`."""
    return f"observation_{datetime.fromtimestamp(day * 86_400, UTC):%Y%m%d}"


class Partitions:
    """Makes sure that there is a partition for what is written now."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._covered = range(0)

    def cover(self, now_us: int) -> None:
        """Makes the partitions of today and the next days. Cheap when they are known to exist."""
        today = now_us // DAY_US
        # From the second half of the days ahead on, so that the clock never gets there first.
        if self._engine.dialect.name != "postgresql" or today + 1 in self._covered:
            return
        with writing(self._engine) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            for day in range(today, today + _DAYS_AHEAD + 1):
                _create(connection, day)
        self._covered = range(today, today + _DAYS_AHEAD + 1)


def _create(connection: Connection, day: int) -> None:
    name = partition_name(day)
    if connection.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is None:
        connection.exec_driver_sql(
            f"CREATE TABLE {name} PARTITION OF observation "
            f"FOR VALUES FROM ({day * DAY_US}) TO ({(day + 1) * DAY_US})"
        )
