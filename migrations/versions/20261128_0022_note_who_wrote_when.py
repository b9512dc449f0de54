"""Note with each batch who wrote its lines in which second.

Revision: 0022. Expands only: programs of 0021 run on, and what they write is asked of its lines.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary

revision = "0022"
down_revision: str | None = "0021"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "presence",
        Column(
            "id",
            BigInteger().with_variant(Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
            comment="of a batch",
        ),
        Column("committed_us", BigInteger(), nullable=False, comment="as that of the batch"),
        Column("kinds", LargeBinary(), nullable=False, comment="JSON: arrays as KindInSecond"),
        comment="who wrote the lines of a batch in which second; a batch without: ask its lines",
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_table("presence")
