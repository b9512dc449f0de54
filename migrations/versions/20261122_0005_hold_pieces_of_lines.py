"""Hold pieces of split lines until their rest comes.

Revision: 0005. Expands only: collectors of 0004 run on, and quarantine pieces as before.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, PrimaryKeyConstraint, Text, text

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the table and the column that counts it."""
    op.create_table(
        "piece",
        Column("topic", Text(), nullable=False),
        Column("partition", Integer(), autoincrement=False, nullable=False),
        Column("record_offset", BigInteger(), autoincrement=False, nullable=False),
        Column("item", Integer(), autoincrement=False, nullable=False),
        Column(
            "stream", Text(), nullable=False, comment="whose line: pod, container, stdout or stderr"
        ),
        Column("time", Text(), nullable=False, comment="the shipper's, as it was written"),
        Column(
            "text", LargeBinary(), nullable=False, comment="UTF-8, not redacted; gone in a minute"
        ),
        Column("record_us", BigInteger(), nullable=False),
        Column(
            "spoiled",
            Integer(),
            nullable=False,
            comment="1: its line is too long to be joined",
        ),
        PrimaryKeyConstraint("topic", "partition", "record_offset", "item", name=op.f("pk_piece")),
    )
    op.add_column(
        "batch",
        Column(
            "pieces",
            Integer(),
            server_default=text("0"),
            nullable=False,
            comment="change in waiting pieces, of the ignored lines",
        ),
    )


def downgrade() -> None:
    """Drops them and what they hold."""
    op.drop_column("batch", "pieces")
    op.drop_table("piece")
