"""Findings, filtered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, select

from collector.keys import same_ids
from verifier.api.models import Finding, Line
from verifier.settle.windows import Span
from verifier.tables import finding
from verifier.times import iso_time, time_or_none


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which findings are meant; None: any.

    Attributes:
        span: Requests that started then. Times in µs since the epoch.
        policy: Name.
        verdict: One of the verdicts.
        method: HTTP method.
        path: How the path begins.
        pod: A pod among the lines of its evidence.
        status: An HTTP status among them.
        request_id: As any proxy logged it.
        superseded: Also what later revisions took back.
    """

    span: Span
    policy: str | None = None
    verdict: str | None = None
    method: str | None = None
    path: str | None = None
    pod: str | None = None
    status: int | None = None
    request_id: str | None = None
    superseded: bool = False


_REACH_US: Final = 3_600_000_000
"""A request lies in its window, and windows are no longer than an hour: they find it by index."""


def _where(wanted: Filter) -> list[ColumnElement[bool]]:
    c = finding.c
    found: list[ColumnElement[bool]] = [
        c.start_us >= wanted.span.start_us,
        c.start_us < wanted.span.end_us,
        c.window_start_us >= wanted.span.start_us - _REACH_US,
        c.window_start_us < wanted.span.end_us,
    ]
    for column, value in (
        (c.policy, wanted.policy),
        (c.verdict, wanted.verdict),
        (c.method, wanted.method),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.path is not None:
        found.append(c.path.startswith(wanted.path, autoescape=True))
    if wanted.pod is not None:
        found.append(_mentions(f'"pod": {json.dumps(wanted.pod, ensure_ascii=False)}'))
    if wanted.status is not None:
        found.append(_mentions(f'"code": {wanted.status},'))
    if wanted.request_id is not None:
        found.append(c.request_id.in_(same_ids(wanted.request_id)))
    if not wanted.superseded:
        found.append(c.superseded_us.is_(None))
    return found


def _mentions(text: str) -> ColumnElement[bool]:
    """Whether the evidence says so, in the notation in which it is written."""
    return finding.c.evidence.contains(text, autoescape=True)


def page(
    connection: Connection, wanted: Filter, before: tuple[int, ...] | None, limit: int
) -> Sequence[Row[Any]]:
    """Findings, the newest requests first; one more than the limit if there is."""
    c = finding.c
    query = select(finding).where(*_where(wanted))
    if before is not None:
        start_us, number = before
        earlier = (c.start_us == start_us) & (c.id < number)
        query = query.where((c.start_us < start_us) | earlier)
    return connection.execute(query.order_by(c.start_us.desc(), c.id.desc()).limit(limit + 1)).all()


def following(
    connection: Connection, wanted: Filter, after: tuple[int, ...] | None, limit: int
) -> Sequence[Row[Any]]:
    """The same, the oldest requests first, behind a start and a number; at most the limit."""
    c = finding.c
    query = select(finding).where(*_where(wanted))
    if after is not None:
        start_us, number = after
        query = query.where((c.start_us > start_us) | ((c.start_us == start_us) & (c.id > number)))
    return connection.execute(query.order_by(c.start_us, c.id).limit(limit)).all()


def finding_of(row: Row[Any], *, with_lines: bool) -> Finding:
    """A row as it is told, with the lines of its evidence where the caller may see them."""
    return Finding(
        id=row.id,
        policy=row.policy,
        verdict=row.verdict,
        reason=row.reason,
        mirror=row.mirror,
        started_at=iso_time(row.start_us),
        count=row._mapping["count"],
        request_id=row.request_id,
        method=row.method,
        path=row.path,
        window_start=iso_time(row.window_start_us),
        revision=row.revision,
        superseded_at=time_or_none(row.superseded_us),
        evidence=[line_of(one) for one in json.loads(row.evidence)] if with_lines else None,
    )


def line_of(one: dict[str, Any]) -> Line:
    """A line of the evidence as it is told."""
    rest = {k: v for k, v in one.items() if k not in ("start_us", "end_us")}
    return Line(started_at=iso_time(one["start_us"]), ended_at=iso_time(one["end_us"]), **rest)


def one(connection: Connection, number: int) -> Row[Any] | None:
    """One finding; None: there is none, or no longer."""
    return connection.execute(select(finding).where(finding.c.id == number)).one_or_none()
