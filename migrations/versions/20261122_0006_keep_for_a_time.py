"""Write down what retention dropped, and what was too late for it.

Revision: 0006. Expands only: programs of 0005 run on, without retention.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Text, text

revision = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the tables and columns."""
    op.create_table(
        "kept",
        Column("name", Text(), nullable=False, comment="of what: lines, findings"),
        Column("from_us", BigInteger(), nullable=False, comment="what is earlier may be dropped"),
        PrimaryKeyConstraint("name", name=op.f("pk_kept")),
    )
    op.create_table(
        "unsettled",
        Column("policy", Text(), nullable=False),
        Column("from_us", BigInteger(), autoincrement=False, nullable=False),
        Column("to_us", BigInteger(), nullable=False),
        Column("noted_us", BigInteger(), nullable=False),
        PrimaryKeyConstraint("policy", "from_us", name=op.f("pk_unsettled")),
        comment="stretches whose lines were dropped before they were settled",
    )
    op.add_column(
        "settled_policy",
        Column(
            "too_late",
            BigInteger(),
            server_default=text("0"),
            nullable=False,
            comment="lines that came when others of their window were dropped already",
        ),
    )
    op.add_column(
        "observation", Column("user_agent", Text(), comment="null: it is not stored, see settings")
    )


def downgrade() -> None:
    """Drops them and what they hold."""
    op.drop_column("observation", "user_agent")
    op.drop_column("settled_policy", "too_late")
    op.drop_table("unsettled")
    op.drop_table("kept")
