"""From when on lines are kept: what retention drops is written down before it is dropped.

Whoever judges reads this first: a window whose lines may lack is never judged from what is left
of them, or dropped lines would turn into missing copies.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Connection, Table, Text, func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.tables import metadata
from collector.reader import MAX_SKEW_US

kept: Final = Table(
    "kept",
    metadata,
    Column("name", Text, primary_key=True, comment="of what: lines, findings"),
    Column("from_us", BigInteger, nullable=False, comment="what is earlier may be dropped"),
)

LINES: Final = "lines"
QUARANTINE: Final = "quarantine"


def lines_kept_from(connection: Connection) -> int | None:
    """All stored lines that start then or later are still there, µs; None: all there ever were.

    But for lines whose clock is further ahead than `MAX_SKEW_US`; those are evidence of nothing.
    """
    return kept_from(connection, LINES)


def kept_from(connection: Connection, name: str) -> int | None:
    """What is older of some kind may be dropped, µs; None: nothing was."""
    return connection.scalar(select(kept.c.from_us).where(kept.c.name == name))


def ingested_from(connection: Connection) -> int:
    """Lines that were ingested then or later are all there, µs; 0: all are."""
    kept_us = lines_kept_from(connection)
    return 0 if kept_us is None else kept_us - MAX_SKEW_US


def note_dropped(connection: Connection, ingested_us: int) -> None:
    """Lines that were ingested before that time are going to be dropped.

    On PostgreSQL this is committed before their partition is touched; see `hold_lines`.
    """
    # A line starts before it is ingested, as far as clocks agree.
    note(connection, LINES, ingested_us + MAX_SKEW_US)


def note(connection: Connection, name: str, from_us: int) -> None:
    """What is older than that of some kind is going to be dropped."""
    on_postgresql = connection.dialect.name == "postgresql"
    statement = (postgresql if on_postgresql else sqlite).insert(kept)
    later = func.greatest if on_postgresql else func.max
    connection.execute(
        statement.values(name=name, from_us=from_us).on_conflict_do_update(
            index_elements=[kept.c.name],
            set_={"from_us": later(kept.c.from_us, statement.excluded.from_us)},
        )
    )


def hold_lines(connection: Connection) -> None:
    """Has this transaction see all lines until it ends, from what it learns is kept.

    Must be its first statement. A partition that is detached vanishes from every transaction that
    has not read the table yet, whatever its snapshot; this lock makes the detaching wait. It
    holds up no writer and no reader.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE ONLY observation IN ACCESS SHARE MODE"))
