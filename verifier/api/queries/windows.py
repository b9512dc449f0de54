"""Windows and statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select

from verifier.api.models import Share, StatementAnswer, TimeRange, Unsettled, Verdicts, Window
from verifier.gate import Asked, decide
from verifier.pairing.percentage import Percentage
from verifier.settle.report import revised_verdicts, totals
from verifier.settle.windows import Span
from verifier.tables import settled_window
from verifier.times import iso_time, time_or_none

_MOST_REVISIONS: Final = 1_000


def range_of(span: Span) -> TimeRange:
    """A span as it is told."""
    return TimeRange(since=iso_time(span.start_us), until=iso_time(span.end_us))


def statement(
    connection: Connection, policy: str, asked: Span, judged: Span, min_requests: int
) -> StatementAnswer:
    """What a range amounts to; any window in it that is not settled makes it not proven."""
    found = totals(connection, policy, judged.start_us, judged.end_us)
    wanted = Asked(
        policy=policy,
        since_us=judged.start_us,
        settled_to_us=judged.end_us,
        min_requests=min_requests,
    )
    ruling = decide(wanted, found)
    return StatementAnswer(
        policy=policy,
        statement=ruling.statement.value,
        reason=ruling.reason,
        asked=range_of(asked),
        judged=range_of(judged),
        settled_to=time_or_none(found.settled_to_us),
        windows=found.windows,
        requests=found.requests,
        requests_high=found.requests_high,
        verdicts=Verdicts(**found.verdicts),
        percentage=_share(found.percentage),
        pairs=found.paired,
        status_differs=found.status_differs,
        control=found.control,
        control_lost=found.control_lost,
        log_loss=found.log_loss,
        unsettled=[Unsettled(since=iso_time(a), until=iso_time(b)) for a, b in found.unsettled],
        too_late=found.too_late,
    )


def _share(found: Percentage) -> Share:
    return Share(
        declared=found.declared,
        observed=found.observed,
        low=found.low,
        high=found.high,
        consistent=found.consistent,
    )


def window_of(row: Row[Any]) -> Window:
    """A row as it is told; lines that were lost in shipping are taken off what is missing."""
    share = Percentage(row.declared, row.observed, row.low, row.high, row.consistent)
    return Window(
        policy=row.policy,
        start=iso_time(row.start_us),
        end=iso_time(row.start_us + row.size_us),
        revision=row.revision,
        latest=row.superseded_us is None,
        statement=row.statement,
        reason=row.reason,
        requests=row.requests,
        requests_high=row.requests_high,
        verdicts=Verdicts(**revised_verdicts(row)),
        percentage=_share(share),
        pairs=row.paired,
        status_differs=row.status_differs,
        findings=row.findings,
        policy_version=row.policy_version_id,
        settled_at=iso_time(row.settled_us),
        superseded_at=time_or_none(row.superseded_us),
        digest=bytes(row.digest).hex(),
    )


def _of_span(policy: str, span: Span, statement_name: str | None) -> Select[Any]:
    c = settled_window.c
    query = select(settled_window).where(
        c.policy == policy,
        c.superseded_us.is_(None),
        c.start_us >= span.start_us,
        c.start_us < span.end_us,
    )
    return query if statement_name is None else query.where(c.statement == statement_name)


def page(
    connection: Connection,
    policy: str,
    span: Span,
    statement_name: str | None,
    before: tuple[int, ...] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """The latest revisions of windows, the newest first; one more than the limit if there is."""
    c = settled_window.c
    query = _of_span(policy, span, statement_name)
    if before is not None:
        query = query.where(c.start_us < before[0])
    return connection.execute(query.order_by(c.start_us.desc()).limit(limit + 1)).all()


def following(
    connection: Connection,
    policy: str,
    span: Span,
    statement_name: str | None,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """The same, the oldest first, behind a start; at most the limit."""
    c = settled_window.c
    query = _of_span(policy, span, statement_name)
    if after is not None:
        query = query.where(c.start_us > after[0])
    return connection.execute(query.order_by(c.start_us).limit(limit)).all()


def revisions(connection: Connection, policy: str, start_us: int) -> Sequence[Row[Any]]:
    """All revisions of one window, the latest first."""
    c = settled_window.c
    query = select(settled_window).where(c.policy == policy, c.start_us == start_us)
    return connection.execute(query.order_by(c.revision.desc()).limit(_MOST_REVISIONS)).all()
