"""Incidents, what was told of them, and silences."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from collector.errors import UsageError
from verifier.api import asking
from verifier.api.access import Admin, Reader
from verifier.api.alert_models import Incident, IncidentAnswer, NewSilence, Silence
from verifier.api.asking import Cursor, Limit, Number
from verifier.api.models import Page
from verifier.api.problems import documented, invalid, not_found
from verifier.api.queries import incidents as queries
from verifier.api.services import ServicesDep, Snapshot
from verifier.incidents import show, store
from verifier.incidents.event import Kind
from verifier.times import read_duration

router = APIRouter(tags=["incidents"])


@router.get("/incidents")
def list_incidents(
    _: Reader,
    request: Request,
    response: Response,
    services: ServicesDep,
    connection: Snapshot,
    policy: Annotated[
        str | None, Query(max_length=500, description="Of this policy; empty: of the pipeline")
    ] = None,
    kind: Annotated[Kind | None, Query(description="Of this kind")] = None,
    open_only: Annotated[bool, Query(description="Without those that are over")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Incident]:
    """Incidents, the newest first."""
    before = asking.read_position(services, asking.question_of(request), cursor)
    rows = store.incidents(
        connection,
        policy=policy,
        kind=kind,
        only_open=open_only,
        before_id=None if before is None else before[0],
        limit=limit + 1,
    )
    key = (rows[limit - 1].id,) if len(rows) > limit else None
    following = asking.link_next(request, response, services, rows, limit, key)
    return Page(items=[queries.incident_of(row) for row in rows[:limit]], next_cursor=following)


@router.get("/incidents/{number}", responses=documented(404))
def read_incident(_: Reader, connection: Snapshot, number: Number) -> IncidentAnswer:
    """One incident: likely cause, what to look at, examples, and all that was sent of it."""
    row = store.incident_row(connection, number)
    if row is None:
        raise not_found(f"no incident has the number {number}")
    return queries.with_deliveries(connection, row)


@router.get("/silences")
def list_silences(
    _: Reader,
    services: ServicesDep,
    connection: Snapshot,
    over: Annotated[bool, Query(description="Also those that are over")] = False,
) -> list[Silence]:
    """Silences, the newest first."""
    found = store.silences(connection, None if over else services.now_us(connection))
    return [Silence.model_validate(show.silence_json(one)) for one in found]


@router.post("/silences", status_code=201)
def add_silence(caller: Admin, services: ServicesDep, new: NewSilence) -> Silence:
    """Holds notifications back for a time; incidents are followed all the same."""
    try:
        lasts_us = read_duration("lasts", new.lasts)
    except UsageError as error:
        raise invalid("lasts", str(error).removeprefix("lasts "), "body") from error
    if not 0 < lasts_us <= store.LONGEST_SILENCE_US:
        raise invalid("lasts", "must be above 0 and at most 90d", "body")
    with services.writing() as connection:
        now_us = services.now_us(connection)
        values = {
            "policy": new.policy,
            "kind": None if new.kind is None else new.kind.value,
            "reason": new.reason,
            "author": caller.name,
            "from_us": now_us,
            "until_us": now_us + lasts_us,
        }
        number = store.add_silence(connection, values)
        found = store.silences(connection, now_us)
    return Silence.model_validate(show.silence_json(next(one for one in found if one.id == number)))


@router.delete("/silences/{number}", status_code=204, responses=documented(404))
def end_silence(caller: Admin, services: ServicesDep, number: Number) -> None:
    """Ends a silence now."""
    with services.writing() as connection:
        now_us = services.now_us(connection)
        if not store.end_silence(connection, number, caller.name, now_us):
            raise not_found(f"no silence in force has the number {number}")
