"""Know the pods of the cluster: of which version each is, from when to when it runs.

Revision: 0020. Expands only: programs of 0019 run on.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)

revision = "0020"
down_revision: str | None = "0019"
branch_labels: str | None = None
depends_on: str | None = None

_RUNS = text("ended_us IS NULL")


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "cluster_pod",
        Column("id", BigInteger().with_variant(Integer(), "sqlite"), nullable=False),
        Column("cluster", Text(), nullable=False, comment="as collector.cluster; empty: not named"),
        Column("uid", Text(), nullable=False, comment="the API server's; no other pod ever has it"),
        Column("namespace", Text(), nullable=False),
        Column("pod", Text(), nullable=False),
        Column("node", Text(), nullable=False, comment="empty: nowhere yet"),
        Column("labels", Text(), nullable=False, comment="JSON object, names sorted"),
        Column("started_us", BigInteger(), nullable=False),
        Column("ended_us", BigInteger(), comment="at the latest; null: it runs"),
        Column(
            "recorded_us", BigInteger(), nullable=False, comment="when the row was last written"
        ),
        PrimaryKeyConstraint("id", name=op.f("pk_cluster_pod")),
        UniqueConstraint("cluster", "uid", name=op.f("uq_cluster_pod_cluster_uid")),
        comment="pods with a proxy, as the API server told of them",
    )
    op.create_index(
        "ix_cluster_pod_runs",
        "cluster_pod",
        ["cluster"],
        unique=False,
        postgresql_where=_RUNS,
        sqlite_where=_RUNS,
    )
    op.create_index("ix_cluster_pod_recorded_us", "cluster_pod", ["recorded_us"], unique=False)


def downgrade() -> None:
    """Drops it."""
    op.drop_table("cluster_pod")
