"""The pods of the cluster in the database, on the one MetaData of the product."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Table, Text, UniqueConstraint, text

from collector.db.tables import BIG_ID, metadata

_RUNS: Final = text("ended_us IS NULL")

cluster_pod: Final = Table(
    "cluster_pod",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("cluster", Text, nullable=False, comment="as collector.cluster; empty: not named"),
    Column("uid", Text, nullable=False, comment="the API server's; no other pod ever has it"),
    Column("namespace", Text, nullable=False),
    Column("pod", Text, nullable=False),
    Column("node", Text, nullable=False, comment="empty: nowhere yet"),
    Column("labels", Text, nullable=False, comment="JSON object, names sorted"),
    Column("started_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger, comment="at the latest; null: it runs"),
    Column("recorded_us", BigInteger, nullable=False, comment="when the row was last written"),
    UniqueConstraint("cluster", "uid"),
    Index("ix_cluster_pod_runs", "cluster", postgresql_where=_RUNS, sqlite_where=_RUNS),
    Index("ix_cluster_pod_recorded_us", "recorded_us"),
    comment="pods with a proxy, as the API server told of them",
)
