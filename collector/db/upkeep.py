"""Keeps the partitions of `observation` on PostgreSQL in good order while they are in use.

None of the steps takes a lock that writers or readers of the table need, or asks for one that they
would queue behind; they wait for those who came before. What does not end in time is left for
the next time, which finishes or undoes it: a partition that is detached half, or detached and not
dropped, or an index that is not valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.exc import OperationalError

from collector.db.engine import writing
from collector.db.kept import note_dropped
from collector.db.partitions import Part, list_parts

_LOCK_KEY: Final = 6_013_742_283
"""Names the advisory lock of whoever keeps the partitions."""
_DROPPING: Final = "mirrorproof: retention drops this table"
"""Marks a partition before it is detached. One that somebody else detached is theirs."""
_PATIENCE: Final = "60s"
"""How long to wait for transactions that began before: those of settling take seconds."""
_NOT_NOW: Final = ("55P03", "40P01")
"""SQLSTATEs: the lock was not to be had in time; a deadlock."""
_LATE_WRITER_US: Final = 300_000_000
"""Collectors' clocks differ by less: a partition that ended so long ago gets nothing any more."""
INDEXED: Final = ("key", "request_id")
"""What full partitions are indexed by. A btree on the one being filled would halve its rate."""

_ORPHANS: Final = text(
    "SELECT c.oid::regclass::text FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema() "
    "WHERE c.relkind = 'r' AND NOT c.relispartition "
    "AND obj_description(c.oid, 'pg_class') = :mark"
).bindparams(bindparam("mark", _DROPPING))
_INDEXES: Final = text(
    "SELECT c.relname, c.oid::regclass::text, i.indisvalid, a.amname = 'brin' FROM pg_index i "
    "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam "
    "WHERE i.indrelid = CAST(:table AS regclass)"
)


class Upkeep:
    """What is done to partitions, over a connection of its own.

    Args:
        connection: In autocommit, with the advisory lock; see `keeping`.
        engine: For transactions.
    """

    def __init__(self, connection: Connection, engine: Engine) -> None:
        self._connection: Final = connection
        self._engine: Final = engine
        self.put_off: Final[list[str]] = []

    def finish(self) -> list[str]:
        """Finishes what another run began; returns the partitions that are gone now."""
        for part in list_parts(self._connection):
            if part.leaving:
                self._try(f"ALTER TABLE observation DETACH PARTITION {part.sql} FINALIZE")
        orphans = list(self._connection.scalars(_ORPHANS))
        return [name for name in orphans if self._try(f"DROP TABLE {name}")]

    def drop(self, part: Part) -> bool:
        """Drops a partition; returns whether it is gone. Its rows are not seen any more if not."""
        with writing(self._engine) as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
            connection.exec_driver_sql(f"COMMENT ON TABLE {part.sql} IS '{_DROPPING}'")
            if has_rows(connection, part):
                note_dropped(connection, part.end_us)
        return self._try(
            f"ALTER TABLE observation DETACH PARTITION {part.sql} CONCURRENTLY"
        ) and self._try(f"DROP TABLE {part.sql}")

    def index(self, part: Part) -> list[str]:
        """Builds the indexes of a full partition; returns the names of those that are new."""
        known = {row[0]: row for row in self._connection.execute(_INDEXES, {"table": part.sql})}
        built = []
        for column in INDEXED:
            name = f"{part.name}_{column}_idx"
            if name in known and known[name][3]:
                name = f"{part.name}_{column}_btree"  # the parent's filter took that name
            if name in known and known[name][2]:
                continue
            if name in known and not self._try(f"DROP INDEX CONCURRENTLY {known[name][1]}"):
                continue
            if self._try(f"CREATE INDEX CONCURRENTLY {name} ON {part.sql} ({column})"):
                built.append(name)
        return built

    def summarize(self, part: Part) -> None:
        """Has the block ranges filled since the last time known to their indexes."""
        for _, sql, _, is_brin in self._connection.execute(_INDEXES, {"table": part.sql}).all():
            if is_brin:
                self._try(f"SELECT brin_summarize_new_values('{sql}')")

    def _try(self, statement: str) -> bool:
        """Whether a statement had its locks in time; else it is left for the next run."""
        try:
            self._connection.exec_driver_sql(statement)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in _NOT_NOW:
                raise
            self.put_off.append(statement)
            return False
        return True


@contextmanager
def keeping(engine: Engine) -> Iterator[Upkeep | None]:
    """The right to keep the partitions; None: another process has it."""
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        try:
            mine = text("SELECT pg_try_advisory_lock(:key)")
            if not connection.scalar(mine, {"key": _LOCK_KEY}):
                yield None
                return
            connection.exec_driver_sql(f"SET lock_timeout = '{_PATIENCE}'")
            connection.exec_driver_sql("SET statement_timeout = 0")
            yield Upkeep(connection, engine)
        finally:
            # Closes the session for real: its lock and time-out end with it.
            connection.invalidate()


def full(parts: Sequence[Part], now_us: int) -> list[Part]:
    """The partitions that nothing is written to any more."""
    return [part for part in parts if part.end_us + _LATE_WRITER_US <= now_us and not part.leaving]


def has_rows(connection: Connection, part: Part) -> bool:
    """Whether a partition has any row."""
    query = f"SELECT EXISTS (SELECT 1 FROM {part.sql})"  # noqa: S608 - our own name
    return bool(connection.exec_driver_sql(query).scalar_one())
