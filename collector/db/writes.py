"""Writes batches: rows, batch row, position and node life in one transaction.

Either all of it is there or nothing; a process may die at any moment in between.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from collector.batch import Batch, Seen
from collector.db import pieces, positions
from collector.db.acknowledged import require_current
from collector.db.batches import insert_batch
from collector.db.dimensions import Dimensions
from collector.db.engine import as_our_error, driver_errors, writing
from collector.db.partitions import Partitions, Slot
from collector.db.positions import Claim
from collector.db.presence import insert_presence
from collector.db.quarantine import insert_poison, mark_replayed
from collector.db.rows import COLUMNS, COPY_BEGIN, COPY_END, Head, Packer, row_of
from collector.db.secrets import request_key_secret
from collector.db.signs import News, Signs
from collector.errors import RowRefused
from collector.redact import Redactor
from collector.settings import Settings
from collector.sources.protocol import Partition

MOST_REFUSED: Final = 100
"""Of one write. When the database refuses more rows, the fault is not in single rows."""
_CHUNK: Final = 500
"""Rows that are packed before they are sent: the server reads them while we pack the next."""
_REFUSALS: Final = (DataError, IntegrityError, ValueError, OverflowError, struct.error)
"""What a value raises that does not fit: in the database, in its driver, while it is packed."""
_COPY: Final = f"COPY observation ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_INSERT: Final = (
    f"INSERT INTO observation ({', '.join(COLUMNS)}) "  # noqa: S608 - our own names
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)


class Writer:
    """Writes what one collector read.

    Args:
        engine: The database.
        paths: Hides query values.
        slot: How much time a new partition covers (PostgreSQL).
        synchronous: Whether a commit waits for the server's disk (PostgreSQL). Without, a crash
            of the server may lose the last ones, rows and offsets together.
        timed: Goes around each transaction, for metrics.

    Attributes:
        wrote_us: When something was written last, by the caller's clock; None: nothing was.
    """

    def __init__(
        self,
        engine: Engine,
        paths: Redactor,
        *,
        slot: Slot = "day",
        synchronous: bool = True,
        timed: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._engine = engine
        self._paths = paths
        self._dimensions = Dimensions(engine)
        self._packer = Packer(self._dimensions.ids, paths)
        self._partitions = Partitions(engine, slot)
        self._relaxed = not synchronous and engine.dialect.name == "postgresql"
        self._signs = Signs()
        self._timed = timed
        self.wrote_us: int | None = None

    def write(
        self, batches: Sequence[Batch], claims: Mapping[Partition, Claim], now_us: int
    ) -> None:
        """Writes batches of different partitions in one transaction.

        Args:
            batches: In any order, several of one partition in the order of their offsets.
            claims: The right to write each of them.
            now_us: Wall clock: the time of ingestion.

        Raises:
            Fenced: One of the partitions has another owner; nothing was written.
            Outdated: They were read by policies of before; nothing was written.
            RowRefused: A row does not fit; nothing was written. `refused` says which.
            Retryable: The database did not answer; something may have been written.
            UsageError: The database refuses us.
        """
        try:
            self._partitions.cover(now_us)
            seen = [seen.observation for one in batches for seen in one.seen]
            news = self._dimensions.within(
                seen,
                now_us,
                lambda connection: self._write_all(connection, batches, claims, now_us),
                self._timed,
            )
        except _REFUSALS as error:
            raise RowRefused(_in_words(error)) from error
        except SQLAlchemyError as error:
            self._partitions.forget()
            raise as_our_error(error, self._engine.url) from error
        self._signs.wrote(news)
        self.wrote_us = now_us

    def refused(self, seen: Sequence[Seen], now_us: int, most: int) -> list[tuple[Seen, str]]:
        """The observations that the database does not take, each with the reason.

        Halves are tried, and rolled back, until each bad one stands alone.

        Args:
            seen: What could not be written.
            now_us: Wall clock.
            most: When there are more, some are left out: the fault is not in single rows.

        Raises:
            Retryable: The database did not answer.
            UsageError: The database refuses us.
        """
        found: list[tuple[Seen, str]] = []
        parts = [list(seen)]
        while parts and len(found) <= most:
            part = parts.pop()
            why = self._try(part, now_us)
            if why and len(part) == 1:
                found.append((part[0], why))
            elif why:
                half = len(part) // 2
                parts += [part[half:], part[:half]]
        return found

    def _try(self, seen: Sequence[Seen], now_us: int) -> str:
        """Why rows cannot be written; empty: they can. Nothing remains of them."""
        try:
            self._dimensions.learn([one.observation for one in seen], now_us)
            with writing(self._engine) as connection:
                self._insert(connection, [((now_us, 0), seen)])
                connection.rollback()
        except _REFUSALS as error:
            return _in_words(error)
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
        return ""

    def replay(self, one: Batch, entry_id: int, now_us: int) -> None:
        """Writes what an entry of quarantine turned out to be, and takes it out of there.

        Args:
            one: What was read; it gets the partition's present position.
            entry_id: The entry.
            now_us: Wall clock.

        Raises:
            Fenced: It was replayed before; nothing was written.
            RowRefused: A row does not fit; nothing was written.
            Retryable, UsageError: The database.
        """
        self.write_late(
            one.partition,
            one.seen,
            now_us,
            lambda _: one,
            lambda connection, batch_id: mark_replayed(connection, entry_id, batch_id, now_us),
        )

    def write_late(
        self,
        where: Partition,
        seen: Sequence[Seen],
        now_us: int,
        decide: Callable[[Connection], Batch | None],
        mark: Callable[[Connection, int], object],
    ) -> None:
        """Writes a batch of records that were read before, in one transaction.

        Args:
            where: Their partition; nobody else writes about it meanwhile.
            seen: All that may be stored.
            now_us: Wall clock.
            decide: What is written; it gets the partition's present position. None: nothing.
            mark: Called with the batch's id, before its lines are written.

        Raises:
            Fenced: The partition was never read, or as `mark` and `decide` say.
            RowRefused: A row does not fit; nothing was written.
            Retryable, UsageError: The database.
        """

        def write(connection: Connection) -> News | None:
            offset = positions.hold(connection, where)
            one = decide(connection)
            if one is None:
                return None
            one.from_offset = one.to_offset = offset
            batch_id = insert_batch(connection, one, now_us)
            mark(connection, batch_id)
            insert_poison(connection, one, self._paths, now_us)
            self._insert(connection, [((now_us, batch_id), one.seen)])
            return self._signs.write(connection, [one])

        try:
            self._partitions.cover(now_us)
            news = self._dimensions.within([one.observation for one in seen], now_us, write)
        except _REFUSALS as error:
            raise RowRefused(_in_words(error)) from error
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
        if news is not None:
            self._signs.wrote(news)

    def _write_all(
        self,
        connection: Connection,
        batches: Sequence[Batch],
        claims: Mapping[Partition, Claim],
        now_us: int,
    ) -> News:
        if self._relaxed:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        require_current(connection, min(one.policy_version_id for one in batches))
        stored: list[tuple[Head, Sequence[Seen]]] = []
        # Everybody locks positions in this order.
        for one in sorted(batches, key=lambda found: (found.partition, found.from_offset)):
            held = claims[one.partition]
            span = (one.from_offset, one.to_offset)
            epoch = one.leader_epoch
            positions.advance(connection, held, span, one.watermark_us, now_us, epoch)
            stored.append(((now_us, insert_batch(connection, one, now_us)), one.seen))
            insert_poison(connection, one, self._paths, now_us)
            pieces.write(connection, one)
            if one.stop_reason:
                positions.stop(connection, held, one.stop_reason, now_us)
        self._insert(connection, stored)
        return self._signs.write(connection, batches)

    def _insert(
        self, connection: Connection, stored: Sequence[tuple[Head, Sequence[Seen]]]
    ) -> None:
        """Inserts observations, by the fastest way of each database, and who wrote them when.

        Raises:
            SQLAlchemyError: The database.
            ValueError, OverflowError, struct.error: A value that does not fit.
        """
        if not any(seen for _, seen in stored):
            return
        insert_presence(connection, stored, self._dimensions.ids)
        raw: Any = connection.connection.driver_connection
        if connection.dialect.name == "postgresql":
            with driver_errors(connection), raw.cursor() as cursor, cursor.copy(_COPY) as copy:
                copy.write(COPY_BEGIN)
                for head, seen in stored:
                    for first in range(0, len(seen), _CHUNK):
                        copy.write(self._packer.pack(head, seen[first : first + _CHUNK]))
                copy.write(COPY_END)
        else:
            ids, paths = self._dimensions.ids, self._paths
            rows = (row_of(head, one, ids, paths) for head, seen in stored for one in seen)
            with driver_errors(connection):
                raw.executemany(_INSERT, rows)


def make_writer(
    settings: Settings,
    engine: Engine,
    timed: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Writer:
    """The writer of these settings, into a migrated database; `timed` as of `Writer`."""
    own, database = settings.collector, settings.database
    hidden = Redactor(
        own.keep_query,
        forwarded_for=own.forwarded_for,
        user_agent=own.user_agent,
        secret=request_key_secret(engine),
    )
    return Writer(
        engine,
        hidden,
        slot=database.partition,
        synchronous=database.synchronous_commit,
        timed=timed,
    )


def _in_words(error: Exception) -> str:
    """One line without values: those are in the quarantine."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = str(cause).splitlines() or [type(cause).__name__]
    return f"the database does not take it: {lines[0]}"
