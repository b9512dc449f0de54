"""The tables of what lines show besides themselves; conventions as in `collector.db.tables`."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from collector.db.tables import BIG_ID, metadata

node_sign: Final = Table(
    "node_sign",
    metadata,
    # First, as settling asks for a stretch of time.
    Column("span_us", BigInteger, primary_key=True, autoincrement=False, comment="5 minutes"),
    Column("cluster", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("heard", BigInteger, nullable=False, comment="a bit for each 5 s with a sign of life"),
    comment="when the log paths of nodes were alive",
)

wild_clock: Final = Table(
    "wild_clock",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("namespace", Text, primary_key=True),
    Column("pod", Text, primary_key=True),
    Column("hour_us", BigInteger, primary_key=True, autoincrement=False, comment="of records"),
    Column("first_us", BigInteger, nullable=False, comment="record's time of the first such line"),
    Column("last_us", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("off_us", BigInteger, nullable=False, comment="its last one was so far ahead"),
    Index("ix_wild_clock_hour_us", "hour_us"),
    comment="pods whose lines have times too far from their records'",
)

presence: Final = Table(
    "presence",
    metadata,
    Column("id", BIG_ID, primary_key=True, autoincrement=False, comment="of a batch"),
    Column("committed_us", BigInteger, nullable=False, comment="as that of the batch"),
    Column("kinds", LargeBinary, nullable=False, comment="JSON: arrays as KindInSecond"),
    comment="who wrote the lines of a batch in which second; a batch without: ask its lines",
)
