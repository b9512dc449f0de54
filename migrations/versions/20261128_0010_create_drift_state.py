"""Create the table of what is remembered to see slow drifts.

Revision: 0010. Expands only.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Float, LargeBinary, PrimaryKeyConstraint, Text

revision = "0010"
down_revision: str | None = "0009"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "drift_state",
        Column("policy", Text(), nullable=False),
        Column("hour_us", BigInteger(), nullable=False, comment="start of the hour"),
        Column("through_us", BigInteger(), nullable=False, comment="end of its last window so far"),
        Column("declared", Float(), nullable=False, comment="share from 0 to 1"),
        Column("tolerance", Float(), nullable=False, comment="share from 0 to 1"),
        Column(
            "watch", LargeBinary(), nullable=False, comment="JSON of sequential.Watch, up to then"
        ),
        PrimaryKeyConstraint("policy", "hour_us", name=op.f("pk_drift_state")),
        comment="what is remembered of each policy's windows, to see slow drifts",
    )


def downgrade() -> None:
    """Drops the table."""
    op.drop_table("drift_state")
