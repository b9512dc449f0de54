"""Create what the verifier writes: windows, findings, and how far it is.

Revision: 0002. Expands only: the collector of 0001 runs on.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

_BIG_ID = BigInteger().with_variant(Integer(), "sqlite")
_LONG_LINE = "end_us - start_us > 5000000"
_RECHECK = "recheck_us IS NOT NULL AND superseded_us IS NULL"


def upgrade() -> None:
    """Creates all tables."""
    op.create_index(
        "ix_observation_long_start_us",
        "observation",
        ["start_us"],
        unique=False,
        postgresql_where=text(_LONG_LINE),
        sqlite_where=text(_LONG_LINE),
    )
    _create_window()
    _create_finding()
    _create_progress()


def downgrade() -> None:
    """Drops all tables and what they hold."""
    for table in (
        "verifier_lease",
        "pod_hour",
        "resettle",
        "settled_batch",
        "settled_policy",
        "finding",
        "settled_window",
    ):
        op.drop_table(table)
    op.drop_index("ix_observation_long_start_us", table_name="observation")


def _create_window() -> None:
    op.create_table(
        "settled_window",
        Column("id", _BIG_ID, nullable=False, comment="in commit order: the order of the chain"),
        Column("policy", Text(), nullable=False),
        Column("start_us", BigInteger(), nullable=False),
        Column("size_us", BigInteger(), nullable=False),
        Column("revision", Integer(), nullable=False, comment="from 1"),
        Column("policy_version_id", BigInteger(), nullable=False, comment="in force at its end"),
        Column("rules_version", Integer(), nullable=False),
        Column("requests", Integer(), nullable=False),
        Column("requests_high", Integer(), nullable=False),
        Column("matched", Integer(), nullable=False),
        Column("missing", Integer(), nullable=False),
        Column("unsampled", Integer(), nullable=False),
        Column("exempt", Integer(), nullable=False),
        Column("unverifiable", Integer(), nullable=False),
        Column("duplicate", Integer(), nullable=False),
        Column("leak", Integer(), nullable=False),
        Column("orphan", Integer(), nullable=False),
        Column("ambiguous", Integer(), nullable=False),
        Column("control", Integer(), nullable=False),
        Column("control_lost", Integer(), nullable=False),
        Column("paired", Integer(), nullable=False),
        Column("status_differs", Integer(), nullable=False),
        Column(
            "failures", Integer(), nullable=False, comment="copies without request or sender's log"
        ),
        Column("failing_seconds", Integer(), nullable=False, comment="seconds with any of those"),
        Column(
            "log_loss", Integer(), nullable=False, comment="of the missing: explained by lost lines"
        ),
        Column("statement", Text(), nullable=False),
        Column("reason", Text(), nullable=False),
        Column("declared", Float(), nullable=False, comment="percent"),
        Column("observed", Float(), comment="percent; null: no request"),
        Column("low", Float(), comment="95 % interval, percent"),
        Column("high", Float()),
        Column("consistent", Boolean(), nullable=False, comment="observed and declared agree"),
        Column("findings", Integer(), nullable=False, comment="stored; at most the limit"),
        Column("recheck_us", BigInteger(), comment="what its doubts about silence wait for"),
        Column("watermark_us", BigInteger(), nullable=False, comment="when it was settled"),
        Column(
            "content", LargeBinary(), nullable=False, comment="32 bytes over verdicts and findings"
        ),
        Column(
            "digest", LargeBinary(), nullable=False, comment="32 bytes over content and the chain"
        ),
        Column(
            "previous_digest",
            LargeBinary(),
            nullable=False,
            comment="of the row before; empty: none",
        ),
        Column("settled_us", BigInteger(), nullable=False),
        Column("superseded_us", BigInteger(), comment="null: the latest revision"),
        PrimaryKeyConstraint("id", name=op.f("pk_settled_window")),
        UniqueConstraint(
            "policy",
            "start_us",
            "revision",
            name=op.f("uq_settled_window_policy_start_us_revision"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_settled_window_start_us", "settled_window", ["start_us"], unique=False)
    op.create_index("ix_settled_window_policy_id", "settled_window", ["policy", "id"], unique=False)
    op.create_index(
        "ix_settled_window_recheck",
        "settled_window",
        ["policy", "start_us"],
        unique=False,
        postgresql_where=text(_RECHECK),
        sqlite_where=text(_RECHECK),
    )


def _create_finding() -> None:
    op.create_table(
        "finding",
        Column("id", _BIG_ID, nullable=False),
        Column("policy", Text(), nullable=False),
        Column("window_start_us", BigInteger(), nullable=False),
        Column("revision", Integer(), nullable=False),
        Column("verdict", Text(), nullable=False),
        Column("reason", Text(), nullable=False),
        Column("mirror", Text(), nullable=False, comment="name of the mirror concerned"),
        Column("start_us", BigInteger(), nullable=False),
        Column("count", Integer(), nullable=False),
        Column("request_id", Text(), nullable=False),
        Column("method", Text(), nullable=False),
        Column("path", Text(), nullable=False),
        Column("key", LargeBinary(), nullable=False),
        Column("evidence", Text(), nullable=False, comment="JSON array of lines"),
        Column("superseded_us", BigInteger(), comment="null: of the latest revision"),
        PrimaryKeyConstraint("id", name=op.f("pk_finding")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_finding_policy_window_start_us",
        "finding",
        ["policy", "window_start_us"],
        unique=False,
    )
    op.create_index("ix_finding_request_id", "finding", ["request_id"], unique=False)


def _create_progress() -> None:
    op.create_table(
        "settled_policy",
        Column("policy", Text(), nullable=False),
        Column(
            "settled_to_us", BigInteger(), nullable=False, comment="windows before it are settled"
        ),
        Column(
            "sizes", Text(), nullable=False, comment="JSON array of [from_us, size_us], in order"
        ),
        PrimaryKeyConstraint("policy", name=op.f("pk_settled_policy")),
    )
    op.create_table(
        "settled_batch",
        Column("topic", Text(), nullable=False),
        Column("partition", Integer(), autoincrement=False, nullable=False),
        Column("topic_id", Text(), comment="of the topic that to_offset belongs to"),
        Column("to_offset", BigInteger(), nullable=False, comment="batches up to it are settled"),
        Column("batch_id", BigInteger(), nullable=False, comment="the last of them"),
        PrimaryKeyConstraint("topic", "partition", name=op.f("pk_settled_batch")),
    )
    op.create_table(
        "resettle",
        Column("policy", Text(), nullable=False),
        Column("start_us", BigInteger(), autoincrement=False, nullable=False),
        PrimaryKeyConstraint("policy", "start_us", name=op.f("pk_resettle")),
        comment="windows that late lines touched",
    )
    op.create_table(
        "pod_hour",
        Column("pod_id", Integer(), autoincrement=False, nullable=False),
        Column("hour_us", BigInteger(), autoincrement=False, nullable=False),
        PrimaryKeyConstraint("pod_id", "hour_us", name=op.f("pk_pod_hour")),
        comment="pods that received requests in an hour",
    )
    op.create_table(
        "verifier_lease",
        Column("name", Text(), nullable=False),
        Column("owner", Text(), nullable=False),
        Column("epoch", BigInteger(), nullable=False, comment="counts owners: the fence"),
        Column("expires_us", BigInteger(), nullable=False, comment="by the database's clock"),
        PrimaryKeyConstraint("name", name=op.f("pk_verifier_lease")),
    )
