"""Index the request ids of stored lines, so that one is found at once.

On PostgreSQL the index is made on the parent alone, and in no time: partitions that are made from
now on have it, full ones get or have a btree. SQLite builds it over all lines, some seconds for
each million.

Revision: 0017. Expands only: programs of 0016 run on.
"""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision: str | None = "0016"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Creates the index."""
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("ix_observation_request_id", "observation", ["request_id"], unique=False)
        return
    op.execute(
        "CREATE INDEX ix_observation_request_id ON ONLY observation USING brin (request_id "
        "text_bloom_ops(n_distinct_per_range = 600, false_positive_rate = 0.001)) "
        "WITH (pages_per_range = 32, autosummarize = on)"
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_index("ix_observation_request_id", table_name="observation")
