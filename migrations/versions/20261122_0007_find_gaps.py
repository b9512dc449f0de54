"""Find gaps in quarantine without reading all of it.

Revision: 0007. Expands only: programs of 0006 run on.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

_GAP = "length = 0"


def upgrade() -> None:
    """Creates the index."""
    op.create_index(
        "ix_quarantine_gap",
        "quarantine",
        ["at_us"],
        unique=False,
        postgresql_where=text(_GAP),
        sqlite_where=text(_GAP),
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_index("ix_quarantine_gap", table_name="quarantine")
