"""Keep when nodes were heard, whose clocks are wrong, and how many requests pods received.

Revision: 0016. Expands only: programs of 0015 run on.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, Text, text

revision = "0016"
down_revision: str | None = "0015"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the tables and adds the column."""
    op.create_table(
        "node_sign",
        Column("span_us", BigInteger(), autoincrement=False, nullable=False, comment="5 minutes"),
        Column("cluster", Text(), nullable=False),
        Column("node", Text(), nullable=False),
        Column(
            "heard", BigInteger(), nullable=False, comment="a bit for each 5 s with a sign of life"
        ),
        PrimaryKeyConstraint("span_us", "cluster", "node", name=op.f("pk_node_sign")),
        comment="when the log paths of nodes were alive",
    )
    op.create_table(
        "wild_clock",
        Column("cluster", Text(), nullable=False),
        Column("namespace", Text(), nullable=False),
        Column("pod", Text(), nullable=False),
        Column("hour_us", BigInteger(), autoincrement=False, nullable=False, comment="of records"),
        Column(
            "first_us",
            BigInteger(),
            nullable=False,
            comment="record's time of the first such line",
        ),
        Column("last_us", BigInteger(), nullable=False),
        Column("lines", BigInteger(), nullable=False),
        Column("off_us", BigInteger(), nullable=False, comment="its last one was so far ahead"),
        PrimaryKeyConstraint("cluster", "namespace", "pod", "hour_us", name=op.f("pk_wild_clock")),
        comment="pods whose lines have times too far from their records'",
    )
    op.create_index("ix_wild_clock_hour_us", "wild_clock", ["hour_us"], unique=False)
    op.create_table(
        "pod_clock",
        Column("policy", Text(), nullable=False),
        Column("pod_id", Integer(), autoincrement=False, nullable=False),
        Column("from_us", BigInteger(), autoincrement=False, nullable=False),
        Column("ahead_us", BigInteger(), nullable=False, comment="of most others; 0: no longer"),
        Column("pairs", Integer(), nullable=False, comment="requests that it was learned from"),
        Column("learned_us", BigInteger(), nullable=False),
        PrimaryKeyConstraint("policy", "pod_id", "from_us", name=op.f("pk_pod_clock")),
        comment="how far pods' clocks are ahead, each from a time on",
    )
    op.add_column(
        "pod_hour",
        Column("arrivals", BigInteger(), nullable=False, server_default=text("0")),
    )


def downgrade() -> None:
    """Drops them."""
    op.drop_column("pod_hour", "arrivals")
    op.drop_table("pod_clock")
    op.drop_index("ix_wild_clock_hour_us", table_name="wild_clock")
    op.drop_table("wild_clock")
    op.drop_table("node_sign")
