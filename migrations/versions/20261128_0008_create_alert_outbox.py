"""Create the tables of alert delivery: endpoints and the messages to them.

Revision: 0008. Expands only: programs of 0007 run on.
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

revision = "0008"
down_revision: str | None = "0007"
branch_labels: str | None = None
depends_on: str | None = None

_UNFINISHED = "finished_us IS NULL"


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "alert_endpoint",
        Column("name", Text(), nullable=False),
        Column("origin", Text(), nullable=False, comment="settings or api"),
        Column("form", Text(), nullable=False),
        Column("wants", Text(), nullable=False, comment="JSON: which events it gets"),
        Column("config", Text(), comment="JSON with secrets; null: it is in the settings"),
        Column("fingerprint", Text(), nullable=False, comment="keyed hash of form and address"),
        Column("created_us", BigInteger(), nullable=False),
        Column("disabled_us", BigInteger(), comment="null: enabled"),
        Column("disabled_reason", Text()),
        Column("hold_us", BigInteger(), comment="nothing is sent to it before then"),
        Column("failures", Integer(), server_default=text("0"), nullable=False, comment="in a row"),
        Column("delivered", BigInteger(), server_default=text("0"), nullable=False),
        Column("dead", BigInteger(), server_default=text("0"), nullable=False, comment="given up"),
        Column("last_attempt_us", BigInteger()),
        Column("last_success_us", BigInteger()),
        Column("last_reason", Text(), comment="outcome of the last attempt"),
        PrimaryKeyConstraint("name", name=op.f("pk_alert_endpoint")),
    )
    op.create_table(
        "alert_message",
        Column("id", BigInteger().with_variant(Integer(), "sqlite"), nullable=False),
        Column("endpoint", Text(), nullable=False),
        Column("event_id", Text(), nullable=False, comment="the webhook-id"),
        Column("incident_id", BigInteger(), nullable=False),
        Column("event", Text(), nullable=False, comment="JSON"),
        Column("created_us", BigInteger(), nullable=False),
        Column(
            "state",
            Text(),
            nullable=False,
            comment="pending, repeating, delivered, dead, dropped",
        ),
        Column("attempts", Integer(), server_default=text("0"), nullable=False, comment="begun"),
        Column("next_us", BigInteger(), nullable=False, comment="not to be sent before then"),
        Column("claimed_until_us", BigInteger(), comment="somebody sends it; null: nobody"),
        Column("delivered_us", BigInteger(), comment="first accepted"),
        Column("last_attempt_us", BigInteger()),
        Column("last_reason", Text(), comment="outcome of the last attempt"),
        Column("last_status", Integer(), comment="HTTP status of the last answer"),
        Column("finished_us", BigInteger(), comment="null: it is still to be sent"),
        PrimaryKeyConstraint("id", name=op.f("pk_alert_message")),
        UniqueConstraint("endpoint", "event_id", name=op.f("uq_alert_message_endpoint_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_message_incident_id", "alert_message", ["incident_id", "id"])
    _create_partial_index("due", ["endpoint", "next_us", "id"], _UNFINISHED)
    _create_partial_index("order", ["endpoint", "incident_id", "id"], _UNFINISHED)
    _create_partial_index("claimed", ["endpoint"], "claimed_until_us IS NOT NULL")


def _create_partial_index(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        f"ix_alert_message_{name}",
        "alert_message",
        columns,
        postgresql_where=text(where),
        sqlite_where=text(where),
    )


def downgrade() -> None:
    """Drops them, with what was not delivered yet."""
    op.drop_table("alert_message")
    op.drop_table("alert_endpoint")
