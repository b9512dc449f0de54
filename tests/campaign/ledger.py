"""What was produced, and what has to become of it: a file beside the database, never in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.campaign.lines import Kind, Line

Place = tuple[int, int]
"""Offset of the record, position of the line within it (from 0)."""


class Ledger:
    """One topic's lines by partition, offset and item, as the broker acknowledged them.

    Args:
        path: The file; a new one is made where there is none.
    """

    def __init__(self, path: Path) -> None:
        # One thread writes at a time; the others only read.
        self._file = sqlite3.connect(path, check_same_thread=False)
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS line (partition INTEGER, record_offset INTEGER, "
            "item INTEGER, kind INTEGER, identity TEXT, PRIMARY KEY "
            "(partition, record_offset, item)) WITHOUT ROWID"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, records: Iterable[tuple[int, int, tuple[Line, ...]]]) -> None:
        """Adds records: partition, offset and lines. Raises IntegrityError: one is there."""
        rows = [
            (partition, offset, item, int(line.kind), line.identity)
            for partition, offset, lines in records
            for item, line in enumerate(lines)
        ]
        with self._file:
            self._file.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?)", rows)

    def partitions(self) -> list[int]:
        """Those that got anything."""
        found = self._file.execute("SELECT DISTINCT partition FROM line ORDER BY partition")
        return [row[0] for row in found]

    def lines(self, partition: int) -> dict[Place, Line]:
        """A partition's lines, in order."""
        found = self._file.execute(
            "SELECT record_offset, item, kind, identity FROM line WHERE partition = ? "
            "ORDER BY record_offset, item",
            (partition,),
        )
        return {(offset, item): Line(Kind(kind), who) for offset, item, kind, who in found}

    def ends(self) -> dict[int, int]:
        """The offset after the last record, by partition."""
        query = "SELECT partition, max(record_offset) + 1 FROM line GROUP BY partition"
        return dict(self._file.execute(query).fetchall())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
