"""What questions have in common: ranges of time, pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from fastapi import Path, Query, Request, Response
from sqlalchemy import Connection, select

from collector.errors import UsageError
from verifier.api import cursors
from verifier.api.problems import invalid, not_found
from verifier.api.services import Services
from verifier.settle.progress import progress_of
from verifier.settle.windows import Grid, Span
from verifier.tables import settled_policy
from verifier.times import iso_time, read_moment

MOST: Final = 1_000
"""Rows of a page."""
_EARLIEST_US: Final = 0
_LATEST_US: Final = 4_102_444_800_000_000
"""The year 2100: no line is from later."""

Policy = Annotated[
    str, Query(max_length=500, description="Name of a policy", examples=["weather/forecast-route"])
]
Since = Annotated[
    str,
    Query(
        max_length=40,
        description="From when: a duration back from now, or a time with its zone, RFC 3339",
        examples=["1h", "2026-11-22T15:00:00Z"],
    ),
]
Until = Annotated[
    str | None,
    Query(max_length=40, description="Up to when, as `since`. Left out: now", examples=["5m"]),
]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Most rows of a page")]
Number = Annotated[int, Path(ge=0, lt=1 << 63, description="Its number")]
Cursor = Annotated[
    str | None,
    Query(max_length=cursors.MAX_LENGTH, description="Where to go on: from the `Link` header"),
]


class Range(msgspec.Struct, frozen=True):
    """What was asked, and the whole windows that it takes. Times in µs since the epoch."""

    asked: Span
    windows: Span


def read_span(since: str, until: str | None, now_us: int, until_us: int | None = None) -> Span:
    """The range that is asked; see `read_range`.

    Raises:
        Refusal: A time cannot be read, or the range is empty.
    """
    start_us = read_moment_of("since", since, now_us)
    end_us = now_us if until_us is None else until_us
    if until is not None:
        end_us = read_moment_of("until", until, now_us)
    if start_us >= end_us:
        raise invalid("since", f"is not before until ({iso_time(end_us)})")
    return Span(start_us, end_us)


def read_moment_of(name: str, text: str, now_us: int) -> int:
    """A moment in µs since the epoch. Raises Refusal: it cannot be read, or is out of all time."""
    try:
        found = read_moment(name, text, now_us)
    except (UsageError, OverflowError) as error:
        raise invalid(name, str(error).removeprefix(f"{name} ")) from error
    if not _EARLIEST_US <= found <= _LATEST_US:
        raise invalid(name, "must lie between 1970 and 2100")
    return found


def read_range(
    connection: Connection,
    policy: str,
    since: str,
    until: str | None,
    now_us: int,
    *,
    until_us: int | None = None,
) -> Range:
    """The range that is asked of a policy, rounded outwards to whole windows.

    Args:
        connection: A snapshot.
        policy: Its name.
        since: As it was asked.
        until: As it was asked; None: until now, or until
        until_us: that time.
        now_us: The database's clock.

    Raises:
        Refusal: Nothing was ever settled of such a policy, or a time cannot be read.
    """
    asked = read_span(since, until, now_us, until_us)
    grid = grid_of(connection, policy)
    return Range(asked, Span(grid.window(asked.start_us).start_us, _end_us(grid, asked.end_us)))


def _end_us(grid: Grid, end_us: int) -> int:
    return grid.window(end_us - 1).end_us


def grid_of(connection: Connection, policy: str) -> Grid:
    """The windows of a policy. Raises Refusal: nothing was ever settled of such a policy."""
    progress = progress_of(connection, policy)
    if progress is None:
        known = select(settled_policy.c.policy).order_by(settled_policy.c.policy).limit(20)
        names = ", ".join(connection.scalars(known)) or "none yet"
        raise not_found(f"no policy {policy!r} was ever settled; there are: {names}")
    return progress.grid


def read_position(services: Services, question: str, cursor: str | None) -> tuple[int, ...] | None:
    """Where a page begins; None: at the beginning. Raises Refusal."""
    if cursor is None:
        return None
    try:
        return cursors.read_cursor(services.secret, question, cursor)
    except cursors.BadCursor as error:
        reason = "is none of ours for this question; take it from the Link header of a page"
        raise invalid("cursor", reason) from error


def has_tag(request: Request, tag: str) -> bool:
    """Whether who asks has what a tag names: it is in `If-None-Match`, or that is `*`.

    Weak and strong tags compare alike. Source: RFC 9110, 13.1.2.
    """
    given = ", ".join(request.headers.getlist("If-None-Match"))
    return given.strip() == "*" or tag in _TAGS.findall(given)


_TAGS: Final = re.compile(r'(?:W/)?("[^"]*")')


def question_of(request: Request) -> str:
    """What a request asks but for where: its cursors fit no other question.

    The range counts as it is written, so that `since=1h` may be paged through while time goes on.
    """
    asked = sorted((k, v) for k, v in request.query_params.multi_items() if k not in _PAGING)
    return f"{request.url.path}?{asked}"


_PAGING: Final = ("cursor", "limit")


def link_next(
    request: Request,
    response: Response,
    services: Services,
    rows: Sequence[Any],
    limit: int,
    key: tuple[int, ...] | None,
) -> str | None:
    """Says where the next page begins, in the header `Link` too; None: this was the last.

    Args:
        request: What was asked.
        response: Gets the header.
        services: Sign the cursor.
        rows: One more than the page holds, where there are more.
        limit: What the page holds.
        key: The sort key of the page's last row.
    """
    if len(rows) <= limit or key is None:
        return None
    cursor = cursors.write_cursor(services.secret, question_of(request), key)
    url = request.url.include_query_params(cursor=cursor, limit=limit)
    response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    return cursor
