"""The partitions of `observation` on PostgreSQL: hours or days of ingestion, made ahead.

There is no default partition: a row whose time has none is an error, loud and at once, and
dropping a partition is how old rows go. A partition is made as a table of its own and attached,
as that locks out neither writers nor readers; what has to wait for a lock gives up early, so that
nobody queues behind it. SQLite has an ordinary table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from collector.db.engine import writing
from collector.log import get_logger

HOUR_US: Final = 3_600 * 1_000_000
DAY_US: Final = 24 * HOUR_US
Slot = Literal["hour", "day"]
"""How much time a new partition covers; older ones keep what they have."""
LOCK_TIMEOUT: Final = "2s"
"""Longest that a request for a lock may hold up whoever queues behind it."""

_SLOT_US: Final[dict[Slot, int]] = {"hour": HOUR_US, "day": DAY_US}
_AHEAD_US: Final[dict[Slot, int]] = {"hour": 6 * HOUR_US, "day": 2 * DAY_US}
_TRY_AGAIN_US: Final = 60_000_000
_LOCK_KEY: Final = 6_013_742_282
"""Names the advisory lock under which partitions are made; differs from the migrations'."""
_BOUNDS: Final = re.compile(r"FOR VALUES FROM \('(-?\d+)'\) TO \('(-?\d+)'\)")
_LIST: Final = text(
    "SELECT c.oid::regclass::text, c.relname, pg_get_expr(c.relpartbound, c.oid), "
    "i.inhdetachpending FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = 'observation'::regclass"
)


class Part(msgspec.Struct, frozen=True):
    """One partition: rows ingested from a time up to, and without, another, in µs.

    Attributes:
        sql: Its table as SQL names it.
        name: Its table's bare name.
        begin_us: Its first µs.
        end_us: The µs after its last one.
        leaving: Whether it is being detached: queries do not see it any more.
    """

    sql: str
    name: str
    begin_us: int
    end_us: int
    leaving: bool


def partition_name(begin_us: int, end_us: int) -> str:
    """The table of a stretch of time: `observation_20261122`, or `…_15` from 15:00 UTC."""
    whole_day = begin_us % DAY_US == 0 and end_us - begin_us == DAY_US
    form = "%Y%m%d" if whole_day else "%Y%m%d_%H"
    return f"observation_{datetime.fromtimestamp(begin_us // 1_000_000, UTC):{form}}"


def list_parts(connection: Connection) -> list[Part]:
    """All partitions, in order of time."""
    found = []
    for sql, name, bounds, leaving in connection.execute(_LIST):
        match = _BOUNDS.fullmatch(bounds)
        if match:
            found.append(Part(sql, name, int(match[1]), int(match[2]), leaving))
    return sorted(found, key=lambda part: part.begin_us)


class Partitions:
    """Makes sure that there is a partition for what is written now.

    Args:
        engine: The database.
        slot: How much time a new partition covers.
    """

    def __init__(self, engine: Engine, slot: Slot = "day") -> None:
        self._engine = engine
        self._slot: Final[Slot] = slot
        self._covered_to_us = 0
        self._try_us = 0

    def cover(self, now_us: int) -> None:
        """Makes the partitions of now and some time ahead. Cheap when they are known to exist."""
        # From the half of what is ahead on, so that the clock never gets there first.
        if self._engine.dialect.name != "postgresql" or (
            now_us + _AHEAD_US[self._slot] // 2 < max(self._covered_to_us, self._try_us)
        ):
            return
        try:
            with writing(self._engine) as connection:
                self._covered_to_us = _make(connection, self._slot, now_us)
        except OperationalError as error:
            if now_us >= self._covered_to_us:
                raise
            # Somebody holds the table. What is written now has its partition; later, then.
            self._try_us = now_us + _AHEAD_US[self._slot] // 2 + _TRY_AGAIN_US
            get_logger(component="partitions").warning("partition_put_off", reason=str(error.orig))

    def forget(self) -> None:
        """Looks again before the next write: it failed, perhaps as a partition is gone."""
        self._covered_to_us = self._try_us = 0


def _make(connection: Connection, slot: Slot, now_us: int) -> int:
    """Makes what lacks from now on; returns up to when it is covered."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    parts = [part for part in list_parts(connection) if not part.leaving]
    target_us = now_us - now_us % _SLOT_US[slot] + _AHEAD_US[slot] + 1
    time_us = now_us
    while time_us < target_us:
        part = next((p for p in parts if p.begin_us <= time_us < p.end_us), None)
        if part is None:
            part = _create(connection, *_free(parts, _SLOT_US[slot], time_us))
        time_us = part.end_us
    return time_us


def _free(parts: Sequence[Part], slot_us: int, time_us: int) -> tuple[int, int]:
    """The slot of a time, less what others cover of it: the size of slots may have changed."""
    begin_us = time_us - time_us % slot_us
    end_us = begin_us + slot_us
    return (
        max([begin_us, *(part.end_us for part in parts if part.end_us <= time_us)]),
        min([end_us, *(part.begin_us for part in parts if part.begin_us > time_us)]),
    )


def _create(connection: Connection, begin_us: int, end_us: int) -> Part:
    name = partition_name(begin_us, end_us)
    # CREATE TABLE … PARTITION OF would lock `observation` against everybody.
    connection.exec_driver_sql(
        f"CREATE TABLE {name} (LIKE observation INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
    )
    connection.exec_driver_sql(
        f"ALTER TABLE observation ATTACH PARTITION {name} "
        f"FOR VALUES FROM ({begin_us}) TO ({end_us})"
    )
    return Part(name, name, begin_us, end_us, leaving=False)
