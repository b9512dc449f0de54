"""Note when pods, hosts and destinations were seen last, so that they can go.

Revision: 0021. Expands only: programs of 0020 run on.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0021"
down_revision: str | None = "0020"
branch_labels: str | None = None
depends_on: str | None = None

_TABLES = ("pod", "host", "destination")


def upgrade() -> None:
    """Adds the column; maintenance fills it, a little at a time."""
    comment = "lines name it until half a day later; null: not known yet"
    for table in _TABLES:
        op.add_column(table, Column("seen_us", BigInteger(), comment=comment))


def downgrade() -> None:
    """Drops it."""
    for table in _TABLES:
        op.drop_column(table, "seen_us")
