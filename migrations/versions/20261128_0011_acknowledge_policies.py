"""Write down from when every live collector watched a policy version.

Revision: 0011. Expands only: programs of 0010 run on; what they record is in force once a program
of now looks. What was recorded before was in force at once, and remains so.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, text

revision = "0011"
down_revision: str | None = "0010"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Adds the columns."""
    op.add_column(
        "policy_version",
        Column("acknowledged_us", BigInteger(), comment="when every live collector watched it"),
    )
    op.add_column(
        "policy_version",
        Column("stored_from_us", BigInteger(), comment="lines of its hosts; null: since ever"),
    )
    op.execute(text("UPDATE policy_version SET acknowledged_us = recorded_us"))


def downgrade() -> None:
    """Drops the columns."""
    op.drop_column("policy_version", "stored_from_us")
    op.drop_column("policy_version", "acknowledged_us")
