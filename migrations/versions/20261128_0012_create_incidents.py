"""Create the tables of incidents and silences.

Revision: 0012. Expands only: programs of 0011 run on.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, Text, text

revision = "0012"
down_revision: str | None = "0011"
branch_labels: str | None = None
depends_on: str | None = None

_OPEN = text("resolved_us IS NULL")


def _id() -> Column[int]:
    big = BigInteger().with_variant(Integer(), "sqlite")
    return Column("id", big, autoincrement=True, nullable=False)


def upgrade() -> None:
    """Creates them."""
    op.create_table(
        "incident",
        _id(),
        Column("policy", Text(), nullable=False, comment="empty: the pipeline"),
        Column("kind", Text(), nullable=False, comment="verifier.incidents.event.Kind"),
        Column("severity", Text(), nullable=False),
        Column("opened_us", BigInteger(), nullable=False, comment="by the database's clock"),
        Column("first_us", BigInteger(), nullable=False, comment="event time of the first drift"),
        Column("last_us", BigInteger(), nullable=False, comment="event time of the last"),
        Column("resolved_us", BigInteger(), comment="by the database's clock; null: open"),
        Column("ended", Text(), comment="over, refuted or disabled; null: open"),
        Column("sequence", Integer(), nullable=False, comment="notifications so far"),
        Column("told_us", BigInteger(), comment="when the last was made; null: none was"),
        Column("counts", Text(), nullable=False, comment="JSON object of numbers by name"),
        Column("summary", Text(), nullable=False),
        Column("cause", Text(), nullable=False),
        Column("advice", Text(), nullable=False),
        Column("examples", Text(), nullable=False, comment="JSON array of findings, redacted"),
        Column("updated_us", BigInteger(), nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_incident")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incident_opened_us", "incident", ["opened_us"], unique=False)
    op.create_index(
        "uq_incident_open",
        "incident",
        ["policy", "kind"],
        unique=True,
        postgresql_where=_OPEN,
        sqlite_where=_OPEN,
    )
    op.create_table(
        "incident_state",
        Column("policy", Text(), nullable=False),
        Column("kind", Text(), nullable=False),
        Column("state", Text(), nullable=False, comment="JSON of verifier.incidents.drift.Drift"),
        PrimaryKeyConstraint("policy", "kind", name=op.f("pk_incident_state")),
        comment="what is remembered of each kind between ticks; nothing: no row",
    )
    op.create_table(
        "incident_cursor",
        Column("policy", Text(), nullable=False),
        Column(
            "counted_to_us", BigInteger(), nullable=False, comment="windows before it are counted"
        ),
        PrimaryKeyConstraint("policy", name=op.f("pk_incident_cursor")),
    )
    op.create_table(
        "silence",
        _id(),
        Column("policy", Text(), comment="null: every policy, and the pipeline"),
        Column("kind", Text(), comment="null: every kind"),
        Column("reason", Text(), nullable=False),
        Column("author", Text(), nullable=False),
        Column("from_us", BigInteger(), nullable=False),
        Column("until_us", BigInteger(), nullable=False),
        Column("ended_us", BigInteger(), comment="somebody ended it before its end; null: nobody"),
        Column("ended_by", Text()),
        PrimaryKeyConstraint("id", name=op.f("pk_silence")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_silence_until_us", "silence", ["until_us"], unique=False)


def downgrade() -> None:
    """Drops them and what they hold."""
    for name in ("silence", "incident_cursor", "incident_state", "incident"):
        op.drop_table(name)
