"""Keep the leader epoch of the last record read: it tells a log that was cut and filled again.

Revision: 0015. Expands only: programs of 0014 run on.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Integer

revision = "0015"
down_revision: str | None = "0014"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Adds the column; what was read so far has none."""
    op.add_column(
        "position",
        Column(
            "leader_epoch",
            Integer(),
            comment="the broker's, of the last record read; null: not known",
        ),
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_column("position", "leader_epoch")
