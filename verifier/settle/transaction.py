"""The transaction of a tick: one snapshot, one writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, text

from collector.db.engine import writing
from collector.db.kept import hold_lines

_SETTINGS: Final = {
    # A tick groups a million lines by their keys; more than fits is sorted on disk.
    "work_mem": "128MB",
    "jit": "off",  # compiling takes longer than the queries
    # Plans know what lies in which partition only when they know the times.
    "plan_cache_mode": "force_custom_plan",
    # The rows of a verifier that froze, or vanished, stay locked for so long: between two
    # statements, or while it is sent rows. None of ours takes a second between two.
    "idle_in_transaction_session_timeout": "10s",
    "tcp_user_timeout": "10s",
}

_PIECE_KIB: Final = 2_000
"""SQLite's own default."""


@contextmanager
def settling(engine: Engine) -> Iterator[Connection]:
    """A write transaction that sees one state of the whole database.

    SQLite's writer has that by BEGIN IMMEDIATE; PostgreSQL by REPEATABLE READ, where a
    serialisation failure tells that another verifier committed meanwhile, and where a lock keeps
    partitions from being dropped meanwhile: dropping one does not wait for snapshots.
    """
    if engine.dialect.name != "postgresql":
        with writing(engine) as connection, _sorting_in_pieces(connection):
            yield connection
        return
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            hold_lines(connection)
            _set(connection)
            yield connection


@contextmanager
def _sorting_in_pieces(connection: Connection) -> Iterator[None]:
    """SQLite sorts in pieces as large as its cache: small ones fit into that of the processor."""
    before = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql(f"PRAGMA cache_size = -{_PIECE_KIB}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size = {before}")


def _set(connection: Connection) -> None:
    """Settings of this transaction alone."""
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items())
    connection.execute(text(f"SELECT {calls}"))
