"""Index when the lines of batches start: settling asks which batches hold lines of a time.

Revision: 0019. Expands only: programs of 0018 run on.
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision: str | None = "0018"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the index."""
    columns = ["max_start_us", "min_start_us", "committed_us"]
    op.create_index("ix_batch_max_start_us", "batch", columns, unique=False)


def downgrade() -> None:
    """Drops it."""
    op.drop_index("ix_batch_max_start_us", table_name="batch")
