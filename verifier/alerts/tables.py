"""The tables of delivery, on the one MetaData of the product.

Times are µs since the epoch, UTC.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from collector.db.tables import BIG_ID, metadata

UNFINISHED: Final = "finished_us IS NULL"
"""The predicate of the indexes of what is still to be sent."""
CLAIMED: Final = "claimed_until_us IS NOT NULL"
"""Of the index of what is being sent."""

alert_endpoint: Final = Table(
    "alert_endpoint",
    metadata,
    Column("name", Text, primary_key=True),
    Column("origin", Text, nullable=False, comment="settings or api"),
    Column("form", Text, nullable=False),
    Column("wants", Text, nullable=False, comment="JSON: which events it gets"),
    # Sealed where it was added through the API; the comment is as the database has it.
    Column("config", Text, comment="JSON with secrets; null: it is in the settings"),
    Column("fingerprint", Text, nullable=False, comment="keyed hash of form and address"),
    Column("created_us", BigInteger, nullable=False),
    Column("disabled_us", BigInteger, comment="null: enabled"),
    Column("disabled_reason", Text),
    Column("hold_us", BigInteger, comment="nothing is sent to it before then"),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="in a row"),
    Column("delivered", BigInteger, nullable=False, server_default=text("0")),
    Column("dead", BigInteger, nullable=False, server_default=text("0"), comment="given up"),
    Column("last_attempt_us", BigInteger),
    Column("last_success_us", BigInteger),
    Column("last_reason", Text, comment="outcome of the last attempt"),
)

alert_message: Final = Table(
    "alert_message",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("endpoint", Text, nullable=False),
    Column("event_id", Text, nullable=False, comment="the webhook-id"),
    Column("incident_id", BigInteger, nullable=False),
    Column("event", Text, nullable=False, comment="JSON"),
    Column("created_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False, comment="pending, repeating, delivered, dead, dropped"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="begun"),
    Column("next_us", BigInteger, nullable=False, comment="not to be sent before then"),
    Column("claimed_until_us", BigInteger, comment="somebody sends it; null: nobody"),
    Column("delivered_us", BigInteger, comment="first accepted"),
    Column("last_attempt_us", BigInteger),
    Column("last_reason", Text, comment="outcome of the last attempt"),
    Column("last_status", Integer, comment="HTTP status of the last answer"),
    Column("finished_us", BigInteger, comment="null: it is still to be sent"),
    UniqueConstraint("endpoint", "event_id"),
    Index("ix_alert_message_incident_id", "incident_id", "id"),
    sqlite_autoincrement=True,
)
Index(
    "ix_alert_message_due",
    alert_message.c.endpoint,
    alert_message.c.next_us,
    alert_message.c.id,
    postgresql_where=text(UNFINISHED),
    sqlite_where=text(UNFINISHED),
)
Index(
    "ix_alert_message_order",
    alert_message.c.endpoint,
    alert_message.c.incident_id,
    alert_message.c.id,
    postgresql_where=text(UNFINISHED),
    sqlite_where=text(UNFINISHED),
)
Index(
    "ix_alert_message_claimed",
    alert_message.c.endpoint,
    postgresql_where=text(CLAIMED),
    sqlite_where=text(CLAIMED),
)
