"""Writes to quarantine: lines that cannot be used, and gaps, records that nobody read.

A row is evidence for people and for `mirrorproof quarantine replay`: where, why, who wrote it,
and how it begins, with query values hidden like everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from collector.batch import PREFIX_BYTES, Batch
from collector.db.tables import batch, quarantine
from collector.errors import Fenced
from collector.records import Identity
from collector.redact import Redactor, scrub
from collector.sources.protocol import Partition

_NO_DIGEST: Final = sha256(b"").digest()
_MOST_RECORDS: Final = 2**31 - 1
"""Of one batch row: its counts are 32 bits wide."""
_MAX_IDENTITY: Final = 4_096
_MAX_REASON: Final = 500


class Gap(msgspec.Struct, frozen=True):
    """Records that are passed over unread.

    Attributes:
        from_offset: The first of them.
        to_offset: The record after the last one.
        reason: Why, in words.
        since_us: The first one's time, µs since the epoch; None: not known.
        until_us: The last one's time.
    """

    from_offset: int
    to_offset: int
    reason: str
    since_us: int | None = None
    until_us: int | None = None


def insert_poison(connection: Connection, one: Batch, paths: Redactor, now_us: int) -> None:
    """Writes what a batch quarantines, in the batch's transaction."""
    if not one.poison:
        return
    rows = [
        {
            "topic": one.partition.topic,
            "partition": one.partition.number,
            "record_offset": poison.offset,
            "item": poison.item,
            "reason": scrub(poison.reason, _MAX_REASON),
            "prefix": paths.redact_bytes(poison.prefix)[:PREFIX_BYTES],
            "length": poison.length,
            "sha256": poison.sha256,
            "at_us": now_us,
            "record_us": poison.record_us,
            "identity": identity_text(poison.identity),
        }
        for poison in one.poison
    ]
    connection.execute(insert(quarantine), rows)


def insert_gap(connection: Connection, partition: Partition, gap: Gap, now_us: int) -> None:
    """Accounts for records that nobody read; the caller moves the position over them.

    Each counts as read and quarantined; what is in them nobody knows.
    """
    for begin in range(gap.from_offset, gap.to_offset, _MOST_RECORDS):
        count = min(gap.to_offset - begin, _MOST_RECORDS)
        place = {"topic": partition.topic, "partition": partition.number}
        counts = {"records": count, "read": count, "quarantined": count}
        nothing = dict.fromkeys(("stored", "ignored", "heartbeats", "skewed"), 0)
        span = {"from_offset": begin, "to_offset": begin + count}
        version = select(func.coalesce(func.max(batch.c.policy_version_id), 0)).scalar_subquery()
        late = {"policy_version_id": version, "committed_us": now_us}
        connection.execute(insert(batch).values({**place, **span, **counts, **nothing, **late}))
        row = {
            **place,
            "record_offset": begin,
            "item": 0,
            "reason": scrub(gap.reason, _MAX_REASON),
            "prefix": b"",
            "length": 0,
            "sha256": _NO_DIGEST,
            "at_us": now_us,
            "records": count,
            "record_us": gap.since_us,
            "until_us": gap.until_us,
        }
        connection.execute(insert(quarantine).values(row))


def mark_replayed(connection: Connection, entry_id: int, batch_id: int, now_us: int) -> None:
    """Takes an entry out of quarantine. Raises Fenced: it is out already."""
    done = connection.execute(
        update(quarantine)
        .where(quarantine.c.id == entry_id, quarantine.c.replayed_us.is_(None))
        .values(replayed_us=now_us, replayed_batch_id=batch_id)
    )
    if done.rowcount != 1:
        raise Fenced(f"entry {entry_id} of quarantine was replayed before")


def identity_text(identity: Identity) -> str:
    """An identity as bounded JSON; empty: nothing is known of it."""
    found = {k: v for k, v in msgspec.structs.asdict(identity).items() if v}
    if not found:
        return ""
    text = scrub(json.dumps(found), _MAX_IDENTITY + 1)
    return text if len(text) <= _MAX_IDENTITY else ""


def identity_of(text: str) -> Identity:
    """What `identity_text` wrote."""
    return msgspec.json.decode(text, type=Identity) if text else Identity()


def passed_over(connection: Connection) -> Sequence[tuple[int, int]]:
    """The times of gaps that nobody has read since: from when to when lines may lack, µs."""
    c = quarantine.c
    since_us, until_us = func.coalesce(c.record_us, 0), func.coalesce(c.until_us, c.at_us)
    query = select(since_us, until_us).where(c.length == 0, c.replayed_us.is_(None))
    return [(row[0], row[1]) for row in connection.execute(query)]
