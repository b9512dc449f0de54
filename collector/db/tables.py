"""The tables that the collector writes, on the one MetaData of the product.

Conventions: a column `…_us` is a time in µs since the epoch, UTC; an offset is a record's position
in its partition; `next_offset` and `to_offset` name the record *after* the last one read.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts only an INTEGER primary key up by itself.
BIG_ID: Final = BigInteger().with_variant(Integer(), "sqlite")

_GAP: Final = text("length = 0")
_SEEN: Final = "lines name it until half a day later; null: not known yet"


def _counter(name: str, comment: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text("0"), comment=comment)


RUNNING: Final = "running"
STOPPED: Final = "stopped"
"""States of a partition; a stopped one waits for an operator, with its reason beside it."""

observation: Final = Table(
    "observation",
    metadata,
    # Fixed-width columns first, widest first: PostgreSQL then pads nothing.
    Column("ingested_us", BigInteger, nullable=False, comment="by the collector's clock"),
    Column("batch_id", BigInteger, nullable=False, comment="its batch: topic and partition"),
    Column("record_offset", BigInteger, nullable=False),
    Column("line_id", BigInteger, nullable=False, comment="identity among its pod's lines"),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False, comment="start plus duration"),
    Column("bytes_received", BigInteger, nullable=False),
    Column("bytes_sent", BigInteger, nullable=False),
    Column("item", Integer, nullable=False, comment="position within its record, from 0"),
    Column("pod_id", Integer, nullable=False),
    Column("host_id", Integer, nullable=False, comment="canonical host of the authority"),
    Column("destination_id", Integer, comment="where the client sent it, or the TLS name says"),
    Column("traits", Integer, nullable=False, comment="bits of collector.traits.Trait"),
    Column("code", SmallInteger, nullable=False),
    Column("role", SmallInteger, nullable=False, comment="collector.records.Role"),
    Column("attempt", SmallInteger, nullable=False, comment="0: not logged"),
    Column("key", LargeBinary, nullable=False, comment="16 bytes shared by a request's lines"),
    # What people see; redacted before it is stored.
    Column("request_id", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("flags", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("forwarded_for", Text, comment="null: the format does not log it"),
    Column("user_agent", Text, comment="null: it is not stored, see settings"),
    postgresql_partition_by="RANGE (ingested_us)",
)
# BRIN, as a btree per row costs half of the write rate (DESIGN §4.6). The start is nearly in
# ingest order; multi-range summaries keep a few wild clocks from spoiling them.
Index(
    "ix_observation_start_us",
    observation.c.start_us,
    postgresql_using="brin",
    postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    postgresql_ops={"start_us": "int8_minmax_multi_ops"},
)
Index(
    "ix_observation_batch_id",
    observation.c.batch_id,
    postgresql_using="brin",
    postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
)
# PostgreSQL gets its index on the key when a partition is full; SQLite has no such moment.
Index("ix_observation_key", observation.c.key).ddl_if(dialect="sqlite")

pod: Final = Table(
    "pod",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", LargeBinary, nullable=False, comment="16 bytes over all other columns"),
    Column("cluster", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("pod", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("container", Text, nullable=False),
    Column("labels", Text, nullable=False, comment="JSON object, names sorted"),
    Column("seen_us", BigInteger, comment=_SEEN),
    # A pod whose labels or node change gets a second row: lines keep what was true for them.
    UniqueConstraint("digest"),
)

host: Final = Table(
    "host",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("seen_us", BigInteger, comment=_SEEN),
    UniqueConstraint("name"),
)

destination: Final = Table(
    "destination",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("host", Text, nullable=False),
    Column("subset", Text, nullable=False, comment="empty: none"),
    Column("seen_us", BigInteger, comment=_SEEN),
    UniqueConstraint("host", "subset"),
)

batch: Final = Table(
    "batch",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("from_offset", BigInteger, nullable=False),
    Column("to_offset", BigInteger, nullable=False, comment="next to read after this batch"),
    Column("records", Integer, nullable=False),
    Column("read", Integer, nullable=False, comment="lines"),
    Column("stored", Integer, nullable=False),
    Column("ignored", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("heartbeats", Integer, nullable=False, comment="of the ignored lines"),
    Column(
        "pieces",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="change in waiting pieces, of the ignored lines",
    ),
    Column("skewed", Integer, nullable=False, comment="lines too wild to move the watermark"),
    _counter("replayed", "records that it took out of quarantine: they were counted before"),
    Column("min_start_us", BigInteger, comment="of the stored lines; null: none"),
    Column("max_start_us", BigInteger),
    Column("max_end_us", BigInteger),
    Column("policy_version_id", BigInteger, nullable=False, comment="newest that was watched"),
    Column("committed_us", BigInteger, nullable=False),
    CheckConstraint("read = stored + ignored + quarantined", name="accounted"),
    CheckConstraint("from_offset <= to_offset", name="forward"),
    Index("ix_batch_topic_partition_to_offset", "topic", "partition", "to_offset"),
    sqlite_autoincrement=True,  # an id is never given twice, also after retention
)

position: Final = Table(
    "position",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("topic_id", Text, comment="the broker's id of the topic; null: it has none"),
    Column("next_offset", BigInteger, nullable=False),
    Column("owner", Text, comment="who claimed it last; null: given back"),
    Column("owner_epoch", BigInteger, nullable=False, comment="counts claims: the fence"),
    Column("watermark_us", BigInteger, comment="largest sane end time; null: none yet"),
    Column("end_offset", BigInteger, comment="the broker's, when it was asked last"),
    Column("end_checked_us", BigInteger, comment="when the broker was asked"),
    Column("state", Text, nullable=False, server_default=text("'running'")),
    Column("reason", Text, nullable=False, server_default=text("''"), comment="why it stopped"),
    Column("updated_us", BigInteger, nullable=False),
    _counter("unclean", "owners in a row that vanished without reading on"),
    Column("attempt_offset", BigInteger, comment="record that is tried alone; null: none"),
    _counter("attempts", "tries of it that did not come to an end"),
    Column(
        "leader_epoch", Integer, comment="the broker's, of the last record read; null: not known"
    ),
    CheckConstraint("state IN ('running', 'stopped')", name="state"),
)

resumption: Final = Table(
    "resumption",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False, comment="why it had stopped"),
    Column("from_offset", BigInteger, nullable=False, comment="where it had stopped"),
    Column("to_offset", BigInteger, nullable=False, comment="where reading goes on"),
    Column("topic_id", Text, comment="the topic's identity from then on"),
    Column("batch_id", BigInteger, nullable=False, comment="the last one before"),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    sqlite_autoincrement=True,
)

piece: Final = Table(
    "piece",
    metadata,
    # Pieces of lines that the container runtime split, until the rest of the line comes.
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("record_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("item", Integer, primary_key=True, autoincrement=False),
    Column("stream", Text, nullable=False, comment="whose line: pod, container, stdout or stderr"),
    Column("time", Text, nullable=False, comment="the shipper's, as it was written"),
    Column("text", LargeBinary, nullable=False, comment="UTF-8, not redacted; gone in a minute"),
    Column("record_us", BigInteger, nullable=False),
    Column("spoiled", Integer, nullable=False, comment="1: its line is too long to be joined"),
)

node_life: Final = Table(
    "node_life",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("seen_us", BigInteger, nullable=False, comment="its log path was alive then"),
)

quarantine: Final = Table(
    "quarantine",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("record_offset", BigInteger, nullable=False),
    Column("item", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("prefix", LargeBinary, nullable=False, comment="at most 4096 bytes"),
    Column("length", BigInteger, nullable=False, comment="bytes"),
    Column("sha256", LargeBinary, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column(
        "records",
        BigInteger,
        nullable=False,
        server_default=text("1"),
        comment="more: a gap, records that nobody read, from record_offset on",
    ),
    Column("record_us", BigInteger, comment="the record's time; a gap's first"),
    Column("until_us", BigInteger, comment="a gap's last time; null: no gap, or not known"),
    Column(
        "identity", Text, nullable=False, server_default=text("''"), comment="JSON: who wrote it"
    ),
    Column("replayed_us", BigInteger, comment="when it was read after all; null: it was not"),
    Column("replayed_batch_id", BigInteger, comment="the batch that read it"),
    Index("ix_quarantine_at_us", "at_us"),
    Index("ix_quarantine_topic_partition_record_offset", "topic", "partition", "record_offset"),
    # Gaps, which settling asks for.
    Index("ix_quarantine_gap", "at_us", postgresql_where=_GAP, sqlite_where=_GAP),
    sqlite_autoincrement=True,
)

policy_version: Final = Table(
    "policy_version",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("document", Text, nullable=False, comment="JSON of the policy"),
    Column("hosts", Text, nullable=False, comment="JSON array of the hosts to watch"),
    Column("digest", LargeBinary, nullable=False, comment="16 bytes over document and hosts"),
    Column("valid_from_us", BigInteger, comment="null: since ever"),
    Column("valid_to_us", BigInteger, comment="null: in force"),
    Column("recorded_us", BigInteger, nullable=False),
    Column("acknowledged_us", BigInteger, comment="when every live collector watched it"),
    Column("stored_from_us", BigInteger, comment="lines of its hosts; null: since ever"),
    Index("ix_policy_version_name", "name"),
    sqlite_autoincrement=True,
)

instance: Final = Table(
    "instance",
    metadata,
    Column("owner", Text, primary_key=True, comment="one running collector"),
    Column("policy_version_id", BigInteger, nullable=False, comment="newest it watches; 0: none"),
    Column("started_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
)

setting: Final = Table(
    "setting",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
