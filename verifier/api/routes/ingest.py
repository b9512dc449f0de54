"""How far logs are read, what lacks, and what nobody could read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from collector.clock import SystemClock
from collector.db import quarantined
from collector.db.quarantined import Filter
from collector.service.replay import Replay
from verifier.api import asking
from verifier.api.access import Admin, Reader
from verifier.api.asking import Cursor, Limit, Number
from verifier.api.ingest_models import (
    Hole,
    Position,
    Quarantined,
    QuarantineReason,
    Replayed,
    WatermarkAnswer,
)
from verifier.api.models import Page
from verifier.api.problems import documented, not_found
from verifier.api.queries import ingest as queries
from verifier.api.scopes import Scope
from verifier.api.services import ServicesDep, Snapshot
from verifier.app import tick_rules

router = APIRouter(tags=["ingest"])
Reason = Annotated[str | None, Query(max_length=300, description="Part of the reason")]
Waiting = Annotated[bool, Query(description="Only what was not replayed")]


@router.get("/ingest/positions")
def list_positions(_: Reader, connection: Snapshot) -> list[Position]:
    """How far every partition is read, and who reads it."""
    return queries.positions(connection)


@router.get("/ingest/watermark")
def read_watermark(_: Reader, services: ServicesDep, connection: Snapshot) -> WatermarkAnswer:
    """Up to when event time is complete, and which partition holds it there."""
    rules = tick_rules(services.settings.verifier).evidence
    return queries.watermark(connection, services.now_us(connection), rules)


@router.get("/ingest/holes")
def list_holes(_: Reader, connection: Snapshot) -> list[Hole]:
    """Evidence that is known to be lost: gaps, stopped partitions, what went unsettled."""
    return queries.holes(connection)


@router.get("/quarantine/reasons")
def list_reasons(
    _: Reader, connection: Snapshot, reason: Reason = None, waiting: Waiting = True
) -> list[QuarantineReason]:
    """How many records of each reason, the most first."""
    return queries.reasons(connection, Filter(reason=reason, waiting=waiting))


@router.get("/quarantine")
def list_quarantined(
    caller: Reader,
    request: Request,
    response: Response,
    services: ServicesDep,
    connection: Snapshot,
    reason: Reason = None,
    topic: Annotated[str | None, Query(max_length=300, description="Its whole name")] = None,
    partition: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
    waiting: Waiting = True,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Quarantined]:
    """What nobody could read, the newest first. How lines begin is shown with the scope raw."""
    before = asking.read_position(services, asking.question_of(request), cursor)
    wanted = Filter(None, reason, topic, partition, waiting)
    before_id = None if before is None else before[0]
    rows = quarantined.entries(connection, wanted, limit + 1, before_id=before_id)
    key = (rows[limit - 1].id,) if len(rows) > limit else None
    following = asking.link_next(request, response, services, rows, limit, key)
    with_text = Scope.RAW in caller.scopes
    items = [queries.quarantined_of(row, with_text=with_text) for row in rows[:limit]]
    return Page(items=items, next_cursor=following)


@router.get("/quarantine/{number}", responses=documented(404))
def read_quarantined(caller: Reader, connection: Snapshot, number: Number) -> Quarantined:
    """One quarantined line by its number."""
    row = quarantined.entry(connection, number)
    if row is None:
        raise not_found(f"nothing in quarantine has the number {number}")
    return queries.quarantined_of(row, with_text=Scope.RAW in caller.scopes)


@router.post("/quarantine/{number}/replay", responses=documented(404))
def replay_quarantined(_: Admin, services: ServicesDep, number: Number) -> Replayed:
    """Reads a quarantined line again, from Kafka where it still is; it is stored once."""
    with services.reading() as connection:
        found = quarantined.entry(connection, number)
    if found is None:
        raise not_found(f"nothing in quarantine has the number {number}")
    with Replay(services.settings, services.engine, SystemClock()) as replay:
        outcome = replay.replay(found)
    return Replayed(id=number, outcome=outcome.value)
