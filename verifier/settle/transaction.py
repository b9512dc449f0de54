"""The transaction of a tick: one snapshot, one writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from collector.db.engine import writing
from collector.db.kept import hold_lines


@contextmanager
def settling(engine: Engine) -> Iterator[Connection]:
    """A write transaction that sees one state of the whole database.

    SQLite's writer has that by BEGIN IMMEDIATE; PostgreSQL by REPEATABLE READ, where a
    serialisation failure tells that another verifier committed meanwhile, and where a lock keeps
    partitions from being dropped meanwhile: dropping one does not wait for snapshots.
    """
    if engine.dialect.name != "postgresql":
        with writing(engine) as connection:
            yield connection
        return
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            hold_lines(connection)
            yield connection
