"""Gathers what each page shows. Reads only; numbers come from where they were settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, select

from collector.db.tables import quarantine
from verifier.api.alert_models import Incident
from verifier.api.asking import grid_of
from verifier.api.ingest_models import Position, WatermarkAnswer
from verifier.api.models import Finding, PolicySummary, StatementAnswer
from verifier.api.queries import findings, ingest, policies, windows
from verifier.api.queries.findings import Filter
from verifier.api.queries.incidents import incident_of
from verifier.api.queries.series import series
from verifier.incidents import store
from verifier.page import figures
from verifier.settle import report
from verifier.settle.endpoints import endpoints
from verifier.settle.lookup import Explained, explain_in
from verifier.settle.watermark import FOREVER_US, EvidenceRules
from verifier.settle.windows import SECOND_US, Span
from verifier.statistics.divergence import Endpoint

HOUR_US: Final = 3_600 * SECOND_US
DAY_US: Final = 24 * HOUR_US
FINDINGS: Final = 50
"""Of one page."""
MOST_INCIDENTS: Final = 50


class Card(msgspec.Struct, frozen=True):
    """A policy as the overview shows it: the last settled hour, and day; None: nothing is."""

    policy: PolicySummary
    hour: StatementAnswer | None
    day: StatementAnswer | None


class Overview(msgspec.Struct, frozen=True):
    """What the first page shows. `lag_s`: how far settling could be behind now, seconds."""

    incidents: list[Incident]
    cards: list[Card]
    figure: dict[str, Any]
    watermark: WatermarkAnswer
    lag_s: float | None
    positions: list[Position]
    quarantined: int


class StatusMatrix(msgspec.Struct, frozen=True):
    """How often the primary answered one status and the mirror another.

    Attributes:
        mirror: The mirror's statuses, the columns; 1 to 5 are others of that class.
        rows: Each a status of the primary, and the number of pairs of each column.
    """

    mirror: list[int]
    rows: list[tuple[int, list[int]]]


class PolicyView(msgspec.Struct, frozen=True):
    """What the page of a policy shows of a range."""

    policy: PolicySummary
    incidents: list[Incident]
    statement: StatementAnswer
    figure: dict[str, Any]
    endpoints: list[Endpoint]
    matrix: StatusMatrix | None
    findings: list[Finding]
    next_before: tuple[int, int] | None
    verdict: str


def overview(connection: Connection, now_us: int, rules: EvidenceRules) -> Overview:
    """All policies, how far logs are read, and what nobody could read."""
    summaries = policies.summaries(connection)
    cards = [_card(connection, summary) for summary in summaries]
    named, last_us = {}, DAY_US
    for card in cards:
        if card.day is not None:
            until_us = report.settled_to_us(connection, card.policy.name) or 0
            span = Span(until_us - DAY_US, until_us)
            named[card.policy.name] = series(connection, card.policy.name, span)
            last_us = max(last_us, until_us)
    mark = report.watermark(connection, now_us, rules).time_us
    unknown = mark is None or mark >= FOREVER_US
    waiting = select(func.coalesce(func.sum(quarantine.c.records), 0))
    return Overview(
        incidents=_open_incidents(connection, None),
        cards=cards,
        figure=figures.completeness(named, last_us - DAY_US, last_us),
        watermark=ingest.watermark(connection, now_us, rules),
        lag_s=None if unknown or mark is None else max(0.0, (now_us - mark) / SECOND_US),
        positions=ingest.positions(connection),
        quarantined=int(connection.scalar(waiting.where(quarantine.c.replayed_us.is_(None))) or 0),
    )


def _open_incidents(connection: Connection, policy: str | None) -> list[Incident]:
    rows = store.incidents(connection, policy=policy, only_open=True, limit=MOST_INCIDENTS)
    return [incident_of(row) for row in rows]


def _card(connection: Connection, summary: PolicySummary) -> Card:
    until_us = report.settled_to_us(connection, summary.name)
    if until_us is None or not summary.mirrors:
        return Card(summary, None, None)
    hour, day = (_back(connection, summary.name, until_us, long) for long in (HOUR_US, DAY_US))
    return Card(summary, hour, day)


def _back(connection: Connection, name: str, until_us: int, length_us: int) -> StatementAnswer:
    """What is stated of the last stretch that is settled."""
    start_us = grid_of(connection, name).window(until_us - length_us).start_us
    span = Span(start_us, until_us)
    return windows.statement(connection, name, span, span, 1)


def policy_view(
    connection: Connection, name: str, span: Span, verdict: str, before: tuple[int, ...] | None
) -> PolicyView | None:
    """One policy over a range of whole windows; None: there is no such policy.

    Args:
        connection: A snapshot.
        name: The policy's name.
        span: Whole windows.
        verdict: Only findings with it; empty: all.
        before: Where the findings go on.
    """
    summary = next((one for one in policies.summaries(connection) if one.name == name), None)
    if summary is None:
        return None
    wanted = Filter(span=span, policy=name, verdict=verdict or None)
    rows = findings.page(connection, wanted, before, FINDINGS)
    last = rows[FINDINGS - 1] if len(rows) > FINDINGS else None
    compared = endpoints(connection, name, span.start_us, span.end_us)
    return PolicyView(
        policy=summary,
        incidents=_open_incidents(connection, name),
        statement=windows.statement(connection, name, span, span, 1),
        figure=figures.verdicts_over_time(series(connection, name, span)),
        endpoints=compared,
        matrix=status_matrix(compared[0].statuses) if compared else None,
        findings=[findings.finding_of(row, with_lines=False) for row in rows[:FINDINGS]],
        next_before=None if last is None else (last.start_us, last.id),
        verdict=verdict,
    )


def status_matrix(statuses: Mapping[int, Mapping[int, int]]) -> StatusMatrix | None:
    """A table of statuses; None: none was counted."""
    columns = sorted({code for row in statuses.values() for code in row})
    rows = [
        (ours, [row.get(code, 0) for code in columns]) for ours, row in sorted(statuses.items())
    ]
    return StatusMatrix(columns, rows) if rows else None


class LineView(msgspec.Struct, frozen=True):
    """A line of a request: (name, value, whether it differs among the lines)."""

    side: str
    fields: list[tuple[str, str, bool]]


class EpisodeView(msgspec.Struct, frozen=True):
    """Lines that were judged together, side by side."""

    policy: str
    request: str
    verdicts: dict[str, int]
    reasons: list[str]
    lines: list[LineView]


class RequestView(msgspec.Struct, frozen=True):
    """One request id: its episodes, and what was said when they were settled."""

    request_id: str
    episodes: list[EpisodeView]
    found: Explained


_COMPARED: Final = ("code", "flags", "duration_ms", "authority")
"""Fields of lines that are marked where they differ."""
_SHOWN: Final = ("pod", "started_at", *_COMPARED, "forwarded_for", "place")


def request_view(connection: Connection, request_id: str) -> RequestView:
    """All that is known of a request id."""
    found = explain_in(connection, request_id)
    episodes = [
        EpisodeView(
            policy=story.policy,
            request=f"{story.method} {story.path}",
            verdicts=story.verdicts,
            reasons=story.reasons,
            lines=[LineView(line.side, _fields(line, story.lines)) for line in story.lines],
        )
        for story in found.stories
    ]
    return RequestView(request_id, episodes, found)


def _fields(line: Any, lines: Sequence[Any]) -> list[tuple[str, str, bool]]:
    return [
        (
            name.replace("_", " "),
            "" if (value := getattr(line, name)) is None else str(value),
            name in _COMPARED and len({getattr(one, name) for one in lines}) > 1,
        )
        for name in _SHOWN
    ]
