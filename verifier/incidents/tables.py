"""The tables of incidents, on the one MetaData of the product. A column `…_us` is µs UTC."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from collector.db.tables import BIG_ID, metadata

_OPEN: Final = text("resolved_us IS NULL")

incident: Final = Table(
    "incident",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("policy", Text, nullable=False, comment="empty: the pipeline"),
    Column("kind", Text, nullable=False, comment="verifier.incidents.event.Kind"),
    Column("severity", Text, nullable=False),
    Column("opened_us", BigInteger, nullable=False, comment="by the database's clock"),
    Column("first_us", BigInteger, nullable=False, comment="event time of the first drift"),
    Column("last_us", BigInteger, nullable=False, comment="event time of the last"),
    Column("resolved_us", BigInteger, comment="by the database's clock; null: open"),
    Column("ended", Text, comment="over, refuted or disabled; null: open"),
    Column("sequence", Integer, nullable=False, comment="notifications so far"),
    Column("told_us", BigInteger, comment="when the last was made; null: none was"),
    Column("counts", Text, nullable=False, comment="JSON object of numbers by name"),
    Column("summary", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("advice", Text, nullable=False),
    Column("examples", Text, nullable=False, comment="JSON array of findings, redacted"),
    Column("updated_us", BigInteger, nullable=False),
    Index("ix_incident_opened_us", "opened_us"),
    sqlite_autoincrement=True,  # an id is never given twice: it is in the webhook-id
)
# One open incident of a policy and kind, whatever happens.
Index(
    "uq_incident_open",
    incident.c.policy,
    incident.c.kind,
    unique=True,
    postgresql_where=_OPEN,
    sqlite_where=_OPEN,
)

incident_state: Final = Table(
    "incident_state",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("state", Text, nullable=False, comment="JSON of verifier.incidents.drift.Drift"),
    comment="what is remembered of each kind between ticks; nothing: no row",
)

incident_cursor: Final = Table(
    "incident_cursor",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("counted_to_us", BigInteger, nullable=False, comment="windows before it are counted"),
)

incident_recount: Final = Table(
    "incident_recount",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False),
    Column("counted", Integer, nullable=False, comment="revision that counts; 0: none"),
    Column("due_us", BigInteger, nullable=False, comment="by the database's clock"),
    comment="windows behind the cursor that were settled anew",
)

silence: Final = Table(
    "silence",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("policy", Text, comment="null: every policy, and the pipeline"),
    Column("kind", Text, comment="null: every kind"),
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("from_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger, comment="somebody ended it before its end; null: nobody"),
    Column("ended_by", Text),
    Index("ix_silence_until_us", "until_us"),
    sqlite_autoincrement=True,
)
