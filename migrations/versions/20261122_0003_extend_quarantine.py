"""Extend quarantine: who wrote it, what was replayed; count tries; keep what operators resumed.

Revision: 0003. Expands only: programs of 0002 run on.
"""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, Text, text

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None

_BIG_ID = BigInteger().with_variant(Integer(), "sqlite")


def _new() -> dict[str, list[Column[object]]]:
    """The new columns of each table; made anew, as a Column belongs to one table."""

    def counter(name: str, comment: str, kind: type = Integer, default: str = "0") -> Any:
        return Column(name, kind(), nullable=False, server_default=text(default), comment=comment)

    return {
        "quarantine": [
            counter(
                "records",
                "more: a gap, records that nobody read, from record_offset on",
                BigInteger,
                "1",
            ),
            Column("record_us", BigInteger(), comment="the record's time; a gap's first"),
            Column(
                "until_us", BigInteger(), comment="a gap's last time; null: no gap, or not known"
            ),
            counter("identity", "JSON: who wrote it", Text, "''"),
            Column(
                "replayed_us", BigInteger(), comment="when it was read after all; null: it was not"
            ),
            Column("replayed_batch_id", BigInteger(), comment="the batch that read it"),
        ],
        "batch": [
            counter("replayed", "records that it took out of quarantine: they were counted before")
        ],
        "position": [
            counter("unclean", "owners in a row that vanished without reading on"),
            Column(
                "attempt_offset", BigInteger(), comment="record that is tried alone; null: none"
            ),
            counter("attempts", "tries of it that did not come to an end"),
        ],
    }


def upgrade() -> None:
    """Adds columns and the table of resumptions."""
    for table, columns in _new().items():
        for column in columns:
            op.add_column(table, column)
    op.create_index(
        "ix_quarantine_topic_partition_record_offset",
        "quarantine",
        ["topic", "partition", "record_offset"],
        unique=False,
    )
    op.create_table(
        "resumption",
        Column("id", _BIG_ID, nullable=False),
        Column("topic", Text(), nullable=False),
        Column("partition", Integer(), nullable=False),
        Column("at_us", BigInteger(), nullable=False),
        Column("reason", Text(), nullable=False, comment="why it had stopped"),
        Column("from_offset", BigInteger(), nullable=False, comment="where it had stopped"),
        Column("to_offset", BigInteger(), nullable=False, comment="where reading goes on"),
        Column("topic_id", Text(), comment="the topic's identity from then on"),
        Column("batch_id", BigInteger(), nullable=False, comment="the last one before"),
        Column("who", Text(), nullable=False),
        Column("why", Text(), nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_resumption")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Drops them and what they hold."""
    op.drop_table("resumption")
    op.drop_index("ix_quarantine_topic_partition_record_offset", table_name="quarantine")
    for table, columns in _new().items():
        for column in columns:
            op.drop_column(table, column.name)
