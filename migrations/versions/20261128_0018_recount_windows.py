"""Remember windows that count already and say something else now.

Revision: 0018. Expands only: programs of 0017 run on.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, Text

revision = "0018"
down_revision: str | None = "0017"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "incident_recount",
        Column("policy", Text(), nullable=False),
        Column("start_us", BigInteger(), autoincrement=False, nullable=False),
        Column("counted", Integer(), nullable=False, comment="revision that counts; 0: none"),
        Column("due_us", BigInteger(), nullable=False, comment="by the database's clock"),
        PrimaryKeyConstraint("policy", "start_us", name=op.f("pk_incident_recount")),
        comment="windows behind the cursor that were settled anew",
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_table("incident_recount")
