"""How far logs are read, what holds time back, and where evidence lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, select

from collector.db import quarantined
from collector.db.tables import STOPPED, position, quarantine
from verifier.api.ingest_models import (
    Hole,
    Position,
    Quarantined,
    QuarantineReason,
    WatermarkAnswer,
)
from verifier.settle import report
from verifier.settle.watermark import FOREVER_US, EvidenceRules
from verifier.tables import unsettled
from verifier.times import iso_time, time_or_none

_MOST_HOLES: Final = 1_000


def positions(connection: Connection) -> list[Position]:
    """Every partition, by name."""
    query = select(position).order_by(position.c.topic, position.c.partition)
    return [_position(row) for row in connection.execute(query)]


def _position(row: Any) -> Position:
    lag = None if row.end_offset is None else max(0, row.end_offset - row.next_offset)
    return Position(
        topic=row.topic,
        partition=row.partition,
        next_offset=row.next_offset,
        end_offset=row.end_offset,
        end_checked_at=time_or_none(row.end_checked_us),
        lag=lag,
        owner=row.owner,
        watermark=time_or_none(row.watermark_us),
        state=row.state,
        reason=row.reason,
        updated_at=iso_time(row.updated_us),
    )


def watermark(connection: Connection, now_us: int, rules: EvidenceRules) -> WatermarkAnswer:
    """Up to when event time is complete."""
    found = report.watermark(connection, now_us, rules)
    finished = found.time_us is not None and found.time_us >= FOREVER_US
    return WatermarkAnswer(
        watermark=None if finished else time_or_none(found.time_us),
        finished=finished,
        held_by=found.held_by,
        now=iso_time(now_us),
    )


def holes(connection: Connection) -> list[Hole]:
    """Evidence that is known to be lost, the newest kinds of each last."""
    found = [*_stopped(connection), *_gaps(connection), *_unsettled(connection)]
    return found[:_MOST_HOLES]


def _stopped(connection: Connection) -> Iterator[Hole]:
    for row in connection.execute(select(position).where(position.c.state == STOPPED)):
        yield Hole(
            kind="stopped",
            where=f"{row.topic}/{row.partition}@{row.next_offset}",
            since=time_or_none(row.watermark_us),
            until=None,
            records=None,
            reason=row.reason,
        )


def _gaps(connection: Connection) -> Iterator[Hole]:
    c = quarantine.c
    query = select(quarantine).where(c.length == 0).order_by(c.at_us.desc()).limit(_MOST_HOLES)
    for row in connection.execute(query):
        yield Hole(
            kind="gap",
            where=f"{row.topic}/{row.partition}@{row.record_offset}",
            since=time_or_none(row.record_us),
            until=time_or_none(row.until_us),
            records=row.records,
            reason=row.reason,
        )


def _unsettled(connection: Connection) -> Iterator[Hole]:
    query = select(unsettled).order_by(unsettled.c.from_us.desc()).limit(_MOST_HOLES)
    for row in connection.execute(query):
        yield Hole(
            kind="unsettled",
            where=row.policy,
            since=iso_time(row.from_us),
            until=iso_time(row.to_us),
            records=None,
            reason="lines were dropped before they were settled",
        )


def reasons(connection: Connection, wanted: quarantined.Filter) -> list[QuarantineReason]:
    """How many of each reason, the most first."""
    return [
        QuarantineReason(reason=one.reason, records=one.lines, last_at=iso_time(one.last_us))
        for one in quarantined.counts(connection, wanted)
    ]


def quarantined_of(one: quarantined.Entry, *, with_text: bool) -> Quarantined:
    """A row of quarantine as it is told."""
    return Quarantined(
        id=one.id,
        topic=one.topic,
        partition=one.partition,
        offset=one.record_offset,
        item=one.item,
        reason=one.reason,
        length=one.length,
        records=one.records,
        sha256=bytes(one.sha256).hex(),
        quarantined_at=iso_time(one.at_us),
        replayed_at=time_or_none(one.replayed_us),
        identity=json.loads(one.identity or "{}"),
        prefix=bytes(one.prefix).decode("utf-8", "replace") if with_text else None,
    )
