"""Writes batch rows: what each transaction read."""

from __future__ import annotations

from sqlalchemy import Connection, insert

from collector.batch import Batch
from collector.db.tables import batch as batch_table


def insert_batch(connection: Connection, one: Batch, now_us: int) -> int:
    """Writes what a batch counts; returns its number."""
    logs = [seen.observation.log for seen in one.seen]
    starts = [log.start_us for log in logs]
    values = {
        "topic": one.partition.topic,
        "partition": one.partition.number,
        "from_offset": one.from_offset,
        "to_offset": one.to_offset,
        "records": one.records,
        "read": one.read,
        "stored": one.stored,
        "ignored": one.ignored,
        "quarantined": one.quarantined,
        "heartbeats": one.heartbeats,
        "pieces": one.pieces,
        "skewed": one.skewed,
        "replayed": one.replayed,
        "min_start_us": min(starts, default=None),
        "max_start_us": max(starts, default=None),
        "max_end_us": max([log.start_us + log.duration_ms * 1000 for log in logs], default=None),
        "policy_version_id": one.policy_version_id,
        "committed_us": now_us,
    }
    done = connection.execute(insert(batch_table).values(values).returning(batch_table.c.id))
    return int(done.scalar_one())
