"""Create the table of where each policy's chain of windows ends.

Revision: 0004. Expands only.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, LargeBinary, PrimaryKeyConstraint, Text

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "chain_head",
        Column("policy", Text(), nullable=False),
        Column("anchor", LargeBinary(), nullable=False, comment="what the first row rests on"),
        Column("digest", LargeBinary(), nullable=False, comment="of the last row"),
        PrimaryKeyConstraint("policy", name=op.f("pk_chain_head")),
        comment="the ends of each policy's chain of windows",
    )


def downgrade() -> None:
    """Drops the table."""
    op.drop_table("chain_head")
