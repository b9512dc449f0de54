"""The database as the oracle sees it: plain SQL by its own driver, never through the product."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import make_url

_FLOCK: Final = "hhqqi0q"
"""struct flock of Linux: type, whence, start, length, pid."""
_WAL_WRITE_LOCK: Final = 120
"""The byte of the -shm file that SQLite's one writer holds (sqlite.org/walformat.html)."""


class Position(NamedTuple):
    """How far a partition is read, and who reads it."""

    topic: str
    next_offset: int
    owner: str | None
    state: str


class Stored(NamedTuple):
    """An observation: where it was read, who it is, and the range of its batch."""

    topic: str
    offset: int
    item: int
    identity: str
    batch_from: int
    batch_to: int


class BatchRow(NamedTuple):
    """What one transaction said that it wrote."""

    topic: str
    from_offset: int
    to_offset: int
    records: int
    read: int
    stored: int
    ignored: int
    quarantined: int


class Store:
    """A database by its SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.file = self._url.database or "" if self._url.drivername.startswith("sqlite") else ""
        self.kind = "SQLite" if self.file else "PostgreSQL"

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection | psycopg.Connection]:
        if self.file:
            with contextlib.closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
                yield connection
        else:
            url = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(url, autocommit=True) as connection:
                yield connection

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Runs a statement in a transaction of its own; its rows, where it has any."""
        with self._connect() as connection:
            cursor = connection.execute(statement)
            return [] if cursor.description is None else cursor.fetchall()

    def positions(self) -> dict[int, Position]:
        """By partition."""
        query = "SELECT partition, topic, next_offset, owner, state FROM position"
        return {row[0]: Position(*row[1:]) for row in self.execute(query)}

    def rows(self, partition: int) -> list[Stored]:
        """The observations of a partition, by offset and item."""
        query = (
            "SELECT b.topic, o.record_offset, o.item, o.request_id || ' ' || o.bytes_sent, "
            "b.from_offset, b.to_offset FROM observation o JOIN batch b ON b.id = o.batch_id "
            f"WHERE b.partition = {partition:d} ORDER BY 2, 3"
        )
        return [Stored(*row) for row in self.execute(query)]

    def rows_without_batch(self) -> int:
        """Observations of which nobody can say where they were read."""
        query = (
            "SELECT count(*) FROM observation o LEFT JOIN batch b ON b.id = o.batch_id "
            "WHERE b.id IS NULL"
        )
        return int(self.execute(query)[0][0])

    def quarantined(self, partition: int) -> list[tuple[int, int]]:
        """Offset and item of what is in quarantine."""
        query = (
            "SELECT record_offset, item FROM quarantine "
            f"WHERE partition = {partition:d} ORDER BY 1, 2"
        )
        return [(offset, item) for offset, item in self.execute(query)]

    def batches(self, partition: int) -> list[BatchRow]:
        """The batch rows of a partition, in the order of their offsets."""
        query = (
            "SELECT topic, from_offset, to_offset, records, read, stored, ignored, quarantined "
            f"FROM batch WHERE partition = {partition:d} ORDER BY from_offset, to_offset"
        )
        return [BatchRow(*row) for row in self.execute(query)]

    def partitions(self) -> set[int]:
        """All partitions that any table names."""
        query = (
            "SELECT partition FROM position UNION SELECT partition FROM batch "
            "UNION SELECT partition FROM quarantine"
        )
        return {row[0] for row in self.execute(query)}

    # --- what only the one who kills asks

    def is_writing(self, owner: str, pid: int) -> bool:
        """Whether a process has a transaction open that writes, at this moment.

        Args:
            owner: The `application_name` of its connections (PostgreSQL).
            pid: Its number (SQLite).
        """
        if self.file:
            return self._sqlite_writer() == pid
        with self._connect() as connection:
            assert isinstance(connection, psycopg.Connection)
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL "
                "AND datname = current_database() AND application_name = %s"
            )
            return bool(connection.execute(query, (owner,)).fetchall()[0][0])

    def _sqlite_writer(self) -> int:
        """The process that has the write lock, 0: none. Asks the kernel; takes no lock."""
        try:
            shared = os.open(f"{self.file}-shm", os.O_RDWR)
        except FileNotFoundError:
            return 0
        try:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _WAL_WRITE_LOCK, 1, 0)
            found = struct.unpack(_FLOCK, fcntl.fcntl(shared, fcntl.F_GETLK, asked))
        finally:
            os.close(shared)
        return int(found[4]) if found[0] != fcntl.F_UNLCK else 0

    def is_opened_by(self, pid: int) -> bool:
        """Whether a process has the database's file open; True for a server.

        After a kill the collector opens the file first: what SQLite has to mend, it mends there.
        """
        if not self.file:
            return True
        folder = f"/proc/{pid}/fd"
        try:
            names = os.listdir(folder)
        except OSError:
            return False
        for name in names:
            with contextlib.suppress(OSError):
                if os.readlink(f"{folder}/{name}") == os.path.realpath(self.file):
                    return True
        return False
