"""Create what the collector writes: observations, batches, positions, dimensions, policies.

Revision: 0001, on an empty database. Observations have no partition on PostgreSQL yet: the
collector makes them ahead of time, see `collector.db.partitions`.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

_BIG_ID = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Creates all tables."""
    _create_observation()
    _create_batch()
    _create_position()
    _create_dimensions()
    _create_policy_version()
    _create_the_rest()


def downgrade() -> None:
    """Drops all tables and what they hold."""
    for table in _TABLES:
        op.drop_table(table)


_TABLES = (
    "observation",
    "batch",
    "position",
    "pod",
    "host",
    "destination",
    "node_life",
    "quarantine",
    "policy_version",
    "instance",
    "setting",
)


def _create_observation() -> None:
    op.create_table(
        "observation",
        Column("ingested_us", BigInteger(), nullable=False, comment="by the collector's clock"),
        Column("batch_id", BigInteger(), nullable=False, comment="its batch: topic and partition"),
        Column("record_offset", BigInteger(), nullable=False),
        Column("line_id", BigInteger(), nullable=False, comment="identity among its pod's lines"),
        Column("start_us", BigInteger(), nullable=False),
        Column("end_us", BigInteger(), nullable=False, comment="start plus duration"),
        Column("bytes_received", BigInteger(), nullable=False),
        Column("bytes_sent", BigInteger(), nullable=False),
        Column("item", Integer(), nullable=False, comment="position within its record, from 0"),
        Column("pod_id", Integer(), nullable=False),
        Column("host_id", Integer(), nullable=False, comment="canonical host of the authority"),
        Column(
            "destination_id", Integer(), comment="where the client sent it, or the TLS name says"
        ),
        Column("traits", Integer(), nullable=False, comment="bits of collector.traits.Trait"),
        Column("code", SmallInteger(), nullable=False),
        Column("role", SmallInteger(), nullable=False, comment="collector.records.Role"),
        Column("attempt", SmallInteger(), nullable=False, comment="0: not logged"),
        Column(
            "key", LargeBinary(), nullable=False, comment="16 bytes shared by a request's lines"
        ),
        Column("request_id", Text(), nullable=False),
        Column("method", Text(), nullable=False),
        Column("path", Text(), nullable=False),
        Column("flags", Text(), nullable=False),
        Column("details", Text(), nullable=False),
        Column("authority", Text(), nullable=False),
        Column("route", Text(), nullable=False),
        Column("forwarded_for", Text(), comment="null: the format does not log it"),
        postgresql_partition_by="RANGE (ingested_us)",
    )
    op.create_index(
        "ix_observation_batch_id",
        "observation",
        ["batch_id"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    )
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("ix_observation_key", "observation", ["key"], unique=False)
    op.create_index(
        "ix_observation_start_us",
        "observation",
        ["start_us"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
        postgresql_ops={"start_us": "int8_minmax_multi_ops"},
    )


def _create_batch() -> None:
    op.create_table(
        "batch",
        Column("id", _BIG_ID, nullable=False),
        Column("topic", Text(), nullable=False),
        Column("partition", Integer(), nullable=False),
        Column("from_offset", BigInteger(), nullable=False),
        Column("to_offset", BigInteger(), nullable=False, comment="next to read after this batch"),
        Column("records", Integer(), nullable=False),
        Column("read", Integer(), nullable=False, comment="lines"),
        Column("stored", Integer(), nullable=False),
        Column("ignored", Integer(), nullable=False),
        Column("quarantined", Integer(), nullable=False),
        Column("heartbeats", Integer(), nullable=False, comment="of the ignored lines"),
        Column("skewed", Integer(), nullable=False, comment="lines too wild to move the watermark"),
        Column("min_start_us", BigInteger(), comment="of the stored lines; null: none"),
        Column("max_start_us", BigInteger()),
        Column("max_end_us", BigInteger()),
        Column(
            "policy_version_id", BigInteger(), nullable=False, comment="newest that was watched"
        ),
        Column("committed_us", BigInteger(), nullable=False),
        CheckConstraint("from_offset <= to_offset", name=op.f("ck_batch_forward")),
        CheckConstraint("read = stored + ignored + quarantined", name=op.f("ck_batch_accounted")),
        PrimaryKeyConstraint("id", name=op.f("pk_batch")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_batch_topic_partition_to_offset",
        "batch",
        ["topic", "partition", "to_offset"],
        unique=False,
    )


def _create_position() -> None:
    op.create_table(
        "position",
        Column("topic", Text(), nullable=False),
        Column("partition", Integer(), autoincrement=False, nullable=False),
        Column("topic_id", Text(), comment="the broker's id of the topic; null: it has none"),
        Column("next_offset", BigInteger(), nullable=False),
        Column("owner", Text(), comment="who claimed it last; null: given back"),
        Column("owner_epoch", BigInteger(), nullable=False, comment="counts claims: the fence"),
        Column("watermark_us", BigInteger(), comment="largest sane end time; null: none yet"),
        Column("end_offset", BigInteger(), comment="the broker's, when it was asked last"),
        Column("end_checked_us", BigInteger(), comment="when the broker was asked"),
        Column("state", Text(), server_default=text("'running'"), nullable=False),
        Column(
            "reason", Text(), server_default=text("''"), nullable=False, comment="why it stopped"
        ),
        Column("updated_us", BigInteger(), nullable=False),
        CheckConstraint("state IN ('running', 'stopped')", name=op.f("ck_position_state")),
        PrimaryKeyConstraint("topic", "partition", name=op.f("pk_position")),
    )


def _create_dimensions() -> None:
    op.create_table(
        "pod",
        Column("id", Integer(), nullable=False),
        Column("digest", LargeBinary(), nullable=False, comment="16 bytes over all other columns"),
        Column("cluster", Text(), nullable=False),
        Column("namespace", Text(), nullable=False),
        Column("pod", Text(), nullable=False),
        Column("node", Text(), nullable=False),
        Column("container", Text(), nullable=False),
        Column("labels", Text(), nullable=False, comment="JSON object, names sorted"),
        PrimaryKeyConstraint("id", name=op.f("pk_pod")),
        UniqueConstraint("digest", name=op.f("uq_pod_digest")),
    )
    op.create_table(
        "host",
        Column("id", Integer(), nullable=False),
        Column("name", Text(), nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_host")),
        UniqueConstraint("name", name=op.f("uq_host_name")),
    )
    op.create_table(
        "destination",
        Column("id", Integer(), nullable=False),
        Column("host", Text(), nullable=False),
        Column("subset", Text(), nullable=False, comment="empty: none"),
        PrimaryKeyConstraint("id", name=op.f("pk_destination")),
        UniqueConstraint("host", "subset", name=op.f("uq_destination_host_subset")),
    )
    op.create_table(
        "node_life",
        Column("cluster", Text(), nullable=False),
        Column("node", Text(), nullable=False),
        Column("seen_us", BigInteger(), nullable=False, comment="its log path was alive then"),
        PrimaryKeyConstraint("cluster", "node", name=op.f("pk_node_life")),
    )


def _create_policy_version() -> None:
    op.create_table(
        "policy_version",
        Column("id", _BIG_ID, nullable=False),
        Column("name", Text(), nullable=False),
        Column("document", Text(), nullable=False, comment="JSON of the policy"),
        Column("hosts", Text(), nullable=False, comment="JSON array of the hosts to watch"),
        Column("digest", LargeBinary(), nullable=False, comment="16 bytes over document and hosts"),
        Column("valid_from_us", BigInteger(), comment="null: since ever"),
        Column("valid_to_us", BigInteger(), comment="null: in force"),
        Column("recorded_us", BigInteger(), nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_policy_version")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_policy_version_name", "policy_version", ["name"], unique=False)


def _create_the_rest() -> None:
    op.create_table(
        "quarantine",
        Column("id", _BIG_ID, nullable=False),
        Column("topic", Text(), nullable=False),
        Column("partition", Integer(), nullable=False),
        Column("record_offset", BigInteger(), nullable=False),
        Column("item", Integer(), nullable=False),
        Column("reason", Text(), nullable=False),
        Column("prefix", LargeBinary(), nullable=False, comment="at most 4096 bytes"),
        Column("length", BigInteger(), nullable=False, comment="bytes"),
        Column("sha256", LargeBinary(), nullable=False),
        Column("at_us", BigInteger(), nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_quarantine_at_us", "quarantine", ["at_us"], unique=False)
    op.create_table(
        "instance",
        Column("owner", Text(), nullable=False, comment="one running collector"),
        Column(
            "policy_version_id", BigInteger(), nullable=False, comment="newest it watches; 0: none"
        ),
        Column("started_us", BigInteger(), nullable=False),
        Column("seen_us", BigInteger(), nullable=False),
        PrimaryKeyConstraint("owner", name=op.f("pk_instance")),
    )
    op.create_table(
        "setting",
        Column("key", Text(), nullable=False),
        Column("value", Text(), nullable=False),
        PrimaryKeyConstraint("key", name=op.f("pk_setting")),
    )
