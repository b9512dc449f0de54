"""What is not matched, with its evidence."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from verifier.api import asking, exporting
from verifier.api.access import RawReader, Reader
from verifier.api.asking import Cursor, Limit, Number, Since, Until
from verifier.api.models import Finding, Page
from verifier.api.problems import documented, not_found
from verifier.api.queries import findings as queries
from verifier.api.queries.findings import Filter
from verifier.api.scopes import Scope
from verifier.api.services import ServicesDep, Snapshot
from verifier.pairing.lines import Verdict

router = APIRouter(tags=["findings"])


def _filter(
    services: ServicesDep,
    connection: Snapshot,
    policy: Annotated[str | None, Query(max_length=500, description="Only of this policy")] = None,
    since: Since = "1h",
    until: Until = None,
    verdict: Annotated[Verdict | None, Query(description="Only with this verdict")] = None,
    method: Annotated[str | None, Query(max_length=50, description="HTTP method")] = None,
    path: Annotated[
        str | None, Query(max_length=2_000, description="How the path begins, as it is stored")
    ] = None,
    pod: Annotated[
        str | None, Query(max_length=300, description="A pod among the evidence")
    ] = None,
    status: Annotated[
        int | None, Query(ge=0, le=999, description="An HTTP status among the evidence")
    ] = None,
    request_id: Annotated[
        str | None, Query(max_length=1_000, description="As any proxy logged it")
    ] = None,
    superseded: Annotated[bool, Query(description="Also what later revisions took back")] = False,
) -> Filter:
    return Filter(
        span=asking.read_span(since, until, services.now_us(connection)),
        policy=policy,
        verdict=None if verdict is None else verdict.value,
        method=method,
        path=path,
        pod=pod,
        status=status,
        request_id=request_id,
        superseded=superseded,
    )


FilterDep = Annotated[Filter, Depends(_filter)]


@router.get("/findings")
def list_findings(
    caller: Reader,
    request: Request,
    response: Response,
    services: ServicesDep,
    connection: Snapshot,
    wanted: FilterDep,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Finding]:
    """Findings, the newest requests first. Their lines are shown with the scope raw."""
    before = asking.read_position(services, asking.question_of(request), cursor)
    rows = queries.page(connection, wanted, before, limit)
    last = rows[limit - 1] if len(rows) > limit else None
    key = None if last is None else (last.start_us, last.id)
    following = asking.link_next(request, response, services, rows, limit, key)
    with_lines = Scope.RAW in caller.scopes
    items = [queries.finding_of(row, with_lines=with_lines) for row in rows[:limit]]
    return Page(items=items, next_cursor=following)


@router.get("/findings/export", response_class=StreamingResponse)
def export_findings(
    _: RawReader,
    services: ServicesDep,
    wanted: FilterDep,
    form: exporting.Form = exporting.Form.CSV,
) -> StreamingResponse:
    """All findings of a range with their lines, the oldest first, as CSV or as JSON lines."""
    table = exporting.Table(
        "findings",
        Finding,
        lambda connection, after: queries.following(connection, wanted, after, exporting.ROWS),
        lambda row: (row.start_us, row.id),
        lambda row: queries.finding_of(row, with_lines=True),
    )
    return exporting.export(services, form, table)


@router.get("/findings/{number}", responses=documented(404))
def read_finding(caller: Reader, connection: Snapshot, number: Number) -> Finding:
    """One finding by its number."""
    row = queries.one(connection, number)
    if row is None:
        raise not_found(f"no finding has the number {number}")
    return queries.finding_of(row, with_lines=Scope.RAW in caller.scopes)
