"""What is stated of ranges, and the windows that it rests on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from collector.errors import UsageError
from verifier.api import asking, exporting
from verifier.api.access import Reader
from verifier.api.asking import Cursor, Limit, Policy, Since, Until
from verifier.api.models import Page, StatementAnswer, StatementName, Window
from verifier.api.problems import documented, invalid, not_found
from verifier.api.queries import windows as queries
from verifier.api.services import ServicesDep, Snapshot
from verifier.settle import report
from verifier.times import read_moment

router = APIRouter(tags=["statements"])
StatementFilter = Annotated[
    StatementName | None, Query(description="Only windows of which this is stated")
]


@router.get("/statement", responses=documented(404))
def read_statement(
    _: Reader,
    services: ServicesDep,
    connection: Snapshot,
    policy: Policy,
    since: Since = "1h",
    until: Until = None,
    min_requests: Annotated[int, Query(ge=0, le=10**12, description="Fewer prove nothing")] = 1,
) -> StatementAnswer:
    """What a range amounts to, with its numbers.

    The range is rounded outwards to whole windows, as `judged` says. While one of them is not
    settled nothing is proven. Left out, `until` is where settling has come to; now, where it has
    not come to `since`.
    """
    now_us = services.now_us(connection)
    until_us = report.settled_to_us(connection, policy) if until is None else None
    if until_us is not None and asking.read_moment_of("since", since, now_us) >= until_us:
        until_us = None  # verdicts are late: an answer that proves nothing, and no refusal
    found = asking.read_range(connection, policy, since, until, now_us, until_us=until_us)
    return queries.statement(connection, policy, found.asked, found.windows, min_requests)


@router.get("/windows", responses=documented(404))
def list_windows(
    _: Reader,
    request: Request,
    response: Response,
    services: ServicesDep,
    connection: Snapshot,
    policy: Policy,
    since: Since = "1h",
    until: Until = None,
    statement: StatementFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Window]:
    """Windows with lines by their latest revisions, the newest first."""
    before = asking.read_position(services, asking.question_of(request), cursor)
    span = asking.read_range(connection, policy, since, until, services.now_us(connection)).windows
    rows = queries.page(connection, policy, span, statement, before, limit)
    key = (rows[limit - 1].start_us,) if len(rows) > limit else None
    following = asking.link_next(request, response, services, rows, limit, key)
    return Page(items=[queries.window_of(row) for row in rows[:limit]], next_cursor=following)


@router.get("/windows/export", responses=documented(404), response_class=StreamingResponse)
def export_windows(
    _: Reader,
    services: ServicesDep,
    connection: Snapshot,
    policy: Policy,
    since: Since = "1h",
    until: Until = None,
    statement: StatementFilter = None,
    form: exporting.Form = exporting.Form.CSV,
) -> StreamingResponse:
    """All windows of a range, the oldest first, as CSV or as JSON lines."""
    span = asking.read_range(connection, policy, since, until, services.now_us(connection)).windows
    table = exporting.Table(
        "windows",
        Window,
        lambda reading, after: queries.following(
            reading, policy, span, statement, after, exporting.ROWS
        ),
        lambda row: (row.start_us,),
        queries.window_of,
    )
    return exporting.export(services, form, table)


@router.get("/window", responses={**documented(404), 304: {"description": "As If-None-Match says"}})
def read_window(
    _: Reader,
    request: Request,
    response: Response,
    connection: Snapshot,
    policy: Policy,
    start: Annotated[
        str, Query(max_length=40, description="Its start", examples=["2026-11-22T15:13:00Z"])
    ],
) -> list[Window]:
    """All revisions of one window, the latest first. The ETag changes with each revision."""
    try:
        start_us = read_moment("start", start, 0)
    except (UsageError, OverflowError) as error:
        raise invalid("start", "must be a time with its zone, RFC 3339") from error
    rows = queries.revisions(connection, policy, start_us)
    if not rows:
        raise not_found(f"no window of {policy!r} with lines starts at {start}")
    response.headers["ETag"] = tag = f'"{bytes(rows[0].digest).hex()[:32]}"'
    if asking.has_tag(request, tag):
        response.status_code = 304
        return []
    return [queries.window_of(row) for row in rows]
