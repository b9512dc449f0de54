"""Create the tables of how answers differ by endpoint.

Revision: 0014. Expands only.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, LargeBinary, PrimaryKeyConstraint, Text

revision = "0014"
down_revision: str | None = "0013"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the tables."""
    said = "JSON of statistics.Compared"
    op.create_table(
        "endpoint_hour",
        Column("policy", Text(), nullable=False),
        Column("hour_us", BigInteger(), nullable=False, comment="start of the hour"),
        Column("endpoint", Text(), nullable=False, comment="method and template of the path"),
        Column("compared", LargeBinary(), nullable=False, comment=said),
        PrimaryKeyConstraint("policy", "hour_us", "endpoint", name=op.f("pk_endpoint_hour")),
        comment="how the answers of a sample of matched pairs differ",
    )
    op.create_table(
        "endpoint_reference",
        Column("policy", Text(), nullable=False),
        Column("endpoint", Text(), nullable=False),
        Column("since_us", BigInteger(), nullable=False),
        Column("until_us", BigInteger(), nullable=False),
        Column("accepted_us", BigInteger(), nullable=False),
        Column("compared", LargeBinary(), nullable=False, comment=said),
        PrimaryKeyConstraint("policy", "endpoint", name=op.f("pk_endpoint_reference")),
        comment="differences that a user accepted",
    )


def downgrade() -> None:
    """Drops the tables."""
    op.drop_table("endpoint_reference")
    op.drop_table("endpoint_hour")
