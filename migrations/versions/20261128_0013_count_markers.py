"""Count what tells copies from live requests, and note when that changes.

Revision: 0013. Expands only: programs of 0012 run on, and count nothing.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text

revision = "0013"
down_revision: str | None = "0012"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "copy_marker",
        Column("policy", Text(), nullable=False),
        Column("hour_us", BigInteger(), autoincrement=False, nullable=False),
        Column("marker", Text(), nullable=False, comment="verifier.pairing.lines.Marker"),
        Column("copies", BigInteger(), nullable=False, comment="told by it, by first revisions"),
        PrimaryKeyConstraint("policy", "hour_us", "marker", name=op.f("pk_copy_marker")),
        comment="what tells copies from live requests",
    )
    op.create_table(
        "marker_change",
        Column("policy", Text(), nullable=False),
        Column(
            "start_us", BigInteger(), autoincrement=False, nullable=False, comment="of a window"
        ),
        Column("before", Text(), nullable=False, comment="empty: the first one"),
        Column("after", Text(), nullable=False),
        PrimaryKeyConstraint("policy", "start_us", name=op.f("pk_marker_change")),
    )


def downgrade() -> None:
    """Drops them and what they hold."""
    op.drop_table("marker_change")
    op.drop_table("copy_marker")
