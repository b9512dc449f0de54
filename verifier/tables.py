"""The tables that the verifier writes, on the one MetaData of the product.

Conventions as in `collector.db.tables`. Nothing here is edited after it was written, but for
`superseded_us`: a correction is a new revision beside the old one.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from collector.db.tables import BIG_ID, batch, metadata, observation

LONG_US: Final = 5_000_000
"""Lines that last longer are found through an index of their own, so that settling reads only a
little beyond the edges of a window."""

LONG_LINE: Final = f"end_us - start_us > {LONG_US}"
"""The predicate of that index; queries repeat it word by word, or it is not used."""

Index(
    "ix_observation_long_start_us",
    observation.c.start_us,
    postgresql_where=text(LONG_LINE),
    sqlite_where=text(LONG_LINE),
)

# One request is looked up by its id, also among the lines of the last hours. Full partitions of
# PostgreSQL get a btree besides; a filter of 1 kB for each 32 pages costs the writer little.
Index(
    "ix_observation_request_id",
    observation.c.request_id,
    postgresql_using="brin",
    postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    postgresql_ops={
        "request_id": "text_bloom_ops(n_distinct_per_range = 600, false_positive_rate = 0.001)"
    },
)

# Which batches hold lines that start in a span, see `verifier.settle.written`.
Index("ix_batch_max_start_us", batch.c.max_start_us, batch.c.min_start_us, batch.c.committed_us)

settled_window: Final = Table(
    "settled_window",
    metadata,
    Column("id", BIG_ID, primary_key=True, comment="in commit order: the order of the chain"),
    Column("policy", Text, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("size_us", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False, comment="from 1"),
    Column("policy_version_id", BigInteger, nullable=False, comment="in force at its end"),
    Column("rules_version", Integer, nullable=False),
    # What was judged; log loss is not taken off, so that ranges add up.
    Column("requests", Integer, nullable=False),
    Column("requests_high", Integer, nullable=False),
    Column("matched", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    Column("unsampled", Integer, nullable=False),
    Column("exempt", Integer, nullable=False),
    Column("unverifiable", Integer, nullable=False),
    Column("duplicate", Integer, nullable=False),
    Column("leak", Integer, nullable=False),
    Column("orphan", Integer, nullable=False),
    Column("ambiguous", Integer, nullable=False),
    Column("control", Integer, nullable=False),
    Column("control_lost", Integer, nullable=False),
    Column("paired", Integer, nullable=False),
    Column("status_differs", Integer, nullable=False),
    Column("failures", Integer, nullable=False, comment="copies without request or sender's log"),
    Column("failing_seconds", Integer, nullable=False, comment="seconds with any of those"),
    # What follows from it for this window alone.
    Column("log_loss", Integer, nullable=False, comment="of the missing: explained by lost lines"),
    Column("statement", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("declared", Float, nullable=False, comment="percent"),
    Column("observed", Float, comment="percent; null: no request"),
    Column("low", Float, comment="95 % interval, percent"),
    Column("high", Float),
    Column("consistent", Boolean, nullable=False, comment="observed and declared agree"),
    Column("findings", Integer, nullable=False, comment="stored; at most the limit"),
    Column("recheck_us", BigInteger, comment="what its doubts about silence wait for"),
    Column("watermark_us", BigInteger, nullable=False, comment="when it was settled"),
    Column("content", LargeBinary, nullable=False, comment="32 bytes over verdicts and findings"),
    Column("digest", LargeBinary, nullable=False, comment="32 bytes over content and the chain"),
    Column(
        "previous_digest", LargeBinary, nullable=False, comment="of the row before; empty: none"
    ),
    Column("settled_us", BigInteger, nullable=False),
    Column("superseded_us", BigInteger, comment="null: the latest revision"),
    UniqueConstraint("policy", "start_us", "revision"),
    Index("ix_settled_window_start_us", "start_us"),
    Index("ix_settled_window_policy_id", "policy", "id"),
    sqlite_autoincrement=True,
)
Index(
    "ix_settled_window_recheck",
    settled_window.c.policy,
    settled_window.c.start_us,
    postgresql_where=text("recheck_us IS NOT NULL AND superseded_us IS NULL"),
    sqlite_where=text("recheck_us IS NOT NULL AND superseded_us IS NULL"),
)

chain_head: Final = Table(
    "chain_head",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("anchor", LargeBinary, nullable=False, comment="what the first row rests on"),
    Column("digest", LargeBinary, nullable=False, comment="of the last row"),
    comment="the ends of each policy's chain of windows",
)

finding: Final = Table(
    "finding",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("policy", Text, nullable=False),
    Column("window_start_us", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("mirror", Text, nullable=False, comment="name of the mirror concerned"),
    Column("start_us", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("evidence", Text, nullable=False, comment="JSON array of lines"),
    Column("superseded_us", BigInteger, comment="null: of the latest revision"),
    Index("ix_finding_policy_window_start_us", "policy", "window_start_us"),
    Index("ix_finding_request_id", "request_id"),
    sqlite_autoincrement=True,
)

settled_policy: Final = Table(
    "settled_policy",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("settled_to_us", BigInteger, nullable=False, comment="windows before it are settled"),
    Column("sizes", Text, nullable=False, comment="JSON array of [from_us, size_us], in order"),
    Column(
        "too_late",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="lines that came when others of their window were dropped already",
    ),
)

unsettled: Final = Table(
    "unsettled",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("from_us", BigInteger, primary_key=True, autoincrement=False),
    Column("to_us", BigInteger, nullable=False),
    Column("noted_us", BigInteger, nullable=False),
    comment="stretches whose lines were dropped before they were settled",
)

settled_batch: Final = Table(
    "settled_batch",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("topic_id", Text, comment="of the topic that to_offset belongs to"),
    Column("to_offset", BigInteger, nullable=False, comment="batches up to it are settled"),
    Column("batch_id", BigInteger, nullable=False, comment="the last of them"),
)

resettle: Final = Table(
    "resettle",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False),
    comment="windows that late lines touched",
)

pod_hour: Final = Table(
    "pod_hour",
    metadata,
    Column("pod_id", Integer, primary_key=True, autoincrement=False),
    Column("hour_us", BigInteger, primary_key=True, autoincrement=False),
    Column("arrivals", BigInteger, nullable=False, server_default=text("0")),
    comment="pods that received requests in an hour",
)

pod_clock: Final = Table(
    "pod_clock",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("pod_id", Integer, primary_key=True, autoincrement=False),
    Column("from_us", BigInteger, primary_key=True, autoincrement=False),
    Column("ahead_us", BigInteger, nullable=False, comment="of most others; 0: no longer"),
    Column("pairs", Integer, nullable=False, comment="requests that it was learned from"),
    Column("learned_us", BigInteger, nullable=False),
    comment="how far pods' clocks are ahead, each from a time on",
)

verifier_lease: Final = Table(
    "verifier_lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False, comment="counts owners: the fence"),
    Column("expires_us", BigInteger, nullable=False, comment="by the database's clock"),
)

erasure: Final = Table(
    "erasure",
    metadata,
    # Findings that were erased at somebody's request; the digest of their window covers them.
    Column("id", BIG_ID, primary_key=True),
    Column("policy", Text, nullable=False),
    Column("window_start_us", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("findings", Integer, nullable=False, comment="how many of it were erased then"),
    Column("at_us", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Index("ix_erasure_policy_window_start_us", "policy", "window_start_us"),
    sqlite_autoincrement=True,
)

drift_state: Final = Table(
    "drift_state",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("hour_us", BigInteger, primary_key=True, comment="start of the hour"),
    Column("through_us", BigInteger, nullable=False, comment="end of its last window so far"),
    Column("declared", Float, nullable=False, comment="share from 0 to 1"),
    Column("tolerance", Float, nullable=False, comment="share from 0 to 1"),
    Column("watch", LargeBinary, nullable=False, comment="JSON of sequential.Watch, up to then"),
    comment="what is remembered of each policy's windows, to see slow drifts",
)

copy_marker: Final = Table(
    "copy_marker",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("hour_us", BigInteger, primary_key=True, autoincrement=False),
    Column("marker", Text, primary_key=True, comment="verifier.pairing.lines.Marker"),
    Column("copies", BigInteger, nullable=False, comment="told by it, by first revisions"),
    comment="what tells copies from live requests",
)

marker_change: Final = Table(
    "marker_change",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False, comment="of a window"),
    Column("before", Text, nullable=False, comment="empty: the first one"),
    Column("after", Text, nullable=False),
)

endpoint_hour: Final = Table(
    "endpoint_hour",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("hour_us", BigInteger, primary_key=True, comment="start of the hour"),
    Column("endpoint", Text, primary_key=True, comment="method and template of the path"),
    Column("compared", LargeBinary, nullable=False, comment="JSON of statistics.Compared"),
    comment="how the answers of a sample of matched pairs differ",
)

endpoint_reference: Final = Table(
    "endpoint_reference",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("since_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("accepted_us", BigInteger, nullable=False),
    Column("compared", LargeBinary, nullable=False, comment="JSON of statistics.Compared"),
    comment="differences that a user accepted",
)
